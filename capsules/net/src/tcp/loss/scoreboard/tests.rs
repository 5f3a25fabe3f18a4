//! The scoreboard alone: what is lost, what is on its way, what is sent again.

use super::*;

const UNA: SequenceNumber = SequenceNumber::new(u32::MAX - 2_000);
const SEGMENT: u32 = 1_000;
const NO_QUANTUM: Duration = Duration::ZERO;

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
fn under_way(selective: bool) -> Scoreboard {
    let mut scoreboard = Scoreboard::new(UNA - u32::from(!selective), selective);
    scoreboard.sent(range(0, 10_000), at(0), NO_QUANTUM);
    scoreboard
}

/// Of these those from `first` to before `last` are reported at 40 ms.
fn with_report(first: u32, last: u32) -> Scoreboard {
    let mut scoreboard = under_way(true);
    let block = range(first * SEGMENT, last * SEGMENT);
    assert_eq!(scoreboard.report(block, UNA, UNA + 10_000, &evidence(40)), Some((last - first) * SEGMENT));
    scoreboard.find_lost(UNA, SEGMENT, &evidence(40));
    scoreboard
}

fn begin_fast(scoreboard: &mut Scoreboard) {
    assert!(scoreboard.is_loss_evident(UNA));
    scoreboard.begin_fast(UNA, UNA + 10_000, SEGMENT, at(40));
}

#[test]
fn three_segments_behind_a_gap_make_it_lost() {
    assert!(!with_report(1, 3).is_loss_evident(UNA));
    let mut scoreboard = with_report(1, 4);
    begin_fast(&mut scoreboard);
    assert_eq!(scoreboard.next_lost(), Some(range(0, 1_000)));
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 6_000);
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 7_000);
    assert_eq!(scoreboard.next_lost(), None);
}

#[test]
fn less_behind_a_gap_makes_it_lost_a_quarter_of_the_round_trip_later() {
    let mut scoreboard = with_report(1, 3);
    let findings = scoreboard.find_lost(UNA, SEGMENT, &evidence(49));
    assert_eq!(findings.deadline, Some(at(50)));
    assert!(!scoreboard.is_loss_evident(UNA));
    let findings = scoreboard.find_lost(UNA, SEGMENT, &evidence(50));
    assert_eq!(findings.deadline, None);
    assert!(scoreboard.is_loss_evident(UNA));
}

#[test]
fn only_the_gaps_are_sent_again() {
    let mut scoreboard = with_report(1, 3);
    scoreboard.report(range(5_000, 9_000), UNA, UNA + 10_000, &evidence(40));
    scoreboard.find_lost(UNA, SEGMENT, &evidence(40));
    begin_fast(&mut scoreboard);
    assert_eq!(scoreboard.next_lost(), Some(range(0, 1_000)));
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    assert_eq!(scoreboard.next_lost(), Some(range(3_000, 5_000)));
    scoreboard.retransmitted(range(3_000, 4_000), at(40), NO_QUANTUM);
    assert_eq!(scoreboard.next_lost(), Some(range(4_000, 5_000)));
    scoreboard.retransmitted(range(4_000, 5_000), at(40), NO_QUANTUM);
    assert_eq!(scoreboard.next_lost(), None);
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 4_000, "three that were sent again, and the last");
}

#[test]
fn while_a_loss_is_repaired_little_behind_another_gap_is_enough() {
    let mut scoreboard = with_report(1, 4);
    scoreboard.report(range(5_000, 6_000), UNA, UNA + 10_000, &evidence(40));
    scoreboard.find_lost(UNA, SEGMENT, &evidence(40));
    begin_fast(&mut scoreboard);
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    assert_eq!(scoreboard.next_lost(), Some(range(4_000, 5_000)));
}

#[test]
fn what_was_sent_again_is_lost_again_once_something_sent_later_arrives() {
    let mut scoreboard = with_report(1, 4);
    begin_fast(&mut scoreboard);
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    scoreboard.sent(range(10_000, 11_000), at(41), NO_QUANTUM);
    scoreboard.report(range(4_000, 10_000), UNA, UNA + 11_000, &evidence(42));
    assert_eq!(scoreboard.find_lost(UNA, SEGMENT, &evidence(42)), Findings::default());
    scoreboard.report(range(10_000, 11_000), UNA, UNA + 11_000, &evidence(81));
    let findings = scoreboard.find_lost(UNA, SEGMENT, &evidence(81));
    assert!(findings.is_repair_lost && scoreboard.at_once());
    assert_eq!(scoreboard.next_lost(), Some(range(0, 1_000)));
}

