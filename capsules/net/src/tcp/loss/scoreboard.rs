//! What is lost and what is still on its way: the sender's scoreboard (RFC 6675), on which RACK finds the losses (RFC
//! 8985 section 6); and NewReno (RFC 6582) where the peer does not do SACK.
//!
//! `records` cover everything between SND.UNA and SND.NXT with the time at which it was sent, and say what is lost and
//! not sent again since; `sacked` is what the peer reports to have. What is in neither is on its way.

use slopos_kernel::time::{Duration, Instant};

use crate::tcp::loss::rack::{Evidence, Latest, Rack};
use crate::tcp::loss::records::{Record, SendRecords};
use crate::tcp::range_set::RangeSet;
use crate::wire::tcp::Range;
use crate::wire::tcp::SequenceNumber;

/// Duplicate acknowledgements that make a loss (RFC 5681 section 3.2).
const DUPLICATE_THRESHOLD: u8 = 3;
/// Separate ranges that are remembered; what a further block says is ignored, which is safe.
const MOST_RANGES: usize = 32;

/// How a loss is being repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is lost.
    Open,
    /// Acknowledgements told of the loss; the window has been reduced and stays until all is acknowledged.
    Fast,
    /// The timer told of it; what was sent a round trip ago counts as lost, and slow start begins again.
    Timeout,
}

/// What RACK has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// When something more will be lost unless it is acknowledged before: the reordering timer.
    pub deadline: Option<Instant>,
    /// What was sent again in this repair is lost again, for the first time since the window was last reduced.
    pub is_repair_lost: bool,
}

/// The scoreboard of one connection. Positions that the caller passes are SND.UNA and SND.NXT.
#[derive(Clone, Debug)]
pub struct Scoreboard {
    selective: bool,
    phase: Phase,
    /// The repair ends when everything before this is acknowledged; afterwards RFC 6582's `recover`.
    until: SequenceNumber,
    /// When the window was last reduced because of a loss.
    reduced_at: Instant,
    sacked: RangeSet<MOST_RANGES>,
    records: SendRecords,
    rack: Rack,
    duplicates: u8,
    /// Without SACK: bytes that, by the number of duplicate acknowledgements, have left the network.
    departed: u32,
    /// The next lost segment goes out whatever the congestion window says.
    at_once: bool,
    /// The end of what is on its way has been sent again in this repair without being known to be lost.
    is_rescued: bool,
}

impl Scoreboard {
    /// Nothing on its way; `start` is SND.UNA, `selective` whether SACK was agreed upon.
    pub const fn new(start: SequenceNumber, selective: bool) -> Self {
        Scoreboard {
            selective,
            phase: Phase::Open,
            until: start,
            reduced_at: Instant::BOOT,
            sacked: RangeSet::new(),
            records: SendRecords::new(start),
            rack: Rack::new(start),
            duplicates: 0,
            departed: 0,
            at_once: false,
            is_rescued: false,
        }
    }

    /// How a loss is being repaired.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the next lost segment goes out whatever the congestion window says.
    pub const fn at_once(&self) -> bool {
        self.at_once
    }

    /// How many bytes are on their way (RFC 6675's pipe): what is neither reported nor lost.
    pub fn in_flight(&self, unacknowledged: SequenceNumber, next: SequenceNumber) -> u32 {
        if self.phase == Phase::Open {
            return self.missing(Range { start: unacknowledged, end: next }).saturating_sub(self.departed);
        }
        let on_their_way = self.records.iter().filter(|(_, record)| !record.is_lost);
        let bytes: u32 = on_their_way.map(|(range, _)| self.missing(range)).sum();
        bytes.saturating_sub(self.departed)
    }

    /// Bytes in `range` that the peer does not report to have.
    fn missing(&self, range: Range) -> u32 {
        if self.sacked.is_empty() {
            range.length()
        } else {
            range.length().saturating_sub(self.sacked.bytes_within(range))
        }
    }

    /// `range` goes out for the first time.
    pub fn sent(&mut self, range: Range, now: Instant, quantum: Duration) {
        self.records.sent(range, now, quantum, &self.sacked);
    }

    /// The peer reports to have `block`. Answers how many bytes of it are news, and `None` where the block lies
    /// outside what is on its way, or there is no room to remember it.
    pub fn report(
        &mut self,
        block: Range,
        unacknowledged: SequenceNumber,
        next: SequenceNumber,
        evidence: &Evidence,
    ) -> Option<u32> {
        let is_outside = !block.start.is_after(unacknowledged) || block.end.is_after(next);
        if !self.selective || is_outside || !self.sacked.has_room_for(block) {
            return None;
        }
        self.note_delivery(block, false, evidence);
        self.sacked.insert(block).ok()
    }

