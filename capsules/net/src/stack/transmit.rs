//! Frames that leave, built one at a time where the device will read them.

use core::net::Ipv4Addr;

use slopos_kernel::capability::HandFrames;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;

use super::Stack;
use super::replies::Reply;
use crate::MacAddress;
use crate::counters::Events;
use crate::deadline::Deadline;
use crate::dhcp::client::Due;
use crate::neighbour::cache::{Cache, Lookup, REQUEST_INTERVAL};
use crate::neighbour::conflict::Watch;
use crate::sockets::SocketBits;
use crate::wire::arp::{Operation, Packet};
use crate::wire::dhcp::{CLIENT_PORT, SERVER_PORT};
use crate::wire::ethernet::{EtherType, HEADER_BYTES, Header};
use crate::wire::ipv4::{self, Protocol};
use crate::wire::udp;

/// The ends of an IPv4 packet, and the station that it is handed to.
#[derive(Clone, Copy)]
struct Path {
    station: MacAddress,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Stack<'_> {
    /// Builds the next frame at the start of `frame`, the device's buffer, and returns its length in bytes.
    ///
    /// `None` where there is nothing to send now; an unresolved neighbour only means that its sockets have nothing.
    /// First go probes for our own address, then replies that belong to no socket, then ARP requests, then DHCP, then
    /// the sockets: the turn goes round over the processes, and within each over its sockets. Two such replies follow
    /// each other only where nothing else is to be sent: strangers can make us owe them without end. A buffer shorter
    /// than the board's `max_frame` gets shorter segments; one too short for a frame counts as nothing to send.
    pub fn transmit(&mut self, frame: &mut [u8], now: Instant, _: &impl HandFrames) -> Option<usize> {
        if !self.link_up {
            return None;
        }
        let room = frame.len().min(HEADER_BYTES + usize::from(self.mtu));
        let frame = frame.get_mut(..room)?;
        let replied = core::mem::take(&mut self.replied);
        let length = self
            .transmit_leaving(frame, now)
            .or_else(|| self.transmit_watch(frame, now))
            .or_else(|| if replied { None } else { self.transmit_reply(frame) })
            .or_else(|| self.transmit_request(frame, now))
            .or_else(|| self.transmit_dhcp(frame, now))
            .or_else(|| self.transmit_sockets(frame, now))
            .or_else(|| self.transmit_reply(frame))
            // Looking for the way to a receiver may just have made a new request.
            .or_else(|| self.transmit_request(frame, now))?;
        self.counters.traffic.transmit_frames += 1;
        self.counters.traffic.transmit_bytes += length as u64;
        Some(length)
    }

    /// While a lease is being given back, what is still to be sent from its address goes before the message that gives
    /// it back. A peer whose station is not known gets nothing: the address must not be used to ask for it.
    fn transmit_leaving(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        self.leaving?;
        let sent = self.transmit_reply(frame).or_else(|| self.transmit_sockets(frame, now));
        if sent.is_none() {
            self.finish_leaving();
        }
        sent
    }

    fn transmit_watch(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        let packet = self.watch.as_mut()?.transmit(self.mac, now, &mut self.random)?;
        let deadline = self.watch.as_ref().and_then(Watch::next_deadline);
        self.deadline.note(deadline);
        self.counters.events.arp_requests_sent += 1;
        arp_frame(frame, self.mac, MacAddress::BROADCAST, &packet)
    }

    fn transmit_reply(&mut self, frame: &mut [u8]) -> Option<usize> {
        let reply = self.replies.pop()?;
        self.replied = true;
        match reply {
            Reply::Arp { station, address } => {
                let packet = Packet {
                    operation: Operation::Reply,
                    sender_mac: self.mac,
                    sender: self.network.or(self.leaving)?.address,
                    target_mac: station,
                    target: address,
                };
                self.counters.events.arp_replies_sent += 1;
                arp_frame(frame, self.mac, station, &packet)
            }
            Reply::Reset { station, reply } => {
                let path = Path { station, source: reply.local.address, destination: reply.remote.address };
                ipv4_frame(frame, self.mac, path, Protocol::TCP, |out| {
                    Some(reply.emit(out)).filter(|&length| length != 0)
                })
            }
        }
    }

    fn transmit_request(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        let sender = self.network?.address;
        let request = self.neighbours.request(now)?;
        self.deadline.note(self.neighbours.next_deadline_after(now));
        self.counters.events.arp_requests_sent += 1;
        let packet = Packet {
            operation: Operation::Request,
            sender_mac: self.mac,
            sender,
            target_mac: MacAddress::ZERO,
            target: request.address,
        };
        arp_frame(frame, self.mac, request.station, &packet)
    }