#[test]
fn what_was_sent_during_a_repair_and_is_lost_begins_the_next_one() {
    let mut scoreboard = with_report(1, 4);
    begin_fast(&mut scoreboard);
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    scoreboard.sent(range(10_000, 12_000), at(41), NO_QUANTUM);
    scoreboard.sent(range(12_000, 13_000), at(42), NO_QUANTUM);
    scoreboard.report(range(12_000, 13_000), UNA, UNA + 13_000, &evidence(82));
    scoreboard.acknowledged(UNA + 10_000, 10_000, SEGMENT, &evidence(82));
    assert_eq!(scoreboard.phase(), Phase::Open);
    let findings = scoreboard.find_lost(UNA + 10_000, SEGMENT, &evidence(82));
    assert_eq!(findings.deadline, Some(at(91)));
    scoreboard.find_lost(UNA + 10_000, SEGMENT, &evidence(91));
    assert!(scoreboard.is_loss_evident(UNA + 10_000));
    scoreboard.begin_fast(UNA + 10_000, UNA + 13_000, SEGMENT, at(91));
    assert_eq!(scoreboard.next_lost(), Some(range(10_000, 12_000)));
}

#[test]
fn blocks_outside_what_is_on_its_way_are_ignored() {
    let mut scoreboard = under_way(true);
    let mut report = |block| scoreboard.report(block, UNA, UNA + 10_000, &evidence(40));
    assert_eq!(report(range(9_000, 10_001)), None);
    assert_eq!(report(range(0, 1_000)), None);
    assert_eq!(report(Range { start: UNA - 500, end: UNA - 1 }), None);
    assert_eq!(under_way(false).report(range(1_000, 2_000), UNA, UNA + 10_000, &evidence(40)), None);
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 10_000);
}

#[test]
fn without_sack_each_duplicate_takes_a_segment_off_the_way() {
    let mut scoreboard = under_way(false);
    for _ in 0..3 {
        assert!(!scoreboard.is_loss_evident(UNA));
        scoreboard.duplicate(SEGMENT, 10_000);
    }
    begin_fast(&mut scoreboard);
    assert_eq!(scoreboard.next_lost(), Some(range(0, 1_000)));
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 6_000);
}

#[test]
fn a_partial_acknowledgement_makes_the_next_segment_lost() {
    let mut scoreboard = under_way(false);
    for _ in 0..5 {
        scoreboard.duplicate(SEGMENT, 10_000);
    }
    begin_fast(&mut scoreboard);
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    scoreboard.acknowledged(UNA + 3_000, 3_000, SEGMENT, &evidence(80));
    assert_eq!(scoreboard.phase(), Phase::Fast);
    assert!(scoreboard.at_once());
    assert_eq!(scoreboard.next_lost(), Some(range(3_000, 4_000)));
    // Seven segments are not acknowledged; three of them have departed and one is lost.
    assert_eq!(scoreboard.in_flight(UNA + 3_000, UNA + 10_000), 3_000);
    scoreboard.retransmitted(range(3_000, 4_000), at(80), NO_QUANTUM);
    scoreboard.acknowledged(UNA + 10_000, 7_000, SEGMENT, &evidence(120));
    assert_eq!(scoreboard.phase(), Phase::Open);
    assert_eq!(scoreboard.in_flight(UNA + 10_000, UNA + 12_000), 2_000);
}

#[test]
fn duplicates_of_what_a_timeout_sent_needlessly_are_no_loss() {
    let mut scoreboard = under_way(false);
    scoreboard.begin_timeout(UNA, UNA + 5_000, SEGMENT, at(200));
    scoreboard.acknowledged(UNA + 5_000, 5_000, SEGMENT, &evidence(240));
    for _ in 0..4 {
        scoreboard.duplicate(SEGMENT, 3_000);
    }
    assert!(!scoreboard.is_loss_evident(UNA + 5_000));
    scoreboard.acknowledged(UNA + 6_000, 1_000, SEGMENT, &evidence(250));
    for _ in 0..3 {
        scoreboard.duplicate(SEGMENT, 3_000);
    }
    assert!(scoreboard.is_loss_evident(UNA + 6_000));
}

