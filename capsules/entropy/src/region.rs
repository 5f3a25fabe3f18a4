//! What the capsule holds for one process.

use slopos_abi::{Errno, Readiness};
use slopos_kernel::time::Instant;

/// Whether the process waits for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// It does not.
    None,
    /// It polls, with a deadline of its own.
    Polls,
    /// A read waits, until then.
    Reads(Instant),
    /// A read has waited for too long; the next one fails.
    Over,
}

// book: the region
/// What the capsule holds for one process: its grant.
pub struct Region<'a> {
    buffer: &'a mut [u8],
    /// Random bytes in the buffer, at its start.
    held: usize,
    wait: Wait,
    delivered: u64,
    failures: u64,
}
// book: end

/// What a region holds and has been used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Bytes of the buffer.
    pub size: usize,
    /// Bytes of it that the process has yet to read.
    pub held: usize,
    /// Bytes that the process has read since boot.
    pub delivered: u64,
    /// Reads that failed because the device gave nothing.
    pub failures: u64,
}

impl<'a> Region<'a> {
    /// A region with this buffer, which holds nothing yet.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Region { buffer, held: 0, wait: Wait::None, delivered: 0, failures: 0 }
    }

    /// Bytes of the buffer.
    pub(crate) fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Moves bytes to `into`. If there are none, the process waits from now on, until `deadline` unless it reads already.
    pub(crate) fn read(&mut self, into: &mut [u8], deadline: Instant) -> Result<usize, Errno> {
        let rest = self.held.saturating_sub(into.len());
        let held = self.buffer.get_mut(rest..self.held).unwrap_or_default();
        if held.is_empty() {
            return match self.wait {
                Wait::Over => {
                    self.wait = Wait::None;
                    self.failures = self.failures.saturating_add(1);
                    Err(Errno::Io)
                }
                Wait::None | Wait::Polls => {
                    self.wait = Wait::Reads(deadline);
                    Err(Errno::Again)
                }
                Wait::Reads(_) => Err(Errno::Again),
            };
        }
        let count = held.len();
        // Random bytes have no order, so those at the end may go first, and what stays need not be moved.
        for (to, from) in into.iter_mut().zip(held) {
            *to = core::mem::take(from);
        }
        self.held = rest;
        self.delivered = self.delivered.saturating_add(count as u64);
        Ok(count)
    }

    /// Whether a read would not wait. If it would, the process waits from now on.
    pub(crate) fn readiness(&mut self) -> Readiness {
        match self.wait {
            _ if self.held > 0 => Readiness::READABLE,
            Wait::Over => Readiness::ERROR,
            Wait::None => {
                self.wait = Wait::Polls;
                Readiness::NONE
            }
            Wait::Polls | Wait::Reads(_) => Readiness::NONE,
        }
    }

    /// Lets `fill` write into the empty buffer; answers whether it wrote anything.
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
        self.held = fill(self.buffer).min(self.buffer.len());
        if self.held > 0 {
            self.wait = Wait::None;
        }
        self.held > 0
    }

    /// Ends a read whose deadline has passed; answers whether it did.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let over = self.deadline().is_some_and(|deadline| deadline <= now);
        if over {
            self.wait = Wait::Over;
        }
        over
    }

    /// When the read that waits fails.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.wait {
            Wait::Reads(deadline) => Some(deadline),
            Wait::None | Wait::Polls | Wait::Over => None,
        }
    }

    /// Wipes the buffer, and waits no longer.
    pub(crate) fn wipe(&mut self) {
        self.discard();
        self.wait = Wait::None;
    }

    /// Wipes the buffer.
    pub(crate) fn discard(&mut self) {
        self.buffer.fill(0);
        self.held = 0;
    }

    pub(crate) fn figures(&self) -> Figures {
        let Region { held, delivered, failures, .. } = *self;
        Figures { size: self.size(), held, delivered, failures }
    }

    #[cfg(test)]
    pub(crate) fn contents(&self) -> Vec<u8> {
        self.buffer.to_vec()
    }
}
