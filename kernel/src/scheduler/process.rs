//! One process as the scheduler keeps it: what the manifest says, and how its run is going.

use crate::descriptor::{ConsoleAccess, DescriptorTable};
use crate::ledger::Ledger;
use crate::processor::{Call, Fault};
use crate::time::{Duration, Instant};

use super::TIME_SLICE;

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
    /// Below [`PRIORITIES`](super::PRIORITIES). 0 runs first; a process runs only while none with a lower number can.
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
    pub(super) entry: u64,
    pub(super) fresh: bool,
    pub(super) status: Option<i32>,
    pub(super) fault: Option<Fault>,
    pub(super) waiting: Option<Waiting>,
    /// What is left of its slice. Waiting does not renew it.
    pub(super) slice: Duration,
    pub(super) started: Instant,
    /// How long the last restart was waited for.
    pub(super) backoff: Duration,
    pub(super) restart_at: Option<Instant>,
}

/// The call that a process waits for.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub call: Call,
    pub deadline: Option<Instant>,
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
            slice: TIME_SLICE,
            started: Instant::BOOT,
            backoff: Duration::ZERO,
            restart_at: None,
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

    /// Whether it has begun and not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting)
    }

    /// When it starts again by itself, if it does.
    pub fn restart_at(&self) -> Option<Instant> {
        self.restart_at
    }

    /// When time alone changes something for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => self.waiting?.deadline,
            State::Ready => None,
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
        self.state = State::Stopped;
        self.waiting = None;
        self.status = Some(status);
        if let Restart::Backoff { first, maximum } = self.configuration.restart {
            let steady = now.since(self.started) >= maximum;
            let wait =
                if steady || self.backoff == Duration::ZERO { first } else { self.backoff.times(2).min(maximum) };
            self.backoff = wait;
            self.restart_at = Some(now + wait);
        }
    }
}
