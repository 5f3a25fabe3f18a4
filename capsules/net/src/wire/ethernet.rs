//! Ethernet II frames (IEEE 802.3 clause 3, with the type interpretation of the length/type field).
//!
//! ```text
//! 0        6        12    14
//! | destination | source | type | payload, padded by the sender to at least 46 bytes
//! ```

use core::fmt;

/// Bytes of the header: two addresses and the type.
pub const HEADER_BYTES: usize = 14;

/// A station address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Every station on the link.
    pub const BROADCAST: MacAddress = MacAddress([0xff; 6]);
    /// What an ARP request writes where the address is still unknown.
    pub const ZERO: MacAddress = MacAddress([0; 6]);

    /// Whether this can be one station's own address: neither a group address nor all zeros.
    pub fn is_unicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 0 && self != Self::ZERO
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl defmt::Format for MacAddress {
    fn format(&self, f: defmt::Formatter<'_>) {
        let [a, b, c, d, e, g] = self.0;
        defmt::write!(f, "{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}", a, b, c, d, e, g);
    }
}

/// What a frame carries: the type field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtherType(pub u16);

impl EtherType {
    /// An IPv4 packet (RFC 894).
    pub const IPV4: EtherType = EtherType(0x0800);
    /// An ARP packet (RFC 826).
    pub const ARP: EtherType = EtherType(0x0806);
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who is to receive the frame.
    pub destination: MacAddress,
    /// Who says that they sent it.
    pub source: MacAddress,
    /// What it carries.
    pub ether_type: EtherType,
}

impl Header {
    /// Splits a frame into its header and what follows; `None` where it is shorter than a header.
    ///
    /// What follows may end in padding: the protocol inside knows its own length.
    pub fn parse(frame: &[u8]) -> Option<(Header, &[u8])> {
        let (header, payload) = frame.split_first_chunk::<HEADER_BYTES>()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        Some((
            Header {
                destination: MacAddress([d0, d1, d2, d3, d4, d5]),
                source: MacAddress([s0, s1, s2, s3, s4, s5]),
                ether_type: EtherType(u16::from_be_bytes([t0, t1])),
            },
            payload,
        ))
    }

    /// Writes the header at the start of `frame` and returns the room after it; `None` where it does not fit.
    pub fn emit<'a>(&self, frame: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (header, payload) = frame.split_first_chunk_mut::<HEADER_BYTES>()?;
        header[0..6].copy_from_slice(&self.destination.0);
        header[6..12].copy_from_slice(&self.source.0);
        header[12..14].copy_from_slice(&self.ether_type.0.to_be_bytes());
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        destination: MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        source: MacAddress([0x52, 0x55, 0x0a, 0, 2, 2]),
        ether_type: EtherType::ARP,
    };

    #[test]
    fn a_header_survives_the_wire() {
        let mut frame = [0xaa; 20];
        assert_eq!(HEADER.emit(&mut frame).map(|rest| rest.len()), Some(6));
        assert_eq!(frame[12..14], [0x08, 0x06]);
        assert_eq!(Header::parse(&frame), Some((HEADER, &[0xaa; 6][..])));
    }

    #[test]
    fn a_frame_shorter_than_a_header_is_no_frame() {
        assert_eq!(Header::parse(&[0; HEADER_BYTES - 1]), None);
        assert_eq!(HEADER.emit(&mut [0; HEADER_BYTES - 1]), None);
    }

    #[test]
    fn group_addresses_and_zero_are_nobodys_own() {
        assert!(HEADER.source.is_unicast());
        assert!(!MacAddress::BROADCAST.is_unicast());
        assert!(!MacAddress([0x01, 0, 0x5e, 0, 0, 1]).is_unicast());
        assert!(!MacAddress::ZERO.is_unicast());
        assert_eq!(HEADER.source.to_string(), "52:55:0a:00:02:02");
    }
}
