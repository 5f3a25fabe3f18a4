//! SHA-256 (FIPS 180-4), small: the kernel hashes each byte of this program at each boot, and the unrolled rounds of the
//! crate `sha2` would be an eighth of it. A test compares the two.

/// Bytes of a block.
const BLOCK: usize = 64;

/// The hash of nothing, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// The constants of the rounds, section 4.2.2.
#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// A hash of what was given so far.
#[derive(Clone, Debug)]
pub struct Sha256 {
    state: [u32; 8],
    block: [u8; BLOCK],
    /// Bytes so far; what is over of whole blocks lies in `block`.
    length: u64,
}

impl Sha256 {
    /// The hash of nothing.
    pub const fn new() -> Sha256 {
        Sha256 { state: INITIAL, block: [0; BLOCK], length: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let held = (self.length % BLOCK as u64) as usize;
        self.length += bytes.len() as u64;
        if held > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(BLOCK - held));
            self.block[held..held + first.len()].copy_from_slice(first);
            if held + first.len() < BLOCK {
                return;
            }
            compress(&mut self.state, &self.block);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            compress(&mut self.state, block);
        }
        self.block[..rest.len()].copy_from_slice(rest);
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.length.wrapping_mul(8);
        let held = (self.length % BLOCK as u64) as usize;
        self.block[held..].fill(0);
        self.block[held] = 0x80;
        if held >= BLOCK - 8 {
            compress(&mut self.state, &self.block);
            self.block.fill(0);
        }
        self.block[BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
        compress(&mut self.state, &self.block);
        let mut digest = [0; 32];
        for (place, word) in digest.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Sha256::new()
    }
}

/// Takes one block, section 6.2.2.
#[inline(never)]
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let mut schedule = [0_u32; 16];
    for (word, bytes) in schedule.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (round, constant) in ROUNDS.iter().enumerate() {
        let at = |back: usize| (round + 16 - back) % 16;
        if round >= 16 {
            let (old, new) = (schedule[at(15)], schedule[at(2)]);
            let small = old.rotate_right(7) ^ old.rotate_right(18) ^ (old >> 3);
            let large = new.rotate_right(17) ^ new.rotate_right(19) ^ (new >> 10);
            let sum = schedule[at(16)].wrapping_add(small).wrapping_add(schedule[at(7)]).wrapping_add(large);
            schedule[at(16)] = sum;
        }
        let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = g ^ (e & (f ^ g));
        let first = h.wrapping_add(sum).wrapping_add(choice).wrapping_add(*constant).wrapping_add(schedule[at(16)]);
        let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) | (c & (a | b));
        (h, g, f, e) = (g, f, e, d.wrapping_add(first));
        (d, c, b, a) = (c, b, a, first.wrapping_add(sum).wrapping_add(majority));
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn digests_are_those_of_the_crate_whatever_the_length_and_the_pieces() {
        let bytes: Vec<u8> = (0..1_000_u32).map(|at| (at * 7 + at / 256) as u8).collect();
        for length in (0..=260).chain([511, 512, 1_000]) {
            let expected: [u8; 32] = sha2::Sha256::digest(&bytes[..length]).into();
            for piece in [1, 7, 63, 64, 65, 1_000] {
                let mut hash = Sha256::new();
                bytes[..length].chunks(piece).for_each(|piece| hash.update(piece));
                assert_eq!(hash.finish(), expected, "{length} bytes in pieces of {piece}");
            }
        }
    }
}
