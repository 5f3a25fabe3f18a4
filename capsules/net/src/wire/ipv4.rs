//! IPv4 (RFC 791) as an end host needs it: what addresses mean, and the header on receipt and on sending.
//!
//! Options are skipped, fragments are refused (there is no reassembly, by decision), and what the link padded is
//! cut off. Packets of our own never fragment (DF), so their identification field may be zero (RFC 6864).

use core::net::Ipv4Addr;

use crate::wire::checksum::{self, Accumulator};

/// Bytes of a header without options, which is how we send it.
pub const HEADER_BYTES: usize = 20;
/// Hops that a packet of ours may take (RFC 1700's recommendation).
pub const TIME_TO_LIVE: u8 = 64;

/// Whether a packet may come from or go to `address` as one host on a network.
///
/// Not so are 0.0.0.0/8, loopback, multicast, the reserved class E and broadcast (RFC 1122 3.2.1.3).
pub const fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}

/// The addresses that share their first bits with one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Any of its addresses.
    pub address: Ipv4Addr,
    /// How many bits they share, 0 to 32; more count as 32.
    pub prefix: u8,
}

impl Subnet {
    /// Whether `address` is one of its addresses.
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.address.to_bits()) & mask(self.prefix) == 0
    }

    /// Its directed broadcast address. A /31 or /32 has none (RFC 3021).
    pub const fn broadcast(self) -> Option<Ipv4Addr> {
        if self.prefix >= 31 {
            return None;
        }
        Some(Ipv4Addr::from_bits(self.address.to_bits() | !mask(self.prefix)))
    }

    /// Whether `address` names the whole subnet, so that no host in it can have it: all host bits zeros, or all ones.
    pub const fn reserves(self, address: Ipv4Addr) -> bool {
        let host = address.to_bits() & !mask(self.prefix);
        self.contains(address) && self.prefix < 31 && (host == 0 || host == !mask(self.prefix))
    }
}

/// The addresses that are on every link, and on none but it (RFC 3927): no router passes on what comes from them or goes
/// to them.
pub const LINK_LOCAL: Subnet = Subnet { address: Ipv4Addr::new(169, 254, 0, 0), prefix: 16 };

/// The network mask of `prefix` bits (0 to 32; more count as 32), as a number in host order.
pub const fn mask(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        1..=32 => u32::MAX << (32 - prefix),
        _ => u32::MAX,
    }
}

/// What a packet carries: the protocol field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// RFC 9293.
    pub const TCP: Protocol = Protocol(6);
    /// RFC 768.
    pub const UDP: Protocol = Protocol(17);
}

bitfield::bitfield! {
    /// The header's first byte, RFC 791 section 3.1.
    struct VersionAndLength(u8);
    /// 4.
    version, set_version: 7, 4;
    /// Length of the header in words of 32 bits, at least 5.
    words, set_words: 3, 0;
}

bitfield::bitfield! {
    /// The header's seventh and eighth byte, RFC 791 section 3.1.
    struct FlagsAndOffset(u16);
    /// DF: must not be cut into fragments.
    dont_fragment, set_dont_fragment: 14;
    /// MF: more fragments follow.
    more_fragments, _: 13;
    /// Where this fragment begins, in units of 8 bytes.
    fragment_offset, _: 12, 0;
}

/// The header of a packet, as far as a host looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who says that they sent the packet.
    pub source: Ipv4Addr,
    /// Who is to receive it.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub protocol: Protocol,
}

/// Why a packet is refused. There is nothing to do but to drop it and to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ParseError {
    /// Shorter than a header.
    Truncated,
    /// The version is not 4.
    Version,
    /// The header's length is less than 20 bytes or more than the packet.
    HeaderLength,
    /// The total length is less than the header or more than what arrived.
    TotalLength,
    /// The header's checksum is wrong.
    Checksum,
    /// A fragment of a larger packet.
    Fragment,
}

