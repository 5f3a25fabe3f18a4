//! Windows in both directions, and silly-window avoidance (RFC 9293 section 3.8.6).

use super::*;

#[test]
fn the_window_shrinks_by_what_is_not_read_and_its_edge_stays() {
    let mut connection = established().receive_window(10_000);
    connection.receive(data(&pattern(1_000)), at(0));
    assert_eq!(connection.sent_one(at(40)).window, 9_000);
    connection.receive(data(&pattern(1_000)).seq(RECEIVE_NEXT + 1_000), at(50));
    assert_eq!(connection.sent_one(at(90)).window, 8_000);
}

#[test]
fn reading_a_little_moves_no_window() {
    let mut connection = established().receive_window(10_000);
    connection.receive(data(&pattern(3_000)), at(0));
    assert_eq!(connection.sent_one(at(0)).window, 7_000);
    connection.read_up_to(1_000).unwrap();
    assert!(connection.sent(at(0)).is_empty());
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 3_000), at(1));
    assert_eq!(connection.sent_one(at(41)).window, 6_999, "the edge stays where it was");
}

#[test]
fn reading_two_segments_announces_the_room() {
    let mut connection = established().receive_window(10_000);
    connection.receive(data(&pattern(4_000)), at(0));
    connection.sent(at(0));
    connection.read_up_to(2_919).unwrap();
    assert!(connection.sent(at(0)).is_empty());
    connection.read_up_to(1).unwrap();
    assert_eq!(connection.sent_one(at(0)).window, 8_920);
}

#[test]
fn a_small_buffer_announces_at_half() {
    let mut connection = established().receive_window(1_000);
    connection.receive(data(&pattern(1_000)), at(0));
    assert_eq!(connection.sent_one(at(40)).window, 0);
    connection.read_up_to(499).unwrap();
    assert!(connection.sent(at(40)).is_empty());
    connection.read_up_to(1).unwrap();
    assert_eq!(connection.sent_one(at(40)).window, 500);
}

#[test]
fn the_edge_never_moves_left() {
    let mut connection = established().receive_window(300_000).peer_scale(2);
    let mut edge = RECEIVE_NEXT;
    let mut next = RECEIVE_NEXT;
    for step in 0..400u32 {
        let length = 1 + (step * 37) % 1_460;
        connection.receive(data(&pattern(length as usize)).seq(next), at(u64::from(step)));
        next += length;
        if step % 7 == 0 {
            connection.read_up_to(step as usize * 20 + 1).unwrap();
        }
        for packet in connection.sent(at(u64::from(step))) {
            let announced = packet.acknowledgement + (u32::from(packet.window) << 3);
            assert!(announced.offset_from(edge) > -8, "the scale rounds by less than eight bytes");
            edge = edge.later(announced);
        }
    }
    assert!(edge.offset_from(RECEIVE_NEXT) > 300_000);
}

#[test]
fn what_fits_in_the_window_as_announced_is_taken_despite_the_scale() {
    let mut connection = established().receive_window(100_001).peer_scale(0);
    connection.receive(data(b"x"), at(0));
    let announced = u32::from(connection.sent_one(at(40)).window) << 1;
    let stream = pattern(announced as usize);
    for (index, piece) in stream.chunks(1_000).enumerate() {
        connection.receive(data(piece).seq(RECEIVE_NEXT + 1 + index as u32 * 1_000), at(50));
    }
    assert_eq!(connection.read_up_to(1_000_000).unwrap()[1..], stream);
}

#[test]
fn a_closed_window_still_takes_acknowledgements() {
    let mut connection = established().receive_window(1_000);
    connection.write(b"abc", at(0));
    connection.sent(at(0));
    connection.receive(data(&pattern(1_000)), at(0));
    connection.sent(at(40));
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 1_000).acking(SEND_NEXT + 3), at(50));
    let answer = connection.sent_one(at(50));
    assert_eq!((answer.acknowledgement, answer.window), (RECEIVE_NEXT + 1_000, 0));
    assert_eq!(connection.next_deadline(), None, "the data is acknowledged");
    connection.receive(fin().seq(RECEIVE_NEXT + 1_000).acking(SEND_NEXT + 3), at(60));
    assert_eq!(connection.state(), State::CloseWait, "a FIN needs no room");
}

