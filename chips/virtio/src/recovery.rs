//! When a device that is of no use is reset, how long that may take, and how long it is left alone after a failure.
//!
//! No hardware here: a driver says what happened and when, and asks what is due. Times are microseconds of any clock
//! that does not go back.
//!
//! A pause doubles with each failure, up to a minute, whatever the failure is. It is short again only after the device
//! has worked for a while and done something: that a reset succeeded proves nothing, for a device that breaks at once
//! would then be reset without end.

/// The first pause before a reset.
pub const PAUSE_MIN_US: u64 = 100_000;
/// The longest pause.
pub const PAUSE_MAX_US: u64 = 60_000_000;
/// How long a device may take for its reset.
pub const RESET_US: u64 = 2_000_000;
/// How often it is looked for whether the reset is done.
pub const RESET_LOOK_US: u64 = 10_000;
/// For how long a device must have worked, and done something, to count as healed.
pub const PROOF_US: u64 = 10_000_000;

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
    /// Its reset has begun: when the next look is, and when the last one.
    Resetting { look_us: u64, deadline_us: u64 },
}

/// How a device is doing, and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    stage: Stage,
    /// The next pause.
    pause_us: u64,
}

impl Recovery {
    /// A device that is to be started at once.
    pub const fn new(now_us: u64) -> Self {
        Recovery { stage: Stage::Pausing { until_us: now_us }, pause_us: PAUSE_MIN_US }
    }

    /// What is due. For [`Step::Begin`] the time of the reset runs from now on.
    pub fn step(&mut self, now_us: u64) -> Step {
        match self.stage {
            Stage::Working { since_us, moved } => {
                if moved && now_us.saturating_sub(since_us) >= PROOF_US {
                    self.pause_us = PAUSE_MIN_US;
                }
                Step::Rest
            }
            Stage::Pausing { until_us } if now_us < until_us => Step::Rest,
            Stage::Pausing { .. } => {
                // The first look comes at once: most devices are done then.
                self.stage = Stage::Resetting { look_us: now_us, deadline_us: now_us.saturating_add(RESET_US) };
                Step::Begin
            }
            Stage::Resetting { deadline_us, .. } if now_us >= deadline_us => Step::LastLook,
            Stage::Resetting { look_us, .. } if now_us < look_us => Step::Rest,
            Stage::Resetting { deadline_us, .. } => {
                self.stage = Stage::Resetting { look_us: now_us.saturating_add(RESET_LOOK_US), deadline_us };
                Step::Look
            }
        }
    }

    /// The device works again.
    pub fn works(&mut self, now_us: u64) {
        self.stage = Stage::Working { since_us: now_us, moved: false };
    }

    /// The device has done something that only a device can which works.
    pub fn moved(&mut self) {
        if let Stage::Working { moved, .. } = &mut self.stage {
            *moved = true;
        }
    }

    /// The device broke down, or its reset failed. Gives the pause until it is tried again.
    pub fn failed(&mut self, now_us: u64) -> u64 {
        let pause_us = self.pause_us;
        self.stage = Stage::Pausing { until_us: now_us.saturating_add(pause_us) };
        self.pause_us = pause_us.saturating_mul(2).min(PAUSE_MAX_US);
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
            Stage::Resetting { look_us, deadline_us } => Some(look_us.min(deadline_us)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn the_first_start_is_due_at_once_and_looked_at_at_once() {
        let mut recovery = Recovery::new(7);
        assert_eq!(recovery.due_us(), Some(7));
        assert_eq!([recovery.step(7), recovery.step(7), recovery.step(7)], [Step::Begin, Step::Look, Step::Rest]);
        assert!(recovery.is_resetting());
        recovery.works(8);
        assert!(recovery.is_working());
        assert_eq!((recovery.due_us(), recovery.step(u64::MAX)), (None, Step::Rest));
    }

    #[test]
    fn a_reset_is_looked_for_now_and_then_until_its_deadline() {
        let mut recovery = Recovery::new(0);
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
        let mut recovery = Recovery::new(0);
        assert_eq!((recovery.step(0), recovery.step(60 * SECOND)), (Step::Begin, Step::LastLook));
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut recovery = Recovery::new(0);
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
        let mut recovery = Recovery::new(0);
        for _ in 0..3 {
            recovery.failed(0);
        }
        recovery.works(SECOND);
        if moves {
            recovery.moved();
        }
        assert_eq!(recovery.step(SECOND + worked_us), Step::Rest);
        recovery.failed(SECOND + worked_us)
    }

    #[test]
    fn only_a_device_that_has_worked_for_a_while_starts_with_a_short_pause_again() {
        assert_eq!(pause_after(0, true), 800_000);
        assert_eq!(pause_after(PROOF_US - 1, true), 800_000);
        assert_eq!(pause_after(100 * PROOF_US, false), 800_000, "it has done nothing");
        assert_eq!(pause_after(PROOF_US, true), PAUSE_MIN_US);
    }
}
