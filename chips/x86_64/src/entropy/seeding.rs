//! The seed of the network's secrets, from sources that take time: a generator device, and a seed kept in the flash.
//!
//! Nothing waits here. The board gives what arrives and asks [`Seeding::settle`], which answers once: when each source
//! has answered or failed, or its time is up. Until then the network is not started.
//!
//! What is kept in the flash is renewed before anything is drawn from it, so no two boots use the same, were one to end
//! in a power cut right after the other; and it is never the seed itself, and the seed cannot be derived from it.

use super::Gathered;
use sha2::{Digest, Sha256};

/// How long the sources may take together, in microseconds.
pub const SOURCE_LIMIT_US: u64 = 3_000_000;
/// Bytes that are kept in the flash.
pub const STORED_BYTES: usize = 32;

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// There is none.
    Absent,
    /// It has not answered yet.
    Awaited,
    /// What it gave is in the pool.
    Drawn,
    /// It failed, or did not answer in time.
    Failed,
}

/// The seed, and what it was drawn from beside clocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The seed.
    pub seed: [u8; 32],
    /// A generator of the processor.
    pub processor: bool,
    /// A generator device.
    pub generator: bool,
    /// The seed that is kept in the flash.
    pub stored: bool,
    /// A source that is there gave nothing.
    pub failed: bool,
}

impl Settled {
    /// Whether it was drawn from clocks alone, so that it can perhaps be guessed.
    pub fn is_weak(&self) -> bool {
        !self.processor && !self.generator && !self.stored
    }
}

/// A seed that is being drawn.
pub struct Seeding {
    pool: [u8; 32],
    processor: bool,
    generator: Source,
    stored: Source,
    deadline_us: u64,
    settled: bool,
}

impl Seeding {
    /// Begins with what was gathered, at `now_us`. `generator` and `stored` say whether these sources are there.
    pub fn new(gathered: &Gathered, generator: bool, stored: bool, now_us: u64) -> Self {
        let source = |there| if there { Source::Awaited } else { Source::Absent };
        Seeding {
            pool: gathered.digest,
            processor: gathered.processor,
            generator: source(generator),
            stored: source(stored),
            deadline_us: now_us.saturating_add(SOURCE_LIMIT_US),
            settled: false,
        }
    }

    /// A seed that may be used until this one is settled, for what cannot wait.
    pub fn preliminary(&self) -> [u8; 32] {
        self.derive("preliminary", &[])
    }

    /// The generator device has answered. What it gave counts only where it could be chance.
    pub fn add_generated(&mut self, bytes: &[u8]) {
        self.pool = self.derive("generator", bytes);
        let chance = bytes.iter().any(|byte| Some(byte) != bytes.first()) && bytes.len() >= self.pool.len();
        self.generator = if chance { Source::Drawn } else { Source::Failed };
    }

    /// The generator device will not answer.
    pub fn generator_failed(&mut self) {
        self.generator = Source::Failed;
    }

    /// The flash has given the seed that was kept in it. Gives the one that is to be kept instead; only once it is
    /// there, which [`Seeding::renewed`] says, the old one counts.
    pub fn add_stored(&mut self, old: &[u8]) -> [u8; STORED_BYTES] {
        self.pool = self.derive("stored", old);
        self.derive("to be stored", &[])
    }

    /// The new seed is on the medium.
    pub fn renewed(&mut self) {
        self.stored = Source::Drawn;
    }

    /// The flash gave no seed, or took none.
    pub fn stored_failed(&mut self) {
        self.stored = Source::Failed;
    }

    /// Whether the seed is drawn, and was given out.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// When [`Seeding::settle`] answers at the latest; `None` once it has.
    pub fn deadline_us(&self) -> Option<u64> {
        (!self.settled).then_some(self.deadline_us)
    }

    /// The seed, once: when all sources have answered or failed, or their time is up at `now_us`.
    pub fn settle(&mut self, now_us: u64) -> Option<Settled> {
        let late = now_us >= self.deadline_us;
        let awaited = [self.generator, self.stored].contains(&Source::Awaited);
        if self.settled || awaited && !late {
            return None;
        }
        for source in [&mut self.generator, &mut self.stored] {
            if *source == Source::Awaited {
                *source = Source::Failed;
            }
        }
        self.settled = true;
        let seed = self.derive("seed", &[]);
        // Whoever reads this memory later learns nothing of the seed.
        self.pool = [0; 32];
        Some(Settled {
            seed,
            processor: self.processor,
            generator: self.generator == Source::Drawn,
            stored: self.stored == Source::Drawn,
            failed: [self.generator, self.stored].contains(&Source::Failed),
        })
    }

