//! Tail losses: the probe that goes out before the timer would (RFC 8985 section 7).

use super::*;

/// A connection with SACK whose round trip takes 50 ms, and nothing on its way at 100 ms: the probe waits 100 ms.
fn measured() -> Fixture {
    let mut connection = connecting();
    connection.setup.answer.options.sack_permitted = true;
    connection.sent(at(0));
    connection.receive(connection.setup.answer.clone(), at(50));
    connection.sent(at(50));
    assert_eq!(connection.state(), State::Established);
    connection.counters = Counters::default();
    connection
}

#[test]
fn a_silent_tail_is_probed_by_its_last_segment_after_two_round_trips() {
    let mut connection = measured();
    connection.write(&pattern(4_380), at(100));
    assert_eq!(connection.sent(at(100)).len(), 3);
    assert_eq!(connection.deadline(), at(200));
    assert!(connection.sent(Instant::from_micros(199_999)).is_empty());
    assert_eq!(places(&connection.sent(at(200))), [(2_920, 1_460)]);
    assert_eq!((connection.counters.tail_probes, connection.counters.retransmission_timeouts), (1, 0));
    assert_eq!(connection.deadline(), at(400), "one probe only; the timer runs from here (SRTT 50, RTTVAR 25)");
}

#[test]
fn a_silent_tail_is_probed_by_new_data_where_there_is_some() {
    let mut connection = measured();
    connection.write(&pattern(14_600 + 700), at(100));
    assert_eq!(connection.sent(at(100)).len(), 10, "the congestion window is full");
    assert_eq!(places(&connection.sent(at(200))), [(14_600, 700)]);
    assert_eq!((connection.counters.tail_probes, connection.counters.retransmits), (1, 0));
}

#[test]
fn when_the_probe_has_arrived_what_is_missing_before_it_is_lost() {
    let mut connection = measured();
    connection.write(&pattern(4_380), at(100));
    connection.sent(at(100));
    connection.sent(at(200));
    connection.receive(ack().reporting(&[(2_920, 4_380)]), at(250));
    assert_eq!(places(&connection.sent(at(250))), [(0, 1_460), (1_460, 1_460)], "both at once");
    connection.receive(ack().acking(SEND_NEXT + 4_380), at(300));
    assert_eq!(connection.next_deadline(), None);
    let counters = connection.counters;
    assert_eq!((counters.fast_retransmits, counters.retransmission_timeouts), (1, 0));
}

