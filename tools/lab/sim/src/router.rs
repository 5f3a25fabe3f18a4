//! What stands on the link besides the two ends: the DHCP server, an answer to who the gateway is, and the translator
//! of ports through which two of our clients can call each other.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use slopos_lab::wire::dhcp::{Dhcp, Lease};
use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::tcp::SYN;
use slopos_lab::wire::{Frame, Ipv4, Mac, Payload};

/// The gateway, and DHCP server.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Its station.
pub const ROUTER_MAC: Mac = [0x52, 0x55, 10, 0, 2, 2];

/// A frame from the router's station.
pub fn routed(destination: Mac, payload: Payload) -> Vec<u8> {
    Frame { destination, source: ROUTER_MAC, payload }.emit()
}

/// The DHCP server.
#[derive(Clone, Debug)]
pub struct DhcpServer {
    /// Who gets which address.
    pub addresses: BTreeMap<Mac, Ipv4Addr>,
    /// For how long, in seconds; `u32::MAX` is for ever.
    pub lease_seconds: u32,
    /// Whether answers go to everybody.
    pub broadcasts: bool,
}

impl DhcpServer {
    /// Whether the frame is a DHCP client's, and the answer to it. A declined or released address is not kept track of;
    /// the same one is offered again.
    pub fn answer(&self, frame: &[u8]) -> (bool, Option<Vec<u8>>) {
        let Some(message) = client_message(frame) else { return (false, None) };
        (true, message.answer_type().and_then(|kind| self.reply(&message, kind)))
    }

    /// A message of this type to a client; `None` where there is no address for it.
    pub fn reply(&self, message: &Dhcp, kind: u8) -> Option<Vec<u8>> {
        let address = *self.addresses.get(&message.mac)?;
        let lease = Lease { server: ROUTER, address, router: Some(ROUTER), seconds: self.lease_seconds, renewal: None };
        let answer = message.answer(address, lease.options(kind));
        Some(Frame::of_dhcp(answer, ROUTER, ROUTER_MAC, self.broadcasts).emit())
    }
}

/// The DHCP message of a client in a frame.
pub fn client_message(frame: &[u8]) -> Option<Dhcp> {
    Frame::parse(frame).ok()?.dhcp().filter(|message| message.operation == 1).cloned()
}

/// The answer to a question who the gateway is.
pub fn answer_arp(frame: &[u8]) -> Option<Vec<u8>> {
    let frame = Frame::parse(frame).ok()?;
    let reply = frame.arp()?.answer(ROUTER, ROUTER_MAC)?;
    Some(routed(reply.target_mac, Payload::Arp(reply)))
}

/// Makes two clients meet. Each connects to a port of the other's where nobody listens, from a port that it drew; the
/// translator learns both and rewrites them, so that to each the other's SYN comes from the port that it called:
/// both open at the same time (RFC 9293 section 3.5).
#[derive(Clone, Debug)]
pub struct Translator {
    /// The port that the client at either end calls.
    pub called: [u16; 2],
    /// The port that it calls from, once known.
    pub drawn: [Option<u16>; 2],
}

impl Translator {
    /// Looks at a frame that the client at `end` sends.
    pub fn learn(&mut self, end: usize, frame: &[u8]) {
        if let Ok(frame) = Frame::parse(frame)
            && let Some(segment) = frame.tcp().filter(|segment| segment.has(SYN))
        {
            self.drawn[end] = Some(segment.source);
        }
    }

    /// The frame from the client at `end` as the other one may see it. `None` where it is broken, or the other one has
    /// not called yet.
    pub fn translate(&self, end: usize, frame: &[u8]) -> Option<Vec<u8>> {
        let mut frame = Frame::parse(frame).ok()?;
        let Payload::Ipv4(Ipv4 { body: Body::Tcp(segment), .. }) = &mut frame.payload else { return None };
        segment.source = self.called[1 - end];
        segment.destination = self.drawn[1 - end]?;
        Some(frame.emit())
    }
}
