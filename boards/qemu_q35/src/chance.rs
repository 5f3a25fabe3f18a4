//! What the network's secrets are drawn from. The network starts when that is settled: at once where no source takes
//! time, soon where one does, and after three seconds where one does not answer.

use crate::flash::Flash;
use crate::statics::SEED_REGION;
use slopos_abi::Errno;
use slopos_abi::flash::SECTOR;
use slopos_kernel::time::{Duration, Instant};
use slopos_virtio::blk::Operation;
use slopos_virtio::rng::{Drawn, Rng};
use slopos_x86_64::entropy::{Gathered, STORED_BYTES, Seeding};

/// How often a source is looked at that has not answered.
const LOOK: Duration = Duration::from_millis(1);

/// How far the renewal of the seed in the flash has come.
#[expect(clippy::large_enum_variant, reason = "there is one of it, and no heap to put the sector on")]
enum Renewal {
    /// There is none, or it is over.
    Over,
    /// The old one is to be read.
    Wanted,
    /// It was asked for, in this sector.
    Reading(u64),
    /// This is to be written there.
    Drawn(u64, [u8; SECTOR]),
    /// It was given to the device.
    Writing,
    /// It is to be put on the medium.
    Written,
    /// That was asked for.
    Flushing,
}

/// The sources, and the seed that is being drawn.
pub struct Chance {
    seeding: Seeding,
    generator: Option<Rng>,
    renewal: Renewal,
    next_look: Instant,
}

impl Chance {
    /// Begins with what was gathered. `generator` has been asked already.
    pub fn new(gathered: &Gathered, generator: Option<Rng>, now: Instant) -> Chance {
        let stored = SEED_REGION.is_some();
        let seeding = Seeding::new(gathered, generator.is_some(), stored, now.as_micros());
        let renewal = if stored { Renewal::Wanted } else { Renewal::Over };
        Chance { seeding, generator, renewal, next_look: now }
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
        self.ask_generator();
        self.renew(flash, now);
        self.next_look = now + LOOK;
        let settled = self.seeding.settle(now.as_micros())?;
        if let Some(mut silent) = self.generator.take() {
            defmt::error!("virtio-rng: no answer");
            silent.give_up();
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

    fn ask_generator(&mut self) {
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
    }

    /// Takes the seed that the flash keeps and puts another in its place, a step at a time.
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
