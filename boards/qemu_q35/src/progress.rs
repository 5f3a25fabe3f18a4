//! What the loop remembers of things that take more than one pass: the boot, a report, the end of the run.

use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;

/// How far the boot is.
#[derive(Default)]
pub struct Boot {
    /// How many processes were looked at, in the order of their priorities.
    pub looked_at: usize,
    /// The process that is being loaded.
    pub loading: Option<ProcessId>,
    pub done: bool,
    /// The commands have waited long enough.
    pub waited: bool,
}

impl Boot {
    /// Whether every process has been looked at.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `help`
    Help,
    /// `ps`
    Processes,
    /// `net`
    Network,
    /// `grants`
    Grants,
}

/// A report, and how far it has come: a section is a process, or all of a report that is not about processes.
pub struct Report {
    pub kind: Kind,
    pub section: u8,
    pub line: usize,
}

impl Report {
    /// A report that has not begun.
    pub fn new(kind: Kind) -> Report {
        Report { kind, section: 0, line: 0 }
    }
}

/// How far the end of the run has come.
pub struct Leaving {
    /// What to leave with.
    pub code: u8,
    /// Until when frames are waited for; `None` once they are gone.
    pub frames_until: Option<Instant>,
    /// Bytes that had not gone out when this was last looked at, and since when there are so many.
    pub left: (usize, Instant),
    pub next_look: Instant,
}

impl Leaving {
    /// When to look again even if nothing happens.
    pub fn next_deadline(&self) -> Instant {
        self.next_look
    }
}