    /// Tells RACK of what arrives with `range` and was missing before.
    fn note_delivery(&mut self, range: Range, acknowledged: bool, evidence: &Evidence) {
        for (covered, record) in self.records.iter() {
            let end = covered.end.earlier(range.end);
            let mut rest = Range { start: covered.start.later(range.start), end };
            while let Some(piece) = self.sacked.gap_within(rest) {
                self.rack.delivered(piece.end, &record, acknowledged, evidence);
                rest.start = piece.end;
            }
        }
    }

    /// `duplicate` tells that the peer reports to have got something twice, in whatever it acknowledges now.
    pub fn adapt(&mut self, duplicate: bool, unacknowledged: SequenceNumber, next: SequenceNumber) {
        self.rack.adapt(duplicate, unacknowledged, next);
    }

    /// An acknowledgement came that says nothing new; `segment` is SMSS in bytes.
    pub fn duplicate(&mut self, segment: u32, outstanding: u32) {
        self.duplicates = self.duplicates.saturating_add(1);
        if !self.selective {
            let most = outstanding.saturating_sub(segment);
            // Until a loss is evident at most two segments more may leave (RFC 3042).
            let most = if self.phase == Phase::Open { most.min(segment.saturating_mul(2)) } else { most };
            self.departed = self.departed.saturating_add(segment).min(most);
        }
    }

    /// SND.UNA went on by `bytes` to `unacknowledged`.
    pub fn acknowledged(&mut self, unacknowledged: SequenceNumber, bytes: u32, segment: u32, evidence: &Evidence) {
        if self.selective {
            self.note_delivery(Range { start: unacknowledged - bytes, end: unacknowledged }, true, evidence);
        }
        self.sacked.remove_before(unacknowledged);
        self.records.remove_before(unacknowledged);
        self.duplicates = 0;
        if self.phase == Phase::Open {
            self.departed = 0;
            return;
        }
        if !unacknowledged.is_before(self.until) {
            // What was sent since the repair began and is lost as well begins the next one.
            self.phase = Phase::Open;
            self.departed = 0;
            self.at_once = false;
            self.rack.repair_ended();
            return;
        }
        if self.phase == Phase::Fast && !self.selective {
            // A partial acknowledgement: the first segment not covered is lost too (RFC 6582 section 3.2). One of
            // the segments that it covers was the retransmission; the others are those that had departed.
            self.departed = self.departed.saturating_sub(bytes.saturating_sub(segment));
            self.mark_first_lost(unacknowledged, self.until, segment);
            self.at_once = true;
        }
    }

    fn mark_first_lost(&mut self, unacknowledged: SequenceNumber, end: SequenceNumber, segment: u32) {
        let first = Range { start: unacknowledged, end: (unacknowledged + segment).earlier(end) };
        self.records.mark_lost(first, &self.sacked);
    }

    /// Marks what is lost, once an acknowledgement is taken in or the reordering timer has run out (RACK_detect_loss,
    /// RFC 8985 section 6.2, step 5).
    pub fn find_lost(&mut self, unacknowledged: SequenceNumber, segment: u32, evidence: &Evidence) -> Findings {
        let mut findings = Findings::default();
        if !self.selective {
            return findings;
        }
        let is_evident = self.phase != Phase::Open || self.is_count_reached(segment);
        let window = self.rack.settle(is_evident, evidence);
        let Some(latest) = self.rack.latest() else { return findings };
        let mut position = unacknowledged;
        while let Some((range, record)) = self.next_suspect(position, &latest) {
            position = range.end;
            let due = latest.deadline(record.sent_at, window);
            if due > evidence.now {
                findings.deadline = findings.deadline.max(Some(due));
                continue;
            }
            self.records.mark_lost(range, &self.sacked);
            findings.is_repair_lost |=
                self.phase != Phase::Open && !record.is_original && record.sent_at >= self.reduced_at;
        }
        if findings.is_repair_lost {
            self.reduced_at = evidence.now;
            self.at_once = true;
        }
        findings
    }

    /// The first record, or part of it, from `position` on that was sent before what arrived, is missing, and not known
    /// to be lost.
    fn next_suspect(&self, position: SequenceNumber, latest: &Latest) -> Option<(Range, Record)> {
        let not_before = |(range, _): &(Range, Record)| !range.start.is_before(position);
        let mut suspects = self.records.iter().filter(not_before).filter(|(_, record)| !record.is_lost);
        suspects.find_map(|(range, record)| {
            let sent_before = latest.sent_after(range, &record);
            self.sacked.gap_within(sent_before).map(|_| (sent_before, record))
        })
    }

