//! The Internet checksum (RFC 1071), summed in wide words.
//!
//! One's complement addition does not care how many bytes are taken at a time, nor in which byte order, as long as
//! the result is stored in the same order. So the sum is taken over native 64-bit words and folded once at the end.
//!
//! ```
//! # use slopos_net::wire::checksum;
//! let header = [0x45, 0, 0, 0x14];
//! let mut sum = checksum::sum(&header);
//! sum.add(&sum.checksum().to_be_bytes());
//! assert!(sum.is_valid());
//! ```

use core::hint::black_box;

const LOW_HALF: u64 = 0xffff_ffff;

/// A checksum in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accumulator {
    /// The one's complement sum of 64-bit words, of which the checksum is a rest.
    sum: u64,
    /// An odd number of bytes is in already, so the next byte is the second of its 16-bit word.
    odd: bool,
}

/// The sum of `bytes`.
pub fn sum(bytes: &[u8]) -> Accumulator {
    let mut accumulator = Accumulator::new();
    accumulator.add(bytes);
    accumulator
}

/// The checksum of `bytes`; 0 where they carry the right one already.
pub fn of(bytes: &[u8]) -> u16 {
    sum(bytes).checksum()
}

impl Accumulator {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Accumulator { sum: 0, odd: false }
    }

    /// Adds `bytes` as what follows everything added so far, be that an odd number of bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut sum = WordSum::default();
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            sum.add(&u64_words(block));
        }
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            sum.add(&[u64::from_ne_bytes(*word)]);
        }
        self.join(sum.folded(), tail, bytes.len());
    }

    /// Adds `source` as [`Accumulator::add`] does and copies it to `destination`. Where the lengths differ, the
    /// shorter one counts.
    pub fn add_copy(&mut self, destination: &mut [u8], source: &[u8]) {
        let length = source.len().min(destination.len());
        let source = source.get(..length).unwrap_or_default();
        let destination = destination.get_mut(..length).unwrap_or_default();
        let mut sum = WordSum::default();
        let (source_blocks, source_rest) = source.as_chunks::<32>();
        let (destination_blocks, destination_rest) = destination.as_chunks_mut::<32>();
        for (to, from) in destination_blocks.iter_mut().zip(source_blocks) {
            let words = u64_words(from);
            // The compiler would make two loops of this one, a copy and a sum, and read everything twice.
            let to = black_box(to);
            for (to, word) in to.as_chunks_mut::<8>().0.iter_mut().zip(words) {
                *to = word.to_ne_bytes();
            }
            sum.add(&words);
        }
        let (source_words, source_tail) = source_rest.as_chunks::<8>();
        let (destination_words, destination_tail) = destination_rest.as_chunks_mut::<8>();
        for (to, from) in destination_words.iter_mut().zip(source_words) {
            let word = u64::from_ne_bytes(*from);
            *to = word.to_ne_bytes();
            sum.add(&[word]);
        }
        for (to, from) in destination_tail.iter_mut().zip(source_tail) {
            *to = *from;
        }
        self.join(sum.folded(), source_tail, length);
    }

    /// The 16-bit one's complement sum, in the machine's byte order.
    fn folded(&self) -> u16 {
        fold(self.sum)
    }

    /// The checksum for the header field, to be stored with the high byte first.
    pub fn checksum(&self) -> u16 {
        !u16::from_be_bytes(self.folded().to_ne_bytes())
    }

    /// Whether what was added, its checksum field included, is undamaged (RFC 1071 section 1).
    pub fn is_valid(&self) -> bool {
        self.folded() == 0xffff
    }

    /// Takes in the sum of whole words and the last few bytes behind them; `length` is that of both, in bytes.
    fn join(&mut self, words: u64, tail: &[u8], length: usize) {
        let mut part = words;
        if !tail.is_empty() {
            let mut last = [0; 8];
            for (to, from) in last.iter_mut().zip(tail) {
                *to = *from;
            }
            part = add(part, u64::from_ne_bytes(last));
        }
        if self.odd {
            // Each byte moves to the other half of its 16-bit word.
            part = part.rotate_left(8);
        }
        self.sum = add(self.sum, part);
        self.odd ^= length % 2 == 1;
    }
}

/// A sum of words, wide enough that no carry is lost.
#[derive(Default)]
struct WordSum(u128);

impl WordSum {
    /// Fewer words than could make it overflow come out of any slice.
    fn add(&mut self, words: &[u64]) {
        for &word in words {
            self.0 += u128::from(word);
        }
    }

    /// The one's complement sum.
    fn folded(self) -> u64 {
        add(self.0 as u64, (self.0 >> 64) as u64)
    }
}

/// One's complement addition: the carry comes in again at the other end.
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// The words of a block, in the machine's byte order.
fn u64_words(block: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

fn fold(sum: u64) -> u16 {
    let sum = (sum & LOW_HALF) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, one 16-bit word at a time.
    fn by_the_book(bytes: &[u8]) -> u16 {
        let mut sum = 0u64;
        for pair in bytes.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).checksum(), 0x220d);
    }

    #[test]
    fn every_length_agrees_with_the_definition() {
        let bytes = noise(200);
        for length in 0..bytes.len() {
            assert_eq!(sum(&bytes[..length]).checksum(), by_the_book(&bytes[..length]), "length {length}");
        }
    }

    #[test]
    fn carries_are_not_lost() {
        let bytes = vec![0xff; 65_535];
        assert_eq!(sum(&bytes).checksum(), by_the_book(&bytes));
    }

    #[test]
    fn pieces_of_odd_length_add_up() {
        let bytes = noise(120);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut accumulator = sum(&bytes[..first]);
                accumulator.add(&bytes[first..second]);
                accumulator.add(&bytes[second..]);
                assert_eq!(accumulator.checksum(), by_the_book(&bytes), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn copying_gives_the_same_bytes_and_the_same_sum() {
        let bytes = noise(150);
        for length in 0..bytes.len() {
            let mut copy = vec![0; length];
            let mut copied = Accumulator::new();
            copied.add_copy(&mut copy, &bytes);
            assert_eq!(copied.checksum(), sum(&bytes[..length]).checksum());
            assert_eq!(copy, bytes[..length]);
        }
        let mut roomy = [7; 4];
        Accumulator::new().add_copy(&mut roomy, &[1, 2]);
        assert_eq!(roomy, [1, 2, 7, 7]);
    }

    #[test]
    fn one_flipped_bit_is_noticed() {
        let mut bytes = noise(40);
        bytes.extend(by_the_book(&bytes).to_be_bytes());
        assert!(sum(&bytes).is_valid());
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!sum(&bytes).is_valid());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
