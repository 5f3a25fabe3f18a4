//! The process table, and who runs next.
//!
//! Round robin over processes that can run. A process that waits keeps the system call it made; when it is woken,
//! or its deadline passes, the call is made again from the start ([`crate::dispatch`]), so no call leaves anything
//! half done and a process needs no stack in the kernel.

use crate::capability::{EnterProcessMemory, ManageProcesses};
use crate::descriptor::DescriptorTable;
use crate::dispatch::{self, Outcome};
use crate::ledger::Ledger;
use crate::loader::Image;
use crate::objects::Objects;
use crate::process::{ProcessId, ProcessSet};
use crate::processor::{Call, Fault, Processor, Trap};
use crate::time::Instant;
use heapless::Vec;
use slopos_abi::{ARGUMENTS_MAX, STATUS_KILLED};

/// What the manifest says of a process.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// The process's name, its first argument.
    pub name: &'static str,
    /// The app that it runs, as the flash names it.
    pub app: &'static str,
    /// Arguments it is started with where the starter gives none.
    pub arguments: &'static [&'static str],
    /// Whether it starts at boot.
    pub start_at_boot: bool,
    /// Regions of the flash that it may open.
    pub flash: &'static [&'static str],
}

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum State {
    /// No usable image was found in the flash.
    NoImage,
    /// It has not begun, or has ended.
    Stopped,
    /// It can run.
    Ready,
    /// It waits for the system call that it made.
    Waiting,
}

impl State {
    /// The state in one word.
    pub const fn word(self) -> &'static str {
        match self {
            State::NoImage => "no-image",
            State::Stopped => "stopped",
            State::Ready => "ready",
            State::Waiting => "waiting",
        }
    }
}

/// Why a process cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartError {
    /// It runs already.
    Running,
    /// The flash has no usable record of its app; the log of the boot says why.
    NoImage,
    /// Its memory is what the last run left: load it again, then start it.
    Used,
    /// The arguments take more than [`ARGUMENTS_MAX`] bytes.
    ArgumentsTooLong,
}

/// One process.
pub struct Process {
    /// What the manifest says.
    pub configuration: &'static Configuration,
    /// Its account.
    pub ledger: Ledger,
    /// System calls made since boot.
    pub calls: u64,
    /// How often it was started since boot.
    pub starts: u32,
    /// Requests that the manifest did not allow.
    pub denials: u64,
    pub(crate) descriptors: DescriptorTable,
    state: State,
    entry: u64,
    fresh: bool,
    status: Option<i32>,
    fault: Option<Fault>,
    waiting: Option<Waiting>,
}

/// The call that a process waits for.
#[derive(Clone, Copy)]
struct Waiting {
    call: Call,
    deadline: Option<Instant>,
}

impl Process {
    /// A process without an image.
    pub const fn new(configuration: &'static Configuration) -> Process {
        Process {
            configuration,
            ledger: Ledger::EMPTY,
            calls: 0,
            starts: 0,
            denials: 0,
            descriptors: DescriptorTable::new(),
            state: State::NoImage,
            entry: 0,
            fresh: false,
            status: None,
            fault: None,
            waiting: None,
        }
    }

    /// Whether it runs.
    pub fn state(&self) -> State {
        self.state
    }

    /// How its last run ended.
    pub fn status(&self) -> Option<i32> {
        self.status
    }

    /// What ended its last run, where that was a fault.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// How many descriptors it has open.
    pub fn open_descriptors(&self) -> usize {
        self.descriptors.open()
    }

    fn is_running(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting)
    }
}

/// All processes of the board.
pub struct Kernel {
    processes: &'static mut [Process],
    next: usize,
}

impl Kernel {
    /// The kernel of these processes; the index in the slice is the [`ProcessId`].
    pub fn new(processes: &'static mut [Process]) -> Kernel {
        Kernel { processes, next: 0 }
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

    /// Takes note of an image that was loaded into the process's RAM, and maps it.
    pub fn set_image(&mut self, id: ProcessId, image: &Image, cpu: &mut impl Processor, _: &impl EnterProcessMemory) {
        let Some(process) = self.processes.get_mut(id.index()) else { return };
        cpu.map(id, image);
        process.entry = image.entry;
        process.fresh = true;
        process.state = State::Stopped;
    }

    /// Takes note that the process has no usable image.
    pub fn clear_image(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get_mut(id.index()) {
            process.state = State::NoImage;
            process.fresh = false;
        }
    }

    /// Starts a process with these arguments after its name, or with the manifest's where there are none.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start<'a>(
        &mut self,
        id: ProcessId,
        arguments: impl Iterator<Item = &'a str>,
        cpu: &mut impl Processor,
        _: &impl ManageProcesses,
    ) -> Result<(), StartError> {
        let process = self.processes.get_mut(id.index()).ok_or(StartError::NoImage)?;
        match process.state {
            State::NoImage => return Err(StartError::NoImage),
            State::Ready | State::Waiting => return Err(StartError::Running),
            State::Stopped if !process.fresh => return Err(StartError::Used),
            State::Stopped => {}
        }
        let block = argument_block(process.configuration, arguments).ok_or(StartError::ArgumentsTooLong)?;
        cpu.begin(id, process.entry, &block);
        process.descriptors.open_console();
        process.fresh = false;
        process.status = None;
        process.fault = None;
        process.starts = process.starts.saturating_add(1);
        process.state = State::Ready;
        Ok(())
    }

