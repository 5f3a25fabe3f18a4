//! Joins the processes, the scheduler and the system calls.
//!
//! A process that waits keeps the system call it made; when it is woken, or its deadline passes, the call is made again
//! ([`crate::syscall`]), so no call leaves anything half done and a process needs no stack in the kernel.

mod loading;
mod waiting;

pub use waiting::WaitingReaders;

use crate::capability::ManageProcesses;
use crate::loader::Trust;
use crate::log_budget::LogBudget;
use crate::objects::{Objects, Verdict};
use crate::process::{Configuration, Ending, Process, ProcessId, ProcessSet, State};
use crate::processor::{ArgumentsTooLong, Processor, Trap};
use crate::scheduler::{After, Scheduler, Step};
use crate::syscall::{Caller, Stop};
use crate::time::{Duration, Instant};
use slopos_abi::STATUS_KILLED;
use slopos_abi::flash::Reason;

/// Why a process cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartError {
    /// It runs already, or is being loaded to run.
    Running,
    /// There is no such process.
    NoProcess,
    /// The arguments do not fit the process's stack.
    ArgumentsTooLong(ArgumentsTooLong),
}

/// All processes of the board.
pub struct Kernel {
    processes: &'static mut [Process],
    /// Which records are run.
    trust: &'static Trust,
    scheduler: Scheduler,
    /// The processes that wait for a call.
    waiting: ProcessSet,
    /// No deadline of a process is earlier than this; the first one may be later.
    deadline: Option<Instant>,
    /// The budget of log lines about apps that cannot be loaded.
    load_log: LogBudget,
    /// A step of loading was made since the last look, with interrupts off.
    load_stepped: bool,
}

impl Kernel {
    /// The kernel of these processes, which run what `trust` lets them; the index in the slice is the [`ProcessId`].
    ///
    /// # Panics
    /// A priority is not below [`PRIORITIES`](slopos_abi::limits::PRIORITIES).
    pub fn new(processes: &'static mut [Process], trust: &'static Trust) -> Kernel {
        let scheduler = Scheduler::new(processes.iter().map(|process| process.configuration.priority));
        let waiting = ProcessSet::EMPTY;
        let load_log = LogBudget::new();
        Kernel { processes, trust, scheduler, waiting, deadline: None, load_log, load_stepped: false }
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

    /// Starts a process with these arguments after its name, or with the manifest's if there are none. If its memory is
    /// not fresh, its program is loaded first, in steps charged to the process; if that fails, the process is left
    /// without an image ([`State::NoImage`]) and the log says why.
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
        process.start(id, cpu, now);
        self.note_state(id);
        Ok(())
    }

    /// Ends a process at once: its connections are reset and its network memory is wiped. It is not restarted.
    pub fn kill(&mut self, id: ProcessId, objects: &mut impl Objects, now: Instant, _: &impl ManageProcesses) {
        self.end_at_once(id, Ending::Killed, objects, now);
        self.stay_down(id);
    }

    /// Ends a process as if it had made the call EXIT: its descriptors are closed, so its connections end in order and what it
    /// has written is still sent. Its status is that of a process which the kernel ended. It is not restarted.
    pub fn stop(&mut self, id: ProcessId, objects: &mut impl Objects, now: Instant, _: &impl ManageProcesses) {
        if let Some(process) = self.processes.get_mut(id.index()).filter(|process| process.is_running()) {
            while let Some(descriptor) = process.descriptors.remove_any() {
                objects.close(id, &descriptor.object, now);
            }
            process.end(Ending::Stopped, STATUS_KILLED, now);
            self.note_state(id);
            objects.exited(id);
        }
        self.stay_down(id);
    }

    fn stay_down(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get_mut(id.index()) {
            process.stay_down();
        }
        self.find_deadline();
    }

    /// A process whose restart is due; the caller starts it.
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

    /// Lets the waiting processes of the set try their calls again.
    pub fn wake(&mut self, set: ProcessSet) {
        let woken = self.waiting.intersection(set);
        if woken.is_empty() {
            return;
        }
        for id in woken.each() {
            if let Some(process) = self.processes.get_mut(id.index()) {
                process.wake();
            }
        }
        self.waiting = self.waiting.difference(woken);
        self.scheduler.wake(woken);
    }

    /// Lets the processes whose deadline has passed try their calls a last time.
    pub fn wake_expired(&mut self, now: Instant) {
        if !self.is_something_due(now) {
            return;
        }
        let mut expired = ProcessSet::EMPTY;
        for id in self.waiting.each() {
            let deadline = self.process(id).and_then(Process::deadline);
            if deadline.is_some_and(|deadline| deadline <= now) {
                expired.insert(id);
            }
        }
        self.wake(expired);
        self.find_deadline();
    }

    fn find_deadline(&mut self) {
        self.deadline = self.processes.iter().filter_map(Process::deadline).min();
    }

