//! A note in the clock's memory, which outlives a reset: how this boot ends, for the next one to tell.
//!
//! Two bytes that neither QEMU nor the firmware uses (its own end at 0x5f): the note, and its check. A machine that is
//! switched on begins with zeros there, where its clock has no battery, as those of virtual machines.

use super::Rtc;
use slopos_registers::Bus;

/// The bytes.
const NOTE: u8 = 0x60;
const CHECK: u8 = 0x61;
/// What the check differs from the note by.
const DIFFERENCE: u8 = 0x5a;

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It has not: a reset that comes now was not asked for.
    Running,
    /// A panic.
    Panic,
    /// The command `reboot`.
    Reboot,
    /// The command `exit` or `poweroff`.
    Exit,
}

const NOTES: [(Note, u8); 4] = [(Note::Running, 1), (Note::Panic, 2), (Note::Reboot, 3), (Note::Exit, 4)];

/// What the clock's memory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A note of the last boot.
    Note(Note),
    /// No note: there was no boot since the machine was switched on.
    Nothing,
    /// There is no such memory.
    NoMemory,
}

impl<B: Bus> Rtc<B> {
    /// What the last boot noted, and [`Note::Running`] from now on.
    pub fn take_note(&self) -> Found {
        let (note, check) = (self.read(NOTE), self.read(CHECK));
        self.leave_note(Note::Running);
        if (self.read(NOTE), self.read(CHECK)) != bytes(Note::Running) {
            return Found::NoMemory;
        }
        let known = NOTES.into_iter().find(|(known, _)| bytes(*known) == (note, check));
        known.map_or(Found::Nothing, |(known, _)| Found::Note(known))
    }

    /// Leaves a note for the next boot.
    pub fn leave_note(&self, note: Note) {
        let (note, check) = bytes(note);
        self.write(NOTE, note);
        self.write(CHECK, check);
    }
}

fn bytes(note: Note) -> (u8, u8) {
    let number = NOTES.into_iter().find(|(known, _)| *known == note).map_or(0, |(_, number)| number);
    (number, number ^ DIFFERENCE)
}

#[cfg(test)]
mod tests {
    use super::super::PORT;
    use super::*;
    use slopos_registers::Width;
    use std::cell::{Cell, RefCell};

    /// A clock's memory behind its two ports.
    struct Memory {
        index: Cell<u8>,
        bytes: RefCell<[u8; 128]>,
    }

    impl Memory {
        fn new() -> Memory {
            Memory { index: Cell::new(0), bytes: RefCell::new([0; 128]) }
        }

        fn clock(&self) -> Rtc<&Memory> {
            // SAFETY: the bus is a model in this process's memory.
            unsafe { Rtc::new(self) }
        }
    }

    impl Bus for &Memory {
        unsafe fn port_read<T: Width>(self, port: u16) -> T {
            assert_eq!(port, PORT + 1);
            T::from_u32(self.bytes.borrow()[usize::from(self.index.get())].into())
        }

        unsafe fn port_write<T: Width>(self, port: u16, value: T) {
            let byte = value.into() as u8;
            match port {
                PORT => self.index.set(byte),
                _ => self.bytes.borrow_mut()[usize::from(self.index.get())] = byte,
            }
        }

        unsafe fn memory_read<T: Width>(self, _: usize) -> T {
            T::ONES
        }

        unsafe fn memory_write<T: Width>(self, _: usize, _: T) {}
    }

    #[test]
    fn a_note_is_told_once_and_what_is_running_after_that() {
        let memory = Memory::new();
        assert_eq!(memory.clock().take_note(), Found::Nothing);
        assert_eq!(memory.clock().take_note(), Found::Note(Note::Running));
        for note in [Note::Panic, Note::Reboot, Note::Exit] {
            memory.clock().leave_note(note);
            assert_eq!(memory.clock().take_note(), Found::Note(note));
            assert_eq!(memory.clock().take_note(), Found::Note(Note::Running));
        }
    }

    #[test]
    fn what_another_has_left_there_is_no_note() {
        let memory = Memory::new();
        for bytes in [[2, 0], [0, 0x5a], [9, 9 ^ 0x5a], [0xff, 0xff]] {
            memory.bytes.borrow_mut()[0x60..0x62].copy_from_slice(&bytes);
            assert_eq!(memory.clock().take_note(), Found::Nothing, "{bytes:?}");
        }
    }

    #[test]
    fn the_time_and_the_firmwares_bytes_are_left_alone() {
        let memory = Memory::new();
        memory.clock().leave_note(Note::Panic);
        let bytes = memory.bytes.borrow();
        assert!(bytes[..0x60].iter().chain(&bytes[0x62..]).all(|byte| *byte == 0));
    }

    #[test]
    fn without_a_clock_nothing_is_known() {
        let ones = crate::fake::Fake::reacting(Some(|ports, port, _| ports.retain(|number, _| *number != port)), None);
        // SAFETY: the bus is a model in this process's memory.
        assert_eq!(unsafe { Rtc::new(&ones) }.take_note(), Found::NoMemory);
    }
}
