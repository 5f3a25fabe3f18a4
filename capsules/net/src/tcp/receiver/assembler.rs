//! What the receiver holds out of order, and how it reports that by SACK (RFC 2018, RFC 2883).
//!
//! The bytes themselves lie in the receive ring behind its end; here is only which ones are there.

use crate::tcp::range_set::{Full, RangeSet};
use crate::wire::tcp::options::{LARGEST_SACK_BLOCKS, SackBlocks};
use crate::wire::tcp::{Range, SequenceNumber};

/// Separate ranges that are kept; data that would make one more is dropped and comes again.
pub const MOST_RANGES: usize = 32;

/// The map of one connection's receive ring behind its end.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    ranges: RangeSet<MOST_RANGES>,
    /// A byte out of each of the ranges that changed last, the latest first.
    recent: heapless::Vec<SequenceNumber, LARGEST_SACK_BLOCKS, u8>,
    /// What arrived a second time and has not been reported yet.
    duplicate: Option<Range>,
}

impl Assembler {
    /// Nothing out of order.
    pub const fn new() -> Self {
        Assembler { ranges: RangeSet::new(), recent: heapless::Vec::new(), duplicate: None }
    }

    /// Whether nothing is held out of order.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many bytes are held out of order.
    pub fn bytes(&self) -> u32 {
        self.ranges.bytes()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Assembler::new();
    }

    /// `range` has arrived behind a gap.
    ///
    /// # Errors
    /// [`Full`]: the bytes must not be kept.
    pub fn insert(&mut self, range: Range) -> Result<(), Full> {
        let added = self.ranges.insert(range)?;
        if added == 0 {
            self.duplicate = Some(range);
        }
        let whole = self.ranges.find(range.start).unwrap_or(range);
        self.recent.retain(|position| !whole.contains(*position));
        if self.recent.is_full() {
            self.recent.pop();
        }
        let mut carried = range.start;
        for position in self.recent.iter_mut() {
            core::mem::swap(position, &mut carried);
        }
        // There is room: the list was shortened if it was full.
        self.recent.push(carried).map_err(|_| Full)
    }

    /// `range` has arrived although it was received in order before.
    pub fn note_duplicate(&mut self, range: Range) {
        self.duplicate = Some(range);
    }

    /// Everything before `next` has arrived. Answers up to where that goes with what was held behind the gap.
    pub fn close_gap(&mut self, next: SequenceNumber) -> SequenceNumber {
        if self.ranges.is_empty() {
            return next;
        }
        let reached = match self.ranges.find(next) {
            Some(range) => range.end,
            None => next,
        };
        self.ranges.remove_before(reached);
        self.recent.retain(|position| !position.is_before(reached));
        reached
    }

    /// How many blocks [`Assembler::sack_blocks`] gives at most.
    pub fn sack_block_count(&self) -> usize {
        usize::from(self.duplicate.is_some()) + self.ranges.iter().len()
    }

    /// Up to `most` blocks: first a duplicate, then the ranges that changed last, then any others (RFC 2018
    /// section 4, RFC 2883).
    pub fn sack_blocks(&self, most: usize) -> SackBlocks {
        let changed = self.recent.iter().filter_map(|position| self.ranges.find(*position));
        let others =
            self.ranges.iter().filter(|range| !self.recent.iter().any(|position| range.contains(*position))).copied();
        let mut blocks = SackBlocks::new();
        for block in self.duplicate.into_iter().chain(changed).chain(others).take(most) {
            if blocks.push(block).is_err() {
                break;
            }
        }
        blocks
    }

    /// The blocks went out; a duplicate is reported once only.
    pub fn reported(&mut self) {
        self.duplicate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: SequenceNumber = SequenceNumber::new(1_000);

    fn range(start: u32, end: u32) -> Range {
        Range { start: NEXT + start, end: NEXT + end }
    }

    fn blocks(assembler: &Assembler, most: usize) -> Vec<(i32, i32)> {
        assembler
            .sack_blocks(most)
            .iter()
            .map(|block| (block.start.offset_from(NEXT), block.end.offset_from(NEXT)))
            .collect()
    }

    #[test]
    fn the_first_block_is_the_one_that_arrived_last() {
        let mut assembler = Assembler::new();
        for start in [500, 100, 300, 900, 700] {
            assembler.insert(range(start, start + 50)).unwrap();
        }
        assert_eq!(blocks(&assembler, 3), [(700, 750), (900, 950), (300, 350)]);
        assembler.insert(range(350, 400)).unwrap();
        assert_eq!(blocks(&assembler, 4), [(300, 400), (700, 750), (900, 950), (100, 150)]);
        assembler.close_gap(NEXT + 500);
        assert_eq!(blocks(&assembler, 4), [(700, 750), (900, 950)]);
    }

    #[test]
    fn what_changed_long_ago_is_reported_once_the_rest_has_arrived() {
        let mut assembler = Assembler::new();
        for start in [900, 100, 200, 300, 400] {
            assembler.insert(range(start, start + 50)).unwrap();
        }
        assembler.close_gap(NEXT + 450);
        assert_eq!(blocks(&assembler, 4), [(900, 950)]);
    }

    #[test]
    fn closing_the_gap_goes_on_over_what_was_held() {
        let mut assembler = Assembler::new();
        assembler.insert(range(100, 200)).unwrap();
        assembler.insert(range(300, 400)).unwrap();
        assert_eq!(assembler.close_gap(NEXT + 50), NEXT + 50);
        assert_eq!(assembler.close_gap(NEXT + 100), NEXT + 200);
        assert_eq!(blocks(&assembler, 4), [(300, 400)]);
        assert_eq!(assembler.close_gap(NEXT + 350), NEXT + 400);
        assert!(assembler.is_empty());
        assert_eq!(assembler.sack_block_count(), 0);
    }

    #[test]
    fn a_duplicate_is_reported_once_and_first() {
        let mut assembler = Assembler::new();
        assembler.insert(range(100, 200)).unwrap();
        assembler.note_duplicate(Range { start: NEXT - 10, end: NEXT });
        assert_eq!(blocks(&assembler, 4), [(-10, 0), (100, 200)]);
        assembler.reported();
        assert_eq!(blocks(&assembler, 4), [(100, 200)]);
        assembler.insert(range(120, 130)).unwrap();
        assert_eq!(blocks(&assembler, 4), [(120, 130), (100, 200)]);
    }

    #[test]
    fn one_range_too_many_is_refused() {
        let mut assembler = Assembler::new();
        for i in 0..MOST_RANGES as u32 {
            assembler.insert(range(10 + i * 20, 20 + i * 20)).unwrap();
        }
        assert_eq!(assembler.insert(range(5_000, 5_010)), Err(Full));
        assert_eq!(assembler.bytes(), 320);
    }
}
