//! When a broken device is reset, how long that may take, and how long the device is left alone after a failure.
//!
//! No hardware here: a driver says what happened and when, and asks what is due. Times are microseconds of any clock
//! that does not go back.
//!
//! A pause doubles with each failure, up to a minute, whatever the failure is. It is short again only after the device
//! has worked for a while and done something: a successful reset proves nothing, because a device that breaks at once
//! would then be reset without end.
//!
//! A driver chooses when the reset begins: after the pause ([`Recovery::failed`]), or at once, so that the device no
//! longer has the driver's buffers, and only the start comes after the pause ([`Recovery::reset_now`]).

/// The shortest pause, except that the first may be none.
pub const PAUSE_MIN_US: u64 = 100_000;
/// The longest pause.
pub const PAUSE_MAX_US: u64 = 60_000_000;
/// How long a device may take for its reset.
pub const RESET_US: u64 = 2_000_000;
/// How often a driver looks whether the reset is done.
pub const RESET_LOOK_US: u64 = 10_000;
/// For how long a device must have worked, and done something, to count as healed.
pub const PROBATION_US: u64 = 10_000_000;

/// What a driver is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the device works, or is left alone, or is given time.
    Rest,
    /// Begin a reset.
    Begin,
    /// Look whether the reset is done.
    Look,
    /// The reset was not done in time, if it is not done now.
    LastLook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The device works, since then; and whether it has done something.
    Working { since_us: u64, moved: bool },
    /// It is left alone until then.
    Pausing { until_us: u64 },
    /// Its reset has begun: when the next look is, when the last one, and before when it is not started again.
    Resetting { look_us: u64, deadline_us: u64, start_us: u64 },
}

/// How a device is doing, and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    stage: Stage,
    /// The pause after a device that had worked for a while.
    first_pause_us: u64,
    /// The next pause.
    pause_us: u64,
}

impl Recovery {
    /// A device that is to be started at once. `first_pause_us` is the pause after a failure of a device that had
    /// worked for a while: 0, or at least [`PAUSE_MIN_US`].
    pub const fn new(now_us: u64, first_pause_us: u64) -> Self {
        Recovery { stage: Stage::Pausing { until_us: now_us }, first_pause_us, pause_us: first_pause_us }
    }

    /// What is due. For [`Step::Begin`] the time of the reset runs from now on.
    pub fn step(&mut self, now_us: u64) -> Step {
        match &mut self.stage {
            Stage::Working { .. } => Step::Rest,
            Stage::Pausing { until_us } if now_us < *until_us => Step::Rest,
            Stage::Pausing { .. } => {
                self.begin_reset(now_us, now_us);
                Step::Begin
            }
            Stage::Resetting { deadline_us, .. } if now_us >= *deadline_us => Step::LastLook,
            Stage::Resetting { look_us, .. } if now_us < *look_us => Step::Rest,
            Stage::Resetting { look_us, .. } => {
                *look_us = now_us.saturating_add(RESET_LOOK_US);
                Step::Look
            }
        }
    }

    /// The first look comes at once: most devices are done then.
    fn begin_reset(&mut self, now_us: u64, start_us: u64) {
        let deadline_us = now_us.saturating_add(RESET_US);
        self.stage = Stage::Resetting { look_us: now_us, deadline_us, start_us };
    }

    /// The reset is done. False where the pause is not over: then the device is reset again after it.
    #[must_use = "a device is not started within its pause"]
    pub fn may_start(&mut self, now_us: u64) -> bool {
        match self.stage {
            Stage::Resetting { start_us, .. } if now_us < start_us => {
                self.stage = Stage::Pausing { until_us: start_us };
                false
            }
            _ => true,
        }
    }

    /// The device works again.
    pub fn works(&mut self, now_us: u64) {
        self.stage = Stage::Working { since_us: now_us, moved: false };
    }

    /// The device has done something that only a working device can do.
    pub fn made_progress(&mut self) {
        if let Stage::Working { moved, .. } = &mut self.stage {
            *moved = true;
        }
    }

    /// As [`Recovery::made_progress`], but counts only once [`PROBATION_US`] have passed since the start: for a device
    /// that may do one thing after each start and then break.
    pub fn made_progress_at(&mut self, now_us: u64) {
        if let Stage::Working { since_us, .. } = self.stage
            && now_us.saturating_sub(since_us) >= PROBATION_US
        {
            self.made_progress();
        }
    }

    /// The device broke down, or its reset failed. Gives the pause until it is tried again.
    pub fn failed(&mut self, now_us: u64) -> u64 {
        let pause_us = self.next_pause(now_us);
        self.stage = Stage::Pausing { until_us: now_us.saturating_add(pause_us) };
        pause_us
    }

    /// The device broke down, and its driver tells it now to reset itself. It is not started again before its pause is
    /// over.
    pub fn reset_now(&mut self, now_us: u64) {
        let start_us = now_us.saturating_add(self.next_pause(now_us));
        self.begin_reset(now_us, start_us);
    }

    /// The pause that is due now; the next one is longer.
    fn next_pause(&mut self, now_us: u64) -> u64 {
        if let Stage::Working { since_us, moved: true } = self.stage
            && now_us.saturating_sub(since_us) >= PROBATION_US
        {
            self.pause_us = self.first_pause_us;
        }
        let pause_us = self.pause_us;
        self.pause_us = pause_us.saturating_mul(2).clamp(PAUSE_MIN_US, PAUSE_MAX_US);
        pause_us
    }

