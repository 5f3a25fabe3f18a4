//! Looks after a block device: gives up what it keeps for too long, resets it, and starts it again. Nothing here waits.
//!
//! A device that breaks down is told to reset itself at once, so that it no longer has the buffers. Then it is started
//! again, without a pause where it had worked for a while ([`crate::recovery`]). The log has a line for each change of
//! state, and none for a failure that is the same as the last one.

use slopos_registers::Bus;

use super::{Block, BlockError, Broken, Partial, REQUEST_LIMIT_US, Request, STALL_US};
use crate::transport::{Recovered, ResetProgress};

impl<B: Bus> Block<B> {
    /// Gives up what the device has kept for too long, and brings a broken device back. To be called before
    /// [`Block::complete`] in each pass, and at [`Block::due_us`]. `now_us` is any clock that does not go back.
    pub fn tend(&mut self, now_us: u64) {
        // What has come back meanwhile counts, however late this look is.
        if self.limit_us().is_some_and(|limit| now_us >= limit) && !self.queue.has_used() {
            self.break_down(BlockError::Timeout, now_us);
        }
        // The owners of what the device had are told before it is started again.
        if self.requests.iter().any(Request::is_unreported) {
            return;
        }
        loop {
            match self.transport.recover(&mut self.recovery, now_us) {
                Recovered::Rest => return,
                Recovered::Reset => self.restart(now_us),
                Recovered::Timeout => self.leave_alone(Broken::ResetTimeout, now_us),
                Recovered::Gone => self.leave_alone(Broken::Gone, now_us),
            }
        }
    }

    /// When [`Block::tend`] has something to do even if nothing happens.
    pub fn due_us(&self) -> Option<u64> {
        if self.is_running() { self.limit_us() } else { self.recovery.due_us() }
    }

    /// When the device has kept its requests for too long.
    fn limit_us(&self) -> Option<u64> {
        let oldest = self.requests.iter().filter_map(Request::since_us).min()?;
        Some(oldest.saturating_add(REQUEST_LIMIT_US).min(self.silent_since_us.saturating_add(STALL_US)))
    }

    /// Takes the device out of service; what it still holds is its own until the reset.
    pub(super) fn break_down(&mut self, error: BlockError, now_us: u64) {
        self.log_once(Broken::Request(error));
        self.requests.iter_mut().for_each(|request| request.lose(error));
        self.partial = Partial::None;
        self.transport.start_reset();
        self.recovery.reset_now(now_us);
        // A device that is gone is not waited for.
        if self.transport.reset_progress() == ResetProgress::Gone {
            self.leave_alone(Broken::Gone, now_us);
        }
    }

    /// Starts a device that has been reset, and so has nothing any more, unless its pause is not over.
    fn restart(&mut self, now_us: u64) {
        self.requests.iter_mut().for_each(Request::release);
        if !self.recovery.may_start(now_us) {
            return;
        }
        match self.set_up() {
            Ok(()) => {
                self.logged = None;
                self.recovery.works(now_us);
            }
            Err(error) => {
                self.transport.fail();
                self.log_once(Broken::NotStarted(error));
                self.recovery.failed(now_us);
            }
        }
    }

    /// Keeps a device whose reset failed from memory, and leaves it alone for a while.
    fn leave_alone(&mut self, broken: Broken, now_us: u64) {
        self.transport.cut_off();
        self.log_once(broken);
        self.recovery.failed(now_us);
    }

    fn log_once(&mut self, broken: Broken) {
        if self.logged != Some(broken) {
            self.logged = Some(broken);
            match broken {
                Broken::Request(error) => defmt::error!("virtio-blk: broken: {}", error),
                Broken::NotStarted(error) => defmt::error!("virtio-blk: cannot be started: {}", error),
                Broken::ResetTimeout => defmt::error!("virtio-blk: does not finish its reset"),
                Broken::Gone => defmt::error!("virtio-blk: gone: its registers read as ones"),
            }
        }
    }
}