    /// Ends a process at once; its connections are reset and its network memory is wiped.
    pub fn kill(&mut self, id: ProcessId, objects: &mut impl Objects, now: Instant, _: &impl ManageProcesses) {
        self.end_at_once(id, objects, now);
    }

    /// Makes the waiting processes of the set try their calls again.
    pub fn wake(&mut self, set: ProcessSet) {
        for (index, process) in self.processes.iter_mut().enumerate() {
            if process.state == State::Waiting && set.contains(ProcessId::new(index as u8)) {
                process.state = State::Ready;
            }
        }
    }

    /// Makes the processes whose deadline has passed try their calls a last time.
    pub fn wake_expired(&mut self, now: Instant) {
        for process in self.processes.iter_mut().filter(|process| process.state == State::Waiting) {
            if process.waiting.and_then(|waiting| waiting.deadline).is_some_and(|deadline| deadline <= now) {
                process.state = State::Ready;
            }
        }
    }

    /// The earliest deadline of a waiting process.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.processes.iter().filter(|process| process.state == State::Waiting);
        waiting.filter_map(|process| process.waiting?.deadline).min()
    }

    /// How many processes can run.
    pub fn runnable(&self) -> usize {
        self.processes.iter().filter(|process| process.state == State::Ready).count()
    }

    /// Lets the next process that can run make one step: until a system call, a fault or an interrupt.
    /// Answers whether there was one.
    pub fn run_next(
        &mut self,
        cpu: &mut impl Processor,
        objects: &mut impl Objects,
        now: impl Fn() -> Instant,
    ) -> bool {
        let count = self.processes.len();
        let turn = (0..count).map(|step| (self.next + step) % count);
        let Some(index) = turn.into_iter().find(|&index| self.processes[index].state == State::Ready) else {
            return false;
        };
        self.next = index;
        let id = ProcessId::new(index as u8);
        let process = &mut self.processes[index];
        let retried = process.waiting.take();
        let (call, deadline) = match retried {
            Some(waiting) => (waiting.call, waiting.deadline),
            None => match cpu.run(id) {
                Trap::SystemCall(call) => {
                    process.calls += 1;
                    (call, None)
                }
                Trap::Interrupt => {
                    self.next = (index + 1) % count;
                    return true;
                }
                Trap::Fault(fault) => {
                    report(process.configuration.name, &fault);
                    process.fault = Some(fault);
                    self.end_at_once(id, objects, now());
                    return true;
                }
            },
        };
        match dispatch::dispatch(process, id, &call, deadline, cpu, objects, now()) {
            Outcome::Return(value) => cpu.set_result(id, value),
            Outcome::Yield => {
                cpu.set_result(id, 0);
                self.next = (index + 1) % count;
            }
            Outcome::Block(deadline) => {
                process.waiting = Some(Waiting { call, deadline });
                process.state = State::Waiting;
                self.next = (index + 1) % count;
            }
            Outcome::Exit(status) => self.end(id, status),
        }
        true
    }

    /// Ends a process whose descriptors are closed already.
    fn end(&mut self, id: ProcessId, status: i32) {
        if let Some(process) = self.processes.get_mut(id.index()) {
            process.state = State::Stopped;
            process.waiting = None;
            process.status = Some(status);
        }
    }

    fn end_at_once(&mut self, id: ProcessId, objects: &mut impl Objects, now: Instant) {
        let Some(process) = self.processes.get_mut(id.index()).filter(|process| process.is_running()) else { return };
        while process.descriptors.remove_any().is_some() {}
        objects.abandon(id, now);
        self.end(id, STATUS_KILLED);
    }
}

