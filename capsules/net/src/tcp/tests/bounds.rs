//! Rules just inside their bound and just outside, and what a segment must not do besides.

use super::*;

/// So long a timestamp is compared with a newer one (RFC 7323 section 5.5).
const TIMESTAMP_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3_600);

#[test]
fn for_twenty_four_days_an_old_timestamp_is_refused() {
    for (later, taken) in [(Duration::ZERO, &b"a"[..]), (Duration::from_micros(1), b"ab")] {
        let mut connection = established().timestamps();
        connection.receive(data(b"a").stamped(600, 0), at(0));
        connection.receive(data(b"b").seq(RECEIVE_NEXT + 1).stamped(599, 0), at(0) + TIMESTAMP_LIFETIME + later);
        assert_eq!(connection.read().unwrap(), taken);
    }
}

/// A reader that must not be asked.
struct Unasked;

impl Readers for Unasked {
    fn buffer(&mut self, _: SocketId, _: usize) -> Option<&mut [u8]> {
        panic!("there is nothing to be copied")
    }

    fn deliver(&mut self, _: SocketId, _: usize) {
        panic!("there is nothing to be delivered")
    }
}

#[test]
fn what_brings_no_data_is_shown_to_no_reader() {
    let mut connection = established();
    let bytes = ack().bytes(REMOTE, LOCAL);
    let segment = Unverified::parse(REMOTE.address, LOCAL.address, &bytes).unwrap();
    let mut reader = Unasked;
    connection.inner.receive(segment, at(0), SOCKET, &mut reader, &mut connection.counters).unwrap();
}

#[test]
fn data_without_the_agreed_timestamp_is_no_keep_alive() {
    // RFC 7323 section 3.2: it is dropped. Only a probe of what we are, or of a closed window, is answered.
    for payload in [&b"x"[..], b"xyz"] {
        let mut connection = established().timestamps();
        connection.receive(data(payload), at(0));
        assert!(connection.sent(at(1_000)).is_empty(), "{payload:?} where it comes next, and the window is open");
    }
    let mut connection = established().timestamps().receive_window(1_000);
    connection.receive(data(&pattern(1_000)).stamped(600, TIMESTAMP_OFFSET), at(0));
    connection.sent(at(1_000));
    for (offset, payload) in [(1_000, &b""[..]), (1_000, b"xy"), (1_001, b"x"), (998, b"x")] {
        connection.receive(data(payload).seq(RECEIVE_NEXT + offset), at(1_000));
        assert!(connection.sent(at(2_000)).is_empty(), "{offset} {payload:?}");
    }
}

#[test]
fn what_reaches_a_connection_that_is_over_changes_nothing() {
    let mut connection = established();
    connection.receive(rst(), at(0));
    assert_eq!(connection.state(), State::Closed);
    connection.counters = Counters::default();
    connection.receive(data(b"late"), at(1));
    assert_eq!(connection.counters, Counters { segments_received: 1, ..Counters::default() });
    assert_eq!(connection.read(), Err(Error::Reset));
}

#[test]
fn reading_a_little_moves_no_window_after_both_have_begun_at_once_either() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    connection.sent(at(1));
    connection.receive(data(b"hello"), at(2));
    assert_eq!(connection.state(), State::Established);
    assert_eq!(connection.read().unwrap(), b"hello");
    assert!(connection.sent(at(2)).is_empty(), "the acknowledgement waits for more");
}

#[test]
fn data_that_covers_all_that_was_held_is_acknowledged_at_once() {
    // RFC 5681 section 4.2: so is whatever fills in all of a gap, or part of it.
    let mut connection = established();
    connection.receive(data(b"world").seq(RECEIVE_NEXT + 6), at(0));
    connection.sent(at(0));
    connection.receive(data(b"hello world"), at(1));
    assert_eq!(connection.sent_one(at(1)).acknowledgement, RECEIVE_NEXT + 11);
    assert_eq!(connection.read().unwrap(), b"hello world");
}

#[test]
fn less_than_two_full_segments_wait_for_more() {
    let mut connection = established();
    connection.receive(data(&pattern(1_460)), at(0));
    connection.receive(data(&pattern(1_459)).seq(RECEIVE_NEXT + 1_460), at(0));
    assert!(connection.sent(at(0)).is_empty());
}

#[test]
fn the_window_that_ends_a_handshake_of_both_sides_is_scaled() {
    // RFC 7323 section 2.2: in all segments but the SYN.
    let mut connection = connecting();
    connection.sent(at(0));
    let mut begin = syn();
    begin.options.window_scale = Some(3);
    begin.options.maximum_segment = Some(1_460);
    connection.receive(begin, at(1));
    connection.sent(at(1));
    connection.receive(ack().window(500), at(2));
    connection.write(&pattern(5_000), at(2));
    assert_eq!(connection.sent(at(2)).iter().map(|packet| packet.payload.len()).sum::<usize>(), 2_920, "of 4,000");
}

/// A connection whose streams both have been ended, the peer's first; so many bytes of ours are not acknowledged.
fn in_last_ack(bytes: usize) -> Fixture {
    let mut connection = established();
    connection.receive(fin(), at(0));
    connection.write(&pattern(bytes), at(0));
    connection.close_write();
    connection.sent(at(0));
    assert_eq!(connection.state(), State::LastAck);
    connection
}

