//! UDP (RFC 768), which the DHCP client alone uses.
//!
//! ```text
//! 0             2                  4        6          8
//! | source port | destination port | length | checksum | payload
//! ```

use core::net::Ipv4Addr;

use crate::wire::ipv4::{Protocol, transport_checksum};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;

/// The two ports of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's port; 0 where it expects no answer.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
}

/// Why a datagram is refused. There is nothing to do but to drop it and to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ParseError {
    /// Shorter than a header, or the length field is less than 8 or more than what arrived.
    Malformed,
    /// The checksum is wrong.
    Checksum,
}

impl Header {
    /// Checks the datagram that an IPv4 packet carries and splits it into header and payload.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] for an impossible length, then [`ParseError::Checksum`]. A checksum of zero means
    /// that the sender made none.
    pub fn parse(source: Ipv4Addr, destination: Ipv4Addr, bytes: &[u8]) -> Result<(Header, &[u8]), ParseError> {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *bytes.first_chunk::<HEADER_BYTES>().ok_or(ParseError::Malformed)?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let datagram = bytes.get(..length).ok_or(ParseError::Malformed)?;
        let payload = datagram.get(HEADER_BYTES..).ok_or(ParseError::Malformed)?;
        if [c0, c1] != [0, 0] && transport_checksum(source, destination, Protocol::UDP, datagram) != 0 {
            return Err(ParseError::Checksum);
        }
        let header =
            Header { source_port: u16::from_be_bytes([s0, s1]), destination_port: u16::from_be_bytes([d0, d1]) };
        Ok((header, payload))
    }

    /// Fills in the header at the start of `datagram`, the rest of which is the payload already.
    ///
    /// Returns the datagram's length; `None` where it is shorter than a header or longer than 65535 bytes.
    pub fn emit(&self, source: Ipv4Addr, destination: Ipv4Addr, datagram: &mut [u8]) -> Option<usize> {
        let length = u16::try_from(datagram.len()).ok()?;
        let header = datagram.first_chunk_mut::<HEADER_BYTES>()?;
        header[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        header[4..6].copy_from_slice(&length.to_be_bytes());
        header[6..8].fill(0);
        let sum = match transport_checksum(source, destination, Protocol::UDP, datagram) {
            // Zero on the wire would say that there is no checksum; all ones is the same number.
            0 => 0xffff,
            sum => sum,
        };
        datagram.get_mut(6..8)?.copy_from_slice(&sum.to_be_bytes());
        Some(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
    const DESTINATION: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    const HEADER: Header = Header { source_port: 67, destination_port: 68 };

    fn datagram(payload: &[u8]) -> Vec<u8> {
        let mut datagram = [&[0; HEADER_BYTES], payload].concat();
        assert_eq!(HEADER.emit(SOURCE, DESTINATION, &mut datagram), Some(HEADER_BYTES + payload.len()));
        datagram
    }

    #[test]
    fn a_datagram_survives_the_wire() {
        assert_eq!(Header::parse(SOURCE, DESTINATION, &datagram(b"odd")), Ok((HEADER, &b"odd"[..])));
        assert_eq!(Header::parse(SOURCE, DESTINATION, &datagram(b"")), Ok((HEADER, &b""[..])));
    }

    #[test]
    fn the_checksum_covers_the_addresses() {
        let other = Ipv4Addr::new(10, 0, 2, 16);
        assert_eq!(Header::parse(SOURCE, other, &datagram(b"odd")), Err(ParseError::Checksum));
    }

    #[test]
    fn a_checksum_of_zero_is_none() {
        let mut datagram = datagram(b"odd");
        datagram[6..8].fill(0);
        datagram[9] ^= 0xff;
        assert!(Header::parse(SOURCE, DESTINATION, &datagram).is_ok());
    }

    #[test]
    fn a_sum_that_happens_to_be_zero_is_sent_as_ones() {
        // The payload is what the checksum over everything else came to, so the sum over all is zero.
        let probe = datagram(&[0, 0]);
        let sent = datagram(&[probe[6], probe[7]]);
        assert_eq!(sent[6..8], [0xff, 0xff]);
        assert!(Header::parse(SOURCE, DESTINATION, &sent).is_ok());
    }

    #[test]
    fn what_follows_the_length_is_not_payload() {
        let mut bytes = datagram(b"abc");
        bytes.extend([1, 2, 3]);
        assert_eq!(Header::parse(SOURCE, DESTINATION, &bytes), Ok((HEADER, &b"abc"[..])));
    }

    #[test]
    fn impossible_lengths_are_malformed() {
        for length in [0, 7, 12] {
            let mut bytes = datagram(b"abc");
            bytes[4..6].copy_from_slice(&u16::to_be_bytes(length));
            assert_eq!(Header::parse(SOURCE, DESTINATION, &bytes), Err(ParseError::Malformed), "{length}");
        }
        assert_eq!(Header::parse(SOURCE, DESTINATION, &[0; 7]), Err(ParseError::Malformed));
    }
}