#[test]
fn nothing_is_sent_beyond_the_peers_window() {
    let mut connection = established().peer_window(3_000).nodelay();
    connection.write(&pattern(10_000), at(0));
    assert_eq!(places(&connection.sent(at(0))), [(0, 1_460), (1_460, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 1_460).window(1_540), at(10));
    assert!(connection.sent(at(10)).is_empty(), "eighty bytes more would be silly");
    connection.receive(ack().acking(SEND_NEXT + 2_920).window(3_000), at(20));
    assert_eq!(places(&connection.sent(at(20))), [(2_920, 1_460), (4_380, 1_460)]);
}

#[test]
fn a_peer_with_a_tiny_buffer_gets_half_of_it_at_a_time() {
    let mut connection = established().peer_window(400);
    connection.write(&pattern(1_000), at(0));
    assert_eq!(places(&connection.sent(at(0))), [(0, 400)]);
    connection.receive(ack().acking(SEND_NEXT + 400).window(199), at(10));
    assert!(connection.sent(at(10)).is_empty());
    connection.receive(ack().acking(SEND_NEXT + 400).window(200), at(20));
    assert_eq!(places(&connection.sent(at(20))), [(400, 200)]);
}

#[test]
fn a_closed_window_is_probed_with_one_byte_ever_more_rarely() {
    let mut connection = established().peer_window(0);
    connection.write(b"abc", at(0));
    assert!(connection.sent(at(0)).is_empty());
    assert_eq!(connection.deadline(), at(200));
    let mut now = at(200);
    for interval in [400, 800, 1_600, 3_200] {
        let probe = connection.sent_one(now);
        assert_eq!((probe.sequence, probe.payload.as_slice()), (SEND_NEXT, &b"a"[..]));
        connection.receive(ack().window(0), now);
        now += Duration::from_millis(interval);
        assert_eq!(connection.deadline(), now);
    }
    connection.receive(ack().window(1_000), now);
    assert_eq!(connection.sent_one(now).payload, b"abc");
    assert_eq!(connection.counters.window_probes, 4);
}

#[test]
fn the_probes_byte_counts_if_it_is_taken() {
    let mut connection = established().peer_window(0);
    connection.write(b"abc", at(0));
    connection.sent(at(200));
    connection.receive(ack().acking(SEND_NEXT + 1).window(10), at(210));
    let next = connection.sent_one(at(210));
    assert_eq!((next.sequence, next.payload.as_slice()), (SEND_NEXT + 1, &b"bc"[..]));
}

#[test]
fn a_window_that_opens_by_too_little_is_used_once_the_timer_runs_out() {
    let mut connection = established().peer_window(2_000);
    connection.write(&pattern(2_000), at(0));
    connection.sent(at(0));
    connection.receive(ack().acking(SEND_NEXT + 1_460).window(10), at(10));
    assert!(connection.sent(at(10)).is_empty());
    let now = connection.deadline();
    assert_eq!(places(&connection.sent(now)), [(1_460, 10)]);
}

#[test]
fn a_fin_waits_for_the_window_and_probes_it() {
    let mut connection = established().peer_window(0);
    connection.close_write();
    assert!(connection.sent(at(0)).is_empty());
    let probe = connection.sent_one(connection.deadline());
    assert!(probe.flags.fin());
    assert_eq!(probe.sequence, SEND_NEXT);
    connection.receive(ack().acking(SEND_NEXT + 1), at(300));
    assert_eq!(connection.state(), State::FinWait2);
    assert!(connection.sent(at(300)).is_empty());
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn a_closed_window_whose_peer_is_gone_is_given_up() {
    let mut connection = established().peer_window(0);
    connection.write(b"abc", at(0));
    let mut probes = 0;
    while connection.state() == State::Established {
        let now = connection.deadline();
        probes += connection.sent(now).len();
    }
    assert_eq!(probes, 15);
    assert_eq!(connection.counters.timed_out, 1);
    assert_eq!(connection.read(), Err(Error::TimedOut));
}

#[test]
fn a_window_taken_back_sends_no_more_than_the_first_segment_again() {
    let mut connection = established();
    connection.write(&pattern(5_840), at(0));
    assert_eq!(connection.sent(at(0)).len(), 4);
    connection.receive(ack().window(0), at(10));
    assert!(connection.sent(at(10)).is_empty());
    assert_eq!(places(&connection.sent(at(200))), [(0, 1_460)]);
    assert_eq!(places(&connection.sent(at(600))), [(0, 1_460)]);
}

#[test]
fn what_acknowledges_more_brings_its_window_though_its_data_comes_late() {
    let mut connection = established().peer_window(3_000).nodelay();
    connection.write(&pattern(10_000), at(0));
    assert_eq!(places(&connection.sent(at(0))), [(0, 1_460), (1_460, 1_460)]);
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 10).window(3_000), at(1));
    // Sent again by the peer, later: it lies before that in the stream.
    connection.receive(data(b"y").acking(SEND_NEXT + 2_920).window(80), at(2));
    let ends = connection.sent(at(2)).into_iter().map(|packet| packet.sequence + packet.payload.len() as u32);
    assert!(ends.into_iter().all(|end| !end.is_after(SEND_NEXT + 3_000)), "beyond the peer's window");
}

