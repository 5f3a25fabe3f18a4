//! The second seam: the processor, which runs a process and gives access to its memory.

use crate::loader::Image;
use crate::process::ProcessId;
use slopos_abi::Errno;

/// Why a process stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Trap {
    /// It made a system call.
    SystemCall(Call),
    /// It caused an exception.
    Fault(Fault),
    /// An interrupt arrived; the process goes on later.
    Interrupt,
}

/// A system call as the process made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Call {
    /// The call's number.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// The exception of a process, for its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Fault {
    /// The exception's name.
    pub name: &'static str,
    /// The processor's error code.
    pub error: u64,
    /// The address of the failed access; 0 if the exception has none.
    pub address: u64,
    /// The instruction pointer.
    pub instruction: u64,
    /// The stack pointer.
    pub stack: u64,
}

/// Runs processes and accesses their memory. Only the kernel calls it.
pub trait Processor {
    /// Runs a process until it traps.
    fn run(&mut self, process: ProcessId) -> Trap;
    /// Sets the return value of the process's system call.
    fn set_result(&mut self, process: ProcessId, value: i64);
    /// Memory that the process may read.
    ///
    /// # Errors
    /// [`Errno::Fault`] where any byte of the range is not the process's to read.
    fn readable(&self, process: ProcessId, address: u64, length: u64) -> Result<&[u8], Errno>;
    /// Memory that the process may write.
    ///
    /// # Errors
    /// [`Errno::Fault`] where any byte of the range is not the process's to write.
    fn writable(&mut self, process: ProcessId, address: u64, length: u64) -> Result<&mut [u8], Errno>;
    /// The process's RAM, from [`slopos_abi::USER_BASE`] on, to load an image into. Nothing stays mapped for it.
    fn image_memory(&mut self, process: ProcessId) -> &mut [u8];
    /// Maps a loaded image's segments, each with its rights, and the stack.
    fn map(&mut self, process: ProcessId, image: &Image);
    /// Sets the registers and the stack for a new run, with these words as the argument block on its stack. The program
    /// may not be loaded yet: [`Processor::set_entry`] sets its entry later.
    ///
    /// # Errors
    /// The words take more than [`slopos_abi::arguments_max`] of the stack; nothing is changed.
    fn begin<'a>(
        &mut self,
        process: ProcessId,
        words: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ArgumentsTooLong>;
    /// Sets the address of the first instruction.
    fn set_entry(&mut self, process: ProcessId, entry: u64);
}

/// The arguments of a process are too long for its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct ArgumentsTooLong {
    /// The size of its name and its arguments, in bytes.
    pub bytes: usize,
    /// The most bytes that they may take.
    pub most: usize,
}

impl ArgumentsTooLong {
    /// The length of the argument block of these words, each with its NUL, if that is at most `most`.
    ///
    /// # Errors
    /// It is longer.
    pub fn check<'a>(words: impl Iterator<Item = &'a str>, most: usize) -> Result<usize, ArgumentsTooLong> {
        let bytes = words.fold(0, |sum: usize, word| sum.saturating_add(word.len()).saturating_add(1));
        if bytes > most { Err(ArgumentsTooLong { bytes, most }) } else { Ok(bytes) }
    }
}
