//! The scoreboard alone: what is lost, what is on its way, what is sent again.

use super::*;

const UNA: SequenceNumber = SequenceNumber::new(u32::MAX - 2_000);
const SEGMENT: u32 = 1_000;
const NO_GRAIN: Duration = Duration::ZERO;

fn range(start: u32, end: u32) -> Range {
    Range { start: UNA + start, end: UNA + end }
}

fn at(milliseconds: u64) -> Instant {
    Instant::from_millis(milliseconds)
}

/// At `now`, on a path of 40 ms.
fn evidence(now: u64) -> Evidence {
    let round_trip = Some(Duration::from_millis(40));
    Evidence { now: at(now), echoed: None, shortest: round_trip, smoothed: round_trip }
}

/// Ten segments were sent at 0 ms.
fn under_way(selective: bool) -> Recovery {
    let mut recovery = Recovery::new(UNA - u32::from(!selective), selective);
    recovery.sent(range(0, 10_000), at(0), NO_GRAIN);
    recovery
}

/// Of these those from `first` to before `last` are reported at 40 ms.
fn with_report(first: u32, last: u32) -> Recovery {
    let mut recovery = under_way(true);
    let block = range(first * SEGMENT, last * SEGMENT);
    assert_eq!(recovery.report(block, UNA, UNA + 10_000, &evidence(40)), Some((last - first) * SEGMENT));
    recovery.find_lost(UNA, SEGMENT, &evidence(40));
    recovery
}

fn begin_fast(recovery: &mut Recovery) {
    assert!(recovery.is_loss_evident(UNA));
    recovery.begin_fast(UNA, UNA + 10_000, SEGMENT, at(40));
}

#[test]
fn three_segments_behind_a_gap_make_it_lost() {
    assert!(!with_report(1, 3).is_loss_evident(UNA));
    let mut recovery = with_report(1, 4);
    begin_fast(&mut recovery);
    assert_eq!(recovery.next_lost(), Some(range(0, 1_000)));
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 6_000);
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 7_000);
    assert_eq!(recovery.next_lost(), None);
}

#[test]
fn less_behind_a_gap_makes_it_lost_a_quarter_of_the_round_trip_later() {
    let mut recovery = with_report(1, 3);
    let findings = recovery.find_lost(UNA, SEGMENT, &evidence(49));
    assert_eq!(findings.deadline, Some(at(50)));
    assert!(!recovery.is_loss_evident(UNA));
    let findings = recovery.find_lost(UNA, SEGMENT, &evidence(50));
    assert_eq!(findings.deadline, None);
    assert!(recovery.is_loss_evident(UNA));
}

#[test]
fn only_the_gaps_are_sent_again() {
    let mut recovery = with_report(1, 3);
    recovery.report(range(5_000, 9_000), UNA, UNA + 10_000, &evidence(40));
    recovery.find_lost(UNA, SEGMENT, &evidence(40));
    begin_fast(&mut recovery);
    assert_eq!(recovery.next_lost(), Some(range(0, 1_000)));
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    assert_eq!(recovery.next_lost(), Some(range(3_000, 5_000)));
    recovery.retransmitted(range(3_000, 4_000), at(40), NO_GRAIN);
    assert_eq!(recovery.next_lost(), Some(range(4_000, 5_000)));
    recovery.retransmitted(range(4_000, 5_000), at(40), NO_GRAIN);
    assert_eq!(recovery.next_lost(), None);
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 4_000, "three that were sent again, and the last");
}

#[test]
fn while_a_loss_is_repaired_little_behind_another_gap_is_enough() {
    let mut recovery = with_report(1, 4);
    recovery.report(range(5_000, 6_000), UNA, UNA + 10_000, &evidence(40));
    recovery.find_lost(UNA, SEGMENT, &evidence(40));
    begin_fast(&mut recovery);
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    assert_eq!(recovery.next_lost(), Some(range(4_000, 5_000)));
}

#[test]
fn what_was_sent_again_is_lost_again_once_something_sent_later_arrives() {
    let mut recovery = with_report(1, 4);
    begin_fast(&mut recovery);
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    recovery.sent(range(10_000, 11_000), at(41), NO_GRAIN);
    recovery.report(range(4_000, 10_000), UNA, UNA + 11_000, &evidence(42));
    assert_eq!(recovery.find_lost(UNA, SEGMENT, &evidence(42)), Findings::default());
    recovery.report(range(10_000, 11_000), UNA, UNA + 11_000, &evidence(81));
    let findings = recovery.find_lost(UNA, SEGMENT, &evidence(81));
    assert!(findings.is_repair_lost && recovery.at_once());
    assert_eq!(recovery.next_lost(), Some(range(0, 1_000)));
}