impl Header {
    /// Checks a packet and splits it into header and payload, without options and without the link's padding.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`ParseError`].
    pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), ParseError> {
        let fixed = packet.first_chunk::<HEADER_BYTES>().ok_or(ParseError::Truncated)?;
        let [first, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        let first = VersionAndLength(first);
        if first.version() != 4 {
            return Err(ParseError::Version);
        }
        let header_bytes = usize::from(first.words()) * 4;
        if header_bytes < HEADER_BYTES {
            return Err(ParseError::HeaderLength);
        }
        let header = packet.get(..header_bytes).ok_or(ParseError::HeaderLength)?;
        let total = usize::from(u16::from_be_bytes([l0, l1]));
        let payload = packet.get(header_bytes..total).ok_or(ParseError::TotalLength)?;
        if checksum::of(header) != 0 {
            return Err(ParseError::Checksum);
        }
        let fragment = FlagsAndOffset(u16::from_be_bytes([f0, f1]));
        if fragment.more_fragments() || fragment.fragment_offset() != 0 {
            return Err(ParseError::Fragment);
        }
        let header = Header {
            source: Ipv4Addr::from_octets([s0, s1, s2, s3]),
            destination: Ipv4Addr::from_octets([d0, d1, d2, d3]),
            protocol: Protocol(protocol),
        };
        Ok((header, payload))
    }

    /// Fills in the header of a packet whose payload has `payload_bytes`.
    ///
    /// Returns the packet's total length; `None`, and writes nothing, where that exceeds 65535 bytes.
    pub fn emit(&self, payload_bytes: usize, out: &mut [u8; HEADER_BYTES]) -> Option<usize> {
        let total = payload_bytes.checked_add(HEADER_BYTES)?;
        let total_field = u16::try_from(total).ok()?;
        let mut first = VersionAndLength(0);
        first.set_version(4);
        first.set_words((HEADER_BYTES / 4) as u8);
        let mut fragment = FlagsAndOffset(0);
        fragment.set_dont_fragment(true);
        out.fill(0);
        out[0] = first.0;
        out[2..4].copy_from_slice(&total_field.to_be_bytes());
        out[6..8].copy_from_slice(&fragment.0.to_be_bytes());
        out[8] = TIME_TO_LIVE;
        out[9] = self.protocol.0;
        out[12..16].copy_from_slice(&self.source.octets());
        out[16..20].copy_from_slice(&self.destination.octets());
        let sum = checksum::of(out);
        out[10..12].copy_from_slice(&sum.to_be_bytes());
        Some(total)
    }
}

/// The checksum of a transport header and payload with their pseudo-header; 0 where they carry the right one
/// already. A longer `datagram` than a length field can say does not come out of an IPv4 packet.
pub fn transport_checksum(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, datagram: &[u8]) -> u16 {
    let mut accumulator = pseudo_header(source, destination, protocol, datagram.len() as u16);
    accumulator.add(datagram);
    accumulator.checksum()
}

