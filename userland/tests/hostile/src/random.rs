//! Random numbers that a seed repeats: Marsaglia's xorshift64, with a multiplication after it (Vigna's xorshift64*).

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed. Each seed has one of its own, 0 too.
    pub const fn new(seed: u64) -> Random {
        // Neighbouring seeds begin far from each other; the state must not be 0.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random(if state == 0 { 1 } else { state })
    }

    /// The next number, any of 64 bits.
    pub const fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        (self.number() >> 16) % limit
    }

    /// True once in `times`.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence_and_no_other() {
        let sequence = |seed| {
            let mut random = Random::new(seed);
            core::array::from_fn::<u64, 8, _>(|_| random.number())
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        assert_ne!(sequence(u64::MAX), sequence(0));
        assert!(sequence(u64::MAX).iter().all(|&number| number != 0));
    }

    #[test]
    fn numbers_below_a_limit_reach_all_of_it() {
        let mut random = Random::new(1);
        let mut seen = [false; 10];
        for _ in 0..1_000 {
            seen[random.below(10) as usize] = true;
        }
        assert_eq!(seen, [true; 10]);
    }
}
