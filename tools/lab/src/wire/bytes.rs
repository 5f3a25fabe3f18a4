//! What all formats are made of: stations, numbers in network order, the checksum.

use std::net::Ipv4Addr;

/// A station's address (IEEE 802).
pub type Mac = [u8; 6];

/// Every station.
pub const BROADCAST: Mac = [0xff; 6];

/// The Internet checksum (RFC 1071) of the parts one after the other; each but the last must have an even length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words.map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0))).sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// `N` bytes from `offset` on; the caller has checked that they are there.
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("a slice of N bytes")
}

/// The big-endian number at `offset`; the caller has checked that it is there.
pub(super) fn word(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes(array(bytes, offset))
}

/// The big-endian number at `offset`; the caller has checked that it is there.
pub(super) fn long(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(array(bytes, offset))
}

/// The pseudo-header that the checksums of TCP and UDP include (RFC 9293 section 3.1).
pub(super) fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> [u8; 12] {
    let [a, b, c, d] = source.octets();
    let [e, f, g, h] = destination.octets();
    let [i, j] = (length as u16).to_be_bytes();
    [a, b, c, d, e, f, g, h, 0, protocol, i, j]
}
