//! Processes as the rest of the system names them.

/// Which process: an index into the board's process table, fixed by its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct ProcessId(u8);

impl ProcessId {
    /// The process at this index of the table.
    pub const fn new(index: u8) -> Self {
        ProcessId(index)
    }

    /// The index into the process table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Most processes that a board can have.
pub const PROCESSES_MAX: usize = 64;

/// A set of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessSet(u64);

impl ProcessSet {
    /// No process.
    pub const EMPTY: ProcessSet = ProcessSet(0);
    /// Every process.
    pub const ALL: ProcessSet = ProcessSet(u64::MAX);

    /// Adds a process.
    pub const fn insert(&mut self, process: ProcessId) {
        self.0 |= 1 << (process.0 & 63);
    }

    /// Whether the process is in the set.
    pub const fn contains(self, process: ProcessId) -> bool {
        self.0 >> (process.0 & 63) & 1 != 0
    }

    /// Whether no process is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Empties the set and returns what it held.
    pub const fn take(&mut self) -> ProcessSet {
        let held = *self;
        *self = ProcessSet::EMPTY;
        held
    }
}
