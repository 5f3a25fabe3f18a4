//! ARP for IPv4 on Ethernet (RFC 826).

use super::bytes::{Mac, array};
use std::net::Ipv4Addr;

/// Bytes of a packet.
const BYTES: usize = 28;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// The station that speaks.
    pub sender_mac: Mac,
    /// Its address; 0.0.0.0 in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The station spoken to; zeros in a request.
    pub target_mac: Mac,
    /// The address that is asked for, or the one of who is answered.
    pub target: Ipv4Addr,
}

impl Arp {
    /// A request: who has `target`?
    pub fn request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Arp {
        Arp { operation: 1, sender_mac, sender, target_mac: [0; 6], target }
    }

    /// A reply: `sender` is at `sender_mac`.
    pub fn reply(sender_mac: Mac, sender: Ipv4Addr, target_mac: Mac, target: Ipv4Addr) -> Arp {
        Arp { operation: 2, sender_mac, sender, target_mac, target }
    }

    /// The reply of who has `address` at the station `mac`, where this is a request for it.
    pub fn answer(&self, address: Ipv4Addr, mac: Mac) -> Option<Arp> {
        let asks = self.operation == 1 && self.target == address;
        asks.then(|| Arp::reply(mac, address, self.sender_mac, self.sender))
    }

    /// Whether it is a request of RFC 5227 section 2.1.1 whether `address` is in use.
    pub fn is_probe_for(&self, address: Ipv4Addr) -> bool {
        self.operation == 1 && self.sender.is_unspecified() && self.target == address
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        let mut bytes = vec![0, 1, 8, 0, 6, 4];
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.sender_mac);
        bytes.extend(self.sender.octets());
        bytes.extend(self.target_mac);
        bytes.extend(self.target.octets());
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Arp, String> {
        if bytes.len() < BYTES || bytes[..6] != [0, 1, 8, 0, 6, 4] {
            return Err(format!("not an ARP packet for IPv4 on Ethernet: {bytes:02x?}"));
        }
        let operation = u16::from_be_bytes([bytes[6], bytes[7]]);
        if !matches!(operation, 1 | 2) {
            return Err(format!("the ARP operation {operation}"));
        }
        let address = |offset| Ipv4Addr::from(array::<4>(bytes, offset));
        let (sender_mac, target_mac) = (array(bytes, 8), array(bytes, 18));
        Ok(Arp { operation, sender_mac, sender: address(14), target_mac, target: address(24) })
    }

    pub(super) fn describe(&self) -> String {
        match self.operation {
            1 => format!("arp: {} asks for {}", self.sender, self.target),
            _ => format!("arp: {} is at {:02x?}, to {}", self.sender, self.sender_mac, self.target),
        }
    }
}