    /// The earliest deadline of a waiting process, or restart of one that has ended. This is cheap and sometimes too
    /// early; [`Kernel::wake_expired`] then finds nothing to do and sets the right time.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn is_something_due(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Updates the scheduler and the deadlines after the state of a process has changed.
    fn note_state(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(id.index()) else { return };
        self.scheduler.set_ready(id, process.is_ready());
        self.note_wait(id);
    }

    /// Updates the deadlines with what a process waits for: its call or its restart.
    fn note_wait(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(id.index()) else { return };
        if process.is_waiting() {
            self.waiting.insert(id)
        } else {
            self.waiting.remove(id)
        }
        self.deadline = [self.deadline, process.deadline()].into_iter().flatten().min();
    }

    /// How many processes can run.
    pub fn runnable(&self) -> usize {
        self.scheduler.runnable()
    }

    /// How long the next process may run before one of the same priority has its turn; `None` if there is no other.
    pub fn slice(&self) -> Option<Duration> {
        self.scheduler.slice()
    }

    /// Whether the next process was woken.
    pub fn next_is_woken(&self) -> bool {
        self.scheduler.next_is_woken()
    }

    /// Lets the next process make one step, until a system call, a fault or an interrupt. Returns the outcome and the
    /// time at which the process trapped. The time that its call takes counts for its next step.
    pub fn run_next(
        &mut self,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        start: Instant,
        now: impl Fn() -> Instant,
    ) -> (Step, Instant) {
        let Some(id) = self.scheduler.next() else { return (Step::Idle, start) };
        let (after, end) = self.step(id, cpu, objects, start, now);
        let time = self.scheduler.is_contended().then(|| end.since(start));
        let step = self.scheduler.note_step(id, after, time);
        if after == After::Stops {
            self.note_wait(id);
        }
        (step, end)
    }

    /// One step of this process. Returns whether it can go on, and the time.
    fn step(
        &mut self,
        id: ProcessId,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        start: Instant,
        now: impl Fn() -> Instant,
    ) -> (After, Instant) {
        let process = &mut self.processes[id.index()];
        if process.state() == State::Loading {
            self.load_stepped = true;
            let goes_on =
                process.load_step(id, self.trust, cpu, objects, &mut self.load_log, start).unwrap_or_else(|error| {
                    process.report_load(error, &mut self.load_log, start);
                    false
                });
            let end = now();
            process.charge(start, end);
            return (if goes_on { After::GoesOn } else { After::Stops }, end);
        }
        let (end, result) = match process.waiting.take() {
            Some(waiting) => {
                let mut caller = Caller { process: &mut *process, id, cpu: &mut *cpu, objects, now: start };
                (start, caller.retry(waiting))
            }
            None => {
                let trap = cpu.run(id);
                let end = now();
                process.charge(start, end);
                match trap {
                    Trap::SystemCall(call) => {
                        process.calls += 1;
                        let mut caller = Caller { process: &mut *process, id, cpu: &mut *cpu, objects, now: end };
                        (end, caller.make(&call))
                    }
                    Trap::Interrupt => return (After::GoesOn, end),
                    Trap::Fault(fault) => {
                        process.note_fault(fault, end);
                        self.end_at_once(id, Ending::Faulted, objects, end);
                        return (After::Stops, end);
                    }
                }
            }
        };
        let after = match result {
            Ok(value) => {
                cpu.set_result(id, value as i64);
                After::GoesOn
            }
            Err(Stop::Fail(errno)) => {
                cpu.set_result(id, errno.to_return());
                After::GoesOn
            }
            Err(Stop::Yield) => {
                cpu.set_result(id, 0);
                After::Yields
            }
            Err(Stop::Block(waiting)) => {
                process.block(waiting);
                After::Stops
            }
            Err(Stop::Exit(status)) => {
                process.end(Ending::Exited, status, end);
                After::Stops
            }
        };
        (after, end)
    }

    fn end_at_once(&mut self, id: ProcessId, ending: Ending, objects: &mut impl Objects, now: Instant) {
        let Some(process) = self.processes.get_mut(id.index()).filter(|process| process.is_running()) else { return };
        while process.descriptors.remove_any().is_some() {}
        // One that is still being loaded has not run, and shown nothing.
        if !process.is_starting() {
            let reason = if ending == Ending::Faulted { Reason::Fault } else { Reason::Killed };
            objects.judge_trial(id, process.configuration.app, Verdict::Fails(reason));
        }
        process.end(ending, STATUS_KILLED, now);
        self.note_state(id);
        objects.abandon(id, now);
    }
}

/// The words of a process's argument block: its name, then the arguments given, or else the manifest's.
fn words<'a>(
    configuration: &'static Configuration,
    given: impl Iterator<Item = &'a str> + Clone,
) -> impl Iterator<Item = &'a str> + Clone {
    let own = if given.clone().next().is_none() { configuration.arguments } else { &[] };
    core::iter::once(configuration.name).chain(given).chain(own.iter().copied())
}
