//! What is lost and what is still on its way: the sender's scoreboard (RFC 6675), and NewReno (RFC 6582) where the
//! peer does not do SACK.
//!
//! Two edges and a set of ranges describe everything between SND.UNA and SND.NXT:
//!
//! ```text
//!   SND.UNA ...... retransmitted_before ...... lost_before ...... SND.NXT
//!   what is not in `sacked` before `lost_before` is lost;
//!   what is not in `sacked` before `retransmitted_before` has been sent again since
//! ```

use super::range_set::{Range, RangeSet};
use super::sequence::SequenceNumber;

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
    /// The timer told of it; everything on its way counts as lost, and slow start begins again.
    Timeout,
}

/// The scoreboard of one connection. Positions that the caller passes are SND.UNA and SND.NXT.
#[derive(Clone, Debug)]
pub struct Recovery {
    selective: bool,
    phase: Phase,
    /// The repair ends when everything before this is acknowledged; afterwards RFC 6582's `recover`.
    until: SequenceNumber,
    sacked: RangeSet<MOST_RANGES>,
    lost_before: SequenceNumber,
    retransmitted_before: SequenceNumber,
    duplicates: u8,
    /// Without SACK: bytes that, by the number of duplicate acknowledgements, have left the network.
    departed: u32,
    /// The next lost segment goes out whatever the congestion window says.
    at_once: bool,
    /// The end of what is on its way has been sent again in this repair without being known to be lost.
    is_rescued: bool,
}

