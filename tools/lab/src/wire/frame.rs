//! Ethernet II frames with what they carry.

use super::arp::Arp;
use super::bytes::{BROADCAST, Mac, array};
use super::dhcp::Dhcp;
use super::ipv4::{Body, Ipv4};
use super::tcp::Tcp;
use super::udp::{Message, Udp};
use std::net::Ipv4Addr;

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

    /// A DHCP server's message from its router's station: to everybody, or to the address in it.
    pub fn of_dhcp(message: Dhcp, server: Ipv4Addr, router: Mac, broadcast: bool) -> Frame {
        let (address, destination) =
            if broadcast { (Ipv4Addr::BROADCAST, BROADCAST) } else { (message.yours, message.mac) };
        let datagram = Udp { source: 67, destination: 68, message: Message::Dhcp(message) };
        let payload = Payload::Ipv4(Ipv4::new(server, address, Body::Udp(datagram)));
        Frame { destination, source: router, payload }
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
            Body::Tcp(segment) => Some(segment),
            _ => None,
        }
    }

    /// The DHCP message in it, whichever side sent it.
    pub fn dhcp(&self) -> Option<&Dhcp> {
        match &self.ipv4()?.body {
            Body::Udp(Udp { message: Message::Dhcp(message), .. }) => Some(message),
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