#[test]
fn a_lost_last_segment_is_made_good_by_the_probe_and_the_window_reduced() {
    let mut connection = measured();
    connection.write(&pattern(14_600), at(100));
    connection.sent(at(100));
    connection.receive(ack().acking(SEND_NEXT + 13_140), at(150));
    let probe_at = connection.deadline();
    assert_eq!(places(&connection.sent(probe_at)), [(13_140, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 14_600), probe_at + Duration::from_millis(50));
    assert_eq!(connection.counters.fast_retransmits, 0, "whether it was lost is not known yet");
    let now = probe_at + Duration::from_millis(60);
    connection.write(&pattern(1_460), now);
    connection.sent(now);
    connection.receive(ack().acking(SEND_NEXT + 16_060), now + Duration::from_millis(50));
    assert_eq!(connection.counters.fast_retransmits, 1, "nobody reported it twice, so the first one was lost");
}

#[test]
fn a_probe_that_was_not_needed_costs_nothing() {
    for by_report in [true, false] {
        let mut connection = measured();
        connection.write(&pattern(2_920), at(100));
        connection.sent(at(100));
        assert_eq!(places(&connection.sent(at(200))), [(1_460, 1_460)]);
        connection.receive(ack().acking(SEND_NEXT + 2_920), at(240));
        let repetition = ack().acking(SEND_NEXT + 2_920);
        let repetition = if by_report { repetition.reporting(&[(1_460, 2_920)]) } else { repetition };
        connection.receive(repetition, at(250));
        connection.write(&pattern(1_460), at(300));
        connection.sent(at(300));
        connection.receive(ack().acking(SEND_NEXT + 4_380), at(350));
        assert_eq!(connection.counters.fast_retransmits, 0, "by report: {by_report}");
    }
}

#[test]
fn a_single_segment_gives_the_peer_time_to_delay_its_acknowledgement() {
    let mut connection = measured();
    connection.write(b"request", at(100));
    connection.sent(at(100));
    // RTO is 200 ms here, and the probe never comes later than that.
    assert_eq!(connection.deadline(), at(300));
    let probe = connection.sent_one(at(300));
    assert_eq!(probe.payload, b"request");
    assert_eq!((connection.counters.tail_probes, connection.counters.retransmission_timeouts), (1, 0));
    connection.sent(at(500));
    assert_eq!(connection.counters.retransmission_timeouts, 1);
}

#[test]
fn a_lost_fin_is_probed_for() {
    let mut connection = measured();
    connection.write(&pattern(2_000), at(100));
    connection.close_write();
    connection.sent(at(100));
    let probe = connection.sent_one(at(200));
    assert!(probe.flags.fin());
    connection.receive(ack().acking(SEND_NEXT + 2_001), at(250));
    assert_eq!(connection.state(), State::FinWait2);
}

#[test]
fn without_sack_there_is_no_probe() {
    let mut connection = established();
    connection.write(&pattern(4_380), at(100));
    connection.sent(at(100));
    assert_eq!(connection.deadline(), at(300));
}

#[test]
fn a_loss_that_is_known_needs_no_probe() {
    let mut connection = measured();
    connection.write(&pattern(14_600), at(100));
    connection.sent(at(100));
    connection.receive(ack().reporting(&[(1_460, 2_920)]), at(150));
    connection.sent(at(150));
    assert_eq!(connection.deadline(), Instant::from_micros(162_500), "the reordering timer, a quarter of 50 ms later");
    assert_eq!(connection.sent(connection.deadline())[0].sequence, SEND_NEXT);
    assert_eq!(connection.counters.tail_probes, 0);
}

#[test]
fn news_of_what_is_on_its_way_puts_the_probe_off_and_nothing_else_does() {
    let mut connection = measured();
    connection.write(&pattern(4_380), at(100));
    connection.sent(at(100));
    assert_eq!(connection.deadline(), at(200));
    connection.receive(ack().window(40_000), at(140));
    assert_eq!(connection.deadline(), at(200), "another window is no news of it");
    connection.receive(ack().acking(SEND_NEXT + 1_460), at(150));
    assert_eq!(connection.deadline(), at(250));
}

#[test]
fn a_probe_that_has_not_left_is_called_off_by_news() {
    let mut connection = measured();
    connection.write(&pattern(4_380), at(100));
    connection.sent(at(100));
    connection.poll(at(200));
    connection.receive(ack().acking(SEND_NEXT + 1_460), at(200));
    assert!(connection.sent(at(200)).is_empty());
}

#[test]
fn a_probe_that_has_not_left_is_called_off_by_the_timer() {
    let mut connection = measured();
    connection.write(&pattern(4_380), at(100));
    connection.sent(at(100));
    connection.poll(at(200));
    assert_eq!(connection.deadline(), at(400));
    assert_eq!(places(&connection.sent(at(400))), [(0, 1_460)]);
}

#[test]
fn a_duplicate_of_something_else_does_not_tell_that_the_probe_was_not_needed() {
    let mut connection = measured();
    connection.write(&pattern(2_920), at(100));
    connection.sent(at(100));
    assert_eq!(places(&connection.sent(at(200))), [(1_460, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 2_920), at(240));
    connection.write(&pattern(1_460), at(300));
    connection.sent(at(300));
    connection.receive(ack().acking(SEND_NEXT + 4_380).reporting(&[(0, 1_460)]), at(350));
    assert_eq!(connection.counters.fast_retransmits, 1, "the last segment itself was lost");
}

#[test]
fn a_probe_by_new_data_brings_the_fin_along_where_the_window_has_room_for_it() {
    for (room, fin) in [(700, false), (701, true)] {
        let mut connection = connecting();
        connection.setup.answer.options.sack_permitted = true;
        connection.setup.answer.window = 14_600 + room;
        connection.sent(at(0));
        connection.receive(connection.setup.answer.clone(), at(50));
        connection.sent(at(50));
        connection.write(&pattern(14_600 + 700), at(100));
        connection.close_write();
        assert_eq!(connection.sent(at(100)).len(), 10, "the congestion window is full");
        let probe = connection.sent_one(at(200));
        assert_eq!((probe.payload.len(), probe.flags.fin()), (700, fin), "a window of {room} more");
    }
}
