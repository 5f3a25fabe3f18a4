//! Two clocks that should go alike: the time of day, and the one that counts from the boot. When a machine goes on from a
//! snapshot, or after a pause, the first has moved on and the second has not.

/// By how many seconds the time of day may be off between two looks without being a jump. It has no fractions, so two
/// looks at the same pace can differ by one; a clock that its host corrects differs by less.
pub const JUMP_SECONDS: u64 = 2;

/// Compares the two clocks from one look to the next, so that a slow drift never adds up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jump {
    last: Option<(u64, u64)>,
}

impl Jump {
    /// By how many seconds the time of day has jumped since the last look, if it has. `seconds` is the time of day, `None`
    /// where it is not known, and `now_us` the time since the boot.
    pub fn note(&mut self, seconds: Option<u64>, now_us: u64) -> Option<i64> {
        let seconds = seconds?;
        let (before, before_us) = self.last.replace((seconds, now_us))?;
        let elapsed = now_us.saturating_sub(before_us) / 1_000_000;
        let off = seconds.cast_signed().wrapping_sub(before.cast_signed()).wrapping_sub(elapsed.cast_signed());
        (off.unsigned_abs() > JUMP_SECONDS).then_some(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each look finds, from looks at (time of day, milliseconds since the boot).
    fn jumps(looks: &[(u64, u64)]) -> Vec<Option<i64>> {
        let mut jump = Jump::default();
        looks.iter().map(|(seconds, millis)| jump.note(Some(*seconds), millis * 1_000)).collect()
    }

    #[test]
    fn clocks_that_go_alike_do_not_jump() {
        assert_eq!(jumps(&[(100, 0), (101, 1_000), (102, 2_000), (3_702, 3_602_000)]), [None; 4]);
        // Each look is a little before or behind the full second.
        assert_eq!(jumps(&[(100, 999), (102, 2_001), (102, 2_999), (104, 4_000)]), [None; 4]);
    }

    #[test]
    fn a_drift_never_adds_up() {
        let mut jump = Jump::default();
        assert!((0..10_000_u64).all(|look| jump.note(Some(look + look / 10), look * 1_000_000).is_none()));
    }

    #[test]
    fn a_snapshot_that_goes_on_later_jumps_once() {
        assert_eq!(jumps(&[(100, 5_000), (103, 6_000), (104, 7_000)]), [None; 3], "within what is allowed");
        assert_eq!(jumps(&[(100, 5_000), (104, 6_000), (105, 7_000)]), [None, Some(3), None]);
        assert_eq!(jumps(&[(100, 5_000), (86_500, 6_000)]), [None, Some(86_399)]);
    }

    #[test]
    fn a_clock_that_is_set_back_jumps_too() {
        assert_eq!(jumps(&[(100, 5_000), (40, 6_000)]), [None, Some(-61)]);
        assert_eq!(jumps(&[(u64::MAX, 0), (0, 0)]).len(), 2, "no figure overflows");
    }

    #[test]
    fn a_look_without_a_time_changes_nothing() {
        let mut jump = Jump::default();
        assert_eq!(jump.note(None, 0), None);
        assert_eq!(jump.note(Some(10), 1_000_000), None);
        assert_eq!(jump.note(None, 2_000_000), None);
        assert_eq!(jump.note(Some(20), 3_000_000), Some(8));
    }
}
