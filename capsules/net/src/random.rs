//! Numbers that nobody outside can guess, all from one 32-byte seed that the board gives at boot.
//!
//! SipHash-2-4 is a keyed pseudo-random function. Keyed with the first half of the seed and applied to a counter
//! it is the generator; keyed with the second half and applied to a connection's two ends it gives the offset of
//! that connection's initial sequence number, as RFC 6528 asks, and the order in which ports are taken.

use core::net::Ipv4Addr;

use siphasher::sip::SipHasher24;
use slopos_abi::Endpoint;
use slopos_kernel::time::Instant;

/// First port of those that connections are made from: as many as can be, RFC 6056 section 3.2.
pub const FIRST_PORT: u16 = 1_024;
/// How many there are, up to port 65535.
pub const PORTS: u16 = u16::MAX - FIRST_PORT + 1;
/// Counters that ports are drawn from. Remotes that share one use up each other's places.
const PORT_COUNTERS: usize = 8;

/// The generator.
pub struct Random {
    generator: SipHasher24,
    drawn: u64,
    sequence_secret: SipHasher24,
    ports_drawn: [u16; PORT_COUNTERS],
}

impl Random {
    /// A generator whose output is as hard to guess as the seed is.
    pub fn new(seed: [u8; 32]) -> Self {
        let (mut generator, mut secret) = ([0; 16], [0; 16]);
        generator.copy_from_slice(&seed[..16]);
        secret.copy_from_slice(&seed[16..]);
        let mut random = Random {
            generator: SipHasher24::new_with_key(&generator),
            drawn: 0,
            sequence_secret: SipHasher24::new_with_key(&secret),
            ports_drawn: [0; PORT_COUNTERS],
        };
        random.ports_drawn = core::array::from_fn(|_| random.next_u32() as u16);
        random
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
        ends[0..4].copy_from_slice(&local.address.octets());
        ends[4..6].copy_from_slice(&local.port.to_be_bytes());
        ends[6..10].copy_from_slice(&remote.address.octets());
        ends[10..12].copy_from_slice(&remote.port.to_be_bytes());
        self.sequence_secret.hash(&ends)
    }

    /// A local port for a connection to `remote` that `in_use` does not name, RFC 6056 algorithm 4 with a keyed
    /// permutation in place of the sum.
    ///
    /// A counter goes through all places of an order of the ports, a secret one for each remote. So the next port
    /// cannot be told from the last, and each port comes again only after all others have, when the peer's TIME-WAIT
    /// record of the connection before is long gone: with ports drawn at random, a few hundred connections in quick
    /// succession would meet one. `None` where all of them are in use.
    pub fn port(&mut self, local: Ipv4Addr, remote: Endpoint, mut in_use: impl FnMut(u16) -> bool) -> Option<u16> {
        // No connection has port 0, so this is no other secret's input.
        let secret = self.connection_secret(Endpoint { address: local, port: 0 }, remote);
        let key = &self.sequence_secret;
        let drawn = self.ports_drawn.get_mut((secret >> 32) as usize % PORT_COUNTERS)?;
        (0..PORTS).find_map(|_| {
            *drawn = drawn.wrapping_add(1) % PORTS;
            let place = permuted_port(key, secret, *drawn);
            Some(FIRST_PORT + place).filter(|&port| !in_use(port))
        })
    }
}

/// The place that a place below [`PORTS`] has in the order that belongs to `secret`: no two have the same.
fn permuted_port(key: &SipHasher24, secret: u64, place: u16) -> u16 {
    let mut place = place;
    // A permutation of all 16-bit numbers, walked until it comes back among the ports. It must, for it began there, and
    // after as many steps as there are other numbers at the latest.
    for _ in 0..=u16::MAX - PORTS + 1 {
        place = permuted(key, secret, place);
        if place < PORTS {
            break;
        }
    }
    place % PORTS
}

/// A permutation of the 16-bit numbers: a Feistel network, keyed. Three rounds do where nobody can ask backwards (Luby
/// and Rackoff).
fn permuted(key: &SipHasher24, secret: u64, number: u16) -> u16 {
    let [a, b, c, d, e, ..] = secret.to_le_bytes();
    let [mut left, mut right] = number.to_be_bytes();
    for round in 0..3 {
        // Seven bytes: of another length than any other secret's input, and one block of the hash.
        let mixed = key.hash(&[a, b, c, d, e, right, round]) as u8;
        (left, right) = (right, left ^ mixed);
    }
    u16::from_be_bytes([left, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(last: u8, port: u16) -> Endpoint {
        Endpoint { address: Ipv4Addr::new(10, 0, 2, last), port }
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
    fn ports_to_one_remote_repeat_only_after_all_others() {
        let mut random = Random::new([5; 32]);
        let local = Ipv4Addr::new(10, 0, 2, 15);
        let mut seen = vec![false; 65_536];
        for _ in 0..PORTS {
            let port = random.port(local, end(2, 80), |_| false).unwrap();
            assert!(port >= FIRST_PORT && !core::mem::replace(&mut seen[usize::from(port)], true), "{port}");
        }
        assert!(random.port(local, end(2, 80), |_| false).is_some());
    }

    #[test]
    fn the_next_port_to_a_remote_cannot_be_told_from_the_last() {
        let local = Ipv4Addr::new(10, 0, 2, 15);
        let mut random = Random::new([5; 32]);
        let ports: Vec<_> = (0..1_000).map(|_| random.port(local, end(2, 80), |_| false).unwrap()).collect();
        let steps: Vec<_> = ports.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        let near = steps.iter().filter(|&&step| step.wrapping_add(16) < 32).count();
        assert!(near < 10, "{near} of 999 steps are short ones");
        let mut different = steps.clone();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() > 950, "{} different steps", different.len());
        // Another remote's ports do not run alongside.
        let mut random = Random::new([5; 32]);
        let others: Vec<_> = (0..1_000).map(|_| random.port(local, end(3, 80), |_| false).unwrap()).collect();
        let same = ports
            .iter()
            .zip(&others)
            .filter(|(one, other)| one.wrapping_sub(**other) == ports[0].wrapping_sub(others[0]));
        assert!(same.count() < 10);
    }

    #[test]
    fn ports_are_free_and_start_elsewhere_for_each_remote_and_seed() {
        let local = Ipv4Addr::new(10, 0, 2, 15);
        let first = |seed, remote| Random::new([seed; 32]).port(local, remote, |_| false).unwrap();
        assert_ne!(first(5, end(2, 80)), first(5, end(3, 80)));
        assert_ne!(first(5, end(2, 80)), first(5, end(2, 81)));
        assert_ne!(first(5, end(2, 80)), first(6, end(2, 80)));
        let mut random = Random::new([5; 32]);
        assert_eq!(random.port(local, end(2, 80), |port| port != 50_123), Some(50_123), "the only free one is found");
        assert_eq!(random.port(local, end(2, 80), |_| true), None);
    }
}
