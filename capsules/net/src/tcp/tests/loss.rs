//! Losses: the timer, duplicate acknowledgements, SACK (RFC 6298, RFC 5681, RFC 6582, RFC 6675).

use super::*;

#[test]
fn what_is_not_acknowledged_is_sent_again_ever_more_rarely() {
    let mut connection = established();
    connection.write(b"hello", at(0));
    connection.sent(at(0));
    let mut now = at(200);
    for wait in [400, 800, 1_600, 3_200] {
        assert_eq!(connection.deadline(), now);
        assert!(connection.sent(Instant::from_micros(now.as_micros() - 1)).is_empty());
        let again = connection.sent_one(now);
        assert_eq!((again.sequence, again.payload.as_slice()), (SEND_NEXT, &b"hello"[..]));
        now += Duration::from_millis(wait);
    }
    connection.receive(ack().acking(SEND_NEXT + 5), now);
    assert_eq!(connection.next_deadline(), None);
    assert_eq!(connection.counters.retransmits, 4);
}

#[test]
fn a_peer_that_acknowledges_nothing_is_given_up_after_fifteen_retransmissions() {
    let mut connection = established();
    connection.write(b"hello", at(0));
    let mut sent = connection.sent(at(0)).len();
    let mut now = at(0);
    while connection.state() == State::Established {
        now = connection.deadline();
        sent += connection.sent(now).len();
    }
    assert_eq!(sent, 16);
    assert!(now > at(100_000), "R2 is at least 100 s (RFC 9293 section 3.8.3)");
    assert_eq!(connection.read(), Err(Error::TimedOut));
    assert_eq!(connection.inner.write(b"x", now), Err(Error::TimedOut));
    assert!(connection.readiness().contains(Readiness::ERROR));
}

