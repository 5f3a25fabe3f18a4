//! The serial console as descriptors 0, 1 and 2: two byte queues between the processes and the serial port.
//!
//! No I/O happens here. The board moves bytes from [`Console::pull`] into the port and from the port into
//! [`Console::input`]; the kernel turns a process's calls into [`Console::write`] and [`Console::read`], blocks the
//! process where they do nothing, and tries the call again when [`Console::take_ready`] names it.
//!
//! | call of a process | here | blocks while |
//! |---|---|---|
//! | `write(1 or 2, ptr, len)` | [`Console::write`] | it takes 0 bytes |
//! | `read(0, ptr, len)` | [`Console::read`] | it gives 0 bytes |
//! | `poll` for WRITABLE | [`Console::writable`] | |
//! | `poll` for READABLE | [`Console::readable`] | |
//!
//! **Output is shared by bytes.** If there is not room for all, writers take turns (turns.rs): the one that has written
//! least goes first, and only writers whose turn it is are woken. A part of the queue is kept for the process console,
//! which never waits.
//!
//! **Input belongs to the foreground.** Keys go to the process in the foreground and to no other; any other reader waits.
//!
//! **Descriptor 2 may go another way:** into the kernel's log, where a word of the kernel's command line asks for it
//! (apart.rs). Its writers take turns there in the same manner.
//!
//! Bytes pass unchanged. The process console decides what a newline looks like on the line and which key ends a stream.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod apart;
#[cfg(test)]
use slopos_host_log as _;
#[cfg(test)]
mod tests;
mod turns;

pub use apart::{PIECE_MAX, take_word};

use heapless::deque::DequeView;
use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::time::Instant;
use turns::Turns;

/// One write takes at most this part of the processes' queue, so that a process with long output leaves room for others.
const SHARES: usize = 4;
/// A fifth of the queue is kept for the process console; the processes have the other four.
const PARTS: usize = SHARES + 1;

/// Bytes that passed and bytes that were lost, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Counters {
    /// Bytes taken from processes.
    pub written: u64,
    /// Bytes given to processes.
    pub read: u64,
    /// Writes that took nothing, because the queue had no room or it was another process's turn.
    pub refused: u64,
    /// Bytes of the process console that were lost because the queue was full.
    pub unsaid: u64,
    /// Bytes from the line that were lost because the input queue was full.
    pub dropped: u64,
    /// Bytes from the line that were discarded unread, because the process they were typed for had ended.
    pub cleared: u64,
}

/// The console's two queues, and the processes that wait for them.
pub struct Console<'a> {
    transmit: &'a mut DequeView<u8>,
    receive: &'a mut DequeView<u8>,
    turns: Turns,
    /// Whether descriptor 2 and the process console go into the log, and whose turn it is there.
    apart: bool,
    apart_turns: Turns,
    /// The process in the foreground, which gets the input.
    foreground: Option<ProcessId>,
    /// Input came and its reader has not been woken since.
    input_arrived: bool,
    /// The budget of the log line that reports lost input.
    loss_log: LogBudget,
    counters: Counters,
}

impl<'a> Console<'a> {
    /// A console over two queues; their capacities, in bytes, are the board's choice.
    ///
    /// # Panics
    /// The transmit queue holds fewer than five bytes, or the receive queue none.
    pub fn new(transmit: &'a mut DequeView<u8>, receive: &'a mut DequeView<u8>) -> Self {
        assert!(transmit.storage_capacity() >= PARTS, "the console's transmit queue is too small");
        assert!(receive.storage_capacity() > 0, "the console has no receive queue");
        Console {
            transmit,
            receive,
            turns: Turns::new(),
            apart: false,
            apart_turns: Turns::new(),
            foreground: None,
            input_arrived: false,
            loss_log: LogBudget::new(),
            counters: Counters::default(),
        }
    }

    /// The most bytes that one write takes: a fifth of the transmit queue.
    ///
    /// A write of no more than this is taken whole or not at all, so short lines of several processes, or of one
    /// process's standard output and standard error, are never mixed within a line.
    pub fn share(&self) -> usize {
        self.transmit.storage_capacity() / PARTS
    }

    /// Queues output of a process and returns how many bytes; 0 means that it is not the process's turn, and that
    /// [`Console::take_ready`] will name it when it is.
    ///
    /// A longer text is cut behind the last newline that fits in a [share](Console::share), if there is one.
    pub fn write(&mut self, process: ProcessId, bytes: &[u8]) -> usize {
        let piece = piece(bytes, self.share());
        if !self.turns.admit(process, piece.len(), self.room()) {
            self.counters.refused += 1;
            return 0;
        }
        self.transmit.extend(piece);
        self.counters.written += piece.len() as u64;
        piece.len()
    }

    /// Whether a write of this process, however long, would take something now. If not, [`Console::take_ready`] names it
    /// when it would.
    pub fn writable(&mut self, process: ProcessId) -> bool {
        self.turns.could(process, self.share(), self.room())
    }