    /// Whether, by RFC 6675's count, enough is reported to be sure of a loss: more than two segments, or three separate
    /// ranges, or three reports.
    fn is_count_reached(&self, segment: u32) -> bool {
        let threshold = usize::from(DUPLICATE_THRESHOLD);
        self.duplicates >= DUPLICATE_THRESHOLD
            || self.sacked.bytes() > segment.saturating_mul(2)
            || self.sacked.iter().count() >= threshold
    }

    /// Whether the peer reports nothing out of order.
    pub fn is_nothing_reported(&self) -> bool {
        self.sacked.is_empty()
    }

    /// Whether fast recovery should begin now.
    pub fn is_loss_evident(&self, unacknowledged: SequenceNumber) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        if self.selective {
            return self.records.iter().any(|(_, record)| record.is_lost) && self.first_lost().is_some();
        }
        // What was sent needlessly after a timeout is acknowledged as duplicate, too; that is no loss (RFC 6582
        // section 3.2, step 2).
        self.duplicates >= DUPLICATE_THRESHOLD && unacknowledged.is_after(self.until)
    }

    /// Fast recovery begins.
    pub fn begin_fast(&mut self, unacknowledged: SequenceNumber, next: SequenceNumber, segment: u32, now: Instant) {
        self.phase = Phase::Fast;
        self.is_rescued = false;
        self.until = next;
        self.reduced_at = now;
        if !self.selective {
            self.mark_first_lost(unacknowledged, next, segment);
            let most = next.bytes_after(unacknowledged).saturating_sub(segment);
            self.departed = segment.saturating_mul(u32::from(self.duplicates)).min(most);
        }
        self.at_once = true;
    }

    /// The retransmission timer ran out: all is lost, but, with SACK, for what was sent so late that it may still
    /// arrive (RFC 8985 section 6.3). What the peer had reported is forgotten, because it may drop what it has not
    /// acknowledged (RFC 2018 section 8).
    pub fn begin_timeout(&mut self, unacknowledged: SequenceNumber, next: SequenceNumber, segment: u32, now: Instant) {
        self.phase = Phase::Timeout;
        self.until = next;
        self.reduced_at = now;
        self.sacked.clear();
        self.mark_first_lost(unacknowledged, next, segment);
        let (rack, selective) = (&self.rack, self.selective);
        self.records.begin_again(|record| !selective || rack.is_overdue(record.sent_at, now));
        self.duplicates = 0;
        self.departed = 0;
        self.at_once = true;
    }

    /// The first stretch that is lost and has not been sent again.
    pub fn next_lost(&self) -> Option<Range> {
        if self.phase == Phase::Open { None } else { self.first_lost() }
    }

    fn first_lost(&self) -> Option<Range> {
        let mut found: Option<Range> = None;
        for (range, record) in self.records.iter() {
            let gap = if record.is_lost { self.sacked.gap_within(range) } else { None };
            found = match (found, gap) {
                (None, gap) => gap,
                // What lies behind it was sent at another time, and may still fit into the same segment.
                (Some(lost), Some(gap)) if gap.start == lost.end => Some(Range { start: lost.start, end: gap.end }),
                (Some(_), _) => break,
            };
        }
        found
    }

    /// Whether the last segment before `next` is worth sending once more though nothing behind it tells of its loss:
    /// the loss may have taken the end of what was on its way, too (RFC 6675 section 4, NextSeg rule 4).
    pub fn wants_rescue(&self, next: SequenceNumber) -> bool {
        self.selective
            && self.phase == Phase::Fast
            && !self.is_rescued
            && self.records.last().is_some_and(|last| last.is_original && !last.is_lost)
            && self.sacked.last().is_some_and(|last| last.end.is_before(next))
    }

    /// That segment, `range`, has been sent, once for the whole repair.
    pub fn rescued(&mut self, range: Range, now: Instant, quantum: Duration) {
        self.is_rescued = true;
        self.rack.repeated();
        self.records.repeated(range, now, quantum, &self.sacked);
    }

    /// `range`, the tail-loss probe, has been sent again without being known to be lost.
    pub fn probed(&mut self, range: Range, now: Instant, quantum: Duration) {
        self.records.repeated(range, now, quantum, &self.sacked);
    }

    /// `range`, which was lost, has been sent again.
    pub fn retransmitted(&mut self, range: Range, now: Instant, quantum: Duration) {
        self.rack.repeated();
        self.records.repeated(range, now, quantum, &self.sacked);
        self.at_once = false;
    }
}

#[cfg(test)]
mod tests;
