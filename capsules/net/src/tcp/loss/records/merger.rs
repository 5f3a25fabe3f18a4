//! What is merged where there are too many records, and what never is.

use super::*;

const UNA: SequenceNumber = SequenceNumber::new(u32::MAX - 5_000);
const QUANTUM: Duration = Duration::from_millis(2);
const NOTHING: RangeSet<4> = RangeSet::new();
const LAST: u32 = MOST_RECORDS as u32;

fn at(milliseconds: u64) -> Instant {
    Instant::from_millis(milliseconds)
}

/// The segments from `first` to before `last`, of 1000 bytes each.
fn segments(first: u32, last: u32) -> Range {
    Range { start: UNA + first * 1_000, end: UNA + last * 1_000 }
}

/// As many segments as there can be records, ten milliseconds apart.
fn full() -> SendRecords {
    let mut records = SendRecords::new(UNA);
    for index in 0..LAST {
        records.sent(segments(index, index + 1), at(u64::from(index) * 10), QUANTUM, &NOTHING);
    }
    records
}

/// Sends one segment more, and answers after which segment a record began before and none begins now.
fn merged_by_one_more(records: &mut SendRecords) -> Vec<i32> {
    let ends = |records: &SendRecords| records.records.iter().map(|record| record.end).collect::<Vec<_>>();
    let before = ends(records);
    records.sent(segments(LAST, LAST + 1), at(2_000), QUANTUM, &NOTHING);
    let after = ends(records);
    before.into_iter().filter(|end| !after.contains(end)).map(|end| end.offset_from(UNA) / 1_000).collect()
}

#[test]
fn what_is_lost_is_not_merged_with_what_is_not_though_their_times_are_closest() {
    let mut records = full();
    records.records[6].sent_at = at(51);
    records.mark_lost(segments(5, 6), &NOTHING);
    // The seventh is 19 ms from the eighth; the others are 10 ms apart.
    assert_eq!(merged_by_one_more(&mut records), [1]);
}

#[test]
fn an_original_is_not_merged_with_a_retransmission_though_their_times_are_closest() {
    let mut records = full();
    records.repeated(segments(5, 6), at(60), QUANTUM, &NOTHING);
    assert_eq!(merged_by_one_more(&mut records), [1]);
}

#[test]
fn times_are_as_far_apart_backwards_as_forwards() {
    let mut records = full();
    records.begin_again(|_| false);
    records.records[0].sent_at = at(900);
    records.records[9].sent_at = at(83);
    assert_eq!(merged_by_one_more(&mut records), [9]);
}

#[test]
fn an_original_merged_with_a_retransmission_counts_as_none() {
    let mut records = full();
    for index in (0..LAST).step_by(2) {
        records.repeated(segments(index, index + 1), at(1_000 + u64::from(index) * 10), QUANTUM, &NOTHING);
    }
    let merged = merged_by_one_more(&mut records);
    assert_eq!(merged.len(), 1);
    let (_, record) = records.at(UNA + merged[0] as u32 * 1_000 - 1).unwrap();
    assert!(!record.is_original && record.since().is_none());
}

#[test]
fn a_retransmission_that_was_lost_again_is_not_joined_by_the_next() {
    let mut records = full();
    records.repeated(segments(0, 1), at(500), QUANTUM, &NOTHING);
    records.mark_lost(segments(0, 1), &NOTHING);
    records.repeated(segments(1, 2), at(501), QUANTUM, &NOTHING);
    let (range, record) = records.at(UNA).unwrap();
    assert_eq!((range, record.is_lost), (segments(0, 1), true));
    assert_eq!(records.at(UNA + 1_000).unwrap().0, segments(1, 2));
}

#[test]
fn a_retransmission_that_was_merged_is_not_joined_by_the_next() {
    let mut records = full();
    records.repeated(segments(0, 1), at(500), QUANTUM, &NOTHING);
    records.records[0].span = None;
    records.repeated(segments(1, 2), at(501), QUANTUM, &NOTHING);
    assert_eq!(records.at(UNA).unwrap().0, segments(0, 1));
}

#[test]
fn where_each_differs_from_its_neighbour_the_closest_in_time_are_merged() {
    let mut records = full();
    records.records[9].sent_at = at(83);
    for index in (0..LAST).step_by(2) {
        records.mark_lost(segments(index, index + 1), &NOTHING);
    }
    assert_eq!(merged_by_one_more(&mut records), [9]);
}