    /// Queues output of the process console and returns how many bytes: as many as fit. The rest is lost and counted.
    pub fn say(&mut self, bytes: &[u8]) -> usize {
        let fitting = bytes.get(..self.say_room()).unwrap_or(bytes);
        self.transmit.extend(fitting);
        self.counters.unsaid += (bytes.len() - fitting.len()) as u64;
        fitting.len()
    }

    /// How many bytes [`Console::say`] takes now: at least a share, unless earlier output of the process console waits.
    pub fn say_room(&self) -> usize {
        self.transmit.storage_capacity() - self.transmit.storage_len()
    }

    /// Processes whose call should be tried again: those whose turn it is to write, and the foreground if input came.
    /// `log_room` answers how much of processes' text the log takes now.
    pub fn take_ready(&mut self, log_room: impl FnOnce() -> usize) -> ProcessSet {
        let mut ready = if self.turns.is_anybody_waiting() { self.turns.call(self.room()) } else { ProcessSet::EMPTY };
        if self.apart_turns.is_anybody_waiting() {
            ready = ready.union(self.apart_turns.call(log_room()));
        }
        if core::mem::take(&mut self.input_arrived)
            && let Some(reader) = self.foreground
        {
            ready.insert(reader);
        }
        ready
    }

    /// A process has ended, and waits for nothing any more.
    pub fn forget(&mut self, process: ProcessId) {
        self.turns.forget(process);
        self.apart_turns.forget(process);
    }

    /// Whether [`Console::take_ready`] would name a process.
    pub fn has_ready(&self, log_room: impl FnOnce() -> usize) -> bool {
        self.input_arrived && self.foreground.is_some()
            || self.turns.would_call(self.room())
            || self.apart_turns.is_anybody_waiting() && self.apart_turns.would_call(log_room())
    }

    /// Whether there is something to send.
    pub fn has_output(&self) -> bool {
        !self.transmit.is_empty()
    }

    /// Bytes that wait to be sent.
    pub fn waiting_bytes(&self) -> usize {
        self.transmit.storage_len()
    }

    /// Moves output into `out`, as much as there is and fits, and returns how many bytes.
    pub fn pull(&mut self, out: &mut [u8]) -> usize {
        take(self.transmit, out)
    }

    /// Takes the next byte of the output.
    pub fn pull_byte(&mut self) -> Option<u8> {
        self.transmit.pop_front()
    }

    /// Takes a byte from the line. If the queue is full, the byte is lost and counted.
    pub fn input(&mut self, byte: u8, now: Instant) {
        if self.receive.push_back(byte).is_ok() {
            self.input_arrived = true;
            return;
        }
        self.counters.dropped += 1;
        if self.loss_log.admit("console", now) {
            defmt::warn!("console: input is lost, nobody reads it ({=u64} bytes so far)", self.counters.dropped);
        }
    }

    /// Sets the process in the foreground, which gets the input from now on. Input that the one before has not read is
    /// discarded: it was typed for a process that has ended, and no other may read it.
    pub fn set_foreground(&mut self, process: Option<ProcessId>) {
        if self.foreground == process {
            return;
        }
        self.foreground = process;
        self.counters.cleared += self.receive.storage_len() as u64;
        self.receive.clear();
        self.input_arrived = false;
    }

    /// Whether a read of this process would return something now.
    pub fn readable(&self, process: ProcessId) -> bool {
        self.foreground == Some(process) && !self.receive.is_empty()
    }

    /// Moves input into `out` and returns how many bytes. Unless `out` is empty, 0 means that there is none for this
    /// process now, and that [`Console::take_ready`] will name it when there is.
    pub fn read(&mut self, process: ProcessId, out: &mut [u8]) -> usize {
        if self.foreground != Some(process) {
            return 0;
        }
        let count = take(self.receive, out);
        self.counters.read += count as u64;
        count
    }

    /// Bytes that passed and bytes that were lost, since boot.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The room for processes' output, in bytes.
    fn room(&self) -> usize {
        (SHARES * self.share()).saturating_sub(self.transmit.storage_len())
    }
}

/// The beginning of `bytes` that one write may take.
fn piece(bytes: &[u8], share: usize) -> &[u8] {
    let Some(most) = bytes.get(..share) else { return bytes };
    if bytes.len() == share {
        return bytes;
    }
    match most.iter().rposition(|&byte| byte == b'\n') {
        Some(newline) => &most[..=newline],
        None => most,
    }
}

/// Moves bytes from the queue's front into `out`.
fn take(queue: &mut DequeView<u8>, out: &mut [u8]) -> usize {
    let mut count = 0;
    for (place, byte) in out.iter_mut().zip(core::iter::from_fn(|| queue.pop_front())) {
        *place = byte;
        count += 1;
    }
    count
}
