//! Descriptor 2 apart from descriptor 1: its text, and that of the process console, goes into the kernel's log, so that
//! the serial port carries the bytes of descriptor 1 and nothing else.
//!
//! Where a word of the kernel's command line asks for it, the board calls [`Console::separate`]. The text then waits in no
//! queue here: a call answers how much of it may go now, and the board puts that into the log. `room` is always what the
//! log can take of processes' text at the moment.

use crate::{Console, piece};
use slopos_kernel::process::ProcessId;

/// The word at the beginning of the kernel's command line.
const WORD: &str = "stderr=log";

/// Most bytes of text that go into the log in one piece. A shorter text is taken whole or not at all.
pub const PIECE_MAX: usize = 512;

/// Takes the word off the beginning of a kernel command line. Answers whether it was there, and the rest.
pub fn take_word(line: &str) -> (bool, &str) {
    match line.trim_start().strip_prefix(WORD) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => (true, rest),
        _ => (false, line),
    }
}

impl Console<'_> {
    /// From now on descriptor 2 and the process console go into the log.
    pub fn separate(&mut self) {
        self.apart = true;
    }

    /// Whether they do.
    pub fn is_separate(&self) -> bool {
        self.apart
    }

    /// The part of a process's text that goes into the log now. If it is empty, it is not the process's turn, and
    /// [`Console::take_ready`] will name it when it is.
    ///
    /// A longer text is cut behind the last newline that fits in [`PIECE_MAX`] bytes, if there is one.
    pub fn write_apart<'t>(&mut self, process: ProcessId, text: &'t [u8], room: usize) -> &'t [u8] {
        let piece = piece(text, PIECE_MAX);
        if self.apart_turns.admit(process, piece.len(), room) {
            return piece;
        }
        self.counters.refused += 1;
        &[]
    }

    /// Whether [`Console::write_apart`] would take something now. If not, [`Console::take_ready`] names the process when it
    /// would.
    pub fn writable_apart(&mut self, process: ProcessId, room: usize) -> bool {
        self.apart_turns.could(process, PIECE_MAX, room)
    }

    /// The part of the process console's text for which there is `room`. The rest is lost and counted.
    pub fn say_apart<'t>(&mut self, text: &'t [u8], room: usize) -> &'t [u8] {
        let fitting = text.get(..room).unwrap_or(text);
        self.counters.unsaid += (text.len() - fitting.len()) as u64;
        fitting
    }
}
