//! The console between scripted processes and a scripted line.

use heapless::Deque;

use super::*;

const A: ProcessId = ProcessId::new(0);
const B: ProcessId = ProcessId::new(1);
const C: ProcessId = ProcessId::new(63);

fn sent(console: &mut Console<'_>) -> Vec<u8> {
    let mut out = [0; 64];
    let count = console.pull(&mut out);
    out[..count].to_vec()
}

fn named(set: ProcessSet) -> Vec<ProcessId> {
    set.each_from(0).collect()
}

#[test]
fn output_leaves_in_order_and_in_pieces_of_the_ports_size() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert!(!console.has_output());
    assert_eq!(console.write(A, b"abcd"), 4);
    assert_eq!(console.write(B, b"ef"), 2);
    assert!(console.has_output());
    let mut out = [0; 5];
    assert_eq!((console.pull(&mut out), &out), (5, b"abcde"));
    assert_eq!((console.pull(&mut out), out[0]), (1, b'f'));
    assert_eq!(console.pull(&mut out), 0);
    assert_eq!(console.counters().written, 6);
}

#[test]
fn the_queues_wrap_around() {
    let (mut transmit, mut receive) = (Deque::<u8, 10>::new(), Deque::<u8, 3>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(A));
    for round in 0..50u8 {
        assert_eq!(console.write(A, &[round, round + 1]), 2);
        console.input(round, Instant::BOOT);
        assert_eq!(sent(&mut console), [round, round + 1]);
        let mut out = [0; 2];
        assert_eq!((console.read(A, &mut out), out[0]), (1, round));
    }
}

#[test]
fn a_short_line_is_taken_whole_or_not_at_all() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    for _ in 0..4 {
        assert_eq!(console.write(A, b"one\n"), 4);
    }
    let mut one = [0];
    assert_eq!(console.pull(&mut one), 1);
    assert_eq!(console.write(A, b"two\n"), 0, "one byte of room is not enough for the line");
    assert_eq!(console.counters().refused, 1);
    assert_eq!(sent(&mut console), b"ne\none\none\none\n");
}

#[test]
fn no_write_takes_more_than_its_share() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    let greedy = [b'x'; 100];
    assert_eq!(console.write(A, &greedy), 4);
    assert_eq!(console.write(B, b"modest"), 4);
    assert_eq!(console.write(A, &greedy), 4);
    assert_eq!(sent(&mut console), b"xxxxmodexxxx");
}

/// Lets writers write whenever they may, and the line take `line` bytes a turn; answers how many bytes each got out.
fn compete(writers: &[(ProcessId, &[u8])], turns: usize, line: usize) -> Vec<usize> {
    let (mut transmit, mut receive) = (Deque::<u8, 640>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    let mut runnable = vec![true; writers.len()];
    let mut out = vec![0; writers.len()];
    for _ in 0..turns {
        for (index, (process, text)) in writers.iter().enumerate() {
            while runnable[index] {
                let taken = console.write(*process, text);
                out[index] += taken;
                runnable[index] = taken > 0;
            }
        }
        assert!(console.pull(&mut vec![0; line]) <= line);
        let ready = console.take_ready(|| 0);
        for (index, (process, _)) in writers.iter().enumerate() {
            runnable[index] |= ready.contains(*process);
        }
    }
    out
}

#[test]
fn writers_get_equal_bytes_however_large_their_writes_are() {
    for writers in [
        [(A, &b"x"[..]), (B, &[b'y'; 500][..])],
        [(A, &[b'x'; 500][..]), (B, b"y")],
        [(A, b"flood\n"), (C, b"a line of a modest writer that says much less often\n")],
    ] {
        for line in [1, 16, 100] {
            let out = compete(&writers, 400_000 / line, line);
            let (least, most) = (*out.iter().min().unwrap(), *out.iter().max().unwrap());
            assert!(most - least <= 640, "{out:?} with {line} bytes a turn");
        }
    }
}

#[test]
fn who_writes_seldom_does_not_wait_behind_a_flood() {
    let (mut transmit, mut receive) = (Deque::<u8, 100>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    for _ in 0..100 {
        while console.write(A, b"flood") > 0 {}
        assert_eq!(console.write(B, b"once"), 0, "the queue is full");
        // Room for one write: it is the modest one's, though the other waits longer.
        console.pull(&mut [0; 5]);
        assert_eq!(named(console.take_ready(|| 0)), [B], "and nobody else is woken for it");
        assert_eq!(console.write(A, b"flood"), 0, "the room is kept for who was named");
        assert_eq!(console.write(B, b"once"), 4);
        while console.has_output() {
            sent(&mut console);
        }
        console.take_ready(|| 0);
    }
}

#[test]
fn silence_earns_nothing() {
    let (mut transmit, mut receive) = (Deque::<u8, 50>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    for _ in 0..1_000 {
        console.write(A, b"word");
        sent(&mut console);
    }
    // B was silent; from now on both get the same.
    let mut out = [0, 0];
    for _ in 0..500 {
        out[0] += console.write(A, b"aaaa");
        out[1] += console.write(B, b"bbbb");
        console.pull(&mut [0; 4]);
        console.take_ready(|| 0);
    }
    assert!(out[1] < out[0] + 60, "{out:?}");
}

#[test]
fn only_as_many_writers_are_woken_as_there_is_room_for() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    while console.write(A, b"line") > 0 {}
    assert_eq!((console.write(B, b"line"), console.write(C, b"line")), (0, 0));
    assert!(named(console.take_ready(|| 0)).is_empty());
    console.pull(&mut [0; 3]);
    assert!(named(console.take_ready(|| 0)).is_empty(), "three bytes are too few");
    console.pull(&mut [0; 1]);
    assert_eq!(named(console.take_ready(|| 0)), [B]);
    assert!(named(console.take_ready(|| 0)) != [B], "once");
}

#[test]
fn a_process_that_has_ended_keeps_nobody_waiting() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    while console.write(A, b"line") > 0 {}
    assert_eq!(console.write(B, b"line"), 0);
    console.forget(B);
    sent(&mut console);
    assert_eq!(named(console.take_ready(|| 0)), [A]);
}

#[test]
fn who_polls_for_room_is_named_when_there_is_some() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert!(console.writable(B));
    while console.write(A, b"line") > 0 {}
    assert!(!console.writable(B));
    console.pull(&mut [0; 4]);
    assert_eq!(named(console.take_ready(|| 0)), [B]);
    assert!(console.writable(B));
}

