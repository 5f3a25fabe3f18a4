//! IPv4 (RFC 791).

use super::bytes::{array, checksum, word};
use super::tcp::Tcp;
use super::udp::Udp;
use std::net::Ipv4Addr;

/// The flag that forbids fragmentation, in the field with the fragment's offset.
pub const DO_NOT_FRAGMENT: u16 = 0x4000;
/// The flag that says that more fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// How many more routers it may pass.
    pub ttl: u8,
    /// Which packet a fragment is of.
    pub identification: u16,
    /// Three flags, and the fragment's offset in units of 8 bytes.
    pub fragment: u16,
    /// Options; filled up with zeros to whole words.
    pub options: Vec<u8>,
    /// What it carries.
    pub body: Body,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Protocol 6.
    Tcp(Tcp),
    /// Protocol 17.
    Udp(Udp),
    /// Any protocol, and the bytes.
    Other(u8, Vec<u8>),
}

impl Ipv4 {
    /// A packet as an ordinary host sends it.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, body: Body) -> Ipv4 {
        let fragment = DO_NOT_FRAGMENT;
        Ipv4 { source, destination, ttl: 64, identification: 0, fragment, options: Vec::new(), body }
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        let (protocol, body) = match &self.body {
            Body::Tcp(segment) => (6, segment.emit(self.source, self.destination)),
            Body::Udp(datagram) => (17, datagram.emit(self.source, self.destination)),
            Body::Other(protocol, bytes) => (*protocol, bytes.clone()),
        };
        let words = 5 + self.options.len().div_ceil(4);
        let mut header = vec![0x40 | words as u8, 0];
        header.extend((words as u16 * 4 + body.len() as u16).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        header.resize(words * 4, 0);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header.extend(body);
        header
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Ipv4, String> {
        if bytes.len() < 20 || bytes[0] >> 4 != 4 {
            return Err(format!("not an IPv4 header: {bytes:02x?}"));
        }
        let (header, total) = (usize::from(bytes[0] & 15) * 4, usize::from(word(bytes, 2)));
        if header < 20 || header > total || total > bytes.len() {
            return Err(format!("IPv4 lengths: header {header}, total {total}, of {}", bytes.len()));
        }
        if bytes[total..].iter().any(|&byte| byte != 0) {
            return Err("the padding behind an IPv4 packet carries data".to_owned());
        }
        if checksum(&[&bytes[..header]]) != 0 {
            return Err("the checksum of an IPv4 header".to_owned());
        }
        let (source, destination) = (Ipv4Addr::from(array::<4>(bytes, 12)), Ipv4Addr::from(array::<4>(bytes, 16)));
        let rest = &bytes[header..total];
        let body = match bytes[9] {
            6 => Body::Tcp(Tcp::parse(rest, source, destination)?),
            17 => Body::Udp(Udp::parse(rest, source, destination)?),
            protocol => Body::Other(protocol, rest.to_vec()),
        };
        Ok(Ipv4 {
            source,
            destination,
            ttl: bytes[8],
            identification: word(bytes, 4),
            fragment: word(bytes, 6),
            options: bytes[20..header].to_vec(),
            body,
        })
    }

    pub(super) fn describe(&self) -> String {
        let what = match &self.body {
            Body::Tcp(segment) => segment.describe(),
            Body::Udp(datagram) => datagram.describe(),
            Body::Other(protocol, bytes) => format!("protocol {protocol}, {} bytes", bytes.len()),
        };
        format!("{} -> {} {what}", self.source, self.destination)
    }
}
