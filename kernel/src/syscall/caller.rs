//! The process that makes a call, and the reasons why a call does not return a value now.

use crate::process::{Process, ProcessId, Waiting};
use crate::time::Instant;
use slopos_abi::Errno;

/// Why a call does not return a value now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It failed.
    Fail(Errno),
    /// It will be made again when something is ready, or at its deadline.
    Block(Waiting),
    /// It returns 0, after the other processes have had their turn.
    Yield,
    /// The process has ended with this status; its descriptors are closed.
    Exit(i32),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Fail(errno)
    }
}

/// Everything that a call may use.
pub(crate) struct Caller<'a, P, O> {
    pub process: &'a mut Process,
    pub id: ProcessId,
    pub cpu: &'a mut P,
    pub objects: &'a mut O,
    pub now: Instant,
}
