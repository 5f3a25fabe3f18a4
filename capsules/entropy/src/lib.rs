//! The entropy device as processes see it: random bytes behind a descriptor.
//!
//! Each process that the manifest lets have random bytes has a buffer in its own grant, and nothing else of this capsule.
//! A read takes bytes from the buffer and wipes them there. If the buffer is empty, the read marks the process as waiting
//! and answers "try again"; the board asks the device for as many bytes as the next process has room for
//! ([`Entropy::wanted`]), and lets it fill that buffer ([`Entropy::supply`]).
//!
//! The processes take turns: whoever was filled is last. So a process that reads for ever gets one buffer in each round,
//! as every other one does, and the size of its buffer is its share.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

mod region;

pub use region::{Figures, Region};

use slopos_abi::{Errno, Readiness};
use slopos_kernel::capability::ReadGrants;
use slopos_kernel::grant::{Grant, NoGrant};
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::time::{Duration, Instant};

/// How long a read waits at most.
pub const READ_LIMIT: Duration = Duration::from_secs(30);

// book: the capsule
/// The capsule.
pub struct Entropy<'a> {
    grant: Grant<'a, Region<'a>>,
    /// Whether there is a device at all.
    has_device: bool,
    /// The processes whose buffers are to be filled.
    waiting: ProcessSet,
    /// The index of the process whose turn it is.
    turn: usize,
    ready: ProcessSet,
}
// book: end

/// A process without a grant reaches nothing here: the kernel does not let it open the name.
fn denied(_: NoGrant) -> Errno {
    Errno::Access
}

impl<'a> Entropy<'a> {
    /// The capsule with these grants. Without a device each open fails.
    pub fn new(grant: Grant<'a, Region<'a>>, has_device: bool) -> Self {
        Entropy { grant, has_device, waiting: ProcessSet::EMPTY, turn: 0, ready: ProcessSet::EMPTY }
    }

    /// Whether the process may read.
    ///
    /// # Errors
    /// [`Errno::Access`] where it has no grant, [`Errno::Io`] where the board has no entropy device.
    pub fn open(&mut self, process: ProcessId) -> Result<(), Errno> {
        self.grant.view(process).map_err(denied)?;
        if self.has_device { Ok(()) } else { Err(Errno::Io) }
    }

    // book: a read
    /// Moves bytes from the process's buffer to `into`, as many as there are and fit; returns how many.
    ///
    /// # Errors
    /// [`Errno::Again`] while there are none, [`Errno::Io`] after [`READ_LIMIT`].
    pub fn read(&mut self, process: ProcessId, into: &mut [u8], now: Instant) -> Result<usize, Errno> {
        let region = self.grant.enter(process).map_err(denied)?;
        let read = region.read(into, now + READ_LIMIT);
        if read == Err(Errno::Again) {
            self.waiting.insert(process);
        }
        read
    }
    // book: end

    /// Whether a read would not wait. If it would, the buffer is filled from now on, so that this changes.
    pub fn readiness(&mut self, process: ProcessId) -> Readiness {
        let Ok(region) = self.grant.enter(process) else { return Readiness::ERROR };
        let readiness = region.readiness();
        if readiness == Readiness::NONE {
            self.waiting.insert(process);
        }
        readiness
    }

    /// The process closed its descriptor or has ended: its buffer is wiped.
    pub fn forget(&mut self, process: ProcessId) {
        if let Ok(region) = self.grant.enter(process) {
            region.wipe();
        }
        self.waiting.remove(process);
    }

    /// Throws away what the processes have not read yet: others may have the same bytes. A read that waits goes on.
    pub fn discard(&mut self) {
        self.grant.each().for_each(|(_, region)| region.discard());
    }

    // book: turns
    /// The process whose buffer is filled next.
    fn next(&self) -> Option<ProcessId> {
        self.waiting.first_from(self.turn)
    }

    /// How many bytes the device is to be asked for; `None` if nobody waits.
    pub fn wanted(&self) -> Option<usize> {
        let region = self.grant.view(self.next()?).ok()?;
        Some(region.size())
    }

    /// Lets `fill` write what the device gave into the buffer of the process whose turn it is, from the start; it answers
    /// how many bytes it wrote. If nobody waits any more, there is room for none.
    pub fn supply(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) {
        let next = self.next().and_then(|process| Some((process, self.grant.enter(process).ok()?)));
        let Some((process, region)) = next else {
            fill(&mut []);
            return;
        };
        if region.fill(fill) {
            self.waiting.remove(process);
            self.ready.insert(process);
            self.turn = process.index() + 1;
        }
    }
    // book: end

    /// Ends the reads that have waited for too long.
    pub fn expire(&mut self, now: Instant) {
        for process in self.waiting.each() {
            if self.grant.enter(process).is_ok_and(|region| region.expire(now)) {
                self.waiting.remove(process);
                self.ready.insert(process);
            }
        }
    }

    /// When [`Entropy::expire`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.each().filter_map(|process| self.grant.view(process).ok()?.deadline()).min()
    }

    /// Whether nobody waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty()
    }

    /// The processes whose calls are to be tried again.
    pub fn take_ready(&mut self) -> ProcessSet {
        self.ready.take()
    }

    /// What a process's grant holds and has been used for; `None` where it has none.
    pub fn figures(&self, process: ProcessId, _: &impl ReadGrants) -> Option<Figures> {
        self.grant.view(process).ok().map(Region::figures)
    }
}

#[cfg(test)]
mod tests;
