//! The call that a process waits for. It is kept parsed, so that it can be made again without looking its descriptor up
//! twice.

use super::descriptor::DescriptorIndex;
use crate::time::Instant;
use core::ops::Range;
use slopos_abi::Endpoint;

/// Memory that a process names in a call. It is not checked yet: the range may not be the process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserRange {
    /// The first byte.
    pub address: u64,
    /// How many bytes.
    pub length: u64,
}

impl UserRange {
    /// `length` bytes from this address on.
    pub const fn new(address: u64, length: u64) -> UserRange {
        UserRange { address, length }
    }

    /// The part `range` of it; `None` if that is empty or not within it.
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
        /// When it ends.
        until: Instant,
    },
    /// FS_READ.
    Read {
        /// The descriptor to read from.
        descriptor: DescriptorIndex,
        /// The buffer to read into.
        buffer: UserRange,
        /// How many bytes a capsule has put there, which complete the read; at most as many as fit.
        delivered: usize,
    },
    /// FS_WRITE.
    Write {
        /// The descriptor to write to.
        descriptor: DescriptorIndex,
        /// The bytes to write.
        bytes: UserRange,
    },
    /// FS_SYNC.
    Sync {
        /// The descriptor to flush.
        descriptor: DescriptorIndex,
    },
    /// CONFIRM.
    Confirm,
    /// CONNECT.
    Connect {
        /// The socket.
        descriptor: DescriptorIndex,
        /// The endpoint to connect to.
        remote: Endpoint,
        /// When it is given up.
        deadline: Instant,
    },
    /// POLL.
    Poll {
        /// The entries.
        set: UserRange,
        /// When it returns even if nothing is ready.
        deadline: Option<Instant>,
    },
}

impl Waiting {
    /// When the call is made again even if nothing has happened. A capsule that has a deadline for a call wakes the
    /// process itself.
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            Waiting::Sleep { until } => Some(until),
            Waiting::Poll { deadline, .. } => deadline,
            Waiting::Read { .. } | Waiting::Write { .. } | Waiting::Sync { .. } => None,
            Waiting::Confirm | Waiting::Connect { .. } => None,
        }
    }
}
