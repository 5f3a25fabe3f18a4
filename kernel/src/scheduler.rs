//! Who runs next. Processes are ids here: what they do and why they can or cannot run is the kernel's to know.
//!
//! Of the processes that can run, those of the most important priority take turns of [`TIME_SLICE`]. One that was woken
//! goes before its equals, for as long as a slice lasts: who mostly waits need not wait for who only computes, and who
//! computes gets no more than its share by being woken.

use crate::process::{ProcessId, ProcessSet};
use crate::time::Duration;
use slopos_abi::limits::{PRIORITIES, PROCESSES_MAX};

/// How long a process runs while its equals could.
pub const TIME_SLICE: Duration = Duration::from_millis(10);

/// What came of a process's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No process can run.
    Idle,
    /// The process could go on.
    Running,
    /// It waits, gave its turn up, used its slice up, or has ended.
    Yielded,
}

/// What a process does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It goes on.
    GoesOn,
    /// It can go on, and lets the others go first.
    Yields,
    /// It cannot run until something happens.
    Stops,
}

/// The sets that decide who runs.
pub(crate) struct Scheduler {
    /// Those of each priority, ready or not.
    levels: [ProcessSet; PRIORITIES],
    /// Those that can run.
    ready: ProcessSet,
    /// Those that were woken: they go before their equals until their slice is used up or they wait again.
    woken: ProcessSet,
    /// Whose turn it is among equals.
    turn: usize,
    /// Who runs next. It follows from the four above, and is asked for more often than they change.
    next: Option<ProcessId>,
    /// What is left of each process's slice. Waiting does not renew it.
    slices: [Duration; PROCESSES_MAX],
}

impl Scheduler {
    /// Processes with these priorities, of which none can run.
    ///
    /// # Panics
    /// A priority is not below [`PRIORITIES`].
    pub fn new(priorities: impl Iterator<Item = u8>) -> Scheduler {
        let mut levels = [ProcessSet::EMPTY; PRIORITIES];
        for (id, priority) in (0..).map(ProcessId::new).zip(priorities) {
            levels[usize::from(priority)].insert(id);
        }
        Scheduler {
            levels,
            ready: ProcessSet::EMPTY,
            woken: ProcessSet::EMPTY,
            turn: 0,
            next: None,
            slices: [TIME_SLICE; PROCESSES_MAX],
        }
    }

    /// Who runs next.
    pub fn next(&self) -> Option<ProcessId> {
        self.next
    }

    /// Whether who runs next was woken.
    pub fn next_is_woken(&self) -> bool {
        self.next.is_some_and(|id| self.woken.contains(id))
    }

    /// How many processes can run.
    pub fn runnable(&self) -> usize {
        self.ready.len()
    }

    /// Whether more than one process can run.
    pub fn is_contended(&self) -> bool {
        self.ready.len() > 1
    }

    /// How long who runs next may do so before an equal has its turn; `None` where it is alone.
    pub fn slice(&self) -> Option<Duration> {
        if self.is_contended() { self.slices.get(self.next?.index()).copied() } else { None }
    }

    /// A process can run now, or no longer, for another reason than that it was woken or made a step.
    pub fn set_ready(&mut self, id: ProcessId, ready: bool) {
        if ready {
            self.ready.insert(id)
        } else {
            self.ready.remove(id)
        }
        self.woken.remove(id);
        self.choose();
    }

    /// Processes can run now, because of something that they waited for.
    pub fn wake(&mut self, set: ProcessSet) {
        self.ready = self.ready.union(set);
        self.woken = self.woken.union(set);
        self.choose();
    }

    /// The process that was next made a step. `time` is what it is charged with, where others could have run.
    pub fn note_step(&mut self, id: ProcessId, after: After, time: Option<Duration>) -> Step {
        // Who was woken runs out of turn: the turn of another stays where it is.
        if !self.woken.contains(id) {
            self.turn = id.index();
        }
        let used_up = time.is_some_and(|time| self.charge(id, time));
        if after == After::GoesOn && !used_up {
            return Step::Running;
        }
        if after == After::Stops {
            self.ready.remove(id);
        }
        self.woken.remove(id);
        if self.turn == id.index() {
            self.turn += 1;
        }
        self.choose();
        Step::Yielded
    }

    /// Whether the slice is used up by this; the next begins then.
    fn charge(&mut self, id: ProcessId, time: Duration) -> bool {
        let Some(slice) = self.slices.get_mut(id.index()) else { return false };
        let used_up = time >= *slice;
        *slice = if used_up { TIME_SLICE } else { *slice - time };
        used_up
    }

    /// Of the most important that can run, one that was woken, else the first in turn.
    fn choose(&mut self) {
        let mut ready = self.levels.iter().map(|level| level.intersection(self.ready));
        self.next = ready.find(|equals| !equals.is_empty()).and_then(|equals| {
            let woken = equals.intersection(self.woken);
            let first = if woken.is_empty() { equals } else { woken };
            first.first_from(self.turn)
        });
    }
}
