//! The state of things that take the loop more than one pass: the boot, a report, the shutdown.

use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_process_console::{ReportKind, Way};

/// How far the boot has come.
#[derive(Default)]
pub struct Boot {
    /// How many processes have had their turn to load, in the order of their priorities.
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

/// A report, and how far it has come. A section is a process, or all of a report that is not about processes.
pub struct Report {
    pub kind: ReportKind,
    pub section: u8,
    pub line: usize,
}

impl Report {
    /// A report that has not begun.
    pub fn new(kind: ReportKind) -> Report {
        Report { kind, section: 0, line: 0 }
    }
}

/// How far the shutdown has come.
pub struct Shutdown {
    /// How the machine is left.
    pub way: Way,
    /// The code for the debug-exit device.
    pub code: u8,
    /// How long the last frames may take; `None` once they are sent.
    pub frames_until: Option<Instant>,
    /// How long the writing of the flash's state may take.
    pub state_until: Instant,
    /// Bytes that the ports have not taken, and since when this number has not changed.
    pub left: (usize, Instant),
    pub next_look: Instant,
}

impl Shutdown {
    /// When to look again even if nothing happens.
    pub fn next_deadline(&self) -> Instant {
        self.next_look
    }
}
