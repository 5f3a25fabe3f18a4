//! Data goes out: segmentation, Nagle's algorithm, room for the writer.

use super::*;

#[test]
fn what_is_written_leaves_in_full_segments_and_the_last_is_pushed() {
    let stream = pattern(4_000);
    let mut connection = established().nodelay();
    connection.write(&stream, at(0));
    let sent = connection.sent(at(0));
    assert_eq!(places(&sent), [(0, 1_460), (1_460, 1_460), (2_920, 1_080)]);
    assert_eq!(sent.iter().map(|packet| packet.flags.push()).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(sent.into_iter().flat_map(|packet| packet.payload).collect::<Vec<_>>(), stream);
}

#[test]
fn timestamps_take_their_room_from_the_payload() {
    let mut connection = established().timestamps();
    connection.write(&pattern(3_000), at(0));
    assert_eq!(places(&connection.sent(at(0))), [(0, 1_448), (1_448, 1_448)]);
}

#[test]
fn sack_blocks_take_their_room_from_the_payload() {
    let mut connection = established().selective();
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 10), at(0));
    connection.sent(at(0));
    connection.write(&pattern(3_000), at(0));
    let sent = connection.sent(at(0));
    assert_eq!(places(&sent), [(0, 1_448), (1_448, 1_448)]);
    assert_eq!(sent[0].blocks(), [(10, 11)]);
}

#[test]
fn a_small_segment_waits_while_something_is_on_its_way() {
    let mut connection = established();
    connection.write(b"a", at(0));
    assert_eq!(places(&connection.sent(at(0))), [(0, 1)]);
    connection.write(b"b", at(1));
    connection.write(b"c", at(2));
    assert!(connection.sent(at(2)).is_empty());
    connection.receive(ack().acking(SEND_NEXT + 1), at(30));
    assert_eq!(places(&connection.sent(at(30))), [(1, 2)]);
}

#[test]
fn with_nodelay_it_does_not_wait() {
    let mut connection = established().nodelay();
    connection.write(b"a", at(0));
    connection.sent(at(0));
    connection.write(b"b", at(1));
    assert_eq!(places(&connection.sent(at(1))), [(1, 1)]);
}

#[test]
fn the_last_small_segment_does_not_wait_for_anything() {
    let mut connection = established();
    connection.write(b"a", at(0));
    connection.sent(at(0));
    connection.write(b"b", at(1));
    connection.close_write();
    let last = connection.sent_one(at(1));
    assert_eq!(last.payload, b"b");
    assert!(last.flags.fin());
}

#[test]
fn a_full_send_ring_takes_no_more_until_a_quarter_is_free() {
    let mut connection = established().send_buffer(4_000);
    assert_eq!(connection.inner.write(&pattern(5_000), at(0)), Ok(4_000));
    assert_eq!(connection.inner.write(b"x", at(0)), Err(Error::WouldBlock));
    assert!(!connection.readiness().contains(Readiness::WRITABLE));
    connection.sent(at(0));
    connection.take_ready();
    connection.receive(ack().acking(SEND_NEXT + 999), at(10));
    assert!(!connection.take_ready());
    connection.receive(ack().acking(SEND_NEXT + 1_000), at(10));
    assert!(connection.take_ready());
    assert!(connection.readiness().contains(Readiness::WRITABLE));
    assert_eq!(connection.inner.write(&pattern(5_000), at(0)), Ok(1_000));
}

#[test]
fn ten_segments_leave_before_the_first_acknowledgement() {
    let mut connection = established();
    connection.write(&pattern(40_000), at(0));
    assert_eq!(connection.sent(at(0)).len(), 10);
    connection.receive(ack().acking(SEND_NEXT + 2_920), at(20));
    assert_eq!(connection.sent(at(20)).len(), 4, "two made room, and the window grew by two");
}