/// Name and arguments, each ended by a NUL; `None` where they are too long.
fn argument_block<'a>(
    configuration: &Configuration,
    given: impl Iterator<Item = &'a str>,
) -> Option<Vec<u8, ARGUMENTS_MAX>> {
    let mut block = Vec::new();
    let mut push = |argument: &str| -> Option<()> {
        block.extend_from_slice(argument.as_bytes()).ok()?;
        block.push(0).ok()
    };
    push(configuration.name)?;
    let mut given = given.peekable();
    if given.peek().is_none() {
        configuration.arguments.iter().try_for_each(|argument| push(argument))?;
    }
    given.try_for_each(push)?;
    Some(block)
}

fn report(name: &str, fault: &Fault) {
    defmt::error!(
        "process {=str}: killed by {=str}, error {=u64:#x}, address {=u64:#x}, instruction {=u64:#x}, stack {=u64:#x}",
        name,
        fault.name,
        fault.error,
        fault.address,
        fault.instruction,
        fault.stack
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeObjects, FakeProcessor, Token, kernel};
    use slopos_abi::syscall;

    fn call(number: u64, arguments: [u64; 6]) -> Trap {
        Trap::SystemCall(Call { number, arguments })
    }

    fn at(millis: u64) -> impl Fn() -> Instant {
        move || Instant::from_millis(millis)
    }

    #[test]
    fn processes_take_turns_when_interrupted() {
        let (mut kernel, mut cpu, mut objects) = (kernel(3), FakeProcessor::new(3), FakeObjects::default());
        cpu.start_all(&mut kernel);
        for _ in 0..6 {
            assert!(kernel.run_next(&mut cpu, &mut objects, at(0)));
        }
        assert_eq!(cpu.runs, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_sleeper_wakes_at_its_deadline_and_not_before() {
        let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
        cpu.start_all(&mut kernel);
        cpu.traps[0].push_back(call(syscall::SLEEP_MS, [10, 0, 0, 0, 0, 0]));
        kernel.run_next(&mut cpu, &mut objects, at(5));
        assert_eq!(kernel.next_deadline(), Some(Instant::from_millis(15)));
        // Woken early, the call is made again and its deadline stays where it was.
        kernel.wake(ProcessSet::ALL);
        kernel.run_next(&mut cpu, &mut objects, at(9));
        assert_eq!(kernel.next_deadline(), Some(Instant::from_millis(15)));
        kernel.wake_expired(Instant::from_millis(14));
        assert_eq!(kernel.runnable(), 0);
        kernel.wake_expired(Instant::from_millis(15));
        kernel.run_next(&mut cpu, &mut objects, at(15));
        assert_eq!(cpu.results, [(0, 0)]);
    }

    #[test]
    fn a_fault_ends_the_process_and_the_others_go_on() {
        let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
        cpu.start_all(&mut kernel);
        cpu.traps[0].push_back(Trap::Fault(Fault { name: "#PF", error: 4, address: 0, instruction: 1, stack: 2 }));
        kernel.run_next(&mut cpu, &mut objects, at(0));
        let ended = kernel.process(ProcessId::new(0)).unwrap();
        assert_eq!((ended.status(), ended.state()), (Some(STATUS_KILLED), State::Stopped));
        assert_eq!(ended.fault().map(|fault| fault.name), Some("#PF"));
        assert_eq!(ended.open_descriptors(), 0);
        assert_eq!(objects.abandoned, [0]);
        assert!(kernel.run_next(&mut cpu, &mut objects, at(0)));
        assert_eq!(cpu.runs, [0, 1]);
    }

    #[test]
    fn a_process_that_ran_must_be_loaded_before_it_starts_again() {
        let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
        let id = ProcessId::new(0);
        assert_eq!(kernel.start(id, [].into_iter(), &mut cpu, &Token), Err(StartError::NoImage));
        cpu.start_all(&mut kernel);
        assert_eq!(kernel.start(id, [].into_iter(), &mut cpu, &Token), Err(StartError::Running));
        kernel.kill(id, &mut objects, Instant::BOOT, &Token);
        assert_eq!(kernel.start(id, [].into_iter(), &mut cpu, &Token), Err(StartError::Used));
    }

    #[test]
    fn arguments_that_do_not_fit_start_nothing() {
        let (mut kernel, mut cpu) = (kernel(1), FakeProcessor::new(1));
        cpu.load_all(&mut kernel);
        let long = "x".repeat(ARGUMENTS_MAX);
        let id = ProcessId::new(0);
        let result = kernel.start(id, [long.as_str()].into_iter(), &mut cpu, &Token);
        assert_eq!(result, Err(StartError::ArgumentsTooLong));
        assert_eq!(kernel.process(id).unwrap().state(), State::Stopped);
        kernel.start(id, ["a", "b c"].into_iter(), &mut cpu, &Token).unwrap();
        assert_eq!(cpu.blocks[0], b"p0\0a\0b c\0");
    }
}
