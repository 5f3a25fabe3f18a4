//! How a block device that went wrong comes back: a state machine that never waits.
//!
//! It is told to reset itself at once, so that it no longer has the buffers. Once it has, it is started again: without
//! a pause where it worked for a while before, else after a pause that doubles up to a minute. Each change of state is a line of the
//! log, and a device that stays away is not spoken of again.

use slopos_q35::register::Bus;

use super::{Block, BlockError, REQUEST_LIMIT_US, Request, STALL_US, StartError};
use crate::recovery::PROOF_US;
use crate::transport::ResetProgress;

/// How long the device may take for its reset.
const RESET_LIMIT_US: u64 = 1_000_000;
/// How often a device that is being reset is looked at.
const RESET_LOOK_US: u64 = 1_000;
/// The first pause.
const PAUSE_MIN_US: u64 = 100_000;
/// The longest pause.
const PAUSE_MAX_US: u64 = 60_000_000;

/// What the device is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It carries out requests.
    Running,
    /// It was told to reset itself, and is not started before `start_at_us`.
    Resetting { since_us: u64, start_at_us: u64 },
    /// It is left alone until then.
    Paused { until_us: u64 },
}

/// Why the device does not run; each is told once until another takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Broken(BlockError),
    CannotStart(StartError),
    ResetHangs,
    Gone,
}

/// The state of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    doing: Doing,
    /// The next pause; 0 before the first.
    pause_us: u64,
    /// When the device was last started.
    started_us: u64,
    told: Option<Trouble>,
    /// When a device that is being reset was last looked at.
    looked_us: u64,
}

impl Phase {
    /// A device that nobody has looked at yet.
    pub const fn new() -> Phase {
        Phase { doing: Doing::Paused { until_us: 0 }, pause_us: 0, started_us: 0, told: None, looked_us: 0 }
    }

    pub fn is_running(&self) -> bool {
        self.doing == Doing::Running
    }

    /// The device answered a request. One that still does so after [`PROOF_US`] is trusted; one that answers and fails in
    /// turn is not.
    pub fn answered(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.started_us) >= PROOF_US {
            self.pause_us = 0;
        }
    }

    fn tell(&mut self, trouble: Trouble) {
        if self.told != Some(trouble) {
            self.told = Some(trouble);
            match trouble {
                Trouble::Broken(error) => defmt::error!("virtio-blk: broken: {}", error),
                Trouble::CannotStart(error) => defmt::error!("virtio-blk: cannot be started: {}", error),
                Trouble::ResetHangs => defmt::error!("virtio-blk: does not finish its reset"),
                Trouble::Gone => defmt::error!("virtio-blk: gone: its registers read as ones"),
            }
        }
    }

    /// The pause that is due now; the next one is longer.
    fn next_pause(&mut self) -> u64 {
        let pause = self.pause_us;
        self.pause_us = pause.saturating_mul(2).clamp(PAUSE_MIN_US, PAUSE_MAX_US);
        pause
    }
}

impl<B: Bus> Block<B> {
    /// Does what time alone demands: gives up what the device has kept for too long, and brings a device back that went
    /// wrong. To be called before [`Block::complete`] in each pass, and at [`Block::next_look_us`]. `now_us` is any clock
    /// that does not go back.
    pub fn tend(&mut self, now_us: u64) {
        loop {
            let before = self.phase.doing;
            match before {
                Doing::Running => self.look_at_requests(now_us),
                Doing::Resetting { since_us, start_at_us } => self.look_at_reset(since_us, start_at_us, now_us),
                Doing::Paused { until_us } if now_us >= until_us => {
                    self.transport.start_reset();
                    self.phase.doing = Doing::Resetting { since_us: now_us, start_at_us: now_us };
                }
                Doing::Paused { .. } => {}
            }
            // Each round of states ends in one that only time leads out of.
            if self.phase.doing == before {
                return;
            }
        }
    }

    /// When [`Block::tend`] has something to do even if nothing happens.
    pub fn next_look_us(&self) -> Option<u64> {
        match self.phase.doing {
            Doing::Running => self.limit_us(),
            Doing::Resetting { .. } => Some(self.phase.looked_us.saturating_add(RESET_LOOK_US)),
            Doing::Paused { until_us } => Some(until_us),
        }
    }

    /// When the device has kept its requests for too long.
    fn limit_us(&self) -> Option<u64> {
        let since = self.requests.iter().filter_map(|request| match request {
            Request::Sent { since_us, .. } => Some(*since_us),
            _ => None,
        });
        let oldest = since.min()?;
        Some(oldest.saturating_add(REQUEST_LIMIT_US).min(self.silent_since_us.saturating_add(STALL_US)))
    }

    fn look_at_requests(&mut self, now_us: u64) {
        // What has come back meanwhile counts, however late this look is.
        if self.limit_us().is_some_and(|limit| now_us >= limit) && !self.queue.has_used() {
            self.break_down(BlockError::Timeout, now_us);
        }
    }

    /// Takes the device out of service; what it still holds is its own until the reset.
    pub(super) fn break_down(&mut self, error: BlockError, now_us: u64) {
        self.phase.tell(Trouble::Broken(error));
        self.requests.iter_mut().for_each(|request| request.lose(error));
        self.transport.start_reset();
        let start_at_us = now_us.saturating_add(self.phase.next_pause());
        self.phase.doing = Doing::Resetting { since_us: now_us, start_at_us };
    }

    fn look_at_reset(&mut self, since_us: u64, start_at_us: u64, now_us: u64) {
        self.phase.looked_us = now_us;
        let trouble = match self.transport.reset_progress() {
            ResetProgress::Done => return self.restart(start_at_us, now_us),
            ResetProgress::Pending if now_us < since_us.saturating_add(RESET_LIMIT_US) => return,
            ResetProgress::Pending => Trouble::ResetHangs,
            ResetProgress::Gone => Trouble::Gone,
        };
        self.transport.cut_off();
        self.pause(trouble, now_us);
    }

    /// The device has been reset, and has nothing any more.
    fn restart(&mut self, start_at_us: u64, now_us: u64) {
        self.requests.iter_mut().for_each(Request::release);
        if self.requests.iter().any(|request| *request != Request::Free) {
            // Their owners are told first.
            return;
        }
        if now_us < start_at_us {
            self.phase.doing = Doing::Paused { until_us: start_at_us };
            return;
        }
        match self.set_up() {
            Ok(()) => {
                self.phase.told = None;
                self.phase.started_us = now_us;
                self.phase.doing = Doing::Running;
            }
            Err(error) => {
                self.transport.fail();
                self.pause(Trouble::CannotStart(error), now_us);
            }
        }
    }

    fn pause(&mut self, trouble: Trouble, now_us: u64) {
        self.phase.tell(trouble);
        self.phase.doing = Doing::Paused { until_us: now_us.saturating_add(self.phase.next_pause()) };
    }
}
