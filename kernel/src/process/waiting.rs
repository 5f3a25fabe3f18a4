//! The call that a process waits for, kept as it was understood when it was made: it is made again when something has
//! happened, and nothing of it is looked up or checked twice.

use super::descriptor::DescriptorIndex;
use crate::time::Instant;
use core::ops::Range;
use slopos_abi::Endpoint;

/// Memory that a process names, not yet known to be its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserRange {
    /// The first byte.
    pub address: u64,
    /// How many bytes.
    pub length: u64,
}

impl UserRange {
    /// So many bytes from this address on.
    pub const fn new(address: u64, length: u64) -> UserRange {
        UserRange { address, length }
    }

    /// The bytes `range` of it; `None` where that is empty or not within it.
    pub fn part(self, range: Range<usize>) -> Option<UserRange> {
        let (start, end) = (range.start as u64, range.end as u64);
        let within = start < end && end <= self.length;
        within.then_some(UserRange::new(self.address.checked_add(start)?, end - start))
    }
}

/// A call that could not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// SLEEP_MS.
    Sleep {
        /// When it is over.
        until: Instant,
    },
    /// FS_READ.
    Read {
        /// What is read from.
        descriptor: DescriptorIndex,
        /// Where what is read goes.
        buffer: UserRange,
        /// How many bytes a capsule has put there, which complete the read; at most as many as fit.
        delivered: usize,
    },
    /// FS_WRITE.
    Write {
        /// What is written to.
        descriptor: DescriptorIndex,
        /// What is written.
        bytes: UserRange,
    },
    /// FS_SYNC.
    Sync {
        /// What was written to.
        descriptor: DescriptorIndex,
    },
    /// CONNECT.
    Connect {
        /// The socket.
        descriptor: DescriptorIndex,
        /// Whom it is to be connected to.
        remote: Endpoint,
        /// How long it may take.
        deadline: Instant,
    },
    /// POLL.
    Poll {
        /// The entries.
        set: UserRange,
        /// When it answers though nothing is ready.
        deadline: Option<Instant>,
    },
}

impl Waiting {
    /// When the call is made again though nothing has happened. What a capsule has a deadline for it wakes by itself.
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            Waiting::Sleep { until } => Some(until),
            Waiting::Poll { deadline, .. } => deadline,
            Waiting::Read { .. } | Waiting::Write { .. } | Waiting::Sync { .. } | Waiting::Connect { .. } => None,
        }
    }
}