#[test]
fn an_old_segment_does_not_bring_back_its_window() {
    let mut connection = established();
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 10).window(2_000), at(0));
    connection.receive(ack().window(5_000), at(1));
    connection.sent(at(1));
    connection.write(&pattern(3_000), at(50));
    assert_eq!(places(&connection.sent(at(50))), [(0, 1_460)]);
}

#[test]
fn a_peer_that_took_back_its_window_and_answers_is_never_given_up() {
    let mut connection = established();
    connection.write(b"hello", at(0));
    connection.sent(at(0));
    for _ in 0..40 {
        let now = connection.deadline();
        assert_eq!(connection.sent_one(now).payload, b"hello");
        connection.receive(ack().window(0), now);
    }
    assert_eq!(connection.state(), State::Established);
    let now = connection.deadline();
    connection.receive(ack().window(1_000).acking(SEND_NEXT + 5), now);
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn a_closed_window_is_probed_for_as_long_as_the_peer_answers() {
    let mut connection = established().peer_window(0);
    connection.write(b"abc", at(0));
    for _ in 0..100 {
        let now = connection.deadline();
        assert_eq!(connection.sent_one(now).payload, b"a");
        connection.receive(ack().window(0), now);
    }
    let last = connection.deadline();
    assert!(last > at(80 * 60_000), "a minute between probes in the end: {last:?}");
    connection.receive(ack().window(1_000), last);
    assert_eq!(connection.sent_one(last).payload, b"abc");
}

#[test]
fn an_edge_that_was_announced_once_more_stays_there_too() {
    let mut connection = established().receive_window(10_000);
    connection.receive(data(&pattern(4_000)), at(0));
    connection.sent(at(0));
    connection.read_up_to(4_000).unwrap();
    assert_eq!(connection.sent_one(at(0)).window, 10_000);
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 4_000), at(1));
    connection.read_up_to(1).unwrap();
    assert_eq!(connection.sent_one(at(41)).window, 9_999, "one byte of room is not worth telling");
}

#[test]
fn a_probe_that_has_not_left_is_called_off_when_the_window_opens() {
    let mut connection = established().peer_window(0);
    connection.write(b"abc", at(0));
    connection.inner.poll(at(200), &mut connection.counters);
    connection.receive(ack().window(1_000), at(200));
    assert_eq!(connection.sent_one(at(200)).payload, b"abc");
    connection.receive(ack().acking(SEND_NEXT + 3).window(0), at(210));
    connection.write(b"def", at(210));
    assert!(connection.sent(at(210)).is_empty(), "it has just been closed");
}

#[test]
fn a_window_blocks_where_it_is_too_small_to_be_worth_using() {
    // RFC 9293 section 3.8.6.2.1: less than a segment, than all there is, and than half of the largest ever offered.
    for (largest, window, unsent, blocked) in [
        (4_000, 0, 1, true),
        (4_000, 10, 10, false),
        (4_000, 10, 11, true),
        (4_000, 1_459, 3_000, true),
        (4_000, 1_460, 3_000, false),
        (2_000, 999, 1_460, true),
        (2_000, 1_000, 1_460, false),
    ] {
        let mut connection = established().peer_window(largest);
        connection.receive(ack().window(window), at(0));
        assert_eq!(connection.next_deadline(), None, "nothing waits");
        connection.write(&pattern(unsent), at(0));
        assert_eq!(connection.sender().is_blocked_by_window(), blocked, "{largest} {window} {unsent}");
        assert_eq!(connection.next_deadline().is_some(), blocked);
    }
}

#[test]
fn a_closed_window_is_not_probed_while_something_is_on_its_way() {
    let mut connection = established().peer_window(1_460);
    connection.write(&pattern(3_000), at(0));
    assert_eq!(connection.sent(at(0)).len(), 1);
    connection.receive(ack().window(0), at(10));
    assert!(!connection.sender().is_blocked_by_window());
    assert_eq!(connection.timers().deadline(Timer::Persist), None);
}