    /// Where the DHCP message that is due goes, once its receiver is resolved.
    fn dhcp_path(&mut self, now: Instant) -> Option<Path> {
        let Due { source, destination } = self.dhcp.due(now)?;
        let station = if destination == Ipv4Addr::BROADCAST {
            MacAddress::BROADCAST
        } else if let Some(lease) = self.network {
            let hop = self.message_hop(&lease, destination);
            self.way().station_of(hop?, None, now)?
        } else {
            // A lease that was given back. Its address is no longer ours to ask for the server with.
            self.released_to.unwrap_or(MacAddress::BROADCAST)
        };
        Some(Path { station, source, destination })
    }

    fn way(&mut self) -> Way<'_> {
        Way { neighbours: &mut self.neighbours, events: &mut self.counters.events, deadline: &mut self.deadline }
    }

    fn transmit_dhcp(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        let path = self.dhcp_path(now)?;
        let (client, random) = (&mut self.dhcp, &mut self.random);
        let length = ipv4_frame(frame, self.mac, path, Protocol::UDP, |out| {
            let message = client.transmit(out.get_mut(udp::HEADER_BYTES..)?, now, random)?;
            let header = udp::Header { source_port: CLIENT_PORT, destination_port: SERVER_PORT };
            header.emit(path.source, path.destination, out.get_mut(..udp::HEADER_BYTES + message)?)
        })?;
        self.counters.events.dhcp_sent += 1;
        self.deadline.note(self.dhcp.next_deadline());
        Some(length)
    }

    /// Asks the process after process, and of each socket after socket, each in turn, until one has something to send
    /// and knows its way.
    fn transmit_sockets(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        let lease = self.network.or(self.leaving)?;
        for process in self.senders.each_from(self.next_process) {
            let Ok(set) = self.grant.enter(process) else {
                self.senders.remove(process);
                continue;
            };
            let mut passed = SocketBits::EMPTY;
            while let Some((index, remote)) = set.next_sender(passed, now) {
                passed.insert(index);
                let Some(hop) = Self::next_hop(&lease, remote.address) else { continue };
                let way = Way {
                    neighbours: &mut self.neighbours,
                    events: &mut self.counters.events,
                    deadline: &mut self.deadline,
                };
                let Some(station) = way.station_of(hop, Some(process), now) else { continue };
                let path = Path { station, source: lease.address, destination: remote.address };
                let Some(mut socket) = set.enter(index) else { continue };
                let length = ipv4_frame(frame, self.mac, path, Protocol::TCP, |out| {
                    socket.transmit(out, now, &mut self.counters.tcp)
                });
                drop(socket);
                self.deadline.note(set.next_deadline());
                if length.is_some() {
                    set.end_turn(index);
                    self.next_process = process.index() + 1;
                    return length;
                }
            }
            if passed.is_empty() {
                self.senders.remove(process);
            }
        }
        None
    }
}

/// What the way to a host on the link is found with.
struct Way<'s> {
    neighbours: &'s mut Cache,
    events: &'s mut Events,
    deadline: &'s mut Deadline,
}

impl Way<'_> {
    /// The station of a host on the link that this process, or the system itself, has something for; `None` while that
    /// has to be found out.
    fn station_of(self, hop: Ipv4Addr, owner: Option<ProcessId>, now: Instant) -> Option<MacAddress> {
        match self.neighbours.lookup(hop, owner, now) {
            Lookup::Resolved(station) => {
                // A stale neighbour may just have begun to wait for its probe.
                self.deadline.note(self.neighbours.next_deadline_after(now));
                Some(station)
            }
            Lookup::Resolving => None,
            Lookup::Full => {
                self.events.neighbours_full += 1;
                self.deadline.note(Some(now + REQUEST_INTERVAL));
                None
            }
        }
    }
}

/// Builds a frame around an ARP packet.
fn arp_frame(frame: &mut [u8], source: MacAddress, destination: MacAddress, packet: &Packet) -> Option<usize> {
    let header = Header { destination, source, ether_type: EtherType::ARP };
    Some(HEADER_BYTES + packet.emit(header.emit(frame)?)?)
}

/// Builds a frame around an IPv4 packet whose payload `fill` writes where it belongs, giving its length.
fn ipv4_frame(
    frame: &mut [u8],
    mac: MacAddress,
    path: Path,
    protocol: Protocol,
    fill: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let header = Header { destination: path.station, source: mac, ether_type: EtherType::IPV4 };
    let (packet, payload) = header.emit(frame)?.split_first_chunk_mut::<{ ipv4::HEADER_BYTES }>()?;
    let length = fill(payload)?;
    let header = ipv4::Header { source: path.source, destination: path.destination, protocol };
    Some(HEADER_BYTES + header.emit(length, packet)?)
}
