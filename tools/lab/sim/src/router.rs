//! What stands on the link besides the two ends: the DHCP server, an answer to who the gateway is, and the translator
//! of ports through which two of our clients can call each other.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use slopos_net::MacAddress;
use slopos_net::wire::arp::{Operation, Packet};
use slopos_net::wire::ethernet::{EtherType, Header};
use slopos_net::wire::ipv4::{self, Protocol};
use slopos_net::wire::{checksum, dhcp, ethernet, udp};

use crate::watch::segment_of;

/// The gateway, and DHCP server.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Its station.
pub const ROUTER_MAC: MacAddress = MacAddress([0x52, 0x55, 10, 0, 2, 2]);

/// Bytes of a DHCP message in front of its options, magic cookie included.
const OPTIONS_AT: usize = 240;

/// An Ethernet frame around `payload`.
pub fn ethernet_frame(
    destination: MacAddress,
    source: MacAddress,
    ether_type: EtherType,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut frame = vec![0; ethernet::HEADER_BYTES];
    Header { destination, source, ether_type }.emit(&mut frame)?;
    frame.extend_from_slice(payload);
    Some(frame)
}

/// A frame around an IPv4 packet.
pub fn ipv4_frame(
    destination: MacAddress,
    source: MacAddress,
    header: &ipv4::Header,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut bytes = [0; ipv4::HEADER_BYTES];
    header.emit(payload.len(), &mut bytes)?;
    ethernet_frame(destination, source, EtherType::IPV4, &[&bytes, payload].concat())
}

/// The DHCP server.
#[derive(Clone, Debug)]
pub struct DhcpServer {
    /// Who gets which address.
    pub addresses: BTreeMap<[u8; 6], Ipv4Addr>,
    /// For how long, in seconds; `u32::MAX` is for ever.
    pub lease_seconds: u32,
    /// Whether answers go to everybody.
    pub broadcasts: bool,
}

impl DhcpServer {
    /// Whether the frame is a DHCP client's, and the answer to it.
    pub fn answer(&self, frame: &[u8]) -> (bool, Option<Vec<u8>>) {
        let Some(message) = client_message(frame) else { return (false, None) };
        (true, self.reply(message))
    }

    fn reply(&self, message: &[u8]) -> Option<Vec<u8>> {
        let kind = option(message.get(OPTIONS_AT..)?, dhcp::options::code::MESSAGE_TYPE)?.first()?;
        let answer = match kind {
            1 => 2,
            3 => 5,
            // A declined or released address is not kept track of; the same one is offered again.
            _ => return None,
        };
        let station: [u8; 6] = message.get(28..34)?.try_into().ok()?;
        let address = *self.addresses.get(&station)?;
        let mut reply = vec![0; 236];
        reply[..3].copy_from_slice(&[2, 1, 6]);
        reply[4..8].copy_from_slice(message.get(4..8)?);
        reply[16..20].copy_from_slice(&address.octets());
        reply[28..34].copy_from_slice(&station);
        reply.extend([99, 130, 83, 99, 53, 1, answer, 54, 4]);
        reply.extend(ROUTER.octets());
        reply.extend([1, 4, 255, 255, 255, 0, 3, 4]);
        reply.extend(ROUTER.octets());
        reply.extend([51, 4]);
        reply.extend(self.lease_seconds.to_be_bytes());
        reply.push(255);
        let (destination_mac, destination) =
            if self.broadcasts { (MacAddress::BROADCAST, Ipv4Addr::BROADCAST) } else { (MacAddress(station), address) };
        let mut datagram = [&[0; udp::HEADER_BYTES], reply.as_slice()].concat();
        udp::Header { source_port: dhcp::SERVER_PORT, destination_port: dhcp::CLIENT_PORT }.emit(
            ROUTER,
            destination,
            &mut datagram,
        )?;
        let header = ipv4::Header { source: ROUTER, destination, protocol: Protocol::UDP };
        ipv4_frame(destination_mac, ROUTER_MAC, &header, &datagram)
    }
}

/// The DHCP message of a client in a frame.
pub fn client_message(frame: &[u8]) -> Option<&[u8]> {
    let (header, packet) = Header::parse(frame)?;
    let (packet, payload) = ipv4::Header::parse(packet).ok().filter(|_| header.ether_type == EtherType::IPV4)?;
    if packet.protocol != Protocol::UDP {
        return None;
    }
    let (ports, message) = udp::Header::parse(packet.source, packet.destination, payload).ok()?;
    (ports.destination_port == dhcp::SERVER_PORT).then_some(message)
}

/// The value of an option.
fn option(mut field: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match *field {
            [0, ref rest @ ..] => field = rest,
            [255, ..] | [] => return None,
            [code, length, ref rest @ ..] => {
                let (value, rest) = rest.split_at_checked(usize::from(length))?;
                if code == wanted {
                    return Some(value);
                }
                field = rest;
            }
            [_] => return None,
        }
    }
}

/// The answer to a question who the gateway is.
pub fn answer_arp(frame: &[u8]) -> Option<Vec<u8>> {
    let (header, payload) = Header::parse(frame)?;
    let packet = Packet::parse(payload).filter(|_| header.ether_type == EtherType::ARP)?;
    if packet.operation != Operation::Request || packet.target != ROUTER {
        return None;
    }
    let reply = Packet {
        operation: Operation::Reply,
        sender_mac: ROUTER_MAC,
        sender: ROUTER,
        target_mac: packet.sender_mac,
        target: packet.sender,
    };
    let mut bytes = [0; 46];
    reply.emit(&mut bytes)?;
    ethernet_frame(packet.sender_mac, ROUTER_MAC, EtherType::ARP, &bytes)
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
        if let Some((_, segment, _)) = segment_of(frame).filter(|(_, segment, _)| segment.flags.syn()) {
            self.drawn[end] = Some(segment.source_port);
        }
    }

    /// The frame from the client at `end` as the other one may see it. `None` where it is broken, or the other one has
    /// not called yet.
    pub fn translate(&self, end: usize, frame: &[u8]) -> Option<Vec<u8>> {
        let (packet, _, bytes) = segment_of(frame)?;
        let mut frame = frame.to_vec();
        let start = frame.len() - bytes;
        let segment = frame.get_mut(start..)?;
        segment.get_mut(0..2)?.copy_from_slice(&self.called[1 - end].to_be_bytes());
        segment.get_mut(2..4)?.copy_from_slice(&self.drawn[1 - end]?.to_be_bytes());
        segment.get_mut(16..18)?.fill(0);
        let sum = checksum::transport(packet.source, packet.destination, Protocol::TCP, segment);
        segment.get_mut(16..18)?.copy_from_slice(&sum.to_be_bytes());
        Some(frame)
    }
}
