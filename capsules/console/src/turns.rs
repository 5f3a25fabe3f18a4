//! Whose turn it is to write: fair by bytes, whatever the size of the writes.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng 1996). A write starts, in virtual time, where the writer's last one
//! ended, or now if it has not written for a while; it ends as many bytes later. Of the writers that wait, the one whose
//! write starts first goes first. A writer that floods the queue is ahead of the others in virtual time and waits for
//! them; one that was silent gains nothing by it.

use slopos_abi::limits::PROCESSES_MAX;
use slopos_kernel::process::{ProcessId, ProcessSet};

/// One writer, in bytes of virtual time.
#[derive(Clone, Copy)]
struct Writer {
    /// Where its last write ended.
    end: u64,
    /// How many bytes it waits to write.
    wants: u32,
}

/// The writers of one queue.
pub struct Turns {
    writers: [Writer; PROCESSES_MAX],
    waiting: ProcessSet,
    /// Writers whose turn has come and that have not written since: they keep their place.
    called: ProcessSet,
    /// Those of them for which room is kept, until the next are called.
    reserved: ProcessSet,
    /// The current virtual time: where the last admitted write started.
    now: u64,
}

impl Turns {
    /// No process has written yet.
    pub const fn new() -> Turns {
        let nobody = ProcessSet::EMPTY;
        let writers = [Writer { end: 0, wants: 0 }; PROCESSES_MAX];
        Turns { writers, waiting: nobody, called: nobody, reserved: nobody, now: 0 }
    }

    /// Whether any process waits for a turn.
    pub fn is_anybody_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Where a write of this process would start. A process that waits or was called keeps its place however far the
    /// others get.
    fn start(&self, process: ProcessId) -> u64 {
        let queued = self.waiting.contains(process) || self.called.contains(process);
        let place = self.place(process);
        if queued { place } else { place.max(self.now) }
    }

    /// Bytes of room that are kept for other processes.
    fn kept_from(&self, process: ProcessId) -> usize {
        let mut others = self.reserved;
        others.remove(process);
        others.each_from(0).map(|other| self.wants(other)).sum()
    }

    fn wants(&self, process: ProcessId) -> usize {
        self.writers.get(process.index()).map_or(0, |writer| writer.wants as usize)
    }

    /// Whether a process may write so many bytes into so much room now. If not, it waits for its turn.
    pub fn could(&mut self, process: ProcessId, bytes: usize, room: usize) -> bool {
        let start = self.start(process);
        let queued = self.waiting.each_from(0).chain(self.reserved.each_from(0));
        let goes_first = queued.filter(|&other| other != process).all(|other| self.place(other) >= start);
        if bytes <= room.saturating_sub(self.kept_from(process)) && goes_first {
            self.waiting.remove(process);
            return true;
        }
        if let Some(writer) = self.writers.get_mut(process.index()) {
            writer.wants = u32::try_from(bytes).unwrap_or(u32::MAX);
            writer.end = start;
            self.waiting.insert(process);
        }
        false
    }

    /// As [`Turns::could`]; if it may, the bytes count as written.
    pub fn admit(&mut self, process: ProcessId, bytes: usize, room: usize) -> bool {
        let start = self.start(process);
        let admitted = self.could(process, bytes, room);
        if admitted && let Some(writer) = self.writers.get_mut(process.index()) {
            writer.end = start + bytes as u64;
            self.now = self.now.max(start);
            self.called.remove(process);
            self.reserved.remove(process);
        }
        admitted
    }

    /// The process whose turn is next.
    fn first(&self) -> Option<ProcessId> {
        self.waiting.each_from(0).min_by_key(|&process| self.place(process))
    }

    /// Whether [`Turns::call`] would call any process.
    pub fn would_call(&self, room: usize) -> bool {
        self.first().is_some_and(|first| self.wants(first) <= room)
    }

    /// Calls the processes whose turn it is now, in their order, as many as there is room for, and takes them out of the
    /// queue. The room is kept for them until the next call, so one that is late does not hold up the others.
    pub fn call(&mut self, mut room: usize) -> ProcessSet {
        self.reserved = ProcessSet::EMPTY;
        while let Some(first) = self.first() {
            let wants = self.wants(first);
            if wants > room {
                break;
            }
            room -= wants;
            self.waiting.remove(first);
            self.called.insert(first);
            self.reserved.insert(first);
        }
        self.reserved
    }

    /// Where the last write of a process ended, or where the write that it waits for would start.
    fn place(&self, process: ProcessId) -> u64 {
        self.writers.get(process.index()).map_or(0, |writer| writer.end)
    }

    /// Takes a process out of the queue.
    pub fn forget(&mut self, process: ProcessId) {
        for set in [&mut self.waiting, &mut self.called, &mut self.reserved] {
            set.remove(process);
        }
    }
}
