//! The serial console as descriptors 0, 1 and 2: two byte queues between the processes and the serial port.
//!
//! No I/O happens here. The board moves bytes from [`Console::pull`] into the port and from the port into
//! [`Console::input`]; the kernel turns a process's calls into [`Console::write`] and [`Console::read`], blocks the
//! process where they do nothing, and tries the call again when an event says that it is worth it.
//!
//! | call of a process | here | blocks while |
//! |---|---|---|
//! | `write(1 or 2, ptr, len)` | [`Console::write`] | it takes 0 bytes |
//! | `read(0, ptr, len)` | [`Console::read`] | it gives 0 bytes |
//! | `poll` for WRITABLE | [`Console::writable`] | |
//! | `poll` for READABLE | [`Console::readable`] | |
//!
//! Bytes pass unchanged: what a newline looks like on the line, and which key ends a stream, is for the process
//! console to decide.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;
#[cfg(test)]
mod tests;

use heapless::deque::DequeView;

/// One write takes at most this part of the transmit queue, so that a process with much to say leaves room for the
/// others.
const SHARES: usize = 4;

/// What has passed and what was lost, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Counters {
    /// Bytes taken from processes.
    pub written: u64,
    /// Bytes given to processes.
    pub read: u64,
    /// Writes that took nothing because the queue had no room for them.
    pub refused: u64,
    /// Bytes from the line that were lost because nobody had read those before.
    pub dropped: u64,
    /// Bytes from the line that were thrown away unread, because the process they were meant for had ended.
    pub cleared: u64,
}

/// The console's two queues and what happened to them since somebody asked.
pub struct Console<'a> {
    transmit: &'a mut DequeView<u8>,
    receive: &'a mut DequeView<u8>,
    /// A write was refused and no space event has been given since.
    writer_waits: bool,
    /// Input came and no input event has been given since.
    input_arrived: bool,
    /// The loss of input has been logged, and nobody has read since.
    loss_logged: bool,
    counters: Counters,
}

impl<'a> Console<'a> {
    /// A console over two queues; their capacities, in bytes, are the board's choice.
    ///
    /// # Panics
    /// Where the transmit queue holds fewer than four bytes, or the receive queue none.
    pub fn new(transmit: &'a mut DequeView<u8>, receive: &'a mut DequeView<u8>) -> Self {
        assert!(transmit.storage_capacity() >= SHARES, "the console's transmit queue is too small");
        assert!(receive.storage_capacity() > 0, "the console has no receive queue");
        Console {
            transmit,
            receive,
            writer_waits: false,
            input_arrived: false,
            loss_logged: false,
            counters: Counters::default(),
        }
    }

    /// The most bytes that one write takes: a quarter of the transmit queue.
    ///
    /// A write of no more than this is taken whole or not at all, so short lines of several processes, or of one
    /// process's standard output and standard error, are never mixed within a line.
    pub fn share(&self) -> usize {
        self.transmit.storage_capacity() / SHARES
    }

    /// Takes bytes to be sent and returns how many; 0 means that there is no room now and the caller waits for
    /// [`Console::take_space_event`].
    ///
    /// A longer text is cut behind the last newline that fits in a [share](Console::share), if there is one.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let piece = piece(bytes, self.share());
        if piece.len() > self.room() {
            self.counters.refused += 1;
            self.writer_waits = true;
            return 0;
        }
        self.transmit.extend(piece);
        self.counters.written += piece.len() as u64;
        piece.len()
    }

    /// Whether any write would take something now.
    pub fn writable(&self) -> bool {
        self.room() >= self.share()
    }

    /// Whether a writer that was refused has room now. True once; then not before a write is refused again.
    pub fn take_space_event(&mut self) -> bool {
        let event = self.writer_waits && self.writable();
        self.writer_waits &= !event;
        event
    }

    /// Whether there is something to send.
    pub fn has_output(&self) -> bool {
        !self.transmit.is_empty()
    }

    /// Moves bytes to be sent into `out` and returns how many: as many as there are and fit.
    pub fn pull(&mut self, out: &mut [u8]) -> usize {
        take(self.transmit, out)
    }

    /// Takes a byte from the line. Where the queue is full it is lost, and counted.
    pub fn input(&mut self, byte: u8) {
        if self.receive.push_back(byte).is_ok() {
            self.input_arrived = true;
            return;
        }
        self.counters.dropped += 1;
        if !self.loss_logged {
            self.loss_logged = true;
            defmt::warn!("console: input is lost, nobody reads it ({=u64} bytes so far)", self.counters.dropped);
        }
    }

    /// Whether input came since this was last asked.
    pub fn take_input_event(&mut self) -> bool {
        core::mem::take(&mut self.input_arrived)
    }

    /// Whether a read would give something now.
    pub fn readable(&self) -> bool {
        !self.receive.is_empty()
    }

    /// Moves input into `out` and returns how many bytes; 0 means that there is none now and the caller waits for
    /// [`Console::take_input_event`], unless `out` is empty.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let count = take(self.receive, out);
        self.counters.read += count as u64;
        self.loss_logged &= count == 0;
        count
    }

    /// Throws unread input away: it was typed for a process that has ended, and is nobody else's to read.
    pub fn clear_input(&mut self) {
        self.counters.cleared += self.receive.storage_len() as u64;
        self.receive.clear();
        self.input_arrived = false;
        self.loss_logged = false;
    }

    /// What has passed and what was lost.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn room(&self) -> usize {
        self.transmit.storage_capacity() - self.transmit.storage_len()
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
