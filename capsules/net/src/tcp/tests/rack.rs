//! Losses found by time (RFC 8985 section 6), where counting finds none or too many.

use super::*;

/// A connection with SACK whose round trip takes 40 ms; nothing is on its way.
fn measured() -> Fixture {
    let mut connection = connecting();
    connection.setup.answer.options.sack_permitted = true;
    connection.sent(at(0));
    connection.receive(connection.setup.answer.clone(), at(40));
    connection.sent(at(40));
    assert_eq!(connection.state(), State::Established);
    connection.counters = Counters::default();
    connection
}

/// The same, and ten segments were sent at 100 ms.
fn ten_under_way() -> Fixture {
    let mut connection = measured();
    connection.write(&pattern(14_600), at(100));
    assert_eq!(connection.sent(at(100)).len(), 10);
    connection
}

/// The same once the path has shown that it reorders: the second segment arrived before the first.
fn on_a_path_that_reorders() -> Fixture {
    let mut connection = measured();
    connection.write(&pattern(2_920), at(50));
    connection.sent(at(50));
    connection.receive(ack().reporting(&[(1_460, 2_920)]), at(90));
    connection.receive(ack().acking(SEND_NEXT + 2_920), at(91));
    assert_eq!(connection.counters.retransmits, 0);
    connection.write(&pattern(14_600), at(100));
    assert_eq!(connection.sent(at(100)).len(), 10);
    connection
}

/// Blocks and acknowledgements counted in segments from what lies behind the first two.
fn third(segment: u32) -> u32 {
    (segment + 2) * 1_460
}

#[test]
fn a_lost_retransmission_is_repaired_without_the_timer() {
    let mut connection = ten_under_way();
    connection.write(&pattern(14_600), at(100));
    connection.receive(ack().reporting(&[(1_460, 5_840)]), at(140));
    let sent = connection.sent(at(140));
    assert_eq!(sent[0].sequence, SEND_NEXT);
    // The rest of the first flight lets new data go; the retransmission does not arrive, what is sent after it does.
    connection.receive(ack().reporting(&[(1_460, 14_600)]), at(141));
    let new = connection.sent(at(141));
    assert!(
        !new.is_empty()
            && new
                .iter()
                .all(|packet| packet.sequence == SEND_NEXT + 14_600 || packet.sequence.is_after(SEND_NEXT + 14_600))
    );
    connection.receive(ack().reporting(&[(1_460, 16_060)]), at(181));
    let again = connection.sent(at(181));
    assert_eq!(places(&again)[0], (0, 1_460), "sent a third time");
    let counters = connection.counters;
    assert_eq!((counters.repairs_lost, counters.retransmission_timeouts, counters.fast_retransmits), (1, 0, 1));
    let end = connection.sender().next();
    connection.receive(ack().acking(end), at(221));
    assert_eq!(connection.sender().outstanding(), 0);
}

#[test]
fn the_loss_of_a_retransmission_reduces_the_window_once_more() {
    let mut connection = ten_under_way();
    connection.write(&pattern(14_600), at(100));
    let window = |connection: &Fixture| connection.sender().congestion_window();
    connection.receive(ack().reporting(&[(1_460, 5_840)]), at(140));
    connection.sent(at(140));
    let reduced = window(&connection);
    connection.receive(ack().reporting(&[(1_460, 14_600)]), at(141));
    connection.sent(at(141));
    connection.receive(ack().reporting(&[(1_460, 16_060)]), at(181));
    assert_eq!(window(&connection), reduced * 7 / 10);
}

#[test]
fn once_reordering_was_seen_a_quarter_of_the_round_trip_is_waited_for() {
    let mut connection = on_a_path_that_reorders();
    // All but the first have arrived; that is far more than three. The first comes 9 ms later.
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(10))]), at(140));
    assert!(connection.sent(at(140)).is_empty());
    assert_eq!(connection.deadline(), at(150), "RACK.rtt is 40 ms, the window 10");
    connection.receive(ack().acking(SEND_NEXT + third(10)), at(149));
    assert!(connection.sent(at(149)).is_empty());
    let counters = connection.counters;
    assert_eq!((counters.retransmits, counters.fast_retransmits, counters.reordering_timeouts), (0, 0, 0));
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn beyond_the_window_it_is_lost_though_reordering_was_seen() {
    let mut connection = on_a_path_that_reorders();
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(10))]), at(140));
    assert!(connection.sent(Instant::from_micros(149_999)).is_empty());
    assert_eq!(places(&connection.sent(at(150))), [(third(0) as i32, 1_460)]);
    let counters = connection.counters;
    assert_eq!((counters.reordering_timeouts, counters.fast_retransmits, counters.retransmits), (1, 1, 1));
}

#[test]
fn without_reordering_three_segments_need_no_wait() {
    let mut connection = ten_under_way();
    connection.receive(ack().reporting(&[(1_460, 4_380)]), at(140));
    assert!(connection.sent(at(140)).is_empty());
    connection.receive(ack().reporting(&[(1_460, 5_840)]), at(141));
    assert_eq!(connection.sent(at(141))[0].sequence, SEND_NEXT);
    assert_eq!(connection.counters.reordering_timeouts, 0);
}

