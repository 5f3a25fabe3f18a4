//! When the first of many timers runs out, kept without looking at all of them.

use slopos_kernel::time::Instant;

/// A lower bound: no timer runs out before it, but the first one may do so later. Each timer that is set is noted in
/// one step; who comes too early finds nothing to do and looks up the exact time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// No timer is set.
    pub(crate) const NONE: Deadline = Deadline(None);

    /// A timer runs out at this time, if it is set at all.
    #[inline]
    pub(crate) fn note(&mut self, timer: Option<Instant>) {
        self.0 = [self.0, timer].into_iter().flatten().min();
    }

    /// Notes a timer unless it has run out by `now`: what was due has been dealt with, or is a frame that waits to be
    /// sent, and for that no time need pass.
    pub(crate) fn note_after(&mut self, timer: Option<Instant>, now: Instant) {
        self.note(timer.filter(|&timer| timer > now));
    }

    /// Whether a timer may have run out by `now`.
    #[inline]
    pub(crate) fn is_due(self, now: Instant) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    /// The time; `None` where no timer is set.
    #[inline]
    pub(crate) const fn get(self) -> Option<Instant> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_of_what_was_noted_counts() {
        let at = |milliseconds| Some(Instant::from_millis(milliseconds));
        let mut deadline = Deadline::NONE;
        deadline.note(None);
        assert_eq!(deadline.get(), None);
        for timer in [at(30), at(20), None, at(40)] {
            deadline.note(timer);
        }
        deadline.note_after(at(10), Instant::from_millis(10));
        assert_eq!(deadline.get(), at(20));
        deadline.note_after(at(11), Instant::from_millis(10));
        assert_eq!(deadline.get(), at(11));
        assert!(!deadline.is_due(Instant::from_millis(10)) && deadline.is_due(Instant::from_millis(11)));
        assert!(!Deadline::NONE.is_due(Instant::from_millis(u64::from(u32::MAX))));
    }
}
