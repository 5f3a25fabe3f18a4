//! The seed drawn anew, when the machine may be one of several copies that all have the last one.

use super::Gathered;
use sha2::{Digest, Sha256};

/// What later seeds are drawn from beside what is gathered then, so that they are never weaker than the first one.
pub struct Renewal {
    kept: [u8; 32],
}

impl Renewal {
    /// For a machine whose secrets are drawn from this seed. The seed cannot be derived from what is kept.
    pub fn new(seed: &[u8; 32]) -> Self {
        Renewal { kept: derive("kept", seed, &[]) }
    }

    /// Another seed. Two copies get different ones where what they gathered differs, and nobody who knows what was gathered
    /// alone can tell it.
    pub fn draw(&mut self, gathered: &Gathered) -> [u8; 32] {
        let seed = derive("seed", &self.kept, &gathered.digest);
        self.kept = derive("kept", &self.kept, &gathered.digest);
        seed
    }
}

fn derive(purpose: &str, kept: &[u8; 32], gathered: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(b"renewal\0");
    digest.update(purpose.as_bytes());
    digest.update([0]);
    digest.update(kept);
    digest.update(gathered);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(digest: u8) -> Gathered {
        Gathered { digest: [digest; 32], processor: false }
    }

    #[test]
    fn copies_that_gather_something_else_get_another_seed() {
        let [mut first, mut second, mut third] = [(); 3].map(|()| Renewal::new(&[7; 32]));
        let (one, two) = (first.draw(&gathered(1)), second.draw(&gathered(2)));
        assert_ne!(one, two);
        assert_eq!(third.draw(&gathered(1)), one, "nothing else decides");
        assert_ne!(first.draw(&gathered(3)), second.draw(&gathered(3)), "the difference stays");
    }

    #[test]
    fn the_seeds_before_count_as_well() {
        assert_ne!(Renewal::new(&[7; 32]).draw(&gathered(1)), Renewal::new(&[8; 32]).draw(&gathered(1)));
        let mut renewal = Renewal::new(&[7; 32]);
        assert_ne!(renewal.draw(&gathered(1)), renewal.draw(&gathered(1)));
    }
}