#[test]
fn what_was_sent_during_a_repair_and_is_lost_begins_the_next_one() {
    let mut recovery = with_report(1, 4);
    begin_fast(&mut recovery);
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    recovery.sent(range(10_000, 12_000), at(41), NO_GRAIN);
    recovery.sent(range(12_000, 13_000), at(42), NO_GRAIN);
    recovery.report(range(12_000, 13_000), UNA, UNA + 13_000, &evidence(82));
    recovery.acknowledged(UNA + 10_000, 10_000, SEGMENT, &evidence(82));
    assert_eq!(recovery.phase(), Phase::Open);
    let findings = recovery.find_lost(UNA + 10_000, SEGMENT, &evidence(82));
    assert_eq!(findings.deadline, Some(at(91)));
    recovery.find_lost(UNA + 10_000, SEGMENT, &evidence(91));
    assert!(recovery.is_loss_evident(UNA + 10_000));
    recovery.begin_fast(UNA + 10_000, UNA + 13_000, SEGMENT, at(91));
    assert_eq!(recovery.next_lost(), Some(range(10_000, 12_000)));
}

#[test]
fn blocks_outside_what_is_on_its_way_are_ignored() {
    let mut recovery = under_way(true);
    let mut report = |block| recovery.report(block, UNA, UNA + 10_000, &evidence(40));
    assert_eq!(report(range(9_000, 10_001)), None);
    assert_eq!(report(range(0, 1_000)), None);
    assert_eq!(report(Range { start: UNA - 500, end: UNA - 1 }), None);
    assert_eq!(under_way(false).report(range(1_000, 2_000), UNA, UNA + 10_000, &evidence(40)), None);
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 10_000);
}

#[test]
fn without_sack_each_duplicate_takes_a_segment_off_the_way() {
    let mut recovery = under_way(false);
    for _ in 0..3 {
        assert!(!recovery.is_loss_evident(UNA));
        recovery.duplicate(SEGMENT, 10_000);
    }
    begin_fast(&mut recovery);
    assert_eq!(recovery.next_lost(), Some(range(0, 1_000)));
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 6_000);
}

#[test]
fn a_partial_acknowledgement_makes_the_next_segment_lost() {
    let mut recovery = under_way(false);
    for _ in 0..5 {
        recovery.duplicate(SEGMENT, 10_000);
    }
    begin_fast(&mut recovery);
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    recovery.acknowledged(UNA + 3_000, 3_000, SEGMENT, &evidence(80));
    assert_eq!(recovery.phase(), Phase::Fast);
    assert!(recovery.at_once());
    assert_eq!(recovery.next_lost(), Some(range(3_000, 4_000)));
    // Seven segments are not acknowledged; three of them have departed and one is lost.
    assert_eq!(recovery.in_flight(UNA + 3_000, UNA + 10_000), 3_000);
    recovery.retransmitted(range(3_000, 4_000), at(80), NO_GRAIN);
    recovery.acknowledged(UNA + 10_000, 7_000, SEGMENT, &evidence(120));
    assert_eq!(recovery.phase(), Phase::Open);
    assert_eq!(recovery.in_flight(UNA + 10_000, UNA + 12_000), 2_000);
}

#[test]
fn duplicates_of_what_a_timeout_sent_needlessly_are_no_loss() {
    let mut recovery = under_way(false);
    recovery.begin_timeout(UNA, UNA + 5_000, SEGMENT, at(200));
    recovery.acknowledged(UNA + 5_000, 5_000, SEGMENT, &evidence(240));
    for _ in 0..4 {
        recovery.duplicate(SEGMENT, 3_000);
    }
    assert!(!recovery.is_loss_evident(UNA + 5_000));
    recovery.acknowledged(UNA + 6_000, 1_000, SEGMENT, &evidence(250));
    for _ in 0..3 {
        recovery.duplicate(SEGMENT, 3_000);
    }
    assert!(recovery.is_loss_evident(UNA + 6_000));
}

