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

    /// Takes a process out.
    pub const fn remove(&mut self, process: ProcessId) {
        self.0 &= !(1 << (process.0 & 63));
    }

    /// How many processes are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: ProcessSet) -> ProcessSet {
        ProcessSet(self.0 & other.0)
    }

    /// The processes from `first` on in the order of their numbers, then those before it.
    pub fn each_from(self, first: usize) -> impl Iterator<Item = ProcessId> {
        let later = u32::try_from(first).ok().and_then(|first| u64::MAX.checked_shl(first)).unwrap_or(0);
        let bits = |mut set: u64| {
            core::iter::from_fn(move || {
                let lowest = set.checked_sub(1).map(|_| set.trailing_zeros())?;
                set &= set - 1;
                Some(ProcessId(lowest as u8))
            })
        };
        bits(self.0 & later).chain(bits(self.0 & !later))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_walked_from_anywhere_in_it() {
        let mut set = ProcessSet::EMPTY;
        for index in [0, 3, 5, 63] {
            set.insert(ProcessId::new(index));
        }
        let walk = |first| set.each_from(first).map(ProcessId::index).collect::<Vec<_>>();
        assert_eq!(walk(0), [0, 3, 5, 63]);
        assert_eq!(walk(4), [5, 63, 0, 3]);
        assert_eq!(walk(63), [63, 0, 3, 5]);
        assert_eq!(walk(64), [0, 3, 5, 63]);
        set.remove(ProcessId::new(3));
        assert_eq!((set.len(), set.contains(ProcessId::new(3))), (3, false));
        assert_eq!(ProcessSet::EMPTY.each_from(0).count(), 0);
        assert_eq!(ProcessSet::ALL.intersection(set), set);
        assert_eq!(ProcessSet::ALL.len(), 64);
    }

    #[test]
    fn what_is_put_in_or_taken_out_twice_is_so_once() {
        let (mut set, three) = (ProcessSet::EMPTY, ProcessId::new(3));
        for index in [3, 3, 4] {
            set.insert(ProcessId::new(index));
        }
        assert_eq!((set.len(), set.contains(three), set.contains(ProcessId::new(2))), (2, true, false));
        for _ in 0..2 {
            set.remove(three);
        }
        assert_eq!((set.len(), set.contains(three), set.contains(ProcessId::new(4))), (1, false, true));
        assert!(!set.is_empty());
        assert_eq!(set.take().each_from(0).map(ProcessId::index).collect::<Vec<_>>(), [4]);
        assert!(set.is_empty());
    }
}
