//! Frames that leave, built one at a time where the device will read them.

use core::net::Ipv4Addr;

use slopos_kernel::capability::HandFrames;
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::time::Instant;

use super::Stack;
use super::replies::Control;
use crate::MacAddress;
use crate::dhcp::client::Due;
use crate::neighbour::cache::{Lookup, REQUEST_INTERVAL};
use crate::neighbour::conflict::Guard;
use crate::socket::{Socket, SocketBits, SocketIndex, SocketSet};
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
    /// the sockets: the turn goes round over the processes, and within each over its sockets. Two such replies follow each
    /// other only where nothing else is to be sent: strangers can make us owe them without end. A buffer shorter than
    /// the board's `max_frame` gets shorter segments; one too short for a frame counts as nothing to send.
    pub fn transmit(&mut self, frame: &mut [u8], now: Instant, _: &impl HandFrames) -> Option<usize> {
        if !self.link_up {
            return None;
        }
        let room = frame.len().min(HEADER_BYTES + usize::from(self.mtu));
        let frame = frame.get_mut(..room)?;
        let replied = core::mem::take(&mut self.replied);
        let length = self
            .transmit_leaving(frame, now)
            .or_else(|| self.transmit_guard(frame, now))
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

    /// Whether [`Stack::transmit`] would have something to send.
    pub fn wants_transmit(&mut self, now: Instant) -> bool {
        self.link_up
            && (!self.replies.is_empty()
                || self.guard.as_ref().is_some_and(|guard| guard.wants_transmit(now))
                || self.neighbours.wants_request(now)
                || self.dhcp_path(now).is_some()
                || self.sockets_want(now)
                || self.neighbours.wants_request(now))
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

    fn transmit_guard(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        let packet = self.guard.as_mut()?.transmit(self.mac, now, &mut self.random)?;
        let deadline = self.guard.as_ref().and_then(Guard::next_deadline);
        self.note_deadline(deadline);
        self.counters.events.arp_requests_sent += 1;
        arp_frame(frame, self.mac, MacAddress::BROADCAST, &packet)
    }

    fn transmit_reply(&mut self, frame: &mut [u8]) -> Option<usize> {
        let reply = self.replies.pop()?;
        self.replied = true;
        match reply {
            Control::ArpReply { station, address } => {
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
            Control::Reset { station, reply } => {
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
        self.note_deadline(self.neighbours.next_deadline_after(now));
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
            self.station_of(hop?, None, now)?
        } else {
            // A lease that was given back. Its address is no longer ours to ask for the server with.
            self.released_to.unwrap_or(MacAddress::BROADCAST)
        };
        Some(Path { station, source, destination })
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
        self.note_deadline(self.dhcp.next_deadline());
        Some(length)
    }

    /// The station of a host on the link that this process, or the system itself, has something for; `None` while that has
    /// to be found out.
    fn station_of(&mut self, hop: Ipv4Addr, owner: Option<ProcessId>, now: Instant) -> Option<MacAddress> {
        let found = self.neighbours.lookup(hop, owner, now);
        match found {
            Lookup::Resolved(station) => {
                // A stale neighbour may just have begun to wait for its probe.
                self.note_deadline(self.neighbours.next_deadline_after(now));
                Some(station)
            }
            Lookup::Resolving => None,
            Lookup::Full => {
                self.counters.events.neighbours_full += 1;
                self.note_deadline(Some(now + REQUEST_INTERVAL));
                None
            }
        }
    }

    /// The next socket in turn from this place that has something to send and knows its way, and that way.
    fn next_sender(&mut self, mut turn: Turn, now: Instant) -> Option<(Turn, Path)> {
        let lease = self.network.or(self.leaving)?;
        loop {
            let found = self.grant.enter(turn.process, |set| turn.next_in(set, now));
            match found {
                Ok(Some((index, destination))) => {
                    let at = Turn { socket: Some(index), ..turn };
                    let hop = Self::next_hop(&lease, destination);
                    if let Some(station) = hop.and_then(|hop| self.station_of(hop, Some(turn.process), now)) {
                        return Some((at, Path { station, source: lease.address, destination }));
                    }
                    turn = at.after_socket();
                }
                // The process has none, or no region at all.
                _ => {
                    if turn.passed == SocketBits::EMPTY {
                        self.senders.remove(turn.process);
                    }
                    turn = turn.after_process()?;
                }
            }
        }
    }

    fn first_turn(&self) -> Option<Turn> {
        Turn::among(self.senders, self.next_process)
    }

    fn sockets_want(&mut self, now: Instant) -> bool {
        self.first_turn().is_some_and(|turn| self.next_sender(turn, now).is_some())
    }

    fn transmit_sockets(&mut self, frame: &mut [u8], now: Instant) -> Option<usize> {
        let mut turn = self.first_turn()?;
        loop {
            let (at, path) = self.next_sender(turn, now)?;
            let index = at.socket?;
            let (counters, mac) = (&mut self.counters, self.mac);
            // What is sent from a socket touches it; the process is among the senders already.
            let sent = self.grant.enter(at.process, |set| {
                let sent = set.with(index, |socket| {
                    let length = ipv4_frame(frame, mac, path, Protocol::TCP, |out| {
                        socket.tcp.transmit(out, now, &mut counters.tcp)
                    });
                    if length.is_some() {
                        socket.note_sent();
                    }
                    length
                });
                if matches!(sent, Some(Some(_))) {
                    set.next = usize::from(index.0) + 1;
                }
                sent.map(|length| (length, set.next_deadline()))
            });
            let (length, deadline) = sent.ok().flatten()?;
            self.note_deadline(deadline);
            if length.is_some() {
                self.next_process = at.process.index() + 1;
                return length;
            }
            turn = at.after_socket();
        }
    }
}

/// A place in the round over processes and sockets.
#[derive(Clone, Copy)]
struct Turn {
    process: ProcessId,
    /// Processes that have not had their turn in this round, this one included.
    left: ProcessSet,
    /// The socket found last, of this process.
    socket: Option<SocketIndex>,
    /// Sockets of this process that had their turn in this round.
    passed: SocketBits,
}

impl Turn {
    /// The turn of the first of these processes from `next` on.
    fn among(left: ProcessSet, next: usize) -> Option<Turn> {
        let process = left.each_from(next).next()?;
        Some(Turn { process, left, socket: None, passed: SocketBits::EMPTY })
    }

    fn after_process(self) -> Option<Turn> {
        let mut left = self.left;
        left.remove(self.process);
        Turn::among(left, self.process.index() + 1)
    }

    fn after_socket(self) -> Turn {
        let mut passed = self.passed;
        if let Some(socket) = self.socket {
            passed.insert(socket);
        }
        Turn { passed, socket: None, ..self }
    }

    /// The next socket of this process that wants to send, and whereto.
    fn next_in(&mut self, set: &mut SocketSet<'_>, now: Instant) -> Option<(SocketIndex, Ipv4Addr)> {
        while let Some(index) = set.touched.without(self.passed).next_from(set.next) {
            if let Some(destination) = set.get(index).and_then(|socket| wants(socket, now)) {
                return Some((index, destination));
            }
            // It will not before something happens to it.
            set.touched.remove(index);
        }
        None
    }
}

/// Where a socket wants to send something to now.
fn wants(socket: &Socket<'_>, now: Instant) -> Option<Ipv4Addr> {
    let remote = socket.remote().filter(|_| socket.tcp.wants_transmit(now))?;
    Some(remote.address)
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
