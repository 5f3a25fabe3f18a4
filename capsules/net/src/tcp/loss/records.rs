//! When what is on its way was last sent (the per-segment variables of RFC 8985 section 5.2), in bounded memory.
//!
//! A record is a stretch of the stream that was sent in one go; the records lie end to end from SND.UNA to SND.NXT.
//! What is sent within a quantum of time, a small part of the round trip, shares a record, so that a window of any size
//! needs few. For what is missing the time of its last segment counts, for what arrives that of its first. Where losses
//! cut the records to pieces all the same, those that lose least are merged, and what arrives of a merged one proves
//! nothing.

use core::num::NonZeroU16;

use slopos_kernel::time::{Duration, Instant};

use crate::tcp::range_set::RangeSet;
use crate::wire::tcp::Range;
use crate::wire::tcp::SequenceNumber;

/// How many records there are at most; 16 bytes each.
const MOST_RECORDS: usize = 32;

/// What [`Record::span`] counts in, in microseconds.
const SPAN_UNIT: u64 = 16;

/// A stretch that was sent in one go; it begins where the one before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Segment.xmit_ts: when the last of it was sent last.
    pub sent_at: Instant,
    /// Segment.end_seq.
    pub end: SequenceNumber,
    /// How long before the last of it the first was sent, in units of 16 microseconds, rounded up; not known where
    /// there is none, because records of different times were merged.
    span: Option<Span>,
    /// Segment.lost: taken for lost, and not sent again since.
    pub is_lost: bool,
    /// It was sent once and never reported, so its arrival can only be that of this transmission: Segment.retransmitted
    /// is false.
    pub is_original: bool,
}

/// One more than the units, so that `Option<Span>` takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(NonZeroU16);

impl Span {
    /// `None` where it is longer than a second.
    fn new(span: Duration) -> Option<Self> {
        let units = u16::try_from(span.as_micros().div_ceil(SPAN_UNIT)).ok()?;
        NonZeroU16::MIN.checked_add(units).map(Span)
    }

    fn as_micros(self) -> u64 {
        u64::from(self.0.get() - 1) * SPAN_UNIT
    }
}

impl Record {
    /// What went out for the first time, or again, up to `end`; the first of it at `since`, the last at `now`.
    fn new(since: Instant, now: Instant, end: SequenceNumber, is_original: bool) -> Self {
        Record { sent_at: now, end, span: Span::new(now.since(since)), is_lost: false, is_original }
    }

    /// When the first of it was sent, or a little earlier; `None` where that is not known.
    pub fn since(&self) -> Option<Instant> {
        self.span.map(|span| Instant::from_micros(self.sent_at.as_micros().saturating_sub(span.as_micros())))
    }

    /// A record of its own, for tests.
    #[cfg(test)]
    pub fn at(since: Option<Instant>, sent_at: Instant, end: SequenceNumber, is_original: bool) -> Self {
        let mut record = Record::new(since.unwrap_or(sent_at), sent_at, end, is_original);
        record.span = record.span.filter(|_| since.is_some());
        record
    }
}

/// The records of one connection.
#[derive(Clone, Debug)]
pub struct SendRecords {
    /// Where the first record begins.
    start: SequenceNumber,
    /// Where the last retransmission ended.
    repeated_before: SequenceNumber,
    /// When the first of the last record, and of the latest retransmissions in a row, was sent.
    new_since: Instant,
    repeated_since: Instant,
    records: heapless::Vec<Record, MOST_RECORDS, u8>,
}

impl SendRecords {
    /// Nothing on its way; `start` is SND.UNA.
    pub const fn new(start: SequenceNumber) -> Self {
        SendRecords {
            start,
            repeated_before: start,
            new_since: Instant::BOOT,
            repeated_since: Instant::BOOT,
            records: heapless::Vec::new(),
        }
    }

    /// The latest record.
    pub fn last(&self) -> Option<&Record> {
        self.records.last()
    }

