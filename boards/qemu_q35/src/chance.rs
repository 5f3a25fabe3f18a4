//! What the network's secrets are drawn from. The network starts when that is settled: at once where no source takes
//! time, soon where one does, and after three seconds where one does not answer.

use crate::board::Board;
use crate::flash::Flash;
use crate::statics::SEED_REGION;
use slopos_abi::Errno;
use slopos_kernel::time::{Duration, Instant};
use slopos_virtio::net::Net;
use slopos_virtio::rng::{Drawn, Rng};
use slopos_x86_64::entropy::{Gathered, Seeding};

/// How often a source is looked at that has not answered.
const LOOK: Duration = Duration::from_millis(1);

/// The sources, and the seed that is being drawn.
pub struct Chance {
    seeding: Seeding,
    generator: Option<Rng>,
    /// The region of the flash whose seed is yet to be renewed.
    stored: Option<&'static str>,
    next_look: Instant,
}

impl Chance {
    /// Begins with what was gathered. `generator` has been asked already.
    pub fn new(gathered: &Gathered, generator: Option<Rng>, now: Instant) -> Chance {
        let seeding = Seeding::new(gathered, generator.is_some(), SEED_REGION.is_some(), now.as_micros());
        Chance { seeding, generator, stored: SEED_REGION, next_look: now }
    }

    /// Takes the seed that the flash keeps, and puts another in its place: a step of that, if there is one to make.
    fn renew_stored(&mut self, flash: &mut Flash, now: Instant) {
        let Some(region) = self.stored else { return };
        match flash.renew(region, |old| self.seeding.add_stored(old), now) {
            Err(Errno::Again) => return,
            Ok(()) => self.seeding.renewed(),
            Err(_) => {
                defmt::error!("boot: the seed in the flash region {=str} cannot be renewed", region);
                self.seeding.stored_failed();
            }
        }
        self.stored = None;
    }

    /// A seed to begin with.
    pub fn preliminary(&self) -> [u8; 32] {
        self.seeding.preliminary()
    }

    /// Whether the seed is drawn: until then the network is kept still.
    pub fn is_settled(&self) -> bool {
        self.seeding.is_settled()
    }

    /// When to look again even if nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        (!self.is_settled()).then_some(self.next_look)
    }

    /// Looks at the sources; gives the seed, once.
    pub fn draw(&mut self, flash: &mut Flash, now: Instant) -> Option<[u8; 32]> {
        if self.is_settled() || now < self.next_look {
            return None;
        }
        self.next_look = now + LOOK;
        self.renew_stored(flash, now);
        match self.generator.as_mut().map(Rng::poll) {
            None | Some(Drawn::Pending) => {}
            Some(Drawn::Bytes(bytes, length)) => {
                self.seeding.add_generated(bytes.get(..length).unwrap_or(&bytes));
                self.generator = None;
            }
            Some(Drawn::Failed(error)) => {
                defmt::error!("virtio-rng: {}", error);
                self.seeding.generator_failed();
                self.generator = None;
            }
        }
        let settled = self.seeding.settle(now.as_micros())?;
        if let Some(mut silent) = self.generator.take() {
            defmt::error!("virtio-rng: no answer");
            silent.give_up();
        }
        if settled.is_weak() {
            defmt::warn!("boot: secrets are drawn from clocks alone; a virtio-rng device or a seed in the flash helps");
        } else {
            defmt::info!(
                "boot: secrets are drawn from processor={=bool} virtio-rng={=bool} flash={=bool}",
                settled.processor,
                settled.generator,
                settled.stored
            );
        }
        Some(settled.seed)
    }
}

impl Board {
    /// Starts the network when its secrets are drawn.
    pub fn draw_chance(&mut self, now: Instant) {
        if let Some(seed) = self.chance.draw(self.capsules.flash, now) {
            self.capsules.stack.set_seed(seed);
            self.capsules.stack.set_link(self.link_up(), now);
        }
    }

    /// Whether the stack may use the link.
    pub fn link_up(&self) -> bool {
        self.chance.is_settled() && self.network.as_ref().is_some_and(Net::link_up)
    }
}
