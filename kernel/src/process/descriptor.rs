//! The descriptor table: the numbers by which a process names its objects.
//!
//! A descriptor is an index into a table of 32 entries; an entry names the object, the rights to it and a 32-bit
//! generation, which counts how often the entry was given out. A descriptor's number is the index in its low five bits
//! and the low 26 bits of the generation above them, so a number that was closed stays bad when its index is used
//! again, until the same index has been given out 2^26 times more. The first uses are 0, 1, 2 and so on.

use crate::objects::Object;
use bitfield::bitfield;
use slopos_abi::limits::DESCRIPTORS;
use slopos_abi::{Errno, Rights};

bitfield! {
    /// A descriptor's number, never negative as an `i32`.
    #[derive(Clone, Copy)]
    struct Number(u32);
    u32;
    /// Index into the table.
    index_bits, set_index: 4, 0;
    /// Low bits of the entry's generation.
    generation, set_generation: 30, 5;
}

const _: () = assert!(DESCRIPTORS == 1 << 5, "an index fills five bits");

impl Number {
    fn new(index: usize, generation: u32) -> Number {
        let mut number = Number(0);
        number.set_index(index as u32);
        number.set_generation(generation);
        number
    }

    /// The number that a process passes in a call; `None` if it cannot be a descriptor.
    fn read(number: u64) -> Option<Number> {
        i32::try_from(number).ok().map(|number| Number(number as u32))
    }

    fn index(self) -> usize {
        self.index_bits() as usize
    }
}

impl From<Number> for u64 {
    fn from(number: Number) -> u64 {
        number.0.into()
    }
}

/// An open descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it names.
    pub object: Object,
    /// What the process may do with it.
    pub rights: Rights,
    /// Calls answer EAGAIN instead of blocking.
    pub nonblocking: bool,
    /// The outcome of the connect has been counted in the ledger.
    pub connect_booked: bool,
    /// How often this index has been given out.
    pub generation: u32,
}

/// A process's rights to the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ConsoleAccess {
    /// Nothing.
    None,
    /// Write.
    Output,
    /// Write, and read while it runs in the foreground.
    Input,
}

impl ConsoleAccess {
    /// The word for it in the manifest.
    pub const fn word(self) -> &'static str {
        match self {
            ConsoleAccess::None => "none",
            ConsoleAccess::Output => "output",
            ConsoleAccess::Input => "input",
        }
    }
}

/// A descriptor's number that was looked up: the place of its entry in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DescriptorIndex(u8);

/// The table of one process.
pub struct DescriptorTable {
    entries: [Option<Descriptor>; DESCRIPTORS],
    generations: [u32; DESCRIPTORS],
}

/// A free place of a table. It is taken before an object is made, so that the object is sure to find a place.
pub struct Vacant<'a> {
    index: usize,
    entry: &'a mut Option<Descriptor>,
    generation: &'a mut u32,
}

impl Vacant<'_> {
    /// Fills the place; returns the descriptor's number.
    pub fn fill(self, object: Object, rights: Rights, nonblocking: bool) -> u64 {
        let generation = *self.generation;
        *self.generation = generation.wrapping_add(1);
        *self.entry = Some(Descriptor { object, rights, nonblocking, connect_booked: false, generation });
        Number::new(self.index, generation).into()
    }
}

impl DescriptorTable {
    /// An empty table.
    pub const fn new() -> Self {
        DescriptorTable { entries: [None; DESCRIPTORS], generations: [0; DESCRIPTORS] }
    }