#[test]
fn after_a_timeout_everything_is_sent_again_from_the_start() {
    let mut recovery = with_report(1, 4);
    recovery.begin_timeout(UNA, UNA + 10_000, SEGMENT, at(240));
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 0);
    assert_eq!(recovery.next_lost(), Some(range(0, 10_000)));
    recovery.retransmitted(range(0, 1_000), at(240), NO_GRAIN);
    assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 1_000);
    recovery.acknowledged(UNA + 4_000, 4_000, SEGMENT, &evidence(280));
    assert_eq!(recovery.next_lost(), Some(range(4_000, 10_000)));
    assert_eq!(recovery.in_flight(UNA + 4_000, UNA + 10_000), 0);
}

#[test]
fn a_timeout_spares_what_was_sent_less_than_a_round_trip_ago() {
    let mut recovery = with_report(1, 4);
    recovery.sent(range(10_000, 11_000), at(210), NO_GRAIN);
    recovery.begin_timeout(UNA, UNA + 11_000, SEGMENT, at(240));
    assert_eq!(recovery.in_flight(UNA, UNA + 11_000), 1_000);
    assert_eq!(recovery.next_lost(), Some(range(0, 10_000)));
}

#[test]
fn only_a_retransmission_that_is_lost_counts_as_another_loss() {
    // RFC 5681 section 4.3. New data that is lost while a repair goes on belongs to the next one.
    let mut recovery = with_report(1, 4);
    begin_fast(&mut recovery);
    recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
    recovery.sent(range(10_000, 11_000), at(41), NO_GRAIN);
    recovery.sent(range(11_000, 12_000), at(42), NO_GRAIN);
    recovery.acknowledged(UNA + 4_000, 4_000, SEGMENT, &evidence(80));
    assert_eq!(recovery.phase(), Phase::Fast);
    recovery.report(range(11_000, 12_000), UNA + 4_000, UNA + 12_000, &evidence(90)).unwrap();
    let findings = recovery.find_lost(UNA + 4_000, SEGMENT, &evidence(200));
    assert_eq!(findings, Findings::default());
    assert_eq!(recovery.next_lost(), Some(range(4_000, 11_000)));
}

#[test]
fn what_was_taken_for_lost_and_has_arrived_since_begins_no_repair() {
    let mut recovery = under_way(true);
    recovery.records.mark_lost(range(1_000, 2_000), &recovery.sacked);
    assert!(recovery.is_loss_evident(UNA));
    recovery.sacked.insert(range(1_000, 2_000)).unwrap();
    assert!(!recovery.is_loss_evident(UNA));
}

#[test]
fn what_is_lost_on_both_sides_of_what_has_arrived_is_sent_again_apart() {
    let mut recovery = Recovery::new(UNA, true);
    recovery.sent(range(0, 1_000), at(0), NO_GRAIN);
    recovery.sent(range(1_000, 4_000), at(5), NO_GRAIN);
    recovery.sent(range(4_000, 10_000), at(6), NO_GRAIN);
    for block in [range(1_000, 2_000), range(4_000, 8_000)] {
        recovery.report(block, UNA, UNA + 10_000, &evidence(46)).unwrap();
    }
    recovery.find_lost(UNA, SEGMENT, &evidence(46));
    begin_fast(&mut recovery);
    assert_eq!(recovery.next_lost(), Some(range(0, 1_000)));
    recovery.retransmitted(range(0, 1_000), at(46), NO_GRAIN);
    assert_eq!(recovery.next_lost(), Some(range(2_000, 4_000)));
}

#[test]
fn an_end_that_is_known_to_be_lost_or_was_sent_again_needs_no_rescue() {
    let repairing = || {
        let mut recovery = with_report(1, 4);
        begin_fast(&mut recovery);
        recovery.retransmitted(range(0, 1_000), at(40), NO_GRAIN);
        recovery
    };
    let mut recovery = repairing();
    assert!(recovery.wants_rescue(UNA + 10_000));
    recovery.records.mark_lost(range(9_000, 10_000), &recovery.sacked);
    assert!(!recovery.wants_rescue(UNA + 10_000));
    let mut recovery = repairing();
    recovery.retransmitted(range(9_000, 10_000), at(41), NO_GRAIN);
    assert!(!recovery.wants_rescue(UNA + 10_000));
}
