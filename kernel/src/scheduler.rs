//! Decides which process runs next. It knows processes only as ids; the kernel knows why they can or cannot run.
//!
//! Of the processes that can run, those of the lowest priority number take turns of [`TIME_SLICE`]. One that was woken
//! goes before others of its priority, for as long as its slice lasts. So a process that mostly waits need not wait for
//! one that only computes, and one that computes gets no more than its share by being woken.

use crate::process::{ProcessId, ProcessSet};
use crate::time::Duration;
use slopos_abi::limits::{PRIORITIES, PROCESSES_MAX};

/// How long a process runs while others of its priority could.
pub const TIME_SLICE: Duration = Duration::from_millis(10);

/// The outcome of a step of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No process can run.
    Idle,
    /// The process could go on.
    Running,
    /// It waits, gave its turn up, used its slice up, or has ended.
    Yielded,
}

/// Whether a process can go on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It can go on.
    GoesOn,
    /// It can go on, but lets the others go first.
    Yields,
    /// It cannot run until something happens.
    Stops,
}

/// The sets that decide which process runs.
pub(crate) struct Scheduler {
    /// The processes of each priority, whether they can run or not.
    levels: [ProcessSet; PRIORITIES],
    /// The processes that can run.
    ready: ProcessSet,
    /// The processes that were woken: they go before others of their priority until their slice is used up or they wait
    /// again.
    woken: ProcessSet,
    /// The process whose turn it is within each priority.
    turn: usize,
    /// The process that runs next. It follows from the four above; it is kept because it is read more often than they
    /// change.
    next: Option<ProcessId>,
    /// The rest of each process's slice. Waiting does not renew it.
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

    /// The process that runs next.
    pub fn next(&self) -> Option<ProcessId> {
        self.next
    }

    /// Whether the process that runs next was woken.
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

    /// How long the next process may run before one of the same priority has its turn; `None` if there is no other.
    pub fn slice(&self) -> Option<Duration> {
        if self.is_contended() { self.slices.get(self.next?.index()).copied() } else { None }
    }

    /// Sets whether a process can run, if that changed otherwise than by a wake-up or a step.
    pub fn set_ready(&mut self, id: ProcessId, ready: bool) {
        if ready {
            self.ready.insert(id)
        } else {
            self.ready.remove(id)
        }
        self.woken.remove(id);
        self.choose();
    }

    /// Lets processes run because an event that they waited for has happened.
    pub fn wake(&mut self, set: ProcessSet) {
        self.ready = self.ready.union(set);
        self.woken = self.woken.union(set);
        self.choose();
    }

    /// To be called after a step of the next process. `time` is charged to it if others could have run.
    pub fn note_step(&mut self, id: ProcessId, after: After, time: Option<Duration>) -> Step {
        // A woken process runs out of turn, so it does not use up another's turn.
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

    /// Charges `time` to the slice. Returns whether it is used up; the next slice begins then.
    fn charge(&mut self, id: ProcessId, time: Duration) -> bool {
        let Some(slice) = self.slices.get_mut(id.index()) else { return false };
        let used_up = time >= *slice;
        *slice = if used_up { TIME_SLICE } else { *slice - time };
        used_up
    }

    /// Of the lowest priority number that can run: a process that was woken, or else the first in turn.
    fn choose(&mut self) {
        let mut ready = self.levels.iter().map(|level| level.intersection(self.ready));
        self.next = ready.find(|equals| !equals.is_empty()).and_then(|equals| {
            let woken = equals.intersection(self.woken);
            let first = if woken.is_empty() { equals } else { woken };
            first.first_from(self.turn)
        });
    }
}