    /// The place of the lowest free index.
    ///
    /// # Errors
    /// [`Errno::TooManyOpen`] if all are in use.
    pub fn vacant(&mut self) -> Result<Vacant<'_>, Errno> {
        let places = self.entries.iter_mut().zip(&mut self.generations).enumerate();
        let mut free = places.filter(|(_, (entry, _))| entry.is_none());
        let (index, (entry, generation)) = free.next().ok_or(Errno::TooManyOpen)?;
        Ok(Vacant { index, entry, generation })
    }

    /// The open descriptor with this number, if it has all of these rights.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`] if it is not open or lacks a right.
    pub fn get(&mut self, number: u64, needed: Rights) -> Result<&mut Descriptor, Errno> {
        match self.entry(number) {
            Some(Some(descriptor)) if descriptor.rights.contains(needed) => Ok(descriptor),
            _ => Err(Errno::BadDescriptor),
        }
    }

    /// Looks a number up once, for all later uses while the descriptor is open.
    ///
    /// # Errors
    /// As [`DescriptorTable::get`].
    pub(crate) fn find(&mut self, number: u64, needed: Rights) -> Result<DescriptorIndex, Errno> {
        self.get(number, needed)?;
        Ok(DescriptorIndex((number % DESCRIPTORS as u64) as u8))
    }

    /// The descriptor at a place that was looked up.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`] if it has been closed since.
    pub(crate) fn at(&mut self, DescriptorIndex(index): DescriptorIndex) -> Result<&mut Descriptor, Errno> {
        self.entries.get_mut(usize::from(index)).and_then(Option::as_mut).ok_or(Errno::BadDescriptor)
    }

    /// The object of the descriptor at a place that was looked up.
    pub(crate) fn object(&self, DescriptorIndex(index): DescriptorIndex) -> Option<&Object> {
        Some(&self.entries.get(usize::from(index))?.as_ref()?.object)
    }

    /// The entry that a number names; `None` if the number is from an earlier use of its index.
    fn entry(&mut self, number: u64) -> Option<&mut Option<Descriptor>> {
        let number = Number::read(number)?;
        let entry = self.entries.get_mut(number.index())?;
        let current = entry.as_ref()?.generation;
        (number.generation() == Number::new(0, current).generation()).then_some(entry)
    }

    /// Takes a descriptor out of the table.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`] if it is not open.
    pub fn remove(&mut self, number: u64) -> Result<Descriptor, Errno> {
        self.entry(number).and_then(Option::take).ok_or(Errno::BadDescriptor)
    }

    /// Takes any descriptor out; `None` if the table is empty.
    pub fn remove_any(&mut self) -> Option<Descriptor> {
        self.entries.iter_mut().find_map(Option::take)
    }

    /// Prepares the table for a run: it is empty except for the console as descriptors 0 (to read), 1 and 2 (to write),
    /// with the rights that the manifest grants. Generations restart at 0: the process's memory is fresh, so it has no
    /// number of an earlier run.
    pub fn begin(&mut self, console: ConsoleAccess) {
        *self = DescriptorTable::new();
        let read = Rights::READ.when(console == ConsoleAccess::Input);
        let write = Rights::WRITE.when(console != ConsoleAccess::None);
        for (object, rights) in [(Object::Console, read), (Object::Console, write), (Object::ConsoleErrors, write)] {
            // The table is empty, so there is room and these become 0, 1 and 2.
            if let Ok(vacant) = self.vacant() {
                vacant.fill(object, rights, false);
            }
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
    use crate::objects::SocketIndex;

    fn insert(table: &mut DescriptorTable, object: Object, rights: Rights) -> Result<u64, Errno> {
        Ok(table.vacant()?.fill(object, rights, false))
    }

    #[test]
    fn the_lowest_free_index_is_given_out_with_a_new_generation() {
        let mut table = DescriptorTable::new();
        table.begin(ConsoleAccess::Input);
        let first = insert(&mut table, Object::Socket(SocketIndex(0)), Rights::ALL).unwrap();
        assert_eq!(first, 3);
        table.remove(first).unwrap();
        let second = insert(&mut table, Object::Socket(SocketIndex(1)), Rights::ALL).unwrap();
        assert_eq!(second, 3 | 1 << 5);
        assert_eq!(table.get(second, Rights::NONE).unwrap().object, Object::Socket(SocketIndex(1)));
    }

    #[test]
    fn a_number_that_was_closed_stays_bad_when_its_index_is_used_again() {
        let mut table = DescriptorTable::new();
        let mut stale = Vec::new();
        for _ in 0..100 {
            let number = insert(&mut table, Object::Socket(SocketIndex(0)), Rights::ALL).unwrap();
            for &old in &stale {
                assert_eq!(table.get(old, Rights::NONE), Err(Errno::BadDescriptor));
                assert_eq!(table.remove(old), Err(Errno::BadDescriptor));
            }
            table.remove(number).unwrap();
            stale.push(number);
        }
    }

    #[test]
    fn each_run_begins_with_the_same_numbers() {
        let mut table = DescriptorTable::new();
        for _ in 0..3 {
            table.begin(ConsoleAccess::Input);
            assert!(table.get(0, Rights::READ).is_ok() && table.get(2, Rights::WRITE).is_ok());
            table.remove(1).unwrap();
            assert_eq!(insert(&mut table, Object::Socket(SocketIndex(0)), Rights::ALL), Ok(1 | 1 << 5));
        }
    }

    #[test]
    fn numbers_are_never_negative_even_when_the_generation_wraps() {
        let mut table = DescriptorTable::new();
        table.generations[0] = u32::MAX;
        let number = insert(&mut table, Object::Console, Rights::READ).unwrap();
        assert!(i32::try_from(number).is_ok_and(|number| number > 0));
        assert!(table.get(number, Rights::NONE).is_ok());
        table.remove(number).unwrap();
        assert_eq!(insert(&mut table, Object::Console, Rights::READ), Ok(0));
    }

    #[test]
    fn a_full_table_gives_out_nothing() {
        let mut table = DescriptorTable::new();
        for _ in 0..DESCRIPTORS {
            insert(&mut table, Object::Console, Rights::READ).unwrap();
        }
        assert!(table.vacant().is_err());
        assert_eq!(insert(&mut table, Object::Console, Rights::READ), Err(Errno::TooManyOpen));
    }

    #[test]
    fn numbers_that_are_not_open_are_bad_descriptors() {
        let mut table = DescriptorTable::new();
        table.begin(ConsoleAccess::Input);
        for number in [3, 31, 32, u64::MAX, 1 << 32] {
            assert_eq!(table.get(number, Rights::NONE), Err(Errno::BadDescriptor));
            assert_eq!(table.remove(number), Err(Errno::BadDescriptor));
        }
    }

    #[test]
    fn what_the_manifest_grants_of_the_console_is_told_in_its_own_words() {
        let all = [ConsoleAccess::None, ConsoleAccess::Output, ConsoleAccess::Input];
        assert_eq!(all.map(ConsoleAccess::word), ["none", "output", "input"]);
    }

    #[test]
    fn those_that_are_open_are_counted() {
        let mut table = DescriptorTable::new();
        assert_eq!(table.open(), 0);
        table.begin(ConsoleAccess::Output);
        assert_eq!(table.open(), 3);
        table.remove_any().unwrap();
        assert_eq!(table.open(), 2);
    }

    #[test]
    fn a_missing_right_is_a_bad_descriptor() {
        let mut table = DescriptorTable::new();
        table.begin(ConsoleAccess::Input);
        assert_eq!(table.get(0, Rights::WRITE), Err(Errno::BadDescriptor));
        assert!(table.get(1, Rights::WRITE).is_ok());
    }
}