impl Recovery {
    /// Nothing on its way; `start` is SND.UNA, `selective` whether SACK was agreed upon.
    pub const fn new(start: SequenceNumber, selective: bool) -> Self {
        Recovery {
            selective,
            phase: Phase::Open,
            until: start,
            sacked: RangeSet::new(),
            lost_before: start,
            retransmitted_before: start,
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

    /// How many bytes are on their way (RFC 6675's pipe).
    pub fn in_flight(&self, unacknowledged: SequenceNumber, next: SequenceNumber) -> u32 {
        let not_lost = self.missing(Range { start: self.lost_before.later(unacknowledged), end: next });
        let sent_again = self.missing(Range { start: unacknowledged, end: self.retransmitted_before.earlier(next) });
        not_lost.saturating_add(sent_again).saturating_sub(self.departed)
    }

    /// Bytes in `range` that the peer does not report to have.
    fn missing(&self, range: Range) -> u32 {
        if self.sacked.is_empty() {
            range.length()
        } else {
            range.length().saturating_sub(self.sacked.bytes_within(range))
        }
    }

    /// The peer reports to have `block`. Answers how many bytes of it are news, and `None` where the block lies
    /// outside what is on its way, or there is no room to remember it.
    pub fn report(&mut self, block: Range, unacknowledged: SequenceNumber, next: SequenceNumber) -> Option<u32> {
        if !self.selective || !block.start.is_after(unacknowledged) || block.end.is_after(next) {
            return None;
        }
        self.sacked.insert(block).ok()
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
    pub fn acknowledged(&mut self, unacknowledged: SequenceNumber, bytes: u32, segment: u32) {
        self.sacked.remove_before(unacknowledged);
        self.retransmitted_before = self.retransmitted_before.later(unacknowledged);
        self.lost_before = self.lost_before.later(unacknowledged);
        self.duplicates = 0;
        if self.phase == Phase::Open {
            self.departed = 0;
            return;
        }
        if !unacknowledged.is_before(self.until) {
            self.phase = Phase::Open;
            self.departed = 0;
            self.at_once = false;
            // The edges meet again at SND.UNA: nothing is lost, nothing is sent again.
            self.lost_before = unacknowledged;
            self.retransmitted_before = unacknowledged;
            return;
        }
        if self.phase == Phase::Fast && !self.selective {
            // A partial acknowledgement: the first segment not covered is lost too (RFC 6582 section 3.2). One of
            // the segments that it covers was the retransmission; the others are those that had departed.
            self.departed = self.departed.saturating_sub(bytes.saturating_sub(segment));
            self.lost_before = (unacknowledged + segment).earlier(self.until);
            self.retransmitted_before = unacknowledged;
            self.at_once = true;
        }
    }

    /// Moves the edge before which everything counts as lost, by what has been reported: behind it lie more than
    /// two segments, or three separate ranges, that arrived (RFC 6675 section 4, IsLost).
    pub fn find_lost(&mut self, segment: u32) {
        let mut bytes = 0u32;
        for (count, range) in self.sacked.iter().rev().enumerate() {
            bytes = bytes.saturating_add(range.length());
            if bytes > segment.saturating_mul(2) || count + 1 >= usize::from(DUPLICATE_THRESHOLD) {
                self.lost_before = self.lost_before.later(range.start);
                break;
            }
        }
    }

    /// Whether the peer reports nothing out of order.
    pub fn is_nothing_reported(&self) -> bool {
        self.sacked.is_empty()
    }

    /// What ends at `end` was sent long after all else. If the peer reports to have it, what is missing before it is
    /// lost, however little lies behind the gap (RFC 8985 section 7.4.1).
    pub fn arrived_after_all_others(&mut self, end: SequenceNumber) {
        if let Some(last) = self.sacked.last().filter(|last| !last.end.is_before(end)) {
            self.lost_before = self.lost_before.later(last.start);
        }
    }

    /// Whether fast recovery should begin now.
    pub fn is_loss_evident(&self, unacknowledged: SequenceNumber) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        if self.selective {
            return self.duplicates >= DUPLICATE_THRESHOLD || self.lost_before.is_after(unacknowledged);
        }
        // What was sent needlessly after a timeout is acknowledged as duplicate, too; that is no loss (RFC 6582
        // section 3.2, step 2).
        self.duplicates >= DUPLICATE_THRESHOLD && unacknowledged.is_after(self.until)
    }

    /// Fast recovery begins.
    pub fn begin_fast(&mut self, unacknowledged: SequenceNumber, next: SequenceNumber, segment: u32) {
        self.phase = Phase::Fast;
        self.is_rescued = false;
        self.until = next;
        self.retransmitted_before = unacknowledged;
        // With three duplicates the first segment is lost even if the blocks do not show it.
        let first = match self.sacked.first() {
            Some(range) => (unacknowledged + segment).earlier(range.start),
            None => unacknowledged + segment,
        };
        self.lost_before = self.lost_before.later(first.earlier(next));
        if !self.selective {
            let most = next.bytes_after(unacknowledged).saturating_sub(segment);
            self.departed = segment.saturating_mul(u32::from(self.duplicates)).min(most);
        }
        self.at_once = true;
    }

    /// The retransmission timer ran out: all is lost. What the peer had reported is forgotten, because it may drop
    /// what it has not acknowledged (RFC 2018 section 8).
    pub fn begin_timeout(&mut self, unacknowledged: SequenceNumber, next: SequenceNumber) {
        self.phase = Phase::Timeout;
        self.until = next;
        self.sacked.clear();
        self.lost_before = next;
        self.retransmitted_before = unacknowledged;
        self.duplicates = 0;
        self.departed = 0;
        self.at_once = true;
    }

    /// The first stretch that is lost and has not been sent again.
    pub fn next_lost(&self, unacknowledged: SequenceNumber) -> Option<Range> {
        self.gap_before(self.lost_before, unacknowledged)
    }

    /// The first stretch that has not been sent again and lies before something that arrived, lost or not; worth
    /// sending when there is nothing new to send (RFC 6675 section 4, NextSeg rule 3).
    pub fn next_doubtful(&self, unacknowledged: SequenceNumber) -> Option<Range> {
        if self.phase != Phase::Fast {
            return None;
        }
        self.gap_before(self.sacked.last()?.start, unacknowledged)
    }

    /// Whether the last segment before `next` is worth sending once more though nothing behind it tells of its loss: the
    /// loss may have taken the end of what was on its way, too (RFC 6675 section 4, NextSeg rule 4).
    pub fn wants_rescue(&self, next: SequenceNumber) -> bool {
        self.selective
            && self.phase == Phase::Fast
            && !self.is_rescued
            && self.retransmitted_before.is_before(next)
            && self.sacked.last().is_some_and(|last| last.end.is_before(next))
    }

    /// That segment has been sent, once for the whole repair; HighRxt stays where it is.
    pub fn rescued(&mut self) {
        self.is_rescued = true;
    }

    fn gap_before(&self, edge: SequenceNumber, unacknowledged: SequenceNumber) -> Option<Range> {
        let mut start = self.retransmitted_before.later(unacknowledged);
        if let Some(range) = self.sacked.find(start) {
            start = range.end;
        }
        let end = match self.sacked.find_after(start) {
            Some(range) => edge.earlier(range.start),
            None => edge,
        };
        start.is_before(end).then_some(Range { start, end })
    }

    /// Everything before `end` that was lost has been sent again.
    pub fn retransmitted(&mut self, end: SequenceNumber) {
        self.retransmitted_before = self.retransmitted_before.later(end);
        self.at_once = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNA: SequenceNumber = SequenceNumber::new(u32::MAX - 2_000);
    const SEGMENT: u32 = 1_000;

    fn range(start: u32, end: u32) -> Range {
        Range { start: UNA + start, end: UNA + end }
    }

    /// Ten segments are on their way; those from `first` to before `last` have been reported.
    fn with_report(first: u32, last: u32) -> Recovery {
        let mut recovery = Recovery::new(UNA, true);
        let block = range(first * SEGMENT, last * SEGMENT);
        assert_eq!(recovery.report(block, UNA, UNA + 10_000), Some((last - first) * SEGMENT));
        recovery.find_lost(SEGMENT);
        recovery
    }

    #[test]
    fn three_segments_behind_a_gap_make_it_lost() {
        assert!(!with_report(1, 3).is_loss_evident(UNA));
        let mut recovery = with_report(1, 4);
        assert!(recovery.is_loss_evident(UNA));
        recovery.begin_fast(UNA, UNA + 10_000, SEGMENT);
        assert_eq!(recovery.next_lost(UNA), Some(range(0, 1_000)));
        assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 6_000);
        recovery.retransmitted(UNA + 1_000);
        assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 7_000);
        assert_eq!(recovery.next_lost(UNA), None);
    }

    #[test]
    fn only_the_gaps_are_sent_again() {
        let mut recovery = with_report(1, 3);
        recovery.report(range(5_000, 9_000), UNA, UNA + 10_000);
        recovery.find_lost(SEGMENT);
        recovery.begin_fast(UNA, UNA + 10_000, SEGMENT);
        assert_eq!(recovery.next_lost(UNA), Some(range(0, 1_000)));
        recovery.retransmitted(UNA + 1_000);
        assert_eq!(recovery.next_lost(UNA), Some(range(3_000, 5_000)));
        recovery.retransmitted(UNA + 4_000);
        assert_eq!(recovery.next_lost(UNA), Some(range(4_000, 5_000)));
        recovery.retransmitted(UNA + 5_000);
        assert_eq!(recovery.next_lost(UNA), None);
    }

    #[test]
    fn a_gap_with_little_behind_it_is_doubtful_but_not_lost() {
        let mut recovery = with_report(1, 4);
        recovery.report(range(5_000, 6_000), UNA, UNA + 10_000);
        recovery.find_lost(SEGMENT);
        recovery.begin_fast(UNA, UNA + 10_000, SEGMENT);
        recovery.retransmitted(UNA + 1_000);
        assert_eq!(recovery.next_lost(UNA), None);
        assert_eq!(recovery.next_doubtful(UNA), Some(range(4_000, 5_000)));
    }

    #[test]
    fn blocks_outside_what_is_on_its_way_are_ignored() {
        let mut recovery = Recovery::new(UNA, true);
        assert_eq!(recovery.report(range(9_000, 10_001), UNA, UNA + 10_000), None);
        assert_eq!(recovery.report(range(0, 1_000), UNA, UNA + 10_000), None);
        assert_eq!(recovery.report(Range { start: UNA - 500, end: UNA - 1 }, UNA, UNA + 10_000), None);
        assert_eq!(Recovery::new(UNA, false).report(range(1_000, 2_000), UNA, UNA + 10_000), None);
        assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 10_000);
    }