#[test]
fn after_silence_no_more_than_the_initial_window_leaves() {
    let mut connection = established();
    let mut acknowledged = SEND_NEXT;
    for round in 0..3u64 {
        connection.write(&pattern(14_600), at(round * 20));
        connection.sent(at(round * 20));
        acknowledged += 14_600;
        connection.receive(ack().acking(acknowledged), at(round * 20 + 10));
    }
    connection.write(&pattern(60_000), at(100));
    assert!(connection.sent(at(100)).len() > 10);
    let mut connection = established();
    let mut acknowledged = SEND_NEXT;
    for round in 0..3u64 {
        connection.write(&pattern(14_600), at(round * 20));
        connection.sent(at(round * 20));
        acknowledged += 14_600;
        connection.receive(ack().acking(acknowledged), at(round * 20 + 10));
    }
    connection.write(&pattern(60_000), at(5_000));
    assert_eq!(connection.sent(at(5_000)).len(), 10);
}

#[test]
fn too_little_room_for_a_header_sends_nothing_and_loses_nothing() {
    let mut connection = established();
    connection.write(b"hello", at(0));
    for room in 0..20 {
        assert_eq!(connection.inner.transmit(&mut vec![0; room], at(0), &mut connection.counters), None);
    }
    assert_eq!(connection.sent_one(at(0)).payload, b"hello");
}

#[test]
fn an_idle_connection_is_probed_only_where_asked_for() {
    assert_eq!(established().next_deadline(), None);
    let mut connection = established().keepalive();
    connection.receive(data(b"x"), at(1_000_000));
    connection.sent(at(1_000_040));
    assert!(connection.sent(at(7_200_000)).is_empty());
    assert_eq!(connection.deadline(), at(8_200_000));
    let probe = connection.sent_one(at(8_200_000));
    assert_eq!((probe.sequence, probe.payload.len(), probe.flags), (SEND_NEXT - 1, 0, Flags::ACK));
    connection.receive(ack().seq(RECEIVE_NEXT + 1), at(8_200_050));
    assert!(connection.sent(at(8_275_000)).is_empty());
    assert_eq!(connection.deadline(), at(15_400_050));
}

#[test]
fn a_probed_peer_that_does_not_answer_is_given_up() {
    let mut connection = established().keepalive();
    let mut probes = 0;
    while connection.state() == State::Established {
        let now = connection.deadline();
        probes += connection.sent(now).len();
        assert!(now <= at(7_200_000 + 9 * 75_000));
    }
    assert_eq!(probes, 9);
    assert_eq!(connection.read(), Err(Error::TimedOut));
}

#[test]
fn silence_of_one_timeout_is_not_too_long() {
    // RFC 5681 section 4.1: an interval exceeding the retransmission timeout.
    for (later, more) in [(Duration::ZERO, true), (Duration::from_micros(1), false)] {
        let mut connection = established();
        let mut acknowledged = SEND_NEXT;
        for round in 0..3u64 {
            connection.write(&pattern(14_600), at(round * 20));
            connection.sent(at(round * 20));
            acknowledged += 14_600;
            connection.receive(ack().acking(acknowledged), at(round * 20 + 10));
        }
        let now = at(40) + connection.sender().timeout() + later;
        connection.write(&pattern(60_000), now);
        assert_eq!(connection.sent(now).len() > 10, more, "{later:?} later");
    }
}

#[test]
fn silence_counts_only_while_nothing_is_on_its_way() {
    let mut connection = established();
    let mut acknowledged = SEND_NEXT;
    for round in 0..3u64 {
        connection.write(&pattern(14_600), at(round * 20));
        connection.sent(at(round * 20));
        acknowledged += 14_600;
        connection.receive(ack().acking(acknowledged), at(round * 20 + 10));
    }
    connection.write(&pattern(12 * 1_460), at(60));
    assert_eq!(connection.sent(at(60)).len(), 12);
    connection.receive(ack().acking(acknowledged + 1_460), at(200));
    connection.write(&pattern(40_000), at(300));
    assert!(connection.sent(at(300)).len() > 5, "eleven are on their way, more than an initial window");
}
