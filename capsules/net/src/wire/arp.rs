//! ARP packets (RFC 826) for IPv4 on Ethernet.
//!
//! ```text
//! 0          2          4      5      6           8            14          18           24          28
//! | hardware | protocol | hlen | plen | operation | sender mac | sender ip | target mac | target ip |
//! ```

use core::net::Ipv4Addr;

use crate::MacAddress;

/// Bytes of a packet; what follows is the link's padding.
pub const PACKET_BYTES: usize = 28;

/// The fixed start: hardware type Ethernet (1), protocol type IPv4, address lengths 6 and 4.
const PREAMBLE: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

/// What a packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's IP address?
    Request,
    /// The sender has it.
    Reply,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// The station that speaks.
    pub sender_mac: MacAddress,
    /// Its IP address; 0.0.0.0 in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The station spoken to; zeros in a request.
    pub target_mac: MacAddress,
    /// The IP address that is asked for, or whose owner is answered.
    pub target: Ipv4Addr,
}

impl Packet {
    /// Reads a packet; `None` where it is too short, not about IPv4 on Ethernet, or neither request nor reply.
    pub fn parse(bytes: &[u8]) -> Option<Packet> {
        let (preamble, rest) = bytes.first_chunk::<PACKET_BYTES>()?.split_first_chunk::<6>()?;
        if *preamble != PREAMBLE {
            return None;
        }
        let rest: &[u8; PACKET_BYTES - 6] = rest.first_chunk()?;
        let [o0, o1, a, b, c, d, e, f, s0, s1, s2, s3, g, h, i, j, k, l, t0, t1, t2, t3] = *rest;
        Some(Packet {
            operation: match u16::from_be_bytes([o0, o1]) {
                1 => Operation::Request,
                2 => Operation::Reply,
                _ => return None,
            },
            sender_mac: MacAddress([a, b, c, d, e, f]),
            sender: Ipv4Addr::from_octets([s0, s1, s2, s3]),
            target_mac: MacAddress([g, h, i, j, k, l]),
            target: Ipv4Addr::from_octets([t0, t1, t2, t3]),
        })
    }

    /// Writes the packet at the start of `out` and returns its length; `None` where it does not fit.
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let out = out.first_chunk_mut::<PACKET_BYTES>()?;
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        out[0..6].copy_from_slice(&PREAMBLE);
        out[6..8].copy_from_slice(&operation.to_be_bytes());
        out[8..14].copy_from_slice(&self.sender_mac.0);
        out[14..18].copy_from_slice(&self.sender.octets());
        out[18..24].copy_from_slice(&self.target_mac.0);
        out[24..28].copy_from_slice(&self.target.octets());
        Some(PACKET_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Packet = Packet {
        operation: Operation::Reply,
        sender_mac: MacAddress([0x52, 0x55, 10, 0, 2, 2]),
        sender: Ipv4Addr::new(10, 0, 2, 2),
        target_mac: MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        target: Ipv4Addr::new(10, 0, 2, 15),
    };

    fn bytes() -> [u8; 46] {
        let mut bytes = [0; 46];
        assert_eq!(PACKET.emit(&mut bytes), Some(PACKET_BYTES));
        bytes
    }

    #[test]
    fn a_packet_survives_the_wire_with_its_padding() {
        assert_eq!(Packet::parse(&bytes()), Some(PACKET));
    }

    #[test]
    fn other_hardware_other_protocols_and_other_operations_are_refused() {
        for (offset, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 3), (7, 0), (6, 1)] {
            let mut bytes = bytes();
            bytes[offset] = value;
            assert_eq!(Packet::parse(&bytes), None, "byte {offset} = {value}");
        }
    }

    #[test]
    fn a_short_packet_is_refused() {
        assert_eq!(Packet::parse(&bytes()[..PACKET_BYTES - 1]), None);
        assert_eq!(PACKET.emit(&mut [0; PACKET_BYTES - 1]), None);
    }
}
