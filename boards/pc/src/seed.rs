//! Draws the seed of the network's secrets from the sources of entropy. The network starts when the seed is drawn: at
//! once if no source takes time, and after three seconds at most if one does not answer.

use crate::entropy::Entropy;
use crate::flash::Flash;
use crate::statics::SEED_REGION;
use slopos_abi::Errno;
use slopos_abi::flash::SECTOR;
use slopos_kernel::time::{Duration, Instant};
use slopos_virtio::blk::Operation;
use slopos_virtio::rng::{BYTES, Drawn};
use slopos_x86_64::entropy::{Gathered, STORED_BYTES, Seeding};

/// How often a source that has not answered is asked again.
const LOOK: Duration = Duration::from_millis(1);

/// How far the renewal of the seed in the flash has come.
#[expect(clippy::large_enum_variant, reason = "there is one of it, and no heap to put the sector on")]
enum Renewal {
    /// Finished, or the flash keeps no seed.
    Over,
    /// The old seed has to be read.
    Wanted,
    /// The read of this sector is on its way.
    Reading(u64),
    /// The new seed has to be written to this sector.
    Drawn(u64, [u8; SECTOR]),
    /// The write is on its way.
    Writing,
    /// The new seed is written and has to be flushed to the medium.
    Written,
    /// The flush is on its way.
    Flushing,
}

/// The sources, and the seed that is being drawn.
pub struct Seed {
    seeding: Seeding,
    /// Whether the generator device has yet to answer.
    awaits_generator: bool,
    renewal: Renewal,
    next_look: Instant,
}

impl Seed {
    /// Starts from what the processor and the clocks gave. `generator` says whether there is a generator device.
    pub fn new(gathered: &Gathered, generator: bool, now: Instant) -> Seed {
        let stored = SEED_REGION.is_some();
        let seeding = Seeding::new(gathered, generator, stored, now.as_micros());
        let renewal = if stored { Renewal::Wanted } else { Renewal::Over };
        Seed { seeding, awaits_generator: generator, renewal, next_look: now }
    }

    /// The seed that the stack starts with, before the real one is drawn.
    pub fn preliminary(&self) -> [u8; 32] {
        self.seeding.preliminary()
    }

    /// Whether the seed is drawn. Until then the network's link counts as down.
    pub fn is_settled(&self) -> bool {
        self.seeding.is_settled()
    }

    /// When to ask the sources again even if nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        (!self.is_settled()).then_some(self.next_look)
    }

    /// Asks the sources. Returns the seed once, as soon as it is drawn.
    pub fn draw(&mut self, entropy: &mut Entropy, flash: &mut Flash, now: Instant) -> Option<[u8; 32]> {
        self.ask_generator(entropy, now);
        self.renew(flash, now);
        self.next_look = now + LOOK;
        let settled = self.seeding.settle(now.as_micros())?;
        if self.awaits_generator {
            defmt::error!("virtio-rng: no answer");
            entropy.end_of_seed();
        }
        if !matches!(self.renewal, Renewal::Over) {
            defmt::error!("boot: the flash does not renew the seed that it keeps in time");
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

    fn ask_generator(&mut self, entropy: &mut Entropy, now: Instant) {
        if !self.awaits_generator {
            return;
        }
        let mut bytes = [0; BYTES];
        match entropy.draw_for_seed(&mut bytes, now) {
            Drawn::Pending => return,
            Drawn::Bytes(length) => self.seeding.add_generated(bytes.get(..length).unwrap_or(&bytes)),
            Drawn::Failed(_) => self.seeding.generator_failed(),
        }
        self.awaits_generator = false;
        entropy.end_of_seed();
    }

    /// Reads the seed in the flash and replaces it by a new one, a step at a time.
    fn renew(&mut self, flash: &mut Flash, now: Instant) {
        if let Err(error) = self.renew_on(flash, now)
            && error != Errno::Again
        {
            defmt::error!("boot: the seed in the flash cannot be renewed");
            self.seeding.stored_failed();
            self.renewal = Renewal::Over;
        }
    }

    fn renew_on(&mut self, flash: &mut Flash, now: Instant) -> Result<(), Errno> {
        let answer = |flash: &mut Flash| flash.take_own_answer().unwrap_or(Err(Errno::Again));
        self.renewal = match &self.renewal {
            Renewal::Over => Renewal::Over,
            Renewal::Wanted => {
                let sector = flash.storage.first_sector(SEED_REGION.unwrap_or_default())?;
                flash.ask(Operation::Read { sector, length: SECTOR }, now)?;
                Renewal::Reading(sector)
            }
            Renewal::Reading(sector) => {
                let mut bytes = answer(flash)?;
                if let Some(kept) = bytes.first_chunk_mut::<STORED_BYTES>() {
                    *kept = self.seeding.add_stored(kept);
                }
                Renewal::Drawn(*sector, bytes)
            }
            Renewal::Drawn(sector, bytes) => {
                flash.ask(Operation::Write { sector: *sector, bytes }, now)?;
                Renewal::Writing
            }
            Renewal::Writing => {
                answer(flash)?;
                Renewal::Written
            }
            Renewal::Written => {
                flash.ask(Operation::Flush, now)?;
                Renewal::Flushing
            }
            Renewal::Flushing => {
                answer(flash)?;
                self.seeding.renewed();
                Renewal::Over
            }
        };
        Ok(())
    }
}
