//! Frames, written and read by code of the laboratory's own: a peer that shared the board's would share its mistakes.
//!
//! Fields that a hostile peer sets wrongly are public, so a script writes a [`Frame`] as it likes, and changes the
//! bytes of [`Frame::emit`] where even that does not reach. [`Frame::parse`] is strict: it is for what the board sends,
//! and its errors are the board's mistakes.

pub mod arp;
pub mod dhcp;
pub mod ipv4;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod udp;

pub use arp::Arp;
pub use dhcp::Dhcp;
pub use ipv4::Ipv4;
pub use tcp::Tcp;
pub use udp::Udp;

/// A station's address (IEEE 802).
pub type Mac = [u8; 6];

/// Every station.
pub const BROADCAST: Mac = [0xff; 6];

/// Bytes of an Ethernet header.
pub const HEADER_BYTES: usize = 14;

/// An Ethernet II frame, without its frame check sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whom it is for.
    pub destination: Mac,
    /// Who sends it.
    pub source: Mac,
    /// What it carries.
    pub payload: Payload,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Type 0x0806.
    Arp(Arp),
    /// Type 0x0800.
    Ipv4(Ipv4),
    /// Any other type, and the bytes.
    Other(u16, Vec<u8>),
}

impl Frame {
    /// The frame's bytes. Nothing is padded to Ethernet's 60 bytes.
    pub fn emit(&self) -> Vec<u8> {
        let (kind, payload) = match &self.payload {
            Payload::Arp(arp) => (0x0806, arp.emit()),
            Payload::Ipv4(packet) => (0x0800, packet.emit()),
            Payload::Other(kind, bytes) => (*kind, bytes.clone()),
        };
        [&self.destination[..], &self.source, &u16::to_be_bytes(kind), &payload].concat()
    }

    /// Reads a frame with every check that a correct sender passes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Frame, String> {
        let (header, payload) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or("no whole Ethernet header")?;
        let payload = match u16::from_be_bytes([header[12], header[13]]) {
            0x0806 => Payload::Arp(Arp::parse(payload)?),
            0x0800 => Payload::Ipv4(Ipv4::parse(payload)?),
            kind => Payload::Other(kind, payload.to_vec()),
        };
        let (destination, source) = (array(header, 0), array(header, 6));
        Ok(Frame { destination, source, payload })
    }

    /// The ARP packet in it.
    pub fn arp(&self) -> Option<&Arp> {
        match &self.payload {
            Payload::Arp(arp) => Some(arp),
            _ => None,
        }
    }

    /// The IPv4 packet in it.
    pub fn ipv4(&self) -> Option<&Ipv4> {
        match &self.payload {
            Payload::Ipv4(packet) => Some(packet),
            _ => None,
        }
    }

    /// The TCP segment in it.
    pub fn tcp(&self) -> Option<&Tcp> {
        match &self.ipv4()?.body {
            ipv4::Body::Tcp(segment) => Some(segment),
            _ => None,
        }
    }

    /// The DHCP message in it, whichever side sent it.
    pub fn dhcp(&self) -> Option<&Dhcp> {
        match &self.ipv4()?.body {
            ipv4::Body::Udp(Udp { message: udp::Message::Dhcp(message), .. }) => Some(message),
            _ => None,
        }
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        let what = match &self.payload {
            Payload::Arp(arp) => arp.describe(),
            Payload::Ipv4(packet) => packet.describe(),
            Payload::Other(kind, bytes) => format!("type {kind:04x}, {} bytes", bytes.len()),
        };
        if self.destination == BROADCAST { format!("broadcast {what}") } else { what }
    }
}

/// What a frame says, for a person, or what is wrong with it.
pub fn describe(bytes: &[u8]) -> String {
    Frame::parse(bytes).map_or_else(|why| format!("broken: {why}"), |frame| frame.describe())
}

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
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("a slice of N bytes")
}

/// The big-endian number at `offset`; the caller has checked that it is there.
fn word(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes(array(bytes, offset))
}

/// The big-endian number at `offset`; the caller has checked that it is there.
fn long(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(array(bytes, offset))
}
