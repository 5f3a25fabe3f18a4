//! UDP (RFC 768), which here carries DHCP alone.

use super::bytes::{checksum, pseudo_header, word};
use super::dhcp::Dhcp;
use std::net::Ipv4Addr;

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// What it says.
    pub message: Message,
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// From or to port 67.
    Dhcp(Dhcp),
    /// Bytes for any other port.
    Other(Vec<u8>),
}

impl Udp {
    /// The datagram's bytes with the right checksum.
    pub(super) fn emit(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let message = match &self.message {
            Message::Dhcp(message) => message.emit(),
            Message::Other(bytes) => bytes.clone(),
        };
        let length = 8 + message.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend((length as u16).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(message);
        let sum = match checksum(&[&pseudo_header(source, destination, 17, length), &bytes]) {
            // A zero in this field would mean that there is no checksum.
            0 => 0xffff,
            sum => sum,
        };
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Result<Udp, String> {
        if bytes.len() < 8 || usize::from(word(bytes, 4)) != bytes.len() {
            return Err(format!("a UDP datagram of {} bytes with the wrong length in it", bytes.len()));
        }
        if word(bytes, 6) != 0 && checksum(&[&pseudo_header(source, destination, 17, bytes.len()), bytes]) != 0 {
            return Err("the checksum of a UDP datagram".to_owned());
        }
        let (from, to) = (word(bytes, 0), word(bytes, 2));
        let message = if from == 67 || to == 67 {
            Message::Dhcp(Dhcp::parse(&bytes[8..])?)
        } else {
            Message::Other(bytes[8..].to_vec())
        };
        Ok(Udp { source: from, destination: to, message })
    }

    pub(super) fn describe(&self) -> String {
        match &self.message {
            Message::Dhcp(message) => message.describe(),
            Message::Other(bytes) => format!("udp {} -> {}, {} bytes", self.source, self.destination, bytes.len()),
        }
    }
}