    /// All of them, in the order of the stream, each with the range that it covers.
    pub fn iter(&self) -> impl Iterator<Item = (Range, Record)> + '_ {
        self.records.iter().scan(self.start, |start, record| {
            let range = Range { start: core::mem::replace(start, record.end), end: record.end };
            Some((range, *record))
        })
    }

    /// The record that holds the byte at `position`, and from where to where it goes.
    fn at(&self, position: SequenceNumber) -> Option<(Range, Record)> {
        self.iter().find(|(range, _)| range.contains(position))
    }

    /// `range` goes out for the first time, right behind all others. `reported` is what the peer reports to have.
    pub fn sent<const N: usize>(&mut self, range: Range, now: Instant, quantum: Duration, reported: &RangeSet<N>) {
        let joined = Record::new(self.new_since, now, range.end, true);
        let is_recent = now.since(self.new_since) <= quantum && joined.span.is_some();
        if let Some(last) = self.records.last_mut()
            && is_recent
            && last.sent_at >= self.new_since
            && last.span.is_some()
            && last.is_original
            && !last.is_lost
        {
            *last = joined;
            return;
        }
        if self.records.is_empty() {
            self.start = range.start;
        }
        self.make_room(1, reported);
        self.new_since = now;
        self.place(self.records.len(), Record::new(now, now, range.end, true));
    }

    /// `range` goes out again.
    pub fn repeated<const N: usize>(&mut self, range: Range, now: Instant, quantum: Duration, reported: &RangeSet<N>) {
        self.cut(range, reported);
        let before = self.iter().find(|(covered, _)| covered.end == range.start).map(|(_, record)| record);
        let joins = self.repeated_before == range.start
            && now.since(self.repeated_since) <= quantum
            && before.is_some_and(|before| !before.is_lost && !before.is_original && before.span.is_some());
        if !joins {
            self.repeated_since = now;
        }
        self.repeated_before = range.end;
        // One record takes the place of all that lie within the range, and of the retransmission right before it.
        let mut start = self.start;
        self.records.retain(|record| {
            let begins_within = !start.is_before(range.start);
            start = record.end;
            let is_joined = joins && record.end == range.start;
            !(is_joined || (begins_within && record.end.is_before(range.end)))
        });
        if let Some(record) = self.records.iter_mut().find(|record| record.end == range.end) {
            *record = Record::new(self.repeated_since, now, range.end, false);
        }
    }

    /// `range` is taken for lost.
    pub fn mark_lost<const N: usize>(&mut self, range: Range, reported: &RangeSet<N>) {
        self.cut(range, reported);
        let mut start = self.start;
        for record in &mut self.records {
            if !start.is_before(range.start) && !record.end.is_after(range.end) {
                record.is_lost = true;
            }
            start = record.end;
        }
    }

    /// Those of which `is_lost` says so are taken for lost, and what the peer had reported is forgotten: from now on an
    /// arrival may be an old one that is told once more.
    pub fn begin_again(&mut self, is_lost: impl Fn(&Record) -> bool) {
        for record in &mut self.records {
            record.is_lost |= is_lost(record);
            record.is_original = false;
        }
    }

    /// Forgets everything before `position`, which is the new SND.UNA.
    pub fn remove_before(&mut self, position: SequenceNumber) {
        if self.records.first().is_some_and(|first| !first.end.is_after(position)) {
            self.records.retain(|record| record.end.is_after(position));
        }
        self.start = position;
    }

    /// Makes a record begin, and one end, at the ends of `range`.
    fn cut<const N: usize>(&mut self, range: Range, reported: &RangeSet<N>) {
        let ends = [range.start, range.end];
        if ends.iter().all(|position| self.at(*position).is_none_or(|(at, _)| at.start == *position)) {
            return;
        }
        // Room for both, because a merger may take away a bound that is there now.
        self.make_room(ends.len(), reported);
        for position in ends {
            let found = self.at(position).filter(|(at, _)| at.start != position);
            let index = self.records.iter().position(|record| position.is_before(record.end));
            if let (Some((_, record)), Some(index)) = (found, index) {
                self.place(index, Record { end: position, ..record });
            }
        }
    }

    /// Puts `record` before the one at `index`, where there is room.
    fn place(&mut self, index: usize, record: Record) {
        if self.records.is_full() {
            return;
        }
        // Each record behind the place moves on by one.
        let mut carried = record;
        for record in self.records.iter_mut().skip(index) {
            core::mem::swap(record, &mut carried);
        }
        let is_placed = self.records.push(carried).is_ok();
        debug_assert!(is_placed, "there was room");
    }

    /// Merges records until there is room for `wanted` more.
    fn make_room<const N: usize>(&mut self, wanted: usize, reported: &RangeSet<N>) {
        while self.records.len() > MOST_RECORDS.saturating_sub(wanted) {
            if !self.drop_reported(reported) && !self.merge_closest() {
                return;
            }
        }
    }

    /// Takes away a record of which nothing is missing; a neighbour covers its place, and nobody asks when that was
    /// sent.
    fn drop_reported<const N: usize>(&mut self, reported: &RangeSet<N>) -> bool {
        let mut start = self.start;
        let is_reported = |record: &Record| {
            let range = Range { start, end: record.end };
            start = record.end;
            reported.bytes_within(range) == range.length()
        };
        let Some(index) = self.records.iter().position(is_reported) else { return false };
        if index + 1 == self.records.len() {
            let end = self.records.last().map(|last| last.end);
            let before = index.checked_sub(1).and_then(|before| self.records.get_mut(before));
            let (Some(before), Some(end)) = (before, end) else { return false };
            before.end = end;
        }
        self.remove(index);
        true
    }

    /// Merges the two neighbours that differ least: first in what became of them, then in time.
    fn merge_closest(&mut self) -> bool {
        let mut best: Option<(usize, (bool, bool, Duration))> = None;
        let mut before: Option<&Record> = None;
        for (index, record) in self.records.iter().enumerate() {
            if let Some(before) = before {
                let apart = if before.is_lost && record.is_lost {
                    // Both wait to be sent again; the old time hardly matters.
                    Duration::ZERO
                } else {
                    record.sent_at.since(before.sent_at) + before.sent_at.since(record.sent_at)
                };
                let difference = (before.is_lost != record.is_lost, before.is_original != record.is_original, apart);
                if best.is_none_or(|(_, least)| difference < least) {
                    best = Some((index, difference));
                }
            }
            before = Some(record);
        }
        let Some(index) = best.map(|(index, _)| index) else { return false };
        let first = index.checked_sub(1).and_then(|before| self.records.get(before)).copied();
        let (Some(first), Some(second)) = (first, self.records.get_mut(index)) else { return false };
        *second = Record {
            sent_at: first.sent_at.max(second.sent_at),
            end: second.end,
            // What is wrongly taken for being on its way is found again; what is wrongly taken for lost is sent in
            // vain.
            is_lost: first.is_lost && second.is_lost,
            is_original: first.is_original && second.is_original,
            span: first.span.filter(|_| first.sent_at == second.sent_at && first.span == second.span),
        };
        self.remove(index.saturating_sub(1));
        true
    }

    fn remove(&mut self, index: usize) {
        let mut place = 0;
        self.records.retain(|_| {
            place += 1;
            place != index + 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNA: SequenceNumber = SequenceNumber::new(u32::MAX - 5_000);
    const QUANTUM: Duration = Duration::from_millis(2);
    const NOTHING: RangeSet<4> = RangeSet::new();

    fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    fn range(start: u32, end: u32) -> Range {
        Range { start: UNA + start, end: UNA + end }
    }

    /// Ends, times in milliseconds and whether lost.
    fn contents(records: &SendRecords) -> Vec<(i32, u64, bool)> {
        let line = |record: &Record| (record.end.offset_from(UNA), record.sent_at.as_millis(), record.is_lost);
        records.records.iter().map(line).collect()
    }

    /// Segments of 1000 bytes, one at each of these times.
    fn sent_at(times: &[u64]) -> SendRecords {
        let mut records = SendRecords::new(UNA);
        for (index, time) in (0..).zip(times) {
            records.sent(range(index * 1_000, (index + 1) * 1_000), at(*time), QUANTUM, &NOTHING);
        }
        records
    }

    #[test]
    fn what_is_sent_within_a_quantum_shares_a_record_with_the_later_time() {
        let records = sent_at(&[10, 11, 12, 13, 20]);
        assert_eq!(contents(&records), [(3_000, 12, false), (4_000, 13, false), (5_000, 20, false)]);
        assert_eq!(records.at(UNA + 3_000).map(|(range, _)| range), Some(range(3_000, 4_000)));
        let since = |position: u32| records.at(UNA + position).and_then(|(_, record)| record.since());
        assert_eq!((since(0), since(3_000)), (Some(at(10)), Some(at(13))));
        assert_eq!(records.at(UNA + 5_000), None);
    }

    #[test]
    fn losing_a_part_cuts_the_record() {
        let mut records = sent_at(&[10, 10, 10]);
        records.mark_lost(range(1_000, 2_000), &NOTHING);
        assert_eq!(contents(&records), [(1_000, 10, false), (2_000, 10, true), (3_000, 10, false)]);
    }

    #[test]
    fn retransmissions_in_a_row_share_a_record_within_a_quantum() {
        let mut records = sent_at(&[10, 10, 10, 10]);
        records.mark_lost(range(0, 4_000), &NOTHING);
        records.repeated(range(0, 1_000), at(50), QUANTUM, &NOTHING);
        records.repeated(range(1_000, 2_000), at(52), QUANTUM, &NOTHING);
        records.repeated(range(2_000, 3_000), at(53), QUANTUM, &NOTHING);
        assert_eq!(contents(&records), [(2_000, 52, false), (3_000, 53, false), (4_000, 10, true)]);
        records.sent(range(4_000, 5_000), at(53), QUANTUM, &NOTHING);
        assert_eq!(contents(&records).len(), 4, "what was lost and what is new stay apart");
    }

    #[test]
    fn what_is_acknowledged_is_forgotten() {
        let mut records = sent_at(&[10, 20, 30]);
        records.remove_before(UNA + 1_500);
        assert_eq!(contents(&records), [(2_000, 20, false), (3_000, 30, false)]);
        assert_eq!(records.at(UNA + 1_500).map(|(range, _)| range), Some(range(1_500, 2_000)));
        records.remove_before(UNA + 3_000);
        assert_eq!(records.last(), None);
    }

    #[test]
    fn a_full_list_first_drops_what_was_reported_then_merges_the_closest_with_the_later_time() {
        let mut times: Vec<u64> = (0..MOST_RECORDS as u64).map(|index| index * 10).collect();
        times[9] = 83;
        let mut records = sent_at(&times);
        assert_eq!(contents(&records).len(), MOST_RECORDS);
        let mut reported = RangeSet::<4>::new();
        reported.insert(range(3_000, 4_000)).unwrap();
        let last = MOST_RECORDS as u32 * 1_000;
        records.sent(range(last, last + 1_000), at(900), QUANTUM, &reported);
        assert_eq!(contents(&records)[3], (5_000, 40, false), "the neighbour covers what was reported");
        records.sent(range(last + 1_000, last + 2_000), at(910), QUANTUM, &NOTHING);
        assert_eq!(contents(&records)[7], (10_000, 83, false), "80 and 83 are closest");
        let (_, merged) = records.at(UNA + 8_500).unwrap();
        assert!(merged.since().is_none() && merged.is_original);
    }

    #[test]
    fn lost_and_not_lost_are_merged_last_and_then_count_as_on_their_way() {
        let times: Vec<u64> = (0..MOST_RECORDS as u64).map(|index| index * 10).collect();
        let mut records = sent_at(&times);
        for index in (0..MOST_RECORDS as u32).step_by(2) {
            records.mark_lost(range(index * 1_000, (index + 1) * 1_000), &NOTHING);
        }
        let last = MOST_RECORDS as u32 * 1_000;
        records.sent(range(last, last + 1_000), at(900), QUANTUM, &NOTHING);
        assert_eq!(contents(&records)[0], (2_000, 10, false));
    }

    /// Whatever is done in whatever order: the bound holds, the records lie end to end over exactly what is on its way,
    /// nothing gets an earlier time than it was sent at, and nothing counts as lost that was not marked.
    #[test]
    fn any_pattern_keeps_the_bound_and_the_truth_on_the_careful_side() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            ((random >> 11) % u64::from(bound)) as u32
        };
        for _ in 0..60 {
            let mut records = SendRecords::new(UNA);
            let mut reported = RangeSet::<8>::new();
            // Of each byte: when it was sent and whether it is lost.
            let mut truth: Vec<(u64, bool)> = Vec::new();
            let (mut una, mut now) = (0u32, 0u64);
            for _ in 0..400 {
                now += u64::from(below(6));
                let length = truth.len() as u32;
                let start = una + below(length - una + 1);
                let end = start + below(length - start + 1).min(30);
                match below(8) {
                    0..=2 => {
                        let more = 1 + below(20);
                        records.sent(range(length, length + more), at(now), QUANTUM, &reported);
                        truth.resize((length + more) as usize, (now, false));
                    }
                    3 | 4 if start < end => {
                        records.mark_lost(range(start, end), &reported);
                        truth[start as usize..end as usize].iter_mut().for_each(|byte| byte.1 = true);
                    }
                    5 if start < end => {
                        records.repeated(range(start, end), at(now), QUANTUM, &reported);
                        truth[start as usize..end as usize].fill((now, false));
                    }
                    // What is reported is no longer asked about; there may be no room to remember it.
                    6 if start > una => drop(reported.insert(range(start, end))),
                    7 if below(4) == 0 => {
                        una = start;
                        records.remove_before(UNA + una);
                        reported.remove_before(UNA + una);
                    }
                    _ => {}
                }
                assert!(records.records.len() <= MOST_RECORDS);
                let end = records.last().map_or(una, |last| last.end.bytes_after(UNA));
                assert_eq!(end as usize, truth.len().max(una as usize));
                for position in (una..end).step_by(3) {
                    let (covered, record) = records.at(UNA + position).expect("no gap between records");
                    assert!(covered.contains(UNA + position));
                    if reported.find(UNA + position).is_none() {
                        let (time, lost) = truth[position as usize];
                        assert!(record.sent_at >= at(time), "{position}: {record:?}, sent at {time}");
                        assert!(record.since().is_none_or(|since| since <= at(time)), "{position}: {record:?}, {time}");
                        assert!(lost || !record.is_lost, "{position}: {record:?}");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod merger;
