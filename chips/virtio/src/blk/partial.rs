//! A write that is not whole blocks, to a device that takes nothing else.
//!
//! What stands in its first and its last block is kept: both are read, what is to be written is laid over them, and the
//! whole is written. Nothing else is with the device meanwhile, so that no other write to the same block can be lost. A
//! power cut does to a block what it does on any disk: the device's word on it is the block's, not the sector's.

use core::mem::replace;

use slopos_registers::Bus;

use super::{Block, BlockError, Partial, Request, RequestId, SECTOR_BYTES, Write, kind};

impl<B: Bus> Block<B> {
    /// Begins the write that waits, if the device has nothing else now. It is shown to the device by the next
    /// [`Block::publish`].
    pub(super) fn begin_partial(&mut self, now_us: u64) -> Result<(), BlockError> {
        let Partial::Waiting(write) = self.partial else { return Ok(()) };
        if self.in_flight() > 0 {
            return Ok(());
        }
        let helper = self.free().ok_or(BlockError::NotReady)?;
        self.queue_helper(kind::IN, write, helper, now_us)?;
        self.partial = Partial::Reading(write, helper);
        Ok(())
    }

    /// A request came back, with this outcome. `None` if it was a step of a partial write that has another one to go.
    pub(super) fn step_of_partial(
        &mut self,
        id: RequestId,
        outcome: Result<(), BlockError>,
        now_us: u64,
    ) -> Option<Result<(), BlockError>> {
        match self.partial {
            Partial::Reading(write, helper) if helper == id && outcome.is_ok() => {
                self.lay_over(write, helper);
                match self.queue_helper(kind::OUT, write, helper, now_us) {
                    Ok(()) => {
                        self.partial = Partial::Writing(write, helper);
                        None
                    }
                    error => Some(error),
                }
            }
            _ => Some(outcome),
        }
    }

    /// The name of the write that a helper worked for, which is over now.
    pub(super) fn end_partial(&mut self, id: RequestId) -> Option<u32> {
        match self.partial {
            Partial::Reading(write, helper) | Partial::Writing(write, helper) if helper == id => {
                self.partial = Partial::None;
                match replace(&mut self.requests[write.held.index()], Request::Free) {
                    Request::Held { tag } => Some(tag),
                    other => {
                        self.requests[write.held.index()] = other;
                        None
                    }
                }
            }
            _ => None,
        }
    }

    fn queue_helper(&mut self, kind: u32, write: Write, helper: RequestId, now_us: u64) -> Result<(), BlockError> {
        let lead = self.lead(write.sector);
        let whole = self.widened(lead, write.length);
        self.queue_request(helper, kind, write.sector - (lead / SECTOR_BYTES) as u64, whole, now_us)?;
        let whole = if kind == kind::IN { whole } else { 0 };
        self.requests[helper.index()] = Request::Helper { whole, since_us: now_us };
        Ok(())
    }

    /// Copies what is to be written over what was read.
    fn lay_over(&mut self, write: Write, helper: RequestId) {
        let lead = self.lead(write.sector);
        // SAFETY: the device has neither of the two: one came back, the other is held. They are different requests, for
        // the helper was free when the other was held.
        let ((_, to), (_, from)) = unsafe { (self.memory_of(helper), self.memory_of(write.held)) };
        let to = to.iter_mut().skip(lead);
        to.zip(from.iter()).take(write.length).for_each(|(to, from)| *to = *from);
    }
}