#[test]
fn a_reset_when_all_was_said_is_no_error_and_before_that_it_is_one() {
    // RFC 9293 section 3.10.7.4: in CLOSING and LAST-ACK it just ends the connection.
    let mut connection = in_last_ack(0);
    connection.receive(rst().seq(RECEIVE_NEXT + 1), at(10));
    assert_eq!(connection.state(), State::Closed);
    assert!(!connection.readiness().contains(Readiness::ERROR));
    let mut connection = in_last_ack(5);
    connection.receive(rst().seq(RECEIVE_NEXT + 1), at(10));
    assert!(connection.readiness().contains(Readiness::ERROR), "five bytes may be lost");
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_each_time() {
    // Its number lies where that of a keep-alive does, but the peer waits for the answer.
    let mut connection = established();
    connection.receive(fin(), at(0));
    connection.sent(at(0));
    for time in 1..30 {
        connection.receive(fin(), at(time));
        assert_eq!(connection.sent_one(at(time)).acknowledgement, RECEIVE_NEXT + 1, "at {time} ms");
    }
}

#[test]
fn a_fin_that_comes_again_is_reported_by_no_empty_block() {
    let mut connection = established().selective();
    connection.receive(fin(), at(0));
    connection.sent(at(0));
    connection.receive(fin(), at(1));
    let length = connection.inner.transmit(&mut [0; 1_480], at(1), &mut connection.counters);
    assert_eq!(length, Some(20), "a header without options");
}

#[test]
fn of_what_lies_outside_the_window_only_repeated_data_acknowledges_anything() {
    let acknowledges = |packet: Packet| {
        let mut connection = established();
        connection.write(b"hello", at(0));
        connection.sent(at(0));
        connection.receive(packet.acking(SEND_NEXT + 5), at(10));
        connection.sender().outstanding() == 0
    };
    assert!(acknowledges(data(b"x").seq(RECEIVE_NEXT - 65_536)));
    assert!(!acknowledges(data(b"x").seq(RECEIVE_NEXT - 65_537)), "longer ago than the buffer is large");
    assert!(!acknowledges(data(b"x").seq(RECEIVE_NEXT + 65_535)), "behind the window");
    assert!(!acknowledges(ack().seq(RECEIVE_NEXT - 10)), "no data");
}

#[test]
fn data_from_before_the_peers_syn_establishes_nothing() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    connection.sent(at(1));
    connection.receive(data(b"old").seq(PEER_INITIAL - 10), at(2));
    assert_eq!(connection.state(), State::SynReceived);
}

#[test]
fn half_closing_what_is_not_connected_changes_nothing() {
    let (mut receive, mut send) = ([0; 100], [0; 100]);
    let mut connection = Connection::new(&mut receive, &mut send);
    connection.open(SocketFlags::default());
    connection.close_write();
    assert!(!connection.sender().is_ended());
}

#[test]
fn behind_the_end_of_the_peers_stream_no_window_is_announced() {
    let mut connection = established().receive_window(10_000);
    connection.receive(data(&pattern(8_000)).and(Flags::FIN), at(0));
    connection.sent(at(0));
    assert_eq!(connection.read().unwrap().len(), 8_000);
    assert!(connection.sent(at(1)).is_empty());
}

#[test]
fn the_byte_of_a_window_probe_is_measured_by_its_timestamp() {
    let mut connection = established().timestamps();
    connection.receive(ack().window(0).stamped(501, TIMESTAMP_OFFSET), at(0));
    connection.write(b"abc", at(0));
    let probe = connection.sent_one(at(200));
    assert_eq!(probe.payload, b"a");
    assert_eq!(connection.sender().round_trip(), Some(Duration::ZERO));
    let echo = probe.options.timestamps.unwrap().value;
    connection.receive(ack().acking(SEND_NEXT + 1).window(0).stamped(502, echo), at(280));
    assert_eq!(connection.sender().round_trip(), Some(Duration::from_millis(10)), "an eighth of 80");
}

#[test]
fn what_was_held_behind_the_end_of_the_stream_is_forgotten_with_it() {
    let mut connection = established().selective();
    connection.receive(data(b"xyz").seq(RECEIVE_NEXT + 10), at(0));
    connection.sent(at(0));
    let held = connection.in_use_bytes();
    connection.receive(data(b"abc").and(Flags::FIN), at(1));
    assert_eq!(connection.state(), State::CloseWait);
    assert_eq!(connection.sent_one(at(1)).blocks(), []);
    assert_eq!(connection.in_use_bytes(), held, "three bytes for three");
}

#[test]
fn what_was_ended_before_it_was_connected_takes_no_more() {
    let mut connection = connecting();
    connection.close_write();
    assert_eq!(connection.inner.write(b"x", at(0)), Err(Error::Closed));
    assert_eq!((connection.local(), connection.remote()), (LOCAL, REMOTE));
}

#[test]
fn a_connection_that_has_ended_keeps_its_ends_and_is_made_no_second_time() {
    let mut connection = established();
    connection.receive(rst(), at(0));
    assert_eq!((connection.local(), connection.remote()), (LOCAL, REMOTE));
    let parameters = ConnectParameters {
        local: LOCAL,
        remote: REMOTE,
        initial_sequence: OUR_INITIAL,
        timestamp_offset: 0,
        maximum_segment: 1_460,
        deadline: at(1),
    };
    assert_eq!(connection.connect(parameters, at(0)), Err(Error::AlreadyConnected));
}