#[test]
fn the_process_console_has_room_beside_any_flood() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    while console.write(A, b"line") > 0 {}
    assert_eq!(console.say(b"> psx"), 4);
    assert_eq!(console.counters().unsaid, 1);
    assert!(sent(&mut console).ends_with(b"> ps"));
}

#[test]
fn long_text_is_cut_behind_a_newline() {
    let (mut transmit, mut receive) = (Deque::<u8, 40>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert_eq!(console.share(), 8);
    assert_eq!(console.write(A, b"ab\ncd\nefghij\n"), 6);
    assert_eq!(console.write(A, b"efghij\n"), 7);
    assert_eq!(console.write(A, b"12345678"), 8, "as long as the share is short enough");
    assert_eq!(sent(&mut console), b"ab\ncd\nefghij\n12345678");
}

#[test]
fn input_is_read_in_order_and_announced_once() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(A));
    assert!(!console.readable(A) && console.take_ready(|| 0).is_empty());
    console.input(b'h', Instant::BOOT);
    console.input(b'i', Instant::BOOT);
    assert!(console.readable(A));
    assert_eq!(named(console.take_ready(|| 0)), [A]);
    assert!(console.take_ready(|| 0).is_empty());
    let mut out = [0; 8];
    assert_eq!((console.read(A, &mut out), &out[..2]), (2, &b"hi"[..]));
    assert_eq!(console.read(A, &mut out), 0);
    assert_eq!(console.counters().read, 2);
}

#[test]
fn only_the_foreground_reads_what_is_typed() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(B));
    console.input(b'k', Instant::BOOT);
    assert!(!console.readable(A), "it runs in the background");
    assert_eq!(console.read(A, &mut [0; 8]), 0);
    assert_eq!(named(console.take_ready(|| 0)), [B], "and is not woken for it");
    assert_eq!(console.read(B, &mut [0; 8]), 1);
    console.set_foreground(None);
    console.input(b'k', Instant::BOOT);
    assert_eq!((console.read(A, &mut [0; 8]), console.read(B, &mut [0; 8])), (0, 0));
}

#[test]
fn input_that_nobody_reads_is_dropped_and_counted() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(A));
    for byte in b"abcdefg" {
        console.input(*byte, Instant::BOOT);
    }
    assert_eq!(console.counters().dropped, 3);
    let mut out = [0; 8];
    assert_eq!((console.read(A, &mut out), &out[..4]), (4, &b"abcd"[..]), "what came first is kept");
}

#[test]
fn input_that_is_lost_again_and_again_writes_a_line_a_second() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(A));
    let before = slopos_host_log::lines();
    // It reads a byte now and then, which once made each new loss a line of its own.
    for millisecond in 0..10_000 {
        (0..3).for_each(|_| console.input(b'x', Instant::from_millis(millisecond)));
        assert_eq!(console.read(A, &mut [0]), 1);
    }
    let lines = slopos_host_log::lines() - before;
    assert!((8..=2 * (8 + 10)).contains(&lines), "{lines} lines");
}