    #[test]
    fn without_sack_each_duplicate_takes_a_segment_off_the_way() {
        let mut recovery = Recovery::new(UNA - 1, false);
        for _ in 0..3 {
            assert!(!recovery.is_loss_evident(UNA));
            recovery.duplicate(SEGMENT, 10_000);
        }
        assert!(recovery.is_loss_evident(UNA));
        recovery.begin_fast(UNA, UNA + 10_000, SEGMENT);
        assert_eq!(recovery.next_lost(UNA), Some(range(0, 1_000)));
        assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 6_000);
    }

    #[test]
    fn a_partial_acknowledgement_makes_the_next_segment_lost() {
        let mut recovery = Recovery::new(UNA - 1, false);
        for _ in 0..5 {
            recovery.duplicate(SEGMENT, 10_000);
        }
        recovery.begin_fast(UNA, UNA + 10_000, SEGMENT);
        recovery.retransmitted(UNA + 1_000);
        recovery.acknowledged(UNA + 3_000, 3_000, SEGMENT);
        assert_eq!(recovery.phase(), Phase::Fast);
        assert!(recovery.at_once());
        assert_eq!(recovery.next_lost(UNA + 3_000), Some(range(3_000, 4_000)));
        // Seven segments are not acknowledged; three of them have departed and one is lost.
        assert_eq!(recovery.in_flight(UNA + 3_000, UNA + 10_000), 3_000);
        recovery.retransmitted(UNA + 4_000);
        recovery.acknowledged(UNA + 10_000, 7_000, SEGMENT);
        assert_eq!(recovery.phase(), Phase::Open);
        assert_eq!(recovery.in_flight(UNA + 10_000, UNA + 12_000), 2_000);
    }

    #[test]
    fn duplicates_of_what_a_timeout_sent_needlessly_are_no_loss() {
        let mut recovery = Recovery::new(UNA - 1, false);
        recovery.begin_timeout(UNA, UNA + 5_000);
        recovery.acknowledged(UNA + 5_000, 5_000, SEGMENT);
        for _ in 0..4 {
            recovery.duplicate(SEGMENT, 3_000);
        }
        assert!(!recovery.is_loss_evident(UNA + 5_000));
        recovery.acknowledged(UNA + 6_000, 1_000, SEGMENT);
        for _ in 0..3 {
            recovery.duplicate(SEGMENT, 3_000);
        }
        assert!(recovery.is_loss_evident(UNA + 6_000));
    }

    #[test]
    fn after_a_timeout_everything_is_sent_again_from_the_start() {
        let mut recovery = with_report(1, 4);
        recovery.begin_timeout(UNA, UNA + 10_000);
        assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 0);
        assert_eq!(recovery.next_lost(UNA), Some(range(0, 10_000)));
        recovery.retransmitted(UNA + 1_000);
        assert_eq!(recovery.in_flight(UNA, UNA + 10_000), 1_000);
        recovery.acknowledged(UNA + 4_000, 4_000, SEGMENT);
        assert_eq!(recovery.next_lost(UNA + 4_000), Some(range(4_000, 10_000)));
        assert_eq!(recovery.in_flight(UNA + 4_000, UNA + 10_000), 0);
    }
}
