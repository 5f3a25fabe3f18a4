//! Entropy for the network's secrets: RDRAND where there is one, mixed with the jitter of timing.
//!
//! All samples go through SHA-256, so a weak or hostile source cannot make the seed worse than the others leave it.

use crate::clock::time_stamp;
use crate::cpuid::Features;
use sha2::{Digest, Sha256};

/// Time stamps taken; each contributes what is uncertain in its low bits.
const SAMPLES: usize = 64;
/// RDRAND may be empty for a moment; the SDM (volume 1, section 7.3.17.1) advises ten tries.
const TRIES: usize = 10;

/// A seed of 32 bytes.
pub fn seed(features: &Features) -> [u8; 32] {
    let mut pool = Sha256::new();
    for _ in 0..SAMPLES {
        pool.update(time_stamp().to_le_bytes());
        if features.rdrand
            && let Some(word) = random_word()
        {
            pool.update(word.to_le_bytes());
        }
    }
    pool.finalize().into()
}

fn random_word() -> Option<u64> {
    (0..TRIES).find_map(|_| {
        let word: u64;
        let valid: u8;
        // SAFETY: only called where CPUID says that the instruction exists; it writes the two registers named.
        unsafe {
            core::arch::asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) valid, options(nomem, nostack))
        };
        (valid != 0).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ_even_without_a_generator() {
        assert_ne!(seed(&Features::default()), seed(&Features::default()));
    }
}
