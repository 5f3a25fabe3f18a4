//! The process table, and who runs next.
//!
//! Of the processes that can run, those of the most important priority take turns of [`TIME_SLICE`]. One that was woken
//! goes before its equals, for as long as a slice lasts: who mostly waits need not wait for who only computes, and who
//! computes gets no more than its share by being woken.
//!
//! A process that waits keeps the system call it made; when it is woken, or its deadline passes, the call is made again
//! from the start ([`crate::dispatch`]), so no call leaves anything half done and a process needs no stack in the
//! kernel.

mod loading;
mod process;
mod report;

use crate::capability::{EnterProcessMemory, ManageProcesses};
use crate::dispatch::{self, Outcome};
use crate::log_budget::LogBudget;
use crate::objects::{Object, Objects};
use crate::process::{ProcessId, ProcessSet};
use crate::processor::{ArgumentsTooLong, Processor, Trap};
use crate::time::{Duration, Instant};
use slopos_abi::STATUS_KILLED;
use slopos_abi::limits::PRIORITIES;

use process::Waiting;
pub use process::{Configuration, Process, Restart, State};

/// How long a process runs while its equals could.
pub const TIME_SLICE: Duration = Duration::from_millis(10);

/// What came of a process's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No process can run.
    Nobody,
    /// The process could go on.
    Continues,
    /// It waits, gave its turn up, used its slice up, or has ended.
    Pauses,
}

/// Why a process cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartError {
    /// It runs already, or is about to.
    Running,
    /// There is no such process.
    NoProcess,
    /// The arguments do not fit the process's stack.
    ArgumentsTooLong(ArgumentsTooLong),
}

/// All processes of the board.
pub struct Kernel {
    processes: &'static mut [Process],
    /// Whose turn it is.
    next: usize,
    /// Those of each priority, ready or not.
    levels: [ProcessSet; PRIORITIES],
    /// Those that can run.
    ready: ProcessSet,
    /// Those that were woken: they go before their equals until their slice is used up or they wait again.
    woken: ProcessSet,
    /// Those that wait.
    waiting: ProcessSet,
    /// Nothing is due before this; it may be earlier than the first that is.
    deadline: Option<Instant>,
    /// For what is said of apps that cannot be loaded.
    load_log: LogBudget,
    /// A step of loading was made, with interrupts off.
    load_stepped: bool,
}

impl Kernel {
    /// The kernel of these processes; the index in the slice is the [`ProcessId`].
    ///
    /// # Panics
    /// A priority is not below [`PRIORITIES`].
    pub fn new(processes: &'static mut [Process]) -> Kernel {
        let mut levels = [ProcessSet::EMPTY; PRIORITIES];
        for (id, process) in (0..).map(ProcessId::new).zip(processes.iter()) {
            levels[usize::from(process.configuration.priority)].insert(id);
        }
        let nobody = ProcessSet::EMPTY;
        Kernel {
            processes,
            next: 0,
            levels,
            ready: nobody,
            woken: nobody,
            waiting: nobody,
            deadline: None,
            load_log: LogBudget::new(),
            load_stepped: false,
        }
    }

    /// Each process with its id.
    pub fn processes(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        (0..).map(ProcessId::new).zip(self.processes.iter())
    }

