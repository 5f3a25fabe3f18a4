//! Numbers that look random and follow from a seed alone, the same on every machine.

/// A generator (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// Mixes the bits of a number so that neighbouring numbers have nothing in common.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Random(mix(seed ^ 0x5107_05d1))
    }

    /// The next number, any of 2^64.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 where the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A number from `low` to `high` of which each order of magnitude is as likely as the next. `low` is at least 1.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let bits = self.between(u64::from(low.ilog2()), u64::from(high.max(low).ilog2()));
        self.between(1 << bits, (2 << bits) - 1).clamp(low, high)
    }

    /// True `chance` times in a thousand.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// One of these, each as likely as the others.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A stream of bytes without end that follows from a key, so that both ends can tell what comes where without keeping
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content(pub u64);

impl Content {
    fn byte(self, offset: usize) -> u8 {
        let word = mix(self.0 ^ (offset as u64 / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word.to_le_bytes()[offset % 8]
    }

    /// Writes what the stream has from `offset` on.
    pub fn fill(self, offset: usize, out: &mut [u8]) {
        for (index, byte) in out.iter_mut().enumerate() {
            *byte = self.byte(offset + index);
        }
    }

    /// Where `bytes` first differ from what the stream has from `offset` on.
    pub fn difference(self, offset: usize, bytes: &[u8]) -> Option<usize> {
        (offset..).zip(bytes).find(|&(at, &byte)| self.byte(at) != byte).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_bounds_hold() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        for _ in 0..1_000 {
            let number = one.between(3, 9);
            assert_eq!(number, other.between(3, 9));
            assert!((3..=9).contains(&number));
            let magnitude = one.magnitude(5, 70_000);
            assert_eq!(magnitude, other.magnitude(5, 70_000));
            assert!((5..=70_000).contains(&magnitude));
        }
        assert_eq!(one.below(0), 0);
        assert_ne!(Random::new(1).draw(), Random::new(2).draw());
    }

    #[test]
    fn content_is_the_same_in_any_pieces_and_a_wrong_byte_is_found() {
        let content = Content(42);
        let (mut whole, mut piece) = ([0; 100], [0; 31]);
        content.fill(0, &mut whole);
        content.fill(50, &mut piece);
        assert_eq!(whole[50..81], piece);
        assert_eq!(content.difference(50, &piece), None);
        piece[3] ^= 1;
        assert_eq!(content.difference(50, &piece), Some(53));
        assert!(Content(43).difference(0, &whole).is_some());
    }
}
