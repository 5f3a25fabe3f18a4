//! One process's call: what it asks of the flash, and how far it has come.

use crate::states::Change;
use slopos_abi::Errno;
use slopos_kernel::time::Instant;

/// What a process asks of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The map, to be loaded.
    Map,
    /// Bytes of a region, for the buffer of a read that waits.
    Read {
        /// The region's index.
        region: u8,
        /// Byte offset in the region.
        position: u64,
        /// The first sector on the device.
        sector: u64,
        /// How many bytes.
        length: usize,
    },
    /// Bytes of a region, from a write that waits.
    Write {
        /// The region's index.
        region: u8,
        /// Byte offset in the region.
        position: u64,
        /// The first sector on the device.
        sector: u64,
        /// How many bytes.
        length: usize,
    },
    /// A flush: everything that was written goes to the medium.
    Sync,
    /// Part of an app's record, to be loaded.
    Fetch {
        /// The first sector.
        sector: u64,
        /// How many bytes.
        length: usize,
    },
}

/// What a process has to do with a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    #[default]
    None,
    /// Its start of the version on trial of the app at this index is being counted, by this change.
    Counting(u8, Change),
    /// It runs that version.
    Runs(u8),
    /// It has confirmed it, by this change.
    Confirming(Change),
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no call.
    None,
    /// It waits for its turn.
    Queued,
    /// The device has it.
    Sent,
    /// It is finished; the next try returns this.
    Decided(Result<usize, Errno>),
}

/// One process's call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    purpose: Purpose,
    state: State,
    deadline: Instant,
    /// The process's request that the device has: this call's or an orphan.
    with_device: Option<u32>,
    /// What it has to do with a version on trial.
    pub(crate) part: Part,
}

impl Call {
    /// No call.
    pub const NONE: Call = Call {
        purpose: Purpose::Map,
        state: State::None,
        deadline: Instant::BOOT,
        with_device: None,
        part: Part::None,
    };

    /// The result of this call, once it is finished; returned once.
    pub(crate) fn result_of(&mut self, purpose: Purpose) -> Option<Result<usize, Errno>> {
        match self.state {
            State::Decided(result) if self.purpose == purpose => {
                self.state = State::None;
                Some(result)
            }
            _ => None,
        }
    }

    /// Begins a call, unless it was begun already. Returns whether it is new.
    pub(crate) fn begin(&mut self, purpose: Purpose, deadline: Instant) -> bool {
        if matches!(self.state, State::Queued | State::Sent) && self.purpose == purpose {
            return false;
        }
        (self.purpose, self.state, self.deadline) = (purpose, State::Queued, deadline);
        true
    }

    /// Whether it can be given to the device.
    pub(crate) fn waits_for_device(&self) -> bool {
        self.state == State::Queued && self.purpose != Purpose::Map && self.with_device.is_none()
    }

    pub(crate) fn waits_for_map(&self) -> bool {
        self.state == State::Queued && self.purpose == Purpose::Map
    }

    /// Gives the call to the device under this ticket.
    pub(crate) fn send(&mut self, ticket: u32) -> Option<Purpose> {
        if !self.waits_for_device() {
            return None;
        }
        self.state = State::Sent;
        self.with_device = Some(ticket);
        Some(self.purpose)
    }

    /// What the call asks for, if the device has it under this ticket.
    pub(crate) fn awaits(&self, ticket: u32) -> Option<Purpose> {
        (self.state == State::Sent && self.with_device == Some(ticket)).then_some(self.purpose)
    }

    /// A request came back. `None` if it was not this process's; otherwise whether it finishes the process's call.
    pub(crate) fn settle(&mut self, ticket: u32, result: Result<usize, Errno>) -> Option<bool> {
        self.with_device.take_if(|with_device| *with_device == ticket)?;
        if self.state != State::Sent {
            return Some(false);
        }
        // Fetched bytes have been handed to the loader already, and its next call asks for the following ones.
        let fetched = matches!(self.purpose, Purpose::Fetch { .. }) && result.is_ok();
        self.state = if fetched { State::None } else { State::Decided(result) };
        Some(true)
    }

    /// When the call is given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        matches!(self.state, State::Queued | State::Sent).then_some(self.deadline)
    }

    /// Gives the call up if its deadline has passed. Returns whether it did.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let expired = self.deadline().is_some_and(|deadline| deadline <= now);
        if expired {
            self.state = State::Decided(Err(Errno::Io));
        }
        expired
    }

    /// Drops the call: its process does not wait for it any more.
    pub(crate) fn forget(&mut self) {
        self.state = State::None;
    }
}
