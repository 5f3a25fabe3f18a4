//! Ids of processes, and sets of them.

/// The id of a process: its index in the board's process table, in the order of the manifest.
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

    /// Removes a process.
    pub const fn remove(&mut self, process: ProcessId) {
        self.0 &= !(1 << (process.0 & 63));
    }

    /// How many processes are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The processes that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: ProcessSet) -> ProcessSet {
        ProcessSet(self.0 & other.0)
    }

    /// The processes that are in at least one of the sets.
    #[must_use]
    pub const fn union(self, other: ProcessSet) -> ProcessSet {
        ProcessSet(self.0 | other.0)
    }

    /// The processes that are in this set and not in the other.
    #[must_use]
    pub const fn difference(self, other: ProcessSet) -> ProcessSet {
        ProcessSet(self.0 & !other.0)
    }

    /// The processes in the order of their numbers.
    pub fn each(self) -> impl Iterator<Item = ProcessId> {
        let mut set = self;
        core::iter::from_fn(move || {
            let lowest = set.first()?;
            set.0 &= set.0 - 1;
            Some(lowest)
        })
    }

    /// The processes from `first` on in the order of their numbers, then those before it.
    pub fn each_from(self, first: usize) -> impl Iterator<Item = ProcessId> {
        let later = self.from(first);
        later.each().chain(self.difference(later).each())
    }

    /// The first process from `first` on in the order of their numbers, or if there is none, the first of all.
    pub fn first_from(self, first: usize) -> Option<ProcessId> {
        self.from(first).first().or(self.first())
    }

    /// The process of the lowest number.
    const fn first(self) -> Option<ProcessId> {
        if self.is_empty() { None } else { Some(ProcessId(self.0.trailing_zeros() as u8)) }
    }

    /// The processes from this number on.
    fn from(self, first: usize) -> ProcessSet {
        let later = u32::try_from(first).ok().and_then(|first| u64::MAX.checked_shl(first)).unwrap_or(0);
        ProcessSet(self.0 & later)
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
        let first = |first| set.first_from(first).map(ProcessId::index);
        assert_eq!([0, 4, 63, 64].map(first), [Some(0), Some(5), Some(63), Some(0)]);
        assert_eq!(ProcessSet::EMPTY.first_from(0), None);
        assert_eq!(set.each().map(ProcessId::index).collect::<Vec<_>>(), walk(0));
        set.remove(ProcessId::new(3));
        assert_eq!((set.len(), set.contains(ProcessId::new(3))), (3, false));
        assert_eq!(ProcessSet::EMPTY.each_from(0).count(), 0);
        assert_eq!(ProcessSet::ALL.intersection(set), set);
        assert_eq!(ProcessSet::EMPTY.union(set), set);
        assert_eq!(set.difference(set), ProcessSet::EMPTY);
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