/// The sum of the pseudo-header that TCP and UDP prefix (RFC 9293 section 3.1, RFC 768). `length` is that of the
/// transport header and its payload, in bytes.
pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, length: u16) -> Accumulator {
    let [length_high, length_low] = length.to_be_bytes();
    let mut accumulator = checksum::sum(&source.octets());
    accumulator.add(&destination.octets());
    accumulator.add(&[0, protocol.0, length_high, length_low]);
    accumulator
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        source: Ipv4Addr::new(10, 0, 2, 15),
        destination: Ipv4Addr::new(10, 0, 2, 2),
        protocol: Protocol::TCP,
    };

    /// A packet with `payload`, then `padding` bytes of the link's.
    fn packet(payload: &[u8], padding: usize) -> Vec<u8> {
        let mut header = [0; HEADER_BYTES];
        HEADER.emit(payload.len(), &mut header).unwrap();
        [&header[..], payload, &vec![0xee; padding]].concat()
    }

    /// Sets bytes of the header and makes its checksum right again.
    fn patched(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut packet = packet(b"payload!", 0);
        packet[offset..offset + bytes.len()].copy_from_slice(bytes);
        packet[10..12].fill(0);
        let sum = checksum::of(&packet[..HEADER_BYTES]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    #[test]
    fn a_packet_survives_the_wire() {
        assert_eq!(Header::parse(&packet(b"hello", 0)), Ok((HEADER, &b"hello"[..])));
    }

    #[test]
    fn the_links_padding_is_cut_off() {
        assert_eq!(Header::parse(&packet(b"hello", 21)), Ok((HEADER, &b"hello"[..])));
    }

    #[test]
    fn what_we_send_lives_64_hops_and_is_never_cut_up() {
        let packet = packet(b"", 0);
        assert_eq!(packet[..10], [0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 6]);
    }

    #[test]
    fn options_are_skipped() {
        let mut packet = packet(b"\x01\x01\x01\x00payload", 0);
        packet[0] = 0x46;
        packet[10..12].fill(0);
        let sum = checksum::of(&packet[..24]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Header::parse(&packet), Ok((HEADER, &b"payload"[..])));
    }

    #[test]
    fn each_malformed_header_is_refused_for_its_own_reason() {
        assert_eq!(Header::parse(&packet(b"", 0)[..19]), Err(ParseError::Truncated));
        assert_eq!(Header::parse(&patched(0, &[0x65])), Err(ParseError::Version));
        assert_eq!(Header::parse(&patched(0, &[0x44])), Err(ParseError::HeaderLength));
        assert_eq!(Header::parse(&patched(0, &[0x4f])), Err(ParseError::HeaderLength));
        assert_eq!(Header::parse(&patched(2, &[0, 19])), Err(ParseError::TotalLength));
        assert_eq!(Header::parse(&patched(2, &[0, 29])), Err(ParseError::TotalLength));
        assert_eq!(Header::parse(&patched(6, &[0x20, 0])), Err(ParseError::Fragment), "more follow");
        assert_eq!(Header::parse(&patched(6, &[0, 1])), Err(ParseError::Fragment), "not the first");
        let mut corrupted = packet(b"hello", 0);
        corrupted[12] ^= 1;
        assert_eq!(Header::parse(&corrupted), Err(ParseError::Checksum));
    }

    #[test]
    fn no_cut_of_a_packet_panics() {
        let whole = packet(b"hello", 0);
        for length in 0..whole.len() {
            assert!(Header::parse(&whole[..length]).is_err());
        }
    }

    #[test]
    fn a_payload_beyond_the_length_field_is_not_sent() {
        let mut header = [7; HEADER_BYTES];
        assert_eq!(HEADER.emit(65_516, &mut header), None);
        assert_eq!(header, [7; HEADER_BYTES]);
        assert_eq!(HEADER.emit(65_515, &mut header), Some(65_535));
    }

    #[test]
    fn prefixes_divide_networks() {
        let subnet = |a, b, c, d, prefix| Subnet { address: Ipv4Addr::new(a, b, c, d), prefix };
        let address = Ipv4Addr::new(10, 0, 2, 15);
        assert!(subnet(10, 0, 2, 0, 24).contains(address));
        assert!(!subnet(10, 0, 3, 0, 24).contains(address));
        assert!(subnet(192, 168, 0, 0, 0).contains(address));
        assert!(!subnet(10, 0, 2, 14, 32).contains(address));
        assert_eq!(subnet(10, 0, 2, 15, 24).broadcast(), Some(Ipv4Addr::new(10, 0, 2, 255)));
        assert_eq!(subnet(10, 0, 2, 15, 31).broadcast(), None);
        assert!(subnet(10, 0, 2, 15, 24).reserves(Ipv4Addr::new(10, 0, 2, 0)));
        assert!(subnet(10, 0, 2, 15, 24).reserves(Ipv4Addr::new(10, 0, 2, 255)));
        assert!(!subnet(10, 0, 2, 15, 24).reserves(address));
        assert!(!subnet(10, 0, 2, 15, 24).reserves(Ipv4Addr::new(10, 0, 3, 0)));
        assert!(!subnet(10, 0, 2, 1, 31).reserves(Ipv4Addr::new(10, 0, 2, 0)));
    }

    #[test]
    fn only_hosts_can_be_senders() {
        for text in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [255, 255, 255, 255]] {
            assert!(!is_host(Ipv4Addr::from_octets(text)), "{text:?}");
        }
        assert!(is_host(HEADER.source));
        assert_eq!(HEADER.source.to_string(), "10.0.2.15");
    }
}