    /// What follows from the pool for this purpose. No two purposes are told from one another's.
    fn derive(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(purpose.as_bytes());
        digest.update([0]);
        digest.update(self.pool);
        digest.update(bytes);
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same on each boot: clocks that repeat themselves, and no generator.
    const SAME: Gathered = Gathered { digest: [7; 32], processor: false };
    const CHANCE: [u8; 64] = {
        let mut bytes = [0; 64];
        let mut index = 0;
        while index < 64 {
            bytes[index] = (index * 37 + 11) as u8;
            index += 1;
        }
        bytes
    };

    fn seeding(generator: bool, stored: bool) -> Seeding {
        Seeding::new(&SAME, generator, stored, 0)
    }

    /// A boot with this medium: its seed. Renews what is kept there.
    fn boot(medium: &mut [u8; STORED_BYTES]) -> [u8; 32] {
        let mut seeding = seeding(false, true);
        assert!(seeding.settle(1).is_none());
        *medium = seeding.add_stored(medium);
        assert!(seeding.settle(1).is_none(), "nothing is drawn before the new one is kept");
        seeding.renewed();
        let settled = seeding.settle(1).unwrap();
        assert!(settled.stored && !settled.failed && !settled.is_weak());
        settled.seed
    }

    #[test]
    fn boots_that_are_the_same_but_for_the_kept_seed_differ() {
        let mut medium = [0; STORED_BYTES];
        let mut seen = std::vec::Vec::new();
        for _ in 0..100 {
            let seed = boot(&mut medium);
            assert!(!seen.contains(&seed) && !seen.contains(&medium));
            seen.extend([seed, medium]);
        }
        // Two boards that began with another content differ as well.
        assert_ne!(boot(&mut [1; STORED_BYTES]), boot(&mut [2; STORED_BYTES]));
    }

    #[test]
    fn a_kept_seed_that_could_not_be_renewed_does_not_count() {
        let mut seeding = seeding(false, true);
        seeding.add_stored(&[1; STORED_BYTES]);
        seeding.stored_failed();
        let settled = seeding.settle(1).unwrap();
        assert!(settled.failed && settled.is_weak());
    }

    #[test]
    fn what_a_generator_gives_changes_the_seed() {
        let seed = |bytes: &[u8]| {
            let mut seeding = seeding(true, false);
            seeding.add_generated(bytes);
            seeding.settle(1).unwrap()
        };
        let (first, second) = (seed(&CHANCE), seed(&CHANCE[..63]));
        assert!(first.seed != second.seed && first.generator && second.generator && !first.is_weak());
        for weak in [&[0; 64][..], &[0xff; 64], &CHANCE[..31], &[]] {
            let settled = seed(weak);
            assert!(settled.is_weak() && settled.failed, "{weak:?}");
        }
    }

    #[test]
    fn sources_that_do_not_answer_are_waited_for_no_longer_than_their_time() {
        let mut seeding = Seeding::new(&SAME, true, true, 1_000);
        assert_eq!(seeding.deadline_us(), Some(1_000 + SOURCE_LIMIT_US));
        assert!(seeding.settle(999 + SOURCE_LIMIT_US).is_none());
        let settled = seeding.settle(1_000 + SOURCE_LIMIT_US).unwrap();
        assert!(settled.failed && settled.is_weak() && seeding.is_settled());
        assert!(seeding.settle(u64::MAX).is_none() && seeding.deadline_us().is_none(), "it is given out once");
    }

    #[test]
    fn without_sources_to_wait_for_it_is_settled_at_once_and_unlike_what_was_used_before() {
        let mut plain = seeding(false, false);
        let preliminary = plain.preliminary();
        let settled = plain.settle(0).unwrap();
        assert!(settled.is_weak() && !settled.failed && settled.seed != preliminary);
        let processor = Gathered { processor: true, ..SAME };
        assert!(!Seeding::new(&processor, false, false, 0).settle(0).unwrap().is_weak());
    }
}
