//! A bounded set of ranges of sequence numbers: what arrived out of order at the receiver, and what the peer says
//! has arrived at its end.
//!
//! The ranges are sorted, do not overlap and do not touch. All of them must lie within 2^31 of each other, which
//! the callers ensure by checking against their window first.

use crate::wire::tcp::{Range, SequenceNumber};

/// The set has no room for one more separate range; it is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// At most `N` separate ranges.
#[derive(Clone, Debug, Default)]
pub struct RangeSet<const N: usize> {
    ranges: heapless::Vec<Range, N, u8>,
}

impl<const N: usize> RangeSet<N> {
    /// The empty set.
    pub const fn new() -> Self {
        RangeSet { ranges: heapless::Vec::new() }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }

    /// The ranges from the first to the last.
    pub fn iter(&self) -> core::slice::Iter<'_, Range> {
        self.ranges.iter()
    }

    /// The latest range.
    pub fn last(&self) -> Option<Range> {
        self.ranges.last().copied()
    }

    /// How many bytes are covered.
    pub fn bytes(&self) -> u32 {
        self.ranges.iter().map(Range::length).sum()
    }

    /// How many bytes of `window` are covered.
    pub fn bytes_within(&self, window: Range) -> u32 {
        self.ranges.iter().map(|range| range.end.earlier(window.end).bytes_after(range.start.later(window.start))).sum()
    }

    /// The range that holds the byte at `position`.
    pub fn find(&self, position: SequenceNumber) -> Option<Range> {
        self.ranges.iter().find(|range| range.contains(position)).copied()
    }

    /// The first stretch of `window` that is not covered.
    pub fn gap_within(&self, window: Range) -> Option<Range> {
        let Range { mut start, mut end } = window;
        for range in &self.ranges {
            if range.contains(start) {
                start = range.end;
            } else if range.start.is_after(start) {
                end = end.earlier(range.start);
                break;
            }
        }
        start.is_before(end).then_some(Range { start, end })
    }

    /// Whether [`RangeSet::insert`] has a place for it.
    pub fn has_room_for(&self, new: Range) -> bool {
        let touches = |range: &Range| !range.end.is_before(new.start) && !range.start.is_after(new.end);
        new.length() == 0 || !self.ranges.is_full() || self.ranges.iter().any(touches)
    }

    /// Adds a range, joining it with those that it overlaps or touches; an empty one changes nothing. Answers how
    /// many bytes were not covered before.
    ///
    /// # Errors
    /// [`Full`] where it touches none of `N` ranges.
    pub fn insert(&mut self, new: Range) -> Result<u32, Full> {
        if new.length() == 0 {
            return Ok(0);
        }
        let begin = self.ranges.iter().position(|range| !range.end.is_before(new.start)).unwrap_or(self.ranges.len());
        let touched = self.ranges.iter().skip(begin).take_while(|range| !range.start.is_after(new.end)).count();
        if touched == 0 {
            if self.ranges.is_full() {
                return Err(Full);
            }
            // Each range behind the place moves on by one.
            let mut carried = new;
            for range in self.ranges.iter_mut().skip(begin) {
                core::mem::swap(range, &mut carried);
            }
            self.ranges.push(carried).map_err(|_| Full)?;
            return Ok(new.length());
        }
        let mut joined = new;
        let mut covered = 0;
        for range in self.ranges.iter().skip(begin).take(touched) {
            joined.start = joined.start.earlier(range.start);
            joined.end = joined.end.later(range.end);
            covered += range.length();
        }
        if let Some(kept) = self.ranges.get_mut(begin) {
            *kept = joined;
        }
        let mut index = 0;
        self.ranges.retain(|_| {
            let swallowed = index > begin && index < begin + touched;
            index += 1;
            !swallowed
        });
        Ok(joined.length().saturating_sub(covered))
    }

    /// Forgets everything before `position`.
    pub fn remove_before(&mut self, position: SequenceNumber) {
        if self.ranges.first().is_some_and(|first| !first.end.is_after(position)) {
            self.ranges.retain(|range| range.end.is_after(position));
        }
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.later(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: SequenceNumber = SequenceNumber::new(u32::MAX - 50);

    fn range(start: u32, end: u32) -> Range {
        Range { start: BASE + start, end: BASE + end }
    }

    fn contents<const N: usize>(set: &RangeSet<N>) -> Vec<(i32, i32)> {
        set.iter().map(|range| (range.start.offset_from(BASE), range.end.offset_from(BASE))).collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = RangeSet::<4>::new();
        assert_eq!(set.insert(range(10, 20)), Ok(10));
        assert_eq!(set.insert(range(30, 40)), Ok(10));
        assert_eq!(set.insert(range(20, 30)), Ok(10));
        assert_eq!(contents(&set), [(10, 40)]);
    }

    #[test]
    fn a_range_may_swallow_several() {
        let mut set = RangeSet::<4>::new();
        for start in [10, 30, 50, 70] {
            set.insert(range(start, start + 5)).unwrap();
        }
        assert_eq!(set.insert(range(28, 72)), Ok(44 - 12));
        assert_eq!(contents(&set), [(10, 15), (28, 75)]);
        assert_eq!(set.bytes(), 52);
    }

    #[test]
    fn what_is_covered_already_adds_nothing() {
        let mut set = RangeSet::<2>::new();
        set.insert(range(10, 20)).unwrap();
        assert_eq!(set.insert(range(12, 18)), Ok(0));
        assert_eq!(set.insert(range(30, 30)), Ok(0));
        assert_eq!(contents(&set), [(10, 20)]);
    }

    #[test]
    fn a_full_set_refuses_a_separate_range_but_extends_one() {
        let mut set = RangeSet::<2>::new();
        set.insert(range(10, 20)).unwrap();
        set.insert(range(40, 50)).unwrap();
        assert!(!set.has_room_for(range(60, 70)));
        assert_eq!(set.insert(range(60, 70)), Err(Full));
        assert!(set.has_room_for(range(50, 60)));
        assert_eq!(set.insert(range(50, 60)), Ok(10));
        assert_eq!(contents(&set), [(10, 20), (40, 60)]);
    }

    #[test]
    fn removing_cuts_the_range_at_the_edge() {
        let mut set = RangeSet::<4>::new();
        for start in [10, 30, 50] {
            set.insert(range(start, start + 10)).unwrap();
        }
        set.remove_before(BASE + 35);
        assert_eq!(contents(&set), [(35, 40), (50, 60)]);
        set.remove_before(BASE + 60);
        assert!(set.is_empty());
    }

    #[test]
    fn bytes_within_counts_only_the_overlap() {
        let mut set = RangeSet::<4>::new();
        set.insert(range(10, 20)).unwrap();
        set.insert(range(40, 60)).unwrap();
        assert_eq!(set.bytes_within(range(15, 45)), 10);
        assert_eq!(set.bytes_within(range(20, 40)), 0);
        assert_eq!(set.gap_within(range(0, 15)), Some(range(0, 10)));
        assert_eq!(set.gap_within(range(15, 45)), Some(range(20, 40)));
        assert_eq!(set.gap_within(range(42, 60)), None);
        assert_eq!(set.gap_within(range(60, 70)), Some(range(60, 70)));
        assert_eq!(set.find(BASE + 41), Some(range(40, 60)));
        assert_eq!(set.find(BASE + 20), None);
    }
}
