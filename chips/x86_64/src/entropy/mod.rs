//! Entropy for the network's secrets: RDSEED or RDRAND where there is one, the jitter of timing, and what the board
//! adds.
//!
//! All samples go through SHA-256, so a weak or hostile source cannot make the seed worse than the others leave it.
//! [`gather`] takes what is there at once; [`Seeding`] waits for what takes time, but not for long.

mod renewal;
mod seeding;

pub use renewal::Renewal;
pub use seeding::{SOURCE_LIMIT_US, STORED_BYTES, Seeding, Settled};

use crate::clock::time_stamp;
use crate::cpuid::Features;
use sha2::{Digest, Sha256};

/// Time stamps taken; each contributes what is uncertain in its low bits.
const SAMPLES: usize = 64;
/// Words taken of RDSEED, twice as many bits as a seed has: it is slow.
const SEED_WORDS: usize = 8;
/// Either may be empty for a moment; the SDM (volume 1, section 7.3.17.1) advises ten tries.
const TRIES: usize = 10;

/// What was gathered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The digest of all of it.
    pub digest: [u8; 32],
    /// Whether a generator of the processor contributed.
    pub processor: bool,
}

/// Gathers what is there at once. `extra` is whatever else differs between boots or boards, however little: clocks, the
/// loader's words, addresses.
pub fn gather(features: &Features, extra: &[&[u8]]) -> Gathered {
    let mut pool = Sha256::new();
    for part in extra {
        pool.update((part.len() as u64).to_le_bytes());
        pool.update(part);
    }
    let mut variety = Variety::default();
    for index in 0..SAMPLES {
        pool.update(time_stamp().to_le_bytes());
        let word = match () {
            () if features.rdseed && index < SEED_WORDS => (0..TRIES).find_map(|_| rdseed()),
            () if features.rdrand => (0..TRIES).find_map(|_| rdrand()),
            () => None,
        };
        if let Some(word) = word {
            pool.update(word.to_le_bytes());
            variety.note(word);
        }
    }
    Gathered { digest: pool.finalize().into(), processor: variety.is_plausible() }
}

/// Whether a generator gives what could be chance: some have been seen that answer all ones forever, and say that it is
/// valid.
#[derive(Default)]
struct Variety {
    last: Option<u64>,
    changes: usize,
}

impl Variety {
    fn note(&mut self, word: u64) {
        self.changes += usize::from(self.last.is_some_and(|last| last != word));
        self.last = Some(word);
    }

    /// A seed is four words: as many have to be new.
    fn is_plausible(&self) -> bool {
        self.changes >= 4
    }
}

fn rdseed() -> Option<u64> {
    let word: u64;
    let valid: u8;
    // SAFETY: only called where CPUID says that the instruction exists; it writes the two registers named.
    unsafe { core::arch::asm!("rdseed {}", "setc {}", out(reg) word, out(reg_byte) valid, options(nomem, nostack)) };
    (valid != 0).then_some(word)
}

fn rdrand() -> Option<u64> {
    let word: u64;
    let valid: u8;
    // SAFETY: as for `rdseed`.
    unsafe { core::arch::asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) valid, options(nomem, nostack)) };
    (valid != 0).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ_even_without_a_generator() {
        let [first, second] = [(); 2].map(|()| gather(&Features::default(), &[]));
        assert_ne!(first.digest, second.digest);
        assert!(!first.processor);
    }

    #[test]
    fn a_generator_that_repeats_itself_is_none() {
        let plausible = |words: &[u64]| {
            let mut variety = Variety::default();
            words.iter().for_each(|word| variety.note(*word));
            variety.is_plausible()
        };
        assert!(plausible(&[1, 2, 3, 4, 5]));
        assert!(!plausible(&[u64::MAX; 64]));
        assert!(!plausible(&[0; 64]));
        assert!(!plausible(&[7, 8, 8, 8, 8, 8, 8]));
        assert!(!plausible(&[]));
    }
}