#[test]
fn input_for_one_process_does_not_reach_the_next() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(A));
    console.input(b'x', Instant::BOOT);
    console.set_foreground(Some(B));
    assert!(!console.readable(B) && console.take_ready(|| 0).is_empty());
    assert_eq!(console.read(B, &mut [0; 8]), 0);
    assert_eq!((console.counters().cleared, console.counters().read), (1, 0));
}

#[test]
fn empty_reads_and_writes_move_nothing() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.set_foreground(Some(A));
    console.input(b'x', Instant::BOOT);
    assert_eq!((console.write(A, b""), console.read(A, &mut []), console.pull(&mut [])), (0, 0, 0));
    assert!(console.readable(A) && !console.has_output());
    assert_eq!(console.counters().refused, 0);
}

#[test]
#[should_panic(expected = "transmit queue is too small")]
fn a_queue_without_shares_is_refused() {
    let (mut transmit, mut receive) = (Deque::<u8, 4>::new(), Deque::<u8, 4>::new());
    Console::new(&mut transmit, &mut receive);
}

#[test]
fn the_word_is_taken_where_it_is_the_first_one_and_nowhere_else() {
    for (line, expected) in [
        ("stderr=log webget http://10.0.2.2/; exit", (true, " webget http://10.0.2.2/; exit")),
        ("  stderr=log", (true, "")),
        ("stderr=log; exit", (false, "stderr=log; exit")),
        ("stderr=logs", (false, "stderr=logs")),
        ("stderr=console exit", (false, "stderr=console exit")),
        ("ps; stderr=log", (false, "ps; stderr=log")),
        ("", (false, "")),
    ] {
        assert_eq!(take_word(line), expected, "{line:?}");
    }
}

#[test]
fn text_for_the_log_is_cut_behind_a_line_and_waits_for_room() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    assert!(!console.is_separate());
    console.separate();
    assert!(console.is_separate());
    let text = [b"line\n".repeat(PIECE_MAX / 5), b"half".to_vec()].concat();
    assert_eq!(console.write_apart(A, &text, 4096).len(), PIECE_MAX / 5 * 5);
    assert_eq!(console.write_apart(A, b"short", 4), b"", "it is taken whole or not at all");
    assert_eq!(named(console.take_ready(|| 4)), []);
    assert!(!console.has_ready(|| 4) && console.has_ready(|| 5));
    assert_eq!(named(console.take_ready(|| 5)), [A]);
    assert_eq!(console.write_apart(A, b"short", 5), b"short");
    assert!(console.writable_apart(A, PIECE_MAX) && !console.writable_apart(B, PIECE_MAX - 1));
    assert_eq!(named(console.take_ready(|| PIECE_MAX)), [B]);
    assert!(!console.has_output(), "none of it is for the port");
}

#[test]
fn a_flood_for_the_log_leaves_a_modest_writer_its_turn_and_the_port_alone() {
    let (mut transmit, mut receive) = (Deque::<u8, 100>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.separate();
    let (mut flood, mut modest, mut port) = (0, 0, 0);
    for _ in 0..1_000 {
        // The log has room for a piece, then for none.
        flood += console.write_apart(A, &[b'x'; 2 * PIECE_MAX], PIECE_MAX).len();
        modest += console.write_apart(B, b"modest", if flood > modest { 0 } else { PIECE_MAX }).len();
        for ready in named(console.take_ready(|| PIECE_MAX)) {
            match ready {
                B => modest += console.write_apart(B, b"modest", PIECE_MAX).len(),
                _ => flood += console.write_apart(A, &[b'x'; 2 * PIECE_MAX], PIECE_MAX).len(),
            }
        }
        port += console.write(C, b"output");
        sent(&mut console);
    }
    assert!(modest >= 900 * 6, "{modest} bytes of the modest one beside {flood}");
    assert_eq!(port, 6_000, "who writes to the port waits for nobody");
}

#[test]
fn of_the_process_console_what_the_log_cannot_take_is_counted() {
    let (mut transmit, mut receive) = (Deque::<u8, 20>::new(), Deque::<u8, 4>::new());
    let mut console = Console::new(&mut transmit, &mut receive);
    console.separate();
    assert_eq!(console.say_apart(b"slopos> ", 100), b"slopos> ");
    assert_eq!(console.say_apart(b"slopos> ", 4), b"slop");
    assert_eq!(console.counters().unsaid, 4);
}