    /// One process.
    pub fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(id.index())
    }

    /// The process of that name.
    pub fn find(&self, name: &str) -> Option<ProcessId> {
        self.processes().find(|(_, process)| process.configuration.name == name).map(|(id, _)| id)
    }

    /// Starts a process with these arguments after its name, or with the manifest's where there are none. Where its memory
    /// is not fresh, its program is loaded first, as steps of the process itself; should that fail, it is left without an
    /// image ([`State::NoImage`]) and the log says why.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start<'a>(
        &mut self,
        id: ProcessId,
        arguments: impl Iterator<Item = &'a str> + Clone,
        now: Instant,
        cpu: &mut impl Processor,
        _: &impl ManageProcesses,
    ) -> Result<(), StartError> {
        let process = self.processes.get_mut(id.index()).ok_or(StartError::NoProcess)?;
        if process.is_running() {
            return Err(StartError::Running);
        }
        let words = words(process.configuration, arguments);
        cpu.begin(id, words).map_err(StartError::ArgumentsTooLong)?;
        process.status = None;
        process.fault = None;
        process.restart_at = None;
        process.starting = true;
        if process.fresh {
            process.begin(id, cpu, now);
        } else if process.state != State::Loading {
            process.begin_loading();
        }
        self.woken.remove(id);
        self.note_state(id);
        Ok(())
    }

    /// Ends a process at once; its connections are reset and its network memory is wiped. It does not start again by
    /// itself.
    pub fn kill(&mut self, id: ProcessId, objects: &mut impl Objects, now: Instant, _: &impl ManageProcesses) {
        self.end_at_once(id, objects, now);
        if let Some(process) = self.processes.get_mut(id.index()) {
            process.restart_at = None;
            process.backoff = Duration::ZERO;
        }
        self.find_deadline();
    }

    /// A process whose time has come to start again; the caller loads and starts it.
    pub fn take_due_restart(&mut self, now: Instant) -> Option<ProcessId> {
        if !self.is_something_due(now) {
            return None;
        }
        let due = |process: &Process| process.restart_at.is_some_and(|at| at <= now);
        let index = self.processes.iter().position(due)?;
        self.processes[index].restart_at = None;
        self.find_deadline();
        Some(ProcessId::new(index as u8))
    }

    /// The part `range` of the bytes that a process waits to write to `object`. `None` where it waits for something else
    /// there, or the part is not within its bytes.
    pub fn waiting_writer<'a>(
        &mut self,
        id: ProcessId,
        object: &Object,
        range: core::ops::Range<usize>,
        cpu: &'a impl Processor,
        _: &impl EnterProcessMemory,
    ) -> Option<&'a [u8]> {
        let process = self.processes.get_mut(id.index())?;
        let call = process.waiting?.call;
        let (address, length) = dispatch::waits_to_write(process, &call, object, range)?;
        cpu.readable(id, address, length).ok()
    }

    /// The part `range` of the buffer into which a process waits to read from `object`; its bytes mean nothing to the
    /// process until the read returns. `None` where it waits for nothing there, or the part is not within the buffer.
    ///
    /// What is put there has to be the first that the read then takes ([`Objects::read`]), for the call is made again.
    pub fn waiting_reader<'a>(
        &mut self,
        id: ProcessId,
        object: &Object,
        range: core::ops::Range<usize>,
        cpu: &'a mut impl Processor,
        _: &impl EnterProcessMemory,
    ) -> Option<&'a mut [u8]> {
        let process = self.processes.get_mut(id.index())?;
        let call = process.waiting?.call;
        let (address, length) = dispatch::waits_to_read(process, &call, object, range)?;
        cpu.writable(id, address, length).ok()
    }

    /// Makes the waiting processes of the set try their calls again.
    pub fn wake(&mut self, set: ProcessSet) {
        for id in self.waiting.intersection(set).each_from(0) {
            self.wake_one(id);
        }
    }

    /// Makes the processes whose deadline has passed try their calls a last time.
    pub fn wake_expired(&mut self, now: Instant) {
        if !self.is_something_due(now) {
            return;
        }
        for id in self.waiting.each_from(0) {
            let deadline = self.process(id).and_then(Process::deadline);
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.wake_one(id);
            }
        }
        self.find_deadline();
    }

    /// Makes a waiting process try its call again.
    fn wake_one(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        if process.state == State::Loading {
            process.load_waits = false;
        } else {
            process.state = State::Ready;
        }
        self.woken.insert(id);
        self.note_state(id);
    }

    fn find_deadline(&mut self) {
        self.deadline = self.processes.iter().filter_map(Process::deadline).min();
    }

    /// The earliest deadline of a waiting process, or restart of one that has ended. Cheap, and sometimes too early:
    /// then [`Kernel::wake_expired`] finds nothing to do and sets the right time.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn is_something_due(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Takes note of what a process can do after something happened to it.
    fn note_state(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(id.index()) else { return };
        let place = |set: &mut ProcessSet, belongs| if belongs { set.insert(id) } else { set.remove(id) };
        place(&mut self.ready, process.is_ready());
        place(&mut self.waiting, process.is_waiting());
        self.deadline = [self.deadline, process.deadline()].into_iter().flatten().min();
    }

    /// How many processes can run.
    pub fn runnable(&self) -> usize {
        self.ready.len()
    }

    /// How long the process that runs next may do so before an equal has its turn; `None` where it is alone.
    pub fn slice(&self) -> Option<Duration> {
        if self.runnable() > 1 { self.choose().map(|id| self.processes[id.index()].slice) } else { None }
    }

    /// Whether the process that runs next was woken.
    pub fn wakes(&self) -> bool {
        self.choose().is_some_and(|id| self.woken.contains(id))
    }

    /// Who runs next: of the most important that can run, one that was woken, else the first in turn.
    fn choose(&self) -> Option<ProcessId> {
        let mut ready = self.levels.iter().map(|level| level.intersection(self.ready));
        let equals = ready.find(|equals| !equals.is_empty())?;
        let woken = equals.intersection(self.woken);
        let first = if woken.is_empty() { equals } else { woken };
        first.each_from(self.next).next()
    }

    /// Lets the next process that can run make one step: until a system call, a fault or an interrupt.
    pub fn run_next(
        &mut self,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        now: impl Fn() -> Instant,
    ) -> Step {
        let Some(id) = self.choose() else { return Step::Nobody };
        let index = id.index();
        if !self.woken.contains(id) {
            self.next = index;
        }
        let began = (self.runnable() > 1).then(&now);
        let stays = self.step(id, cpu, objects, &now);
        let used_up = began.is_some_and(|began| self.processes[index].charge(now().since(began)));
        if used_up || !stays {
            self.woken.remove(id);
        }
        // Who was woken ran out of turn: the turn of another stays where it is.
        if (used_up || !stays) && self.next == index {
            self.next = index + 1;
        }
        if !stays {
            self.note_state(id);
        }
        if used_up || !stays { Step::Pauses } else { Step::Continues }
    }

    /// One step of this process. Answers whether it could go on.
    fn step(
        &mut self,
        id: ProcessId,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        now: impl Fn() -> Instant,
    ) -> bool {
        let process = &mut self.processes[id.index()];
        if process.state == State::Loading {
            return self.load_step(id, cpu, objects, now());
        }
        let (call, deadline) = match process.waiting.take() {
            Some(waiting) => (waiting.call, waiting.deadline),
            None => match cpu.run(id) {
                Trap::SystemCall(call) => {
                    process.calls += 1;
                    (call, None)
                }
                Trap::Interrupt => return true,
                Trap::Fault(fault) => {
                    process.report(&fault, now());
                    process.fault = Some(fault);
                    self.end_at_once(id, objects, now());
                    return false;
                }
            },
        };
        match dispatch::dispatch(process, id, &call, deadline, cpu, objects, now()) {
            Outcome::Return(value) => {
                cpu.set_result(id, value);
                true
            }
            Outcome::Yield => {
                cpu.set_result(id, 0);
                false
            }
            Outcome::Block(deadline) => {
                process.waiting = Some(Waiting { call, deadline });
                process.state = State::Waiting;
                false
            }
            Outcome::Exit(status) => {
                process.end(status, now());
                false
            }
        }
    }

    fn end_at_once(&mut self, id: ProcessId, objects: &mut impl Objects, now: Instant) {
        let Some(process) = self.processes.get_mut(id.index()).filter(|process| process.is_running()) else { return };
        while process.descriptors.remove_any().is_some() {}
        process.end(STATUS_KILLED, now);
        self.note_state(id);
        objects.abandon(id, now);
    }
}

/// The words of a process's argument block: its name, and what was given or else what the manifest says.
fn words<'a>(
    configuration: &'static Configuration,
    given: impl Iterator<Item = &'a str> + Clone,
) -> impl Iterator<Item = &'a str> + Clone {
    let own = if given.clone().next().is_none() { configuration.arguments } else { &[] };
    core::iter::once(configuration.name).chain(given).chain(own.iter().copied())
}
