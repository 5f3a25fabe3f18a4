//! One process: what the manifest says of it, and how its run is going.

mod configuration;
mod descriptor;
mod id;
mod loading;
mod report;
mod waiting;

pub use configuration::{Configuration, Restart};
pub use descriptor::ConsoleAccess;
pub(crate) use descriptor::{Descriptor, DescriptorIndex, DescriptorTable};
pub use id::{ProcessId, ProcessSet};
pub(crate) use waiting::{UserRange, Waiting};

use crate::ledger::Ledger;
use crate::loader::Loader;
use crate::objects::{Object, SocketIndex};
use crate::processor::{Fault, Processor};
use crate::time::{Duration, Instant};
use core::ops::Range;
use report::Logs;
use slopos_abi::Errno;

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum State {
    /// No usable image was found in the flash.
    NoImage,
    /// It has not begun, or has ended.
    Stopped,
    /// Its program is being loaded, at its own expense.
    Loading,
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
            State::Loading => "loading",
            State::Ready => "ready",
            State::Waiting => "waiting",
        }
    }
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
    pub(crate) loader: Loader,
    /// The call that it waits for, or is to make again.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) restart_at: Option<Instant>,
    state: State,
    /// Its memory is as it was loaded: it can begin.
    fresh: bool,
    /// It begins as soon as it is loaded.
    starting: bool,
    /// What loads it waits for the flash.
    load_waits: bool,
    status: Option<i32>,
    fault: Option<Fault>,
    started: Instant,
    /// How long the last restart was waited for.
    backoff: Duration,
    /// Budgets of the lines that it makes the kernel write.
    logs: Logs,
}

impl Process {
    /// A process without an image.
    pub fn new(configuration: &'static Configuration) -> Process {
        Process {
            configuration,
            ledger: Ledger::EMPTY,
            calls: 0,
            starts: 0,
            denials: 0,
            descriptors: DescriptorTable::new(),
            loader: Loader::new(),
            waiting: None,
            restart_at: None,
            state: State::NoImage,
            fresh: false,
            starting: false,
            load_waits: false,
            status: None,
            fault: None,
            started: Instant::BOOT,
            backoff: Duration::ZERO,
            logs: Logs::new(),
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

    /// Whether it was started and has not ended, be it that it is still being loaded.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting) || self.is_starting()
    }

    /// Whether it was started and is still being loaded.
    pub fn is_starting(&self) -> bool {
        self.state == State::Loading && self.starting
    }

    /// When it starts again by itself, if it does.
    pub fn restart_at(&self) -> Option<Instant> {
        self.restart_at
    }

    /// Whether it can make a step, of its own or of being loaded.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready || self.state == State::Loading && !self.load_waits
    }

