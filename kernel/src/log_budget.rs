//! A budget for each place that writes a log line because of something from outside.
//!
//! The wire, a device or a process can cause such a line as often as it likes. The log is a ring that a slow port
//! empties, so a line for each event would push out the lines that matter. A token bucket at each place lets a burst
//! through, then one line a second; before that line the log says how many were left out.

use crate::time::{Duration, Instant};

/// Lines that a place may write at once.
pub const LOG_BURST: u32 = 8;
/// The time after which one more line may be written.
pub const LOG_INTERVAL: Duration = Duration::from_millis(1_000);

/// The budget of one place. All bytes zero is a full one, so it may lie in memory that starts as zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBudget {
    /// Lines written since the budget was last full.
    spent: u32,
    /// Lines left out since the last one that was written.
    left_out: u32,
    /// When the current token began to be earned; only valid while some are spent.
    since: Option<Instant>,
}

impl LogBudget {
    /// A full budget.
    pub const fn new() -> LogBudget {
        LogBudget { spent: 0, left_out: 0, since: None }
    }

    /// Whether a line about `place` may be written now. If lines were left out before it, logs how many.
    pub fn admit(&mut self, place: &'static str, now: Instant) -> bool {
        let Some(left_out) = self.spend(now) else { return false };
        if left_out > 0 {
            defmt::warn!("{=str}: {=u32} lines were left out", place, left_out);
        }
        true
    }

    /// Takes a token, and returns how many lines were left out since the last one; `None` if there is no token now.
    fn spend(&mut self, now: Instant) -> Option<u32> {
        let since = self.since.filter(|_| self.spent > 0).unwrap_or(now);
        let earned = now.since(since).as_micros() / LOG_INTERVAL.as_micros();
        // The rest of an interval counts towards the next token.
        self.since = Some(since + Duration::from_micros(earned * LOG_INTERVAL.as_micros()));
        self.spent = self.spent.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        if self.spent >= LOG_BURST {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        if self.spent == 0 {
            self.since = Some(now);
        }
        self.spent += 1;
        Some(core::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_then_a_line_a_second() {
        let mut budget = LogBudget::new();
        let written = (0..100_000).filter(|&ms| budget.spend(Instant::from_millis(ms)).is_some()).count();
        assert_eq!(written, LOG_BURST as usize + 99);
    }

    #[test]
    fn lines_that_were_left_out_are_counted_once() {
        let mut budget = LogBudget::new();
        for _ in 0..LOG_BURST {
            assert_eq!(budget.spend(Instant::BOOT), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(budget.spend(Instant::BOOT), None);
        }
        assert_eq!(budget.spend(Instant::from_millis(1_000)), Some(5));
        assert_eq!(budget.spend(Instant::from_millis(1_000)), None);
        assert_eq!(budget.spend(Instant::from_millis(3_500)), Some(1));
        assert_eq!(budget.spend(Instant::from_millis(3_500)), Some(0));
        assert_eq!(budget.spend(Instant::from_millis(4_000)), Some(0), "half a second was earned before");
    }

    #[test]
    fn a_line_that_was_left_out_is_said_before_the_next_one_and_none_otherwise() {
        let mut budget = LogBudget::new();
        // The lines that the budget itself writes, the caller writing none.
        let own_lines = |budget: &mut LogBudget, millis| {
            let before = slopos_host_log::lines();
            let admitted = budget.admit("test", Instant::from_millis(millis));
            (admitted, slopos_host_log::lines() - before)
        };
        for _ in 0..LOG_BURST {
            assert_eq!(own_lines(&mut budget, 0), (true, 0));
        }
        assert_eq!(own_lines(&mut budget, 0), (false, 0));
        assert_eq!(own_lines(&mut budget, 1_000), (true, 1));
        assert_eq!(own_lines(&mut budget, 2_000), (true, 0));
    }

    #[test]
    fn a_quiet_time_fills_the_budget_and_no_more() {
        let mut budget = LogBudget::new();
        let burst =
            |budget: &mut LogBudget, at| (0..100).filter(|_| budget.spend(Instant::from_millis(at)).is_some()).count();
        assert_eq!(burst(&mut budget, 0), LOG_BURST as usize);
        assert_eq!(burst(&mut budget, 1_000_000), LOG_BURST as usize);
        assert_eq!(burst(&mut budget, u64::MAX), LOG_BURST as usize);
    }
}
