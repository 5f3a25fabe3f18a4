//! Frames that arrive. Nothing in them is trusted: each is checked layer by layer, and dropped and counted by the
//! first check that it fails.

use core::net::Ipv4Addr;

use defmt::warn;
use slopos_abi::Endpoint;
use slopos_kernel::capability::HandFrames;
use slopos_kernel::readers::Readers;
use slopos_kernel::time::Instant;

use super::Stack;
use crate::MacAddress;
use crate::dhcp::client::{Ignored, Lease};
use crate::neighbour::cache::{Evidence, Learnt};
use crate::neighbour::conflict::Verdict;
use crate::tcp;
use crate::wire::arp::{Operation, Packet};
use crate::wire::dhcp::{CLIENT_PORT, ServerMessage};
use crate::wire::ethernet::{EtherType, Header};
use crate::wire::ipv4::{LINK_LOCAL, Protocol, is_host};
use crate::wire::tcp::Unverified;
use crate::wire::{ipv4, udp};

impl Stack<'_> {
    /// Takes in one Ethernet frame, without its frame check sequence.
    ///
    /// Data that comes next on a connection, while none waits there to be read, goes straight into the buffer of the
    /// process that waits to read it, where `readers` has one.
    pub fn receive(&mut self, frame: &[u8], now: Instant, readers: &mut impl Readers, _: &impl HandFrames) {
        self.counters.traffic.receive_frames += 1;
        self.counters.traffic.receive_bytes += frame.len() as u64;
        let drops = &mut self.counters.ethernet;
        if !self.link_up {
            drops.link_down += 1;
            return;
        }
        let Some((header, payload)) = Header::parse(frame) else {
            drops.truncated += 1;
            return;
        };
        if header.destination != self.mac && header.destination != MacAddress::BROADCAST {
            drops.not_for_us += 1;
        } else if header.source == self.mac {
            drops.own_source += 1;
        } else if !header.source.is_unicast() {
            drops.bad_source += 1;
        } else {
            match header.ether_type {
                EtherType::ARP => self.receive_arp(payload, now),
                EtherType::IPV4 => self.receive_ipv4(&header, payload, now, readers),
                _ => drops.unknown_type += 1,
            }
        }
    }

    fn receive_arp(&mut self, payload: &[u8], now: Instant) {
        let Some(packet) = Packet::parse(payload) else {
            self.counters.arp.malformed += 1;
            return;
        };
        let Some(lease) = self.network else {
            self.counters.arp.not_for_us += 1;
            return;
        };
        let probe = packet.sender == Ipv4Addr::UNSPECIFIED;
        if !packet.sender_mac.is_unicast()
            || packet.sender_mac == self.mac
            || !(probe || is_host(packet.sender) && !lease.subnet().reserves(packet.sender))
        {
            self.counters.arp.bad_sender += 1;
            return;
        }
        if let Some(watch) = &mut self.watch {
            match watch.receive(&packet, self.mac, now) {
                Verdict::Fine => {}
                Verdict::Defended => {
                    self.address_defended(packet.sender_mac, now);
                    return;
                }
                Verdict::Lost => {
                    self.address_conflict(packet.sender_mac, now);
                    return;
                }
            }
        }
        let for_us = packet.target == lease.address;
        let asks = packet.operation == Operation::Request;
        let evidence = match (for_us, asks) {
            _ if packet.sender == packet.target => Evidence::Announcement,
            (true, true) => Evidence::RequestForUs,
            (true, false) if packet.target_mac == self.mac => Evidence::Reply,
            _ => Evidence::Overheard,
        };
        // Who asks for us is answered, whoever it is (RFC 826); only who can be a neighbour is entered.
        if !probe && self.is_neighbour(packet.sender, &lease) {
            match self.neighbours.learn(packet.sender, packet.sender_mac, evidence, now) {
                Learnt::Changed => self.report_gateway(now),
                // One that was left out of the log may be in its turn now.
                Learnt::Same if lease.gateway == Some(packet.sender) => self.report_gateway(now),
                Learnt::Same => {}
                Learnt::Locked => self.counters.arp.locked += 1,
                Learnt::Ignored if for_us && asks => {}
                Learnt::Ignored => self.counters.arp.not_for_us += 1,
            }
        } else if !(probe || for_us && asks) {
            self.counters.arp.bad_sender += 1;
        }
        if for_us && asks {
            let queued = self.replies.answer(packet.sender_mac, packet.sender);
            self.count_reply(queued);
        }
    }

    /// Whether a host on our link may have this address: one of our network's, a link-local one, the gateway's, or the
    /// DHCP server's.
    fn is_neighbour(&self, address: Ipv4Addr, lease: &Lease) -> bool {
        lease.subnet().contains(address)
            || LINK_LOCAL.contains(address)
            || lease.gateway == Some(address)
            || lease.server == address && self.message_hop(lease, address) == Some(address)
    }

    fn receive_ipv4(&mut self, frame: &Header, packet: &[u8], now: Instant, readers: &mut impl Readers) {
        let drops = &mut self.counters.ipv4;
        let (header, payload) = match ipv4::Header::parse(packet) {
            Ok(parts) => parts,
            Err(error) => {
                *match error {
                    ipv4::ParseError::Truncated => &mut drops.truncated,
                    ipv4::ParseError::Version => &mut drops.version,
                    ipv4::ParseError::HeaderLength => &mut drops.header_length,
                    ipv4::ParseError::TotalLength => &mut drops.total_length,
                    ipv4::ParseError::Checksum => &mut drops.checksum,
                    ipv4::ParseError::Fragment => &mut drops.fragment,
                } += 1;
                return;
            }
        };
        let Some(lease) = self.network else {
            // A server may answer to the address that it is about to give us (RFC 2131 4.1), so any will do here; the
            // frame was for our station, and the DHCP client looks closer.
            match header.protocol {
                _ if !is_host(header.source) => drops.bad_source += 1,
                Protocol::UDP => self.receive_udp(&header, payload, now),
                _ => drops.not_for_us += 1,
            }
            return;
        };
        let subnet = lease.subnet();
        let broadcast = header.destination == Ipv4Addr::BROADCAST || Some(header.destination) == subnet.broadcast();
        if !is_host(header.source) || header.source == lease.address || subnet.reserves(header.source) {
            drops.bad_source += 1;
        } else if !broadcast && header.destination != lease.address {
            drops.not_for_us += 1;
        } else if !broadcast && frame.destination == MacAddress::BROADCAST {
            drops.unicast_in_broadcast += 1;
        } else {
            match header.protocol {
                Protocol::UDP => self.receive_udp(&header, payload, now),
                Protocol::TCP if broadcast => drops.not_for_us += 1,
                Protocol::TCP => self.receive_tcp(frame.source, &header, payload, now, readers),
                _ => drops.unknown_protocol += 1,
            }
        }
    }

    fn receive_udp(&mut self, packet: &ipv4::Header, bytes: &[u8], now: Instant) {
        let drops = &mut self.counters.udp;
        let (header, payload) = match udp::Header::parse(packet.source, packet.destination, bytes) {
            Ok(parts) => parts,
            Err(udp::ParseError::Malformed) => {
                drops.malformed += 1;
                return;
            }
            Err(udp::ParseError::Checksum) => {
                drops.checksum += 1;
                return;
            }
        };
        // Servers answer from 67, but translators on the way may have changed that; the client's port is what counts.
        if header.destination_port != CLIENT_PORT {
            drops.no_port += 1;
            return;
        }
        let drops = &mut self.counters.dhcp;
        let Ok(message) = ServerMessage::parse(payload) else {
            drops.malformed += 1;
            return;
        };
        match self.dhcp.receive(&message, now, &mut self.random) {
            Ok(Some(event)) => self.dhcp_event(event, now),
            Ok(None) => {}
            Err(Ignored::NotForUs) => drops.not_for_us += 1,
            Err(Ignored::Unexpected) => drops.unexpected += 1,
            Err(Ignored::WrongServer) => drops.wrong_server += 1,
            Err(Ignored::Unusable) => drops.unusable += 1,
        }
        self.deadline.note(self.dhcp.next_deadline());
    }

    fn receive_tcp(
        &mut self,
        station: MacAddress,
        packet: &ipv4::Header,
        bytes: &[u8],
        now: Instant,
        readers: &mut impl Readers,
    ) {
        let segment = match Unverified::parse(packet.source, packet.destination, bytes) {
            Ok(segment) => segment,
            Err(error) => return self.counters.segments.drop_for(error),
        };
        let claimed = segment.claimed();
        let local = Endpoint::new(packet.destination, claimed.destination_port);
        let remote = Endpoint::new(packet.source, claimed.source_port);
        let found = self.connections.find(&self.grant, local, remote);
        let region = found.and_then(|id| Some((id, self.grant.enter(id.process).ok()?)));
        let Some((id, set)) = region else { return self.refuse(station, local, remote, segment) };
        let Some(mut socket) = set.enter(id.index) else { return };
        // A process that waits for what arrived gets it at once: it is copied and summed in one go.
        let received = socket.receive(segment, now, id, readers, &mut self.counters.tcp);
        drop(socket);
        self.deadline.note(set.next_deadline());
        self.senders.insert(id.process);
        let received = match received {
            Ok(received) => received,
            Err(error) => return self.counters.segments.drop_for(error),
        };
        if received.ready {
            self.ready.insert(id.process);
        }
        if received.excessive_scale && self.logs.window_scale.admit("tcp: window scales", now) {
            warn!("tcp: {} offers a window scale above 14", remote.address);
        }
    }

    /// A segment for a connection that does not exist (RFC 9293 section 3.10.7.1).
    fn refuse(&mut self, station: MacAddress, local: Endpoint, remote: Endpoint, segment: Unverified<'_>) {
        let segment = match segment.verify() {
            Ok(segment) => segment,
            Err(error) => return self.counters.segments.drop_for(error),
        };
        self.counters.segments.no_connection += 1;
        if let Some(reply) = tcp::reset_for(local, remote, &segment) {
            let queued = self.replies.refuse(station, reply);
            self.count_reply(queued);
        }
    }
}
