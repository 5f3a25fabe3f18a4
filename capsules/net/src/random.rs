//! Numbers that nobody outside can guess, all from one 32-byte seed that the board gives at boot.
//!
//! SipHash-2-4 is a keyed pseudo-random function. Keyed with the first half of the seed and applied to a counter
//! it is the generator; keyed with the second half and applied to a connection's two ends it gives the offset of
//! that connection's initial sequence number, as RFC 6528 asks.

use siphasher::sip::SipHasher24;
use slopos_kernel::time::Instant;

use crate::tcp::Endpoint;

/// First port of those that connections are made from: the dynamic ports, RFC 6335 section 6.
pub const FIRST_PORT: u16 = 49_152;
/// How many there are, up to port 65535.
pub const PORTS: u16 = u16::MAX - FIRST_PORT + 1;

/// The generator.
pub struct Random {
    generator: SipHasher24,
    drawn: u64,
    sequence_secret: SipHasher24,
}

impl Random {
    /// A generator whose output is as hard to guess as the seed is.
    pub fn new(seed: [u8; 32]) -> Self {
        let (mut generator, mut secret) = ([0; 16], [0; 16]);
        generator.copy_from_slice(&seed[..16]);
        secret.copy_from_slice(&seed[16..]);
        Random {
            generator: SipHasher24::new_with_key(&generator),
            drawn: 0,
            sequence_secret: SipHasher24::new_with_key(&secret),
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.generator.hash(&self.drawn.to_le_bytes())
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `bound`, each as likely up to one part in 2^32; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// The initial sequence number of a connection, RFC 6528 section 3.
    ///
    /// A clock of 4 microseconds, so that a new incarnation of a connection starts beyond the old one, plus a
    /// secret offset for each pair of ends, so that one connection's numbers tell nothing about another's.
    pub fn initial_sequence(&self, local: Endpoint, remote: Endpoint, now: Instant) -> u32 {
        let offset = self.connection_secret(local, remote) as u32;
        ((now.as_micros() / 4) as u32).wrapping_add(offset)
    }

    /// What a connection's timestamps are shifted by, so that they do not tell how long the board has been up
    /// (RFC 7323 section 5.4). Each incarnation of a connection has the same, so its timestamps go on where the last
    /// one's ended.
    pub fn timestamp_offset(&self, local: Endpoint, remote: Endpoint) -> u32 {
        (self.connection_secret(local, remote) >> 32) as u32
    }

    fn connection_secret(&self, local: Endpoint, remote: Endpoint) -> u64 {
        let mut ends = [0; 12];
        ends[0..4].copy_from_slice(&local.address.0);
        ends[4..6].copy_from_slice(&local.port.to_be_bytes());
        ends[6..10].copy_from_slice(&remote.address.0);
        ends[10..12].copy_from_slice(&remote.port.to_be_bytes());
        self.sequence_secret.hash(&ends)
    }

    /// A local port that `in_use` does not name, RFC 6056 algorithm 1: a random start, then the next free one.
    ///
    /// `None` where all of them are in use.
    pub fn port(&mut self, mut in_use: impl FnMut(u16) -> bool) -> Option<u16> {
        let start = self.below(u32::from(PORTS)) as u16;
        (0..PORTS)
            .map(|step| FIRST_PORT + ((u32::from(start) + u32::from(step)) % u32::from(PORTS)) as u16)
            .find(|&port| !in_use(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ipv4Address;

    fn end(last: u8, port: u16) -> Endpoint {
        Endpoint { address: Ipv4Address::new(10, 0, 2, last), port }
    }

    #[test]
    fn equal_seeds_give_equal_numbers_and_others_do_not() {
        let (mut a, mut b, mut c) = (Random::new([7; 32]), Random::new([7; 32]), Random::new([8; 32]));
        let draw = |random: &mut Random| [random.next_u64(), random.next_u64(), random.next_u64()];
        let first = draw(&mut a);
        assert_eq!(first, draw(&mut b));
        assert_ne!(first, draw(&mut c));
        assert_ne!(first, draw(&mut a), "the generator moves on");
    }

    #[test]
    fn a_bound_is_kept_and_reached() {
        let mut random = Random::new([1; 32]);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn sequence_numbers_follow_the_clock_for_one_pair_of_ends_and_differ_between_pairs() {
        let random = Random::new([3; 32]);
        let at = |micros| random.initial_sequence(end(15, 50_000), end(2, 80), Instant::from_micros(micros));
        assert_eq!(at(4_000).wrapping_sub(at(0)), 1_000, "one step each 4 microseconds");
        let other = random.initial_sequence(end(15, 50_001), end(2, 80), Instant::BOOT);
        assert_ne!(at(0), other);
        assert_ne!(at(0), random.timestamp_offset(end(15, 50_000), end(2, 80)));
        let other_seed = Random::new([4; 32]).initial_sequence(end(15, 50_000), end(2, 80), Instant::BOOT);
        assert_ne!(at(0), other_seed);
    }

    #[test]
    fn ports_are_dynamic_and_random_and_free() {
        let mut random = Random::new([5; 32]);
        let first = random.port(|_| false).unwrap();
        let second = random.port(|_| false).unwrap();
        assert!(first >= FIRST_PORT && second >= FIRST_PORT);
        assert_ne!(first, second, "two draws of 16384 ports with this seed");
        assert_eq!(random.port(|port| port != 50_123), Some(50_123), "the only free one is found");
        assert_eq!(random.port(|_| true), None);
    }
}