    /// Whether it waits for something that happens outside.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state == State::Waiting || self.state == State::Loading && self.load_waits
    }

    /// When time alone changes something for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => self.waiting.as_ref()?.deadline(),
            State::Ready | State::Loading => None,
            State::Stopped | State::NoImage => self.restart_at,
        }
    }

    /// It is to run, and its arguments are in place. Where its memory is fresh it begins, else it is loaded first.
    pub(crate) fn start(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        self.status = None;
        self.fault = None;
        self.restart_at = None;
        self.starting = true;
        if self.fresh {
            self.begin(id, cpu, now);
        } else if self.state != State::Loading {
            self.load();
        }
    }

    /// Begins to load its program.
    pub(crate) fn load(&mut self) {
        self.loader.begin();
        self.load_waits = false;
        self.fresh = false;
        self.state = State::Loading;
    }

    /// Its program is loaded, and mapped. It begins where it was started.
    pub(crate) fn loaded(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        self.fresh = true;
        self.state = State::Stopped;
        if self.starting {
            self.begin(id, cpu, now);
        }
    }

    /// Its program cannot be loaded. Where it was to run and is kept up, it is tried again later, as if it had ended.
    pub(crate) fn load_failed(&mut self, now: Instant) {
        self.state = State::NoImage;
        self.fresh = false;
        if core::mem::take(&mut self.starting) {
            self.plan_restart(false, now);
        }
    }

    /// What loads it waits for the flash.
    pub(crate) fn wait_for_flash(&mut self) {
        self.load_waits = true;
    }

    /// Begins the run of a process whose memory is fresh and whose arguments are in place.
    fn begin(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        cpu.set_entry(id, self.loader.image().entry);
        self.descriptors.begin(self.configuration.console);
        self.fresh = false;
        self.starting = false;
        self.started = now;
        self.starts = self.starts.saturating_add(1);
        self.state = State::Ready;
    }

    /// It waits until this call can be made again.
    pub(crate) fn block(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting);
        self.state = State::Waiting;
    }

    /// What it waits for may have happened.
    pub(crate) fn wake(&mut self) {
        if self.state == State::Loading {
            self.load_waits = false;
        } else {
            self.state = State::Ready;
        }
    }

    /// Ends the run, and says when the next begins.
    pub(crate) fn end(&mut self, status: i32, now: Instant) {
        // Who is ended while it is loaded has not run.
        let begun = !self.is_starting();
        self.state = State::Stopped;
        self.starting = false;
        self.waiting = None;
        self.status = Some(status);
        self.plan_restart(begun, now);
    }

    /// It was killed: it does not start again by itself.
    pub(crate) fn stay_down(&mut self) {
        self.restart_at = None;
        self.backoff = Duration::ZERO;
    }

    /// A fault ends its run.
    pub(crate) fn note_fault(&mut self, fault: Fault, now: Instant) {
        self.logs.report_fault(self.configuration, &fault, now);
        self.fault = Some(fault);
    }

    /// Whether a line about something that the manifest does not grant it may be written now.
    pub(crate) fn may_log_denial(&mut self, now: Instant) -> bool {
        self.logs.admit_denial(self.configuration.name, now)
    }

    /// Counts a request that the manifest does not allow.
    pub(crate) fn deny(&mut self, errno: Errno) {
        self.denials += u64::from(errno == Errno::Access);
    }

    /// The part `range` of the buffer into which it waits to read from `object`.
    pub(crate) fn waits_to_read(&self, object: &Object, range: Range<usize>) -> Option<UserRange> {
        let Some(Waiting::Read { descriptor, buffer, .. }) = self.waiting else { return None };
        if self.descriptors.object(descriptor)? == object { buffer.part(range) } else { None }
    }

    /// The next `length` bytes of the buffer into which it waits to read from this socket, behind what was delivered.
    pub(crate) fn room_to_deliver(&self, socket: SocketIndex, length: usize) -> Option<UserRange> {
        let Some(Waiting::Read { delivered, .. }) = self.waiting else { return None };
        self.waits_to_read(&Object::Socket(socket), delivered..delivered.checked_add(length)?)
    }

    /// The first `length` bytes of that room complete the read. Nothing happens where there is no such room.
    pub(crate) fn deliver(&mut self, socket: SocketIndex, length: usize) {
        if self.room_to_deliver(socket, length).is_some()
            && let Some(Waiting::Read { delivered, .. }) = &mut self.waiting
        {
            *delivered += length;
        }
    }

    /// The part `range` of the bytes that it waits to write to `object`.
    pub(crate) fn waits_to_write(&self, object: &Object, range: Range<usize>) -> Option<UserRange> {
        let Some(Waiting::Write { descriptor, bytes }) = self.waiting else { return None };
        if self.descriptors.object(descriptor)? == object { bytes.part(range) } else { None }
    }

    /// Says when it starts again, where the manifest says that it does: ever later, unless the last run was `begun` and
    /// lasted.
    fn plan_restart(&mut self, begun: bool, now: Instant) {
        if let Restart::Backoff { first, maximum } = self.configuration.restart {
            let steady = begun && now.since(self.started) >= maximum;
            let wait =
                if steady || self.backoff == Duration::ZERO { first } else { self.backoff.times(2).min(maximum) };
            self.backoff = wait;
            self.restart_at = Some(now + wait);
        }
    }
}
