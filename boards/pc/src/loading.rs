//! The order of loading at boot: first the processes that start then, then the others one by one, so that a bad record
//! shows early.

use crate::board::Board;
use crate::capsules::Capsules;
use crate::statics::{CONFIGURATIONS, PROCESSES};
use slopos_kernel::process::{ProcessId, State};
use slopos_kernel::time::{Duration, Instant};
use slopos_virtio::net::Net;

/// How long the commands of the command line wait for all apps to be loaded, so that the log's lines about bad ones
/// come before the commands' output. A command always waits for its own app.
const APPS_TIMEOUT: Duration = Duration::from_millis(500);

/// The processes in the order in which they are loaded: by priority.
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

    /// Begins to load the next process without a program, once the one before it has been loaded.
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

    /// Whether the commands of the command line may begin: all apps are loaded, or they took too long.
    pub fn apps_ready(&mut self, now: Instant) -> bool {
        self.boot.waited |= now >= Instant::BOOT + APPS_TIMEOUT;
        self.boot.done || self.boot.waited
    }

    /// When [`Board::apps_ready`] becomes true at the latest.
    pub fn apps_deadline(&self) -> Option<Instant> {
        (!self.boot.done && !self.boot.waited).then_some(Instant::BOOT + APPS_TIMEOUT)
    }

    /// Draws the seed of the network's secrets, and then starts the network.
    pub fn draw_seed(&mut self, now: Instant) {
        if !self.seed.is_settled() {
            self.continue_drawing_seed(now);
        }
    }

    // A function of its own, so that it costs nothing once it is done.
    #[inline(never)]
    fn continue_drawing_seed(&mut self, now: Instant) {
        let Capsules { entropy, flash, .. } = &mut self.capsules;
        if let Some(seed) = self.seed.draw(entropy, flash, now) {
            self.capsules.stack.set_seed(seed);
            self.capsules.copies.begin(&seed);
            // It may be a copy of a machine that was still drawing.
            self.capsules.renew_secrets_of_copy(now);
            let up = self.network.as_ref().is_some_and(Net::link_up);
            self.capsules.stack.set_link(up, now);
        }
    }
}