    /// Whether the device works, as far as is known.
    pub fn is_working(&self) -> bool {
        matches!(self.stage, Stage::Working { .. })
    }

    /// Whether a reset has begun and is not done.
    pub fn is_resetting(&self) -> bool {
        matches!(self.stage, Stage::Resetting { .. })
    }

    /// When something is due even if nothing happens; `None` while the device works.
    pub fn due_us(&self) -> Option<u64> {
        match self.stage {
            Stage::Working { .. } => None,
            Stage::Pausing { until_us } => Some(until_us),
            Stage::Resetting { look_us, deadline_us, .. } => Some(look_us.min(deadline_us)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn the_first_start_is_due_at_once_and_looked_at_at_once() {
        let mut recovery = Recovery::new(7, PAUSE_MIN_US);
        assert_eq!(recovery.due_us(), Some(7));
        assert_eq!([recovery.step(7), recovery.step(7), recovery.step(7)], [Step::Begin, Step::Look, Step::Rest]);
        assert!(recovery.is_resetting());
        recovery.works(8);
        assert!(recovery.is_working());
        assert_eq!((recovery.due_us(), recovery.step(u64::MAX)), (None, Step::Rest));
    }

    #[test]
    fn a_reset_is_looked_for_now_and_then_until_its_deadline() {
        let mut recovery = Recovery::new(0, PAUSE_MIN_US);
        assert_eq!(recovery.step(0), Step::Begin);
        let mut looks = 0;
        let mut now = 0;
        loop {
            match recovery.step(now) {
                Step::Look => looks += 1,
                Step::LastLook => break,
                step => panic!("{step:?} at {now}"),
            }
            now = recovery.due_us().unwrap();
        }
        assert_eq!((now, looks), (RESET_US, RESET_US / RESET_LOOK_US));
        // Nobody looked in time: then there is one look all the same.
        let mut recovery = Recovery::new(0, PAUSE_MIN_US);
        assert_eq!((recovery.step(0), recovery.step(60 * SECOND)), (Step::Begin, Step::LastLook));
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut recovery = Recovery::new(0, PAUSE_MIN_US);
        let mut now = 0;
        let mut pauses = std::vec::Vec::new();
        for _ in 0..12 {
            let pause = recovery.failed(now);
            assert_eq!(recovery.due_us(), Some(now + pause));
            assert_eq!(recovery.step(now + pause - 1), Step::Rest);
            now += pause;
            assert_eq!(recovery.step(now), Step::Begin);
            pauses.push(pause / 100_000);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    }

    /// Breaks down three times, then works for so long; gives the next pause.
    fn pause_after(worked_us: u64, moves: bool) -> u64 {
        let mut recovery = Recovery::new(0, PAUSE_MIN_US);
        for _ in 0..3 {
            recovery.failed(0);
        }
        recovery.works(SECOND);
        if moves {
            recovery.made_progress();
        }
        assert_eq!(recovery.step(SECOND + worked_us), Step::Rest);
        recovery.failed(SECOND + worked_us)
    }

    #[test]
    fn only_a_device_that_has_worked_for_a_while_starts_with_a_short_pause_again() {
        assert_eq!(pause_after(0, true), 800_000);
        assert_eq!(pause_after(PROBATION_US - 1, true), 800_000);
        assert_eq!(pause_after(100 * PROBATION_US, false), 800_000, "it has done nothing");
        assert_eq!(pause_after(PROBATION_US, true), PAUSE_MIN_US);
    }

    #[test]
    fn a_device_that_is_reset_at_once_is_started_after_its_pause() {
        let mut recovery = Recovery::new(0, 0);
        assert_eq!(recovery.step(0), Step::Begin);
        recovery.works(0);
        // The first pause is none.
        recovery.reset_now(SECOND);
        assert_eq!((recovery.step(SECOND), recovery.may_start(SECOND)), (Step::Look, true));
        recovery.works(SECOND);
        recovery.reset_now(2 * SECOND);
        assert!(recovery.is_resetting());
        let start_us = 2 * SECOND + PAUSE_MIN_US;
        assert_eq!((recovery.step(2 * SECOND), recovery.may_start(2 * SECOND)), (Step::Look, false));
        assert_eq!((recovery.due_us(), recovery.step(start_us - 1)), (Some(start_us), Step::Rest));
        assert_eq!((recovery.step(start_us), recovery.step(start_us)), (Step::Begin, Step::Look));
        assert!(recovery.may_start(start_us));
        // A reset that takes as long as the pause is the only one.
        recovery.works(start_us);
        recovery.reset_now(0);
        assert!(recovery.may_start(2 * PAUSE_MIN_US) && recovery.is_resetting());
    }

    #[test]
    fn what_a_device_does_soon_after_its_start_is_no_proof_where_the_driver_says_when() {
        for (moved_us, pause_us) in [(PROBATION_US - 1, 2 * PAUSE_MIN_US), (PROBATION_US, 0)] {
            let mut recovery = Recovery::new(0, 0);
            assert_eq!([recovery.failed(0), recovery.failed(0)], [0, PAUSE_MIN_US]);
            recovery.works(SECOND);
            recovery.made_progress_at(SECOND + moved_us);
            assert_eq!(recovery.failed(SECOND + 2 * PROBATION_US), pause_us);
        }
    }
}
