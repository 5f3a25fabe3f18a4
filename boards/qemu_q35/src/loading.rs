//! What is loaded when, at boot: the processes that start then, and one by one the others, so that a bad record is known.

use crate::board::Board;
use crate::statics::{CONFIGURATIONS, PROCESSES};
use slopos_kernel::process::{ProcessId, State};
use slopos_kernel::time::{Duration, Instant};

/// How long the commands of the command line wait for all apps to be loaded, so that what the log says of bad ones comes
/// before what they do. What a command itself needs is waited for anyway.
const PATIENCE: Duration = Duration::from_millis(500);

/// How far the boot is.
#[derive(Default)]
pub struct Boot {
    /// How many processes were looked at, in the order of their priorities.
    looked_at: usize,
    /// The process that is being loaded.
    loading: Option<ProcessId>,
    done: bool,
    /// The commands have waited long enough.
    waited: bool,
}

impl Boot {
    /// Whether every process has been looked at.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// The processes in the order in which they are loaded.
const ORDER: [u8; PROCESSES] = {
    let mut order = [0; PROCESSES];
    let mut place = 0;
    let mut priority = 0;
    while place < PROCESSES {
        let mut index = 0;
        while index < PROCESSES {
            if CONFIGURATIONS[index].priority == priority {
                order[place] = index as u8;
                place += 1;
            }
            index += 1;
        }
        priority += 1;
    }
    order
};

impl Board {
    /// Starts the processes that the manifest starts at boot.
    pub fn start_at_boot(&mut self) {
        for (index, configuration) in CONFIGURATIONS.iter().enumerate() {
            if configuration.start_at_boot
                && let Err(error) = self.launch(ProcessId::new(index as u8), core::iter::empty())
            {
                defmt::error!("boot: process {=str} cannot be started: {}", configuration.name, error);
            }
        }
    }

    /// Begins to load the next process that has nothing yet, once the one before it has been loaded.
    pub fn load_next(&mut self) {
        if self.boot.done || self.boot.loading.is_some_and(|id| self.is_loading(id)) {
            return;
        }
        while let Some(&index) = ORDER.get(self.boot.looked_at) {
            self.boot.looked_at += 1;
            let id = ProcessId::new(index);
            self.kernel.load(id, &self.console_authority);
            if self.is_loading(id) {
                self.boot.loading = Some(id);
                return;
            }
        }
        self.boot.done = true;
    }

    fn is_loading(&self, id: ProcessId) -> bool {
        self.kernel.process(id).is_some_and(|process| process.state() == State::Loading)
    }

    /// Whether the commands of the command line need not wait for the apps any longer.
    pub fn apps_ready(&mut self, now: Instant) -> bool {
        self.boot.waited |= now >= Instant::BOOT + PATIENCE;
        self.boot.done || self.boot.waited
    }

    /// When [`Board::apps_ready`] becomes true at the latest.
    pub fn apps_deadline(&self) -> Option<Instant> {
        (!self.boot.done && !self.boot.waited).then_some(Instant::BOOT + PATIENCE)
    }
}
