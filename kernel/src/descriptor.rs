//! The descriptor table: how a process names what it was given.
//!
//! A descriptor is an index; its entry names the object, the rights to it and a generation that counts how often
//! the entry was given out, so that two uses of one index can be told apart.

use crate::objects::Object;
use slopos_abi::{DESCRIPTORS, Errno, rights};

/// An open descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it names.
    pub object: Object,
    /// The bits of [`slopos_abi::rights`] that the process holds.
    pub rights: u64,
    /// Calls answer EAGAIN instead of blocking.
    pub nonblocking: bool,
    /// The outcome of the connect is in the ledger.
    pub connect_booked: bool,
    /// Counts the uses of this index.
    pub generation: u32,
}

/// The table of one process.
pub struct DescriptorTable {
    entries: [Option<Descriptor>; DESCRIPTORS],
    generations: [u32; DESCRIPTORS],
}

impl DescriptorTable {
    /// An empty table.
    pub const fn new() -> Self {
        DescriptorTable { entries: [None; DESCRIPTORS], generations: [0; DESCRIPTORS] }
    }

    /// Gives out the lowest free index.
    ///
    /// # Errors
    /// [`Errno::TooManyOpen`] where all are in use.
    pub fn insert(&mut self, object: Object, rights: u64, nonblocking: bool) -> Result<u64, Errno> {
        let index = self.entries.iter().position(Option::is_none).ok_or(Errno::TooManyOpen)?;
        let generation = self.generations[index].wrapping_add(1);
        self.generations[index] = generation;
        self.entries[index] = Some(Descriptor { object, rights, nonblocking, connect_booked: false, generation });
        Ok(index as u64)
    }

    /// Whether another descriptor can be given out.
    pub fn has_room(&self) -> bool {
        self.entries.iter().any(Option::is_none)
    }

    /// The open descriptor of this number, with all of the rights asked for.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`] where it is not open or lacks a right.
    pub fn get(&mut self, number: u64, needed: u64) -> Result<&mut Descriptor, Errno> {
        let entry = usize::try_from(number).ok().and_then(|index| self.entries.get_mut(index));
        match entry {
            Some(Some(descriptor)) if descriptor.rights & needed == needed => Ok(descriptor),
            _ => Err(Errno::BadDescriptor),
        }
    }

    /// Takes an entry out of the table.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`] where it is not open.
    pub fn remove(&mut self, number: u64) -> Result<Descriptor, Errno> {
        let entry = usize::try_from(number).ok().and_then(|index| self.entries.get_mut(index));
        entry.and_then(Option::take).ok_or(Errno::BadDescriptor)
    }

    /// Takes any entry out; `None` when the table is empty.
    pub fn remove_any(&mut self) -> Option<Descriptor> {
        self.entries.iter_mut().find_map(Option::take)
    }

    /// Opens the console as descriptors 0 (to read), 1 and 2 (to write) of an empty table.
    pub fn open_console(&mut self) {
        for needed in [rights::READ, rights::WRITE, rights::WRITE] {
            // The table is empty, so there is room and these become 0, 1 and 2.
            let _ = self.insert(Object::Console, needed, false);
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.entries.iter().flatten().count()
    }
}

impl Default for DescriptorTable {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_index_is_given_out_with_a_new_generation() {
        let mut table = DescriptorTable::new();
        table.open_console();
        let first = table.insert(Object::Socket(0), rights::ALL, false).unwrap();
        assert_eq!(first, 3);
        let generation = table.get(3, 0).unwrap().generation;
        table.remove(3).unwrap();
        assert_eq!(table.insert(Object::Socket(1), rights::ALL, false), Ok(3));
        assert_eq!(table.get(3, 0).unwrap().generation, generation + 1);
    }

    #[test]
    fn a_full_table_gives_out_nothing() {
        let mut table = DescriptorTable::new();
        for _ in 0..DESCRIPTORS {
            table.insert(Object::Console, rights::READ, false).unwrap();
        }
        assert!(!table.has_room());
        assert_eq!(table.insert(Object::Console, rights::READ, false), Err(Errno::TooManyOpen));
    }

    #[test]
    fn numbers_that_are_not_open_are_bad_descriptors() {
        let mut table = DescriptorTable::new();
        table.open_console();
        for number in [3, 31, 32, u64::MAX, 1 << 32] {
            assert_eq!(table.get(number, 0), Err(Errno::BadDescriptor));
            assert_eq!(table.remove(number), Err(Errno::BadDescriptor));
        }
    }

    #[test]
    fn a_missing_right_is_a_bad_descriptor() {
        let mut table = DescriptorTable::new();
        table.open_console();
        assert_eq!(table.get(0, rights::WRITE), Err(Errno::BadDescriptor));
        assert!(table.get(1, rights::WRITE).is_ok());
    }
}