#[test]
fn the_reordering_timer_repairs_what_one_report_tells_of() {
    let mut connection = measured();
    connection.write(&pattern(4_380), at(100));
    assert_eq!(connection.sent(at(100)).len(), 3);
    connection.receive(ack().acking(SEND_NEXT + 1_460).reporting(&[(2_920, 4_380)]), at(140));
    assert!(connection.sent(at(140)).is_empty());
    assert_eq!(connection.deadline(), at(150), "long before the retransmission timer");
    assert_eq!(places(&connection.sent(at(150))), [(1_460, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 4_380), at(190));
    assert_eq!(connection.next_deadline(), None);
    let counters = connection.counters;
    assert_eq!((counters.reordering_timeouts, counters.retransmission_timeouts, counters.tail_probes), (1, 0, 0));
}

#[test]
fn a_duplicate_report_widens_the_window() {
    let mut connection = on_a_path_that_reorders();
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(10))]), at(140));
    assert_eq!(connection.sent(at(150)).len(), 1, "sent in vain:");
    connection.receive(ack().acking(SEND_NEXT + third(10)), at(155));
    connection.receive(ack().acking(SEND_NEXT + third(10)).reporting(&[(third(0), third(1))]), at(190));
    connection.write(&pattern(5_840), at(200));
    assert_eq!(connection.sent(at(200)).len(), 4);
    let base = third(10);
    connection.receive(ack().acking(SEND_NEXT + base).reporting(&[(base + 1_460, base + 5_840)]), at(240));
    assert_eq!(connection.deadline(), at(260), "half a round trip instead of a quarter");
}

#[test]
fn a_duplicate_that_nobody_sent_twice_widens_nothing() {
    let mut connection = on_a_path_that_reorders();
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(0, 1_460)]), at(101));
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(10))]), at(140));
    assert_eq!(connection.deadline(), at(150));
}

#[test]
fn a_loss_at_the_end_behind_a_repaired_one_needs_neither_probe_nor_timer() {
    let mut connection = ten_under_way();
    connection.receive(ack().reporting(&[(1_460, 10_220)]), at(140));
    // The gap, and the last segment in case; the two before the last are lost too.
    assert_eq!(places(&connection.sent(at(140))), [(0, 1_460), (13_140, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 10_220).reporting(&[(13_140, 14_600)]), at(180));
    assert_eq!(places(&connection.sent(at(180))), [(10_220, 1_460), (11_680, 1_460)]);
    connection.receive(ack().acking(SEND_NEXT + 14_600), at(220));
    assert_eq!(connection.next_deadline(), None);
    assert_eq!(connection.counters.retransmission_timeouts, 0);
}

#[test]
fn the_retransmission_timer_lets_the_reordering_timer_go_first() {
    let mut connection = on_a_path_that_reorders();
    let timeout = connection.timers().deadline(Timer::Retransmission).unwrap();
    let late = Instant::from_micros(timeout.as_micros() - 1);
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(10))]), late);
    let sent = connection.sent(timeout);
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(places(&connection.sent(connection.deadline())), [(third(0) as i32, 1_460)]);
    let counters = connection.counters;
    assert_eq!((counters.retransmission_timeouts, counters.fast_retransmits), (0, 1));
}

#[test]
fn the_control_block_grows_by_no_more_than_its_records() {
    // What the records and RACK take of each socket's grant; a change of this is a change of every board's memory.
    assert!(size_of::<crate::tcp::loss::SendRecords>() <= 560);
    assert!(size_of::<crate::tcp::loss::Rack>() <= 64);
}

#[test]
fn what_is_reported_once_widens_no_window_though_something_was_sent_again() {
    let mut connection = on_a_path_that_reorders();
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(10))]), at(140));
    assert_eq!(connection.sent(at(150)).len(), 1);
    connection.receive(ack().acking(SEND_NEXT + third(10)), at(190));
    connection.write(&pattern(5_840), at(200));
    assert_eq!(connection.sent(at(200)).len(), 4);
    let base = third(10);
    connection.receive(ack().acking(SEND_NEXT + base).reporting(&[(base + 1_460, base + 5_840)]), at(240));
    assert_eq!(connection.deadline(), at(250), "a quarter of a round trip still");
}

#[test]
fn the_retransmission_timer_starts_anew_when_the_reordering_timer_has_found_more() {
    let mut connection = on_a_path_that_reorders();
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(1), third(2))]), at(140));
    assert_eq!(places(&connection.sent(at(150))), [(third(0) as i32, 1_460)]);
    let timeout = connection.timers().deadline(Timer::Retransmission).unwrap();
    let late = Instant::from_micros(timeout.as_micros() - 1);
    connection.receive(ack().acking(SEND_NEXT + 2_920).reporting(&[(third(5), third(10)), (third(1), third(2))]), late);
    connection.sent(late);
    let found = connection.deadline();
    assert!(found > timeout, "it waits for what may have changed places");
    assert_eq!(places(&connection.sent(found))[0], (third(2) as i32, 1_460));
    assert_eq!(connection.counters.retransmission_timeouts, 0);
}
