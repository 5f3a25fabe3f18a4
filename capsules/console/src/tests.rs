//! The console between a scripted process and a scripted line.

use heapless::Deque;

use super::*;

fn sent(console: &mut Console<'_>) -> Vec<u8> {
    let mut out = [0; 64];
    let count = console.pull(&mut out);
    out[..count].to_vec()
}

#[test]
fn output_leaves_in_order_and_in_pieces_of_the_ports_size() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert!(!console.has_output());
    assert_eq!(console.write(b"abcd"), 4);
    assert_eq!(console.write(b"ef"), 2);
    assert!(console.has_output());
    let mut out = [0; 5];
    assert_eq!((console.pull(&mut out), &out), (5, b"abcde"));
    assert_eq!((console.pull(&mut out), out[0]), (1, b'f'));
    assert_eq!(console.pull(&mut out), 0);
    assert_eq!(console.counters().written, 6);
}

#[test]
fn the_queues_wrap_around() {
    let (mut transmit, mut receive) = (Deque::<u8, 8>::new(), Deque::<u8, 3>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    for round in 0..50u8 {
        assert_eq!(console.write(&[round, round + 1]), 2);
        console.input(round);
        assert_eq!(sent(&mut console), [round, round + 1]);
        let mut out = [0; 2];
        assert_eq!((console.read(&mut out), out[0]), (1, round));
    }
}

#[test]
fn a_short_line_is_taken_whole_or_not_at_all() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    for _ in 0..4 {
        assert_eq!(console.write(b"one\n"), 4);
    }
    let mut one = [0];
    assert_eq!(console.pull(&mut one), 1);
    assert_eq!(console.write(b"two\n"), 0, "one byte of room is not enough for the line");
    assert_eq!(console.counters().refused, 1);
    assert_eq!(sent(&mut console), b"ne\none\none\none\n");
}

#[test]
fn no_write_takes_more_than_its_share() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    let greedy = [b'x'; 100];
    assert_eq!(console.write(&greedy), 4);
    assert_eq!(console.write(b"modest"), 4);
    assert_eq!(console.write(&greedy), 4);
    assert_eq!(sent(&mut console), b"xxxxmodexxxx");
}

#[test]
fn two_writers_of_much_text_take_turns() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    let mut line = Vec::new();
    for _ in 0..20 {
        while console.write(&[b'o'; 50]) > 0 && console.write(&[b'e'; 50]) > 0 {}
        line.extend(sent(&mut console));
    }
    let of_output = line.iter().filter(|&&byte| byte == b'o').count();
    assert_eq!((of_output, line.len()), (line.len() / 2, 320));
}

#[test]
fn long_text_is_cut_behind_a_newline() {
    let (mut transmit, mut receive) = (Deque::<u8, 32>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert_eq!(console.share(), 8);
    assert_eq!(console.write(b"ab\ncd\nefghij\n"), 6);
    assert_eq!(console.write(b"efghij\n"), 7);
    assert_eq!(console.write(b"12345678"), 8, "as long as the share is short enough");
    assert_eq!(sent(&mut console), b"ab\ncd\nefghij\n12345678");
}

#[test]
fn the_space_event_comes_once_and_only_with_room_for_any_write() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    while console.write(b"line") > 0 {}
    assert!(!console.writable());
    assert!(!console.take_space_event());
    let mut out = [0; 3];
    console.pull(&mut out);
    assert!(!console.take_space_event(), "three bytes are less than a share");
    console.pull(&mut out[..1]);
    assert!(console.writable());
    assert!(console.take_space_event());
    assert!(!console.take_space_event());
    assert_eq!(console.write(b"line"), 4);
    sent(&mut console);
    assert!(!console.take_space_event(), "nobody was refused since");
}

#[test]
fn input_is_read_in_order_and_announced_once() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert!(!console.readable() && !console.take_input_event());
    console.input(b'h');
    console.input(b'i');
    assert!(console.readable() && console.take_input_event());
    assert!(!console.take_input_event());
    let mut out = [0; 8];
    assert_eq!((console.read(&mut out), &out[..2]), (2, &b"hi"[..]));
    assert_eq!(console.read(&mut out), 0);
    assert_eq!(console.counters().read, 2);
}

#[test]
fn input_that_nobody_reads_is_dropped_and_counted() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    for byte in b"abcdefg" {
        console.input(*byte);
    }
    assert_eq!(console.counters().dropped, 3);
    let mut out = [0; 8];
    assert_eq!((console.read(&mut out), &out[..4]), (4, &b"abcd"[..]), "what came first is kept");
}

#[test]
fn input_for_one_process_does_not_reach_the_next() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.input(b'x');
    console.clear_input();
    assert!(!console.readable() && !console.take_input_event());
    assert_eq!(console.read(&mut [0; 8]), 0);
    assert_eq!((console.counters().cleared, console.counters().read), (1, 0));
}

#[test]
fn empty_reads_and_writes_move_nothing() {
    let (mut transmit, mut receive) = (Deque::<u8, 16>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.input(b'x');
    assert_eq!((console.write(b""), console.read(&mut []), console.pull(&mut [])), (0, 0, 0));
    assert!(console.readable() && !console.has_output());
    assert_eq!(console.counters().refused, 0);
}

#[test]
#[should_panic(expected = "transmit queue is too small")]
fn a_queue_without_shares_is_refused() {
    let (mut transmit, mut receive) = (Deque::<u8, 3>::new(), Deque::<u8, 4>::new());
    Console::new(&mut transmit, &mut receive);
}