#[test]
fn after_a_timeout_everything_is_sent_again_from_the_start() {
    let mut scoreboard = with_report(1, 4);
    scoreboard.begin_timeout(UNA, UNA + 10_000, SEGMENT, at(240));
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 0);
    assert_eq!(scoreboard.next_lost(), Some(range(0, 10_000)));
    scoreboard.retransmitted(range(0, 1_000), at(240), NO_QUANTUM);
    assert_eq!(scoreboard.in_flight(UNA, UNA + 10_000), 1_000);
    scoreboard.acknowledged(UNA + 4_000, 4_000, SEGMENT, &evidence(280));
    assert_eq!(scoreboard.next_lost(), Some(range(4_000, 10_000)));
    assert_eq!(scoreboard.in_flight(UNA + 4_000, UNA + 10_000), 0);
}

#[test]
fn a_timeout_spares_what_was_sent_less_than_a_round_trip_ago() {
    let mut scoreboard = with_report(1, 4);
    scoreboard.sent(range(10_000, 11_000), at(210), NO_QUANTUM);
    scoreboard.begin_timeout(UNA, UNA + 11_000, SEGMENT, at(240));
    assert_eq!(scoreboard.in_flight(UNA, UNA + 11_000), 1_000);
    assert_eq!(scoreboard.next_lost(), Some(range(0, 10_000)));
}

#[test]
fn only_a_retransmission_that_is_lost_counts_as_another_loss() {
    // RFC 5681 section 4.3. New data that is lost while a repair goes on belongs to the next one.
    let mut scoreboard = with_report(1, 4);
    begin_fast(&mut scoreboard);
    scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
    scoreboard.sent(range(10_000, 11_000), at(41), NO_QUANTUM);
    scoreboard.sent(range(11_000, 12_000), at(42), NO_QUANTUM);
    scoreboard.acknowledged(UNA + 4_000, 4_000, SEGMENT, &evidence(80));
    assert_eq!(scoreboard.phase(), Phase::Fast);
    scoreboard.report(range(11_000, 12_000), UNA + 4_000, UNA + 12_000, &evidence(90)).unwrap();
    let findings = scoreboard.find_lost(UNA + 4_000, SEGMENT, &evidence(200));
    assert_eq!(findings, Findings::default());
    assert_eq!(scoreboard.next_lost(), Some(range(4_000, 11_000)));
}

#[test]
fn what_was_taken_for_lost_and_has_arrived_since_begins_no_repair() {
    let mut scoreboard = under_way(true);
    scoreboard.records.mark_lost(range(1_000, 2_000), &scoreboard.sacked);
    assert!(scoreboard.is_loss_evident(UNA));
    scoreboard.sacked.insert(range(1_000, 2_000)).unwrap();
    assert!(!scoreboard.is_loss_evident(UNA));
}

#[test]
fn what_is_lost_on_both_sides_of_what_has_arrived_is_sent_again_apart() {
    let mut scoreboard = Scoreboard::new(UNA, true);
    scoreboard.sent(range(0, 1_000), at(0), NO_QUANTUM);
    scoreboard.sent(range(1_000, 4_000), at(5), NO_QUANTUM);
    scoreboard.sent(range(4_000, 10_000), at(6), NO_QUANTUM);
    for block in [range(1_000, 2_000), range(4_000, 8_000)] {
        scoreboard.report(block, UNA, UNA + 10_000, &evidence(46)).unwrap();
    }
    scoreboard.find_lost(UNA, SEGMENT, &evidence(46));
    begin_fast(&mut scoreboard);
    assert_eq!(scoreboard.next_lost(), Some(range(0, 1_000)));
    scoreboard.retransmitted(range(0, 1_000), at(46), NO_QUANTUM);
    assert_eq!(scoreboard.next_lost(), Some(range(2_000, 4_000)));
}

#[test]
fn an_end_that_is_known_to_be_lost_or_was_sent_again_needs_no_rescue() {
    let repairing = || {
        let mut scoreboard = with_report(1, 4);
        begin_fast(&mut scoreboard);
        scoreboard.retransmitted(range(0, 1_000), at(40), NO_QUANTUM);
        scoreboard
    };
    let mut scoreboard = repairing();
    assert!(scoreboard.wants_rescue(UNA + 10_000));
    scoreboard.records.mark_lost(range(9_000, 10_000), &scoreboard.sacked);
    assert!(!scoreboard.wants_rescue(UNA + 10_000));
    let mut scoreboard = repairing();
    scoreboard.retransmitted(range(9_000, 10_000), at(41), NO_QUANTUM);
    assert!(!scoreboard.wants_rescue(UNA + 10_000));
}
