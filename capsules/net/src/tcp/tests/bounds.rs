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

#[test]
fn what_brings_no_data_is_shown_to_no_reader() {
    let mut connection = established();
    let bytes = ack().bytes(REMOTE, LOCAL);
    let segment = Unverified::parse(REMOTE.address, LOCAL.address, &bytes).unwrap();
    let deliver = |_: &mut Arrival<'_>| panic!("there is nothing to be copied");
    connection.socket.receive(segment, at(0), deliver, &mut connection.counters).unwrap();
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
