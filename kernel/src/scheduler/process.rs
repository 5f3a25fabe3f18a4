//! One process as the scheduler keeps it: what the manifest says, and how its run is going.

use crate::descriptor::{ConsoleAccess, DescriptorTable};
use crate::ledger::Ledger;
use crate::loader::Loader;
use crate::processor::{Call, Fault};
use crate::time::{Duration, Instant};

use super::TIME_SLICE;
use super::report::Logs;

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
    /// What happens when it ends.
    pub restart: Restart,
    /// Below [`PRIORITIES`](slopos_abi::limits::PRIORITIES). 0 runs first; a process runs only while none with a lower number can.
    pub priority: u8,
    /// What it may do with the console.
    pub console: ConsoleAccess,
}

/// What happens when a process ends by itself or by a fault. One that was killed stays down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    Never,
    /// It starts again with the manifest's arguments: first after `first`, then after twice the time before, up to
    /// `maximum`. A run of at least `maximum` makes the next wait `first` again.
    Backoff {
        /// The first wait.
        first: Duration,
        /// The longest wait.
        maximum: Duration,
    },
}

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
    pub(super) state: State,
    pub(super) loader: Loader,
    /// Its memory is as it was loaded: it can begin.
    pub(super) fresh: bool,
    /// It begins as soon as it is loaded.
    pub(super) starting: bool,
    /// What loads it waits for the flash.
    pub(super) load_waits: bool,
    pub(super) status: Option<i32>,
    pub(super) fault: Option<Fault>,
    pub(super) waiting: Option<Waiting>,
    /// What is left of its slice. Waiting does not renew it.
    pub(super) slice: Duration,
    pub(super) started: Instant,
    /// How long the last restart was waited for.
    pub(super) backoff: Duration,
    pub(super) restart_at: Option<Instant>,
    /// Budgets of the lines that it makes the kernel write.
    pub(super) logs: Logs,
}

/// The call that a process waits for.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub call: Call,
    pub deadline: Option<Instant>,
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
            state: State::NoImage,
            loader: Loader::new(),
            fresh: false,
            starting: false,
            load_waits: false,
            status: None,
            fault: None,
            waiting: None,
            slice: TIME_SLICE,
            started: Instant::BOOT,
            backoff: Duration::ZERO,
            restart_at: None,
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

    /// Whether it can make a step, of its own or of being loaded.
    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready || self.state == State::Loading && !self.load_waits
    }

    /// Whether it waits for something that happens outside.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == State::Waiting || self.state == State::Loading && self.load_waits
    }

    /// When it starts again by itself, if it does.
    pub fn restart_at(&self) -> Option<Instant> {
        self.restart_at
    }

    /// When time alone changes something for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => self.waiting?.deadline,
            State::Ready | State::Loading => None,
            State::Stopped | State::NoImage => self.restart_at,
        }
    }

    /// Charges it with time that it ran while others could. Answers whether its slice is used up; the next begins.
    pub(super) fn charge(&mut self, time: Duration) -> bool {
        if time < self.slice {
            self.slice = self.slice - time;
            return false;
        }
        self.slice = TIME_SLICE;
        true
    }

    /// Ends the run, and says when the next begins.
    pub(super) fn end(&mut self, status: i32, now: Instant) {
        // Who is ended while it is loaded has not run.
        let begun = !self.is_starting();
        self.state = State::Stopped;
        self.starting = false;
        self.waiting = None;
        self.status = Some(status);
        self.plan_restart(begun, now);
    }

    /// Says when it starts again, where the manifest says that it does: ever later, unless the last run was `begun` and
    /// lasted.
    pub(super) fn plan_restart(&mut self, begun: bool, now: Instant) {
        if let Restart::Backoff { first, maximum } = self.configuration.restart {
            let steady = begun && now.since(self.started) >= maximum;
            let wait =
                if steady || self.backoff == Duration::ZERO { first } else { self.backoff.times(2).min(maximum) };
            self.backoff = wait;
            self.restart_at = Some(now + wait);
        }
    }
}