#[test]
fn after_a_timeout_slow_start_sends_everything_again() {
    let mut connection = established();
    connection.write(&pattern(7_300), at(0));
    assert_eq!(connection.sent(at(0)).len(), 5);
    assert_eq!(places(&connection.sent(at(200))), [(0, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 1_460), at(210));
    assert_eq!(places(&connection.sent(at(210))), [(1_460, 1_460), (2_920, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 7_300), at(220));
    assert!(connection.sent(at(220)).is_empty());
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn three_duplicates_send_the_first_segment_again() {
    let mut connection = established();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    for _ in 0..2 {
        connection.receive(ack(), at(20));
        assert!(connection.sent(at(20)).is_empty());
    }
    connection.receive(ack(), at(20));
    assert_eq!(places(&connection.sent(at(20))), [(0, 1_460)]);
    assert_eq!(connection.counters.fast_retransmits, 1);
    assert_eq!(connection.counters.duplicate_acknowledgements, 3);
}

#[test]
fn duplicates_let_new_data_go() {
    let mut connection = established();
    connection.write(&pattern(40_000), at(0));
    assert_eq!(connection.sent(at(0)).len(), 10);
    for place in [14_600, 16_060] {
        connection.receive(ack(), at(20));
        assert_eq!(places(&connection.sent(at(20))), [(place, 1_460)], "limited transmit");
    }
    connection.receive(ack(), at(20));
    assert_eq!(places(&connection.sent(at(20))), [(0, 1_460)]);
    // Twelve were on their way; the window is 7/10 of that, so duplicates let nothing go until 8 are left.
    let mut new = 0;
    for _ in 0..8 {
        connection.receive(ack(), at(20));
        new += connection.sent(at(20)).len();
    }
    assert!((5..=7).contains(&new), "{new}");
}

#[test]
fn a_partial_acknowledgement_sends_the_next_hole_again() {
    let mut connection = established();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    for _ in 0..5 {
        connection.receive(ack(), at(20));
    }
    assert_eq!(places(&connection.sent(at(20))), [(0, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 4_380), at(40));
    assert_eq!(places(&connection.sent(at(40))), [(4_380, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 14_600), at(60));
    assert!(connection.sent(at(60)).is_empty());
    assert_eq!(connection.counters.fast_retransmits, 1);
    assert_eq!(connection.counters.retransmission_timeouts, 0);
}

#[test]
fn an_acknowledgement_with_data_or_another_window_is_no_duplicate() {
    let mut connection = established();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    for step in 0..6u32 {
        connection.receive(data(b"x").seq(RECEIVE_NEXT + step), at(20));
        connection.receive(ack().seq(RECEIVE_NEXT + step + 1).window(60_000 + step as u16), at(20));
        connection.receive(data(b"x").seq(RECEIVE_NEXT + step).window(60_000 + step as u16), at(20));
    }
    assert_eq!(connection.counters.duplicate_acknowledgements, 0);
    assert_eq!(connection.counters.fast_retransmits, 0);
}

#[test]
fn with_sack_only_the_holes_are_sent_again() {
    let mut connection = established().selective();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    connection.receive(ack().reporting(&[(1_460, 2_920)]), at(20));
    connection.receive(ack().reporting(&[(4_380, 5_840), (1_460, 2_920)]), at(20));
    assert!(connection.sent(at(20)).is_empty());
    connection.receive(ack().reporting(&[(4_380, 11_680), (1_460, 2_920)]), at(20));
    assert_eq!(places(&connection.sent(at(20))), [(0, 1_460), (2_920, 1_460), (13_140, 1_460)], "and the end, in case");
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(4_380, 13_140)]), at(40));
    assert!(connection.sent(at(40)).is_empty(), "the other hole is on its way");
    connection.receive(ack().acking(SEND_NEXT + 14_600), at(45));
    assert_eq!(connection.counters.retransmits, 3);
    assert_eq!(connection.counters.fast_retransmits, 1);
}

#[test]
fn with_sack_a_duplicate_that_reports_nothing_does_not_count() {
    let mut connection = established().selective();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    for _ in 0..5 {
        connection.receive(ack(), at(5));
        connection.receive(ack().reporting(&[(0, 0)]), at(5));
    }
    assert_eq!(connection.counters.duplicate_acknowledgements, 0);
    assert!(connection.sent(at(5)).is_empty());
}

#[test]
fn a_report_about_what_was_never_sent_is_ignored() {
    let mut connection = established().selective();
    connection.write(&pattern(2_920), at(0));
    connection.sent(at(0));
    connection.receive(ack().reporting(&[(1_460, 5_000), (2_000, 1_000)]), at(5));
    assert_eq!(connection.counters.sack_blocks_ignored, 1);
    assert!(connection.sent(at(5)).is_empty());
}

#[test]
fn a_timeout_forgets_what_was_reported() {
    let mut connection = established().selective();
    connection.write(&pattern(4_380), at(0));
    connection.sent(at(0));
    connection.receive(ack().reporting(&[(1_460, 2_920)]), at(20));
    assert_eq!(places(&connection.sent(at(21))), [(0, 1_460)], "by the reordering timer");
    assert_eq!(places(&connection.sent(at(221))), [(0, 1_460)]);
    assert_eq!(connection.counters.retransmission_timeouts, 1);
    connection.receive(ack().acking(SEND_NEXT + 1_460), at(230));
    assert_eq!(places(&connection.sent(at(230))), [(1_460, 1_460), (2_920, 1_460)]);
}

#[test]
fn a_lost_fin_is_sent_again() {
    let mut connection = established();
    connection.write(b"bye", at(0));
    connection.close_write();
    connection.sent(at(0));
    let again = connection.sent_one(at(200));
    assert!(again.flags.fin());
    assert_eq!(again.payload, b"bye");
    connection.receive(ack().acking(SEND_NEXT + 3), at(210));
    assert_eq!(connection.state(), State::FinWait1);
    let again = connection.sent_one(connection.deadline());
    assert!(again.flags.fin());
    assert_eq!((again.sequence, again.payload.len()), (SEND_NEXT + 3, 0));
    connection.receive(ack().acking(SEND_NEXT + 4), at(900));
    assert_eq!(connection.state(), State::FinWait2);
}

#[test]
fn a_segment_sent_twice_is_measured_only_by_its_timestamp() {
    let mut plain = established();
    plain.write(b"a", at(0));
    plain.sent(at(0));
    plain.sent(at(200));
    plain.receive(ack().acking(SEND_NEXT + 1), at(210));
    plain.write(b"b", at(300));
    plain.sent(at(300));
    assert_eq!(plain.deadline(), at(700), "without a measurement the timeout stays doubled");

    let mut stamped = established().timestamps();
    stamped.write(b"a", at(0));
    stamped.sent(at(0));
    stamped.sent(at(200));
    stamped.receive(ack().acking(SEND_NEXT + 1).stamped(501, TIMESTAMP_OFFSET + 200), at(210));
    stamped.write(b"b", at(300));
    stamped.sent(at(300));
    assert_eq!(stamped.deadline(), at(500));
}

#[test]
fn an_acknowledgement_restarts_the_timer() {
    let mut connection = established();
    connection.write(&pattern(2_920), at(0));
    connection.sent(at(0));
    connection.receive(ack().acking(SEND_NEXT + 1_460), at(150));
    assert!(connection.deadline() > at(340), "{:?}", connection.deadline());
}

#[test]
fn a_fast_retransmission_is_not_measured() {
    let mut connection = established();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    for _ in 0..3 {
        connection.receive(ack(), at(20));
    }
    connection.sent(at(20));
    connection.receive(ack().acking(SEND_NEXT + 14_600), at(219));
    connection.write(b"x", at(300));
    connection.sent(at(300));
    assert_eq!(connection.deadline(), at(500));
}

#[test]
fn with_sack_the_first_two_reports_let_new_data_go() {
    let mut connection = established().selective();
    connection.write(&pattern(40_000), at(0));
    assert_eq!(connection.sent(at(0)).len(), 10);
    connection.receive(ack().reporting(&[(1_460, 2_920)]), at(5));
    assert_eq!(places(&connection.sent(at(5))), [(14_600, 1_460)]);
    connection.receive(ack().reporting(&[(1_460, 4_380)]), at(6));
    assert_eq!(places(&connection.sent(at(6))), [(16_060, 1_460)]);
    connection.receive(ack().reporting(&[(1_460, 5_840)]), at(7));
    assert_eq!(connection.sent(at(7))[0].sequence, SEND_NEXT, "three: it is lost");
}

#[test]
fn three_retransmissions_cast_doubt_on_the_way() {
    let mut connection = established();
    connection.write(b"hello", at(0));
    connection.sent(at(0));
    for (time, doubt) in [(200, false), (600, false), (1_400, true), (3_000, false)] {
        connection.sent(at(time));
        assert_eq!(connection.take_negative_advice(), doubt, "at {time} ms");
    }
}

#[test]
fn after_a_timeout_each_acknowledgement_counts_for_one_segment() {
    let mut connection = established();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    assert_eq!(connection.sent(at(200)).len(), 1);
    connection.receive(ack().acking(SEND_NEXT + 4_380), at(210));
    assert_eq!(places(&connection.sent(at(210))), [(4_380, 1_460), (5_840, 1_460)], "a window of two, not three");
}

#[test]
fn while_a_loss_is_repaired_the_last_segment_is_sent_again_once() {
    let mut connection = established().selective();
    connection.write(&pattern(14_600), at(0));
    connection.sent(at(0));
    connection.receive(ack().reporting(&[(1_460, 10_220)]), at(5));
    assert_eq!(places(&connection.sent(at(5))), [(0, 1_460), (13_140, 1_460)], "the gap, and the end to be sure");
    connection.receive(ack().reporting(&[(1_460, 11_680)]), at(6));
    assert!(connection.sent(at(6)).is_empty(), "once is enough");
}

#[test]
fn a_timeout_ends_slow_start_at_seven_tenths_of_what_was_on_its_way_however_often_it_comes() {
    // RFC 5681 section 3.1, equation 4, with the factor of RFC 9438 section 4.6.
    for timeouts in [1, 2] {
        let mut connection = established();
        connection.write(&pattern(60_000), at(0));
        connection.sent(at(0));
        let mut now = at(0);
        for _ in 0..timeouts {
            now = connection.timers().deadline(Timer::Retransmission).unwrap();
            connection.sent(now);
        }
        for count in 1..=20 {
            connection.receive(ack().acking(SEND_NEXT + count * 1_460), now);
            connection.sent(now);
        }
        let window = connection.sender().congestion_window();
        assert!((10_220..13_000).contains(&window), "{window} after {timeouts}");
    }
}
