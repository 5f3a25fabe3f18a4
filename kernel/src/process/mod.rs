//! One process: its configuration, and the state of its run.

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

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum State {
    /// No usable image was found in the flash.
    NoImage,
    /// It has not been started, or has ended.
    Stopped,
    /// Its program is being loaded; the time is charged to it.
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

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Ending {
    /// It ended by itself.
    Exited,
    /// It was stopped: its descriptors were closed as if it had ended by itself.
    Stopped,
    /// It was killed.
    Killed,
    /// A fault killed it: [`Process::fault`].
    Faulted,
}

/// One process.
pub struct Process {
    /// Its configuration by the manifest.
    pub configuration: &'static Configuration,
    /// Its account in the ledger.
    pub ledger: Ledger,
    /// System calls made since boot.
    pub calls: u64,
    /// How long it has had the processor since boot, for its program and for loading it.
    pub busy: Duration,
    /// How often it was started since boot.
    pub starts: u32,
    /// Requests that the manifest does not allow.
    pub denials: u64,
    pub(crate) descriptors: DescriptorTable,
    pub(crate) loader: Loader,
    /// The call that it waits for, or has to make again.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) restart_at: Option<Instant>,
    state: State,
    /// Its memory is freshly loaded: a run can begin.
    fresh: bool,
    /// It was started, and its run begins as soon as it is loaded.
    starting: bool,
    /// Its loading waits for the flash.
    load_waits: bool,
    status: Option<i32>,
    ending: Option<Ending>,
    fault: Option<Fault>,
    started: Instant,
    /// How long it waited for its last restart.
    backoff: Duration,
    /// The budgets of log lines that it causes.
    logs: Logs,
}

impl Process {
    /// A process without an image.
    pub fn new(configuration: &'static Configuration) -> Process {
        Process {
            configuration,
            ledger: Ledger::EMPTY,
            calls: 0,
            busy: Duration::ZERO,
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
            ending: None,
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

    /// The status with which its last run ended; none while it runs.
    pub fn status(&self) -> Option<i32> {
        self.status
    }

    /// What ended its last run; none while it runs.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The fault that ended its last run, if one did.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// How many descriptors it has open.
    pub fn open_descriptors(&self) -> usize {
        self.descriptors.open()
    }

    /// The version of the program in its RAM, as its author writes it; `None` where there is none.
    pub fn version(&self) -> Option<&str> {
        self.loader.version()
    }

    /// Whether it was started and has not ended; it may still be loading.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting) || self.is_starting()
    }

    /// Whether it was started and is still being loaded.
    pub fn is_starting(&self) -> bool {
        self.state == State::Loading && self.starting
    }

    /// When it is restarted, if it is.
    pub fn restart_at(&self) -> Option<Instant> {
        self.restart_at
    }

    /// Whether it can make a step, of its program or of loading.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready || self.state == State::Loading && !self.load_waits
    }

    /// Whether it waits for an event.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state == State::Waiting || self.state == State::Loading && self.load_waits
    }

    /// Its deadline: of the call that it waits for, or of its restart.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => self.waiting.as_ref()?.deadline(),
            State::Ready | State::Loading => None,
            State::Stopped | State::NoImage => self.restart_at,
        }
    }

    /// Starts it; its arguments are in place. If its memory is fresh, its run begins; if not, it is loaded first.
    pub(crate) fn start(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        self.status = None;
        self.ending = None;
        self.fault = None;
        self.restart_at = None;
        self.starting = true;
        if self.fresh {
            self.begin_or_count(id, cpu, now);
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

    /// Its program is loaded and mapped. Its run begins if it was started.
    pub(crate) fn loaded(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        self.fresh = true;
        self.state = State::Stopped;
        if self.starting {
            self.begin_or_count(id, cpu, now);
        }
    }

    /// Begins the run of a program that is loaded and mapped; one on trial has its start counted before.
    fn begin_or_count(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        if self.loader.begin_count() {
            self.load_waits = false;
            self.fresh = false;
            self.state = State::Loading;
        } else {
            self.begin(id, cpu, now);
        }
    }

    /// Its program cannot be loaded. If it was started and the manifest restarts it, this is tried again later.
    pub(crate) fn load_failed(&mut self, now: Instant) {
        self.state = State::NoImage;
        self.fresh = false;
        if core::mem::take(&mut self.starting) {
            self.plan_restart(false, now);
        }
    }

    /// Its loading waits for the flash.
    pub(crate) fn wait_for_flash(&mut self) {
        self.load_waits = true;
    }

    /// Begins a run; its memory is fresh and its arguments are in place.
    fn begin(&mut self, id: ProcessId, cpu: &mut impl Processor, now: Instant) {
        cpu.set_entry(id, self.loader.image().entry);
        self.descriptors.begin(self.configuration.console);
        self.fresh = false;
        self.starting = false;
        self.started = now;
        self.starts = self.starts.saturating_add(1);
        self.state = State::Ready;
    }

    /// It had the processor from one instant to a later one. Nothing is checked here, because each system call pays for it:
    /// time does not go back.
    #[inline]
    pub(crate) fn charge(&mut self, from: Instant, to: Instant) {
        let span = to.as_micros().wrapping_sub(from.as_micros());
        self.busy = Duration::from_micros(self.busy.as_micros().wrapping_add(span));
    }

    /// Lets it wait until this call can be made again.
    pub(crate) fn block(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting);
        self.state = State::Waiting;
    }

    /// Wakes it: the event that it waits for may have happened.
    pub(crate) fn wake(&mut self) {
        if self.state == State::Loading {
            self.load_waits = false;
        } else {
            self.state = State::Ready;
        }
    }

    /// Ends the run, and sets the time of its restart.
    pub(crate) fn end(&mut self, ending: Ending, status: i32, now: Instant) {
        // A process that is ended while it is being loaded has not run.
        let begun = !self.is_starting();
        self.state = State::Stopped;
        self.starting = false;
        self.waiting = None;
        self.status = Some(status);
        self.ending = Some(ending);
        self.plan_restart(begun, now);
    }

    /// It was ended by somebody, so it is not restarted.
    pub(crate) fn stay_down(&mut self) {
        self.restart_at = None;
        self.backoff = Duration::ZERO;
    }

    /// A fault ends its run.
    pub(crate) fn note_fault(&mut self, fault: Fault, now: Instant) {
        self.logs.report_fault(self.configuration, &fault, now);
        self.fault = Some(fault);
    }

    /// Whether a log line about a denied request may be written now.
    pub(crate) fn may_log_denial(&mut self, now: Instant) -> bool {
        self.logs.admit_denial(self.configuration.name, now)
    }

    /// Counts a denied request.
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

    /// Sets the time of its restart, if the manifest restarts it. The wait doubles each time, unless the run had
    /// `begun` and lasted long enough.
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
