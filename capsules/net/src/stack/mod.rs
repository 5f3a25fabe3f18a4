//! What joins the protocols: one Ethernet interface, one address by DHCP, and the sockets of all processes.
//!
//! The board calls it like this, and nothing happens in between:
//!
//! ```text
//! for each frame that arrived   stack.receive(frame, now, deliver)
//! when the deadline passed      stack.poll(now)
//! after these, and after each system call on a socket, while the device has room:
//!                               stack.transmit(buffer, now), until it returns None
//! then                          wake the processes in stack.take_ready(), sleep until stack.next_deadline()
//! ```
//!
//! Receiving is in `receive.rs`, sending in `transmit.rs`, how the address comes and goes in `address.rs`, and what
//! processes call in `calls.rs`; here is what they share, and what happens with time.

mod address;
mod calls;
mod connections;
mod logs;
mod receive;
mod replies;
#[cfg(test)]
mod tests;
mod transmit;

use core::net::Ipv4Addr;

use defmt::{info, warn};
use slopos_abi::info::{NetInfo, network};
use slopos_kernel::grant::Grant;
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::time::Instant;

pub use calls::{ConnectError, Connection, Progress, SocketError};
pub(crate) use connections::Link;
use connections::{ConnectionTable, Place};
use logs::Logs;
use replies::{Dropped, Replies};

use crate::counters::Counters;
use crate::dhcp::client::{Client, Lease};
use crate::neighbour::cache::Cache;
use crate::neighbour::conflict::Guard;
use crate::random::Random;
use crate::socket::{Phase, SocketIndex, SocketSet};
use crate::tcp::{ConnectParameters, Endpoint, ResetReply};
use crate::wire::tcp::SequenceNumber;
use crate::wire::{self, ethernet, ipv4, udp};
use crate::{MacAddress, tcp};

/// Replies of one kind without a socket that wait to be sent: ARP replies, resets of strangers' segments, resets of
/// connections that a process gave up. A full ring drops one for each newcomer and counts it.
pub const CONTROL_REPLIES: usize = 16;
/// Smallest MTU that the stack can live with: it carries one DHCP message.
pub const MTU_LEAST: u16 = (ipv4::HEADER_BYTES + udp::HEADER_BYTES + wire::dhcp::MESSAGE_BYTES) as u16;

/// What the board's manifest fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of the largest frame, Ethernet header included; 1514 on ordinary links.
    pub max_frame: u16,
}

/// The network stack.
pub struct Stack<'a> {
    mac: MacAddress,
    mtu: u16,
    mtu_max: u16,
    link_up: bool,
    random: Random,
    neighbours: Cache,
    /// The gateway's station as last logged.
    gateway_mac: Option<MacAddress>,
    /// Watches over the address of `network`.
    guard: Option<Guard>,
    dhcp: Client,
    /// The lease in use.
    network: Option<Lease>,
    /// The lease that is being given back, while resets of its connections still wait to be sent.
    leaving: Option<Lease>,
    /// The station that a lease was given back to, for the message that says so: its neighbour entry is gone by then.
    released_to: Option<MacAddress>,
    /// The server is not on our link though it seemed so, or says nothing there: the gateway is the way to it.
    server_by_gateway: bool,
    replies: Replies,
    /// The last frame was a reply that belongs to no socket; the next is somebody else's.
    replied: bool,
    logs: Logs,
    grant: Grant<'a, SocketSet<'a>>,
    /// The process whose turn to send it is.
    next_process: usize,
    connections: ConnectionTable,
    ready: ProcessSet,
    /// The processes with a socket that may want to send something, and perhaps others: each to one of whose sockets
    /// something has happened.
    senders: ProcessSet,
    /// A process has asked for something that is to be sent.
    output: bool,
    counters: Counters,
    /// No timer runs out before this; it may be earlier than the first one that does.
    deadline: Option<Instant>,
}

impl<'a> Stack<'a> {
    /// A stack whose link is up and which looks for an address at once.
    ///
    /// `seed` must be unguessable: sequence numbers, ports and transactions are drawn from it. `grant` has one region
    /// for each process that the manifest gives network authority.
    pub fn new(
        mac: MacAddress,
        config: Config,
        seed: [u8; 32],
        mut grant: Grant<'a, SocketSet<'a>>,
        now: Instant,
    ) -> Self {
        let processes = grant.each().count();
        let mtu = config.max_frame.saturating_sub(ethernet::HEADER_BYTES as u16).max(MTU_LEAST);
        Stack {
            mac,
            mtu,
            mtu_max: mtu,
            link_up: true,
            random: Random::new(seed),
            neighbours: Cache::new(processes),
            gateway_mac: None,
            guard: None,
            dhcp: Client::new(mac, now),
            network: None,
            leaving: None,
            released_to: None,
            server_by_gateway: false,
            replies: Replies::default(),
            replied: false,
            logs: Logs::default(),
            grant,
            next_process: 0,
            connections: ConnectionTable::new(),
            ready: ProcessSet::EMPTY,
            senders: ProcessSet::EMPTY,
            output: false,
            counters: Counters::default(),
            deadline: Some(now),
        }
    }

    /// The device says whether the link is up. When it comes back, neighbours are asked for again and the lease is
    /// confirmed, for it may be another network; connections live on meanwhile.
    pub fn set_link(&mut self, up: bool, now: Instant) {
        if self.link_up == up {
            return;
        }
        self.link_up = up;
        if self.logs.link.admit("net: link", now) {
            info!("net: link {=str}", if up { "up" } else { "down" });
        }
        if up {
            self.dhcp.start(now, &mut self.random);
            self.renew_neighbours(now);
            self.note_deadline(Some(now));
        } else {
            self.replies.clear();
            self.leaving = None;
        }
    }

    /// Draws sequence numbers, ports and transactions from another seed, which must be unguessable, from now on. To be
    /// called before the link is up for the first time.
    pub fn set_seed(&mut self, seed: [u8; 32]) {
        self.random = Random::new(seed);
    }

    /// The device was started anew and says which hardware address it has. To be called while the link is down.
    pub fn set_mac(&mut self, mac: MacAddress) {
        self.mac = mac;
        self.dhcp.set_mac(mac);
    }

    /// The device says how large an IP packet may be, in bytes; kept within [`MTU_LEAST`] and the board's `max_frame`.
    /// Connections that exist keep the segment size that they agreed on, as far as it fits.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu.min(self.mtu_max).max(MTU_LEAST);
    }

    /// Whether processes can be expected to reach something: there is an address, and the gateway, if there is one,
    /// has answered.
    pub fn is_up(&self) -> bool {
        self.link_up
            && self
                .network
                .is_some_and(|lease| lease.gateway.is_none_or(|gateway| self.neighbours.peek(gateway).is_some()))
    }

    /// The processes that have a socket to which something happened since the last call.
    pub fn take_ready(&mut self) -> ProcessSet {
        self.ready.take()
    }

    /// Whether a process has asked for something to be sent since the last call: then [`Stack::transmit`] should not be
    /// put off.
    pub fn take_output(&mut self) -> bool {
        core::mem::take(&mut self.output)
    }

    /// Everything that was counted since boot.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How far the network is; whether there is a device at all is the board's to say.
    fn flags(&self) -> u32 {
        let gateway = self.network.and_then(|lease| lease.gateway).and_then(|gateway| self.neighbours.peek(gateway));
        let bit = |set: bool, bit| if set { bit } else { 0 };
        bit(self.link_up, network::LINK)
            | bit(self.network.is_some(), network::LEASE)
            | bit(self.link_up && gateway.is_some(), network::GATEWAY)
    }

    /// What a process is told about the network; the ledger is the kernel's and stays 0.
    pub fn info(&self, now: Instant) -> NetInfo {
        let lease = self.network.as_ref();
        let traffic = &self.counters.traffic;
        NetInfo {
            address: lease.map_or([0; 4], |lease| lease.address.octets()),
            gateway: lease.and_then(|lease| lease.gateway).unwrap_or(Ipv4Addr::UNSPECIFIED).octets(),
            prefix: lease.map_or(0, |lease| lease.prefix),
            link: u8::from(self.link_up),
            mac: self.mac.0,
            lease_seconds: lease.map_or(0, |lease| match lease.deadlines {
                // One less than "for ever" is the most that a finite lease can be.
                Some(deadlines) => {
                    u32::try_from(deadlines.expire.since(now).as_secs()).unwrap_or(u32::MAX).min(u32::MAX - 1)
                }
                None => u32::MAX,
            }),
            mtu: u32::from(self.mtu),
            receive_frames: traffic.receive_frames,
            receive_bytes: traffic.receive_bytes,
            receive_dropped: self.counters.dropped(),
            transmit_frames: traffic.transmit_frames,
            transmit_bytes: traffic.transmit_bytes,
            retransmits: self.counters.tcp.retransmits,
            ledger: 0,
            flags: self.flags(),
            reserved: 0,
        }
    }

    /// When [`Stack::poll`] must be called, if no frame and no system call comes first. `None` while nothing is timed.
    ///
    /// Cheap, and sometimes too early: then the poll finds nothing to do and sets the right time.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lets time pass: all timers that ran out by `now`. Returns at once where none did.
    pub fn poll(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        while let Some(event) = self.dhcp.poll(now, &mut self.random) {
            self.dhcp_event(event, now);
        }
        if self.link_up {
            while let Some(address) = self.neighbours.poll(now) {
                self.neighbour_failed(address, now);
            }
        }
        let (counters, ready) = (&mut self.counters, &mut self.ready);
        let (neighbours, network, senders) = (&mut self.neighbours, self.network, &mut self.senders);
        for (process, set) in self.grant.each() {
            set.with_due(now, |socket| {
                senders.insert(process);
                if let Phase::Waiting { remote, .. } = socket.phase {
                    socket.phase = Phase::Failed { remote, error: tcp::Error::TimedOut };
                    ready.insert(process);
                    return;
                }
                let polled = socket.tcp.poll(now, &mut counters.tcp);
                if polled.ready {
                    ready.insert(process);
                }
                if polled.negative_advice
                    && let (Some(remote), Some(lease)) = (socket.remote(), network)
                    && let Some(hop) = Self::next_hop(&lease, remote.address)
                {
                    neighbours.doubt(hop, now);
                }
            });
        }
        self.deadline = self.first_deadline_after(now);
    }

    /// The first timer that runs out after `now`. What was due by now has been dealt with, or is a frame that waits
    /// to be pulled; for that one no time need pass.
    fn first_deadline_after(&mut self, now: Instant) -> Option<Instant> {
        let mut first: Option<Instant> = None;
        let mut consider = |deadline: Option<Instant>| {
            if let Some(deadline) = deadline.filter(|&deadline| deadline > now) {
                first = Some(first.map_or(deadline, |first| first.min(deadline)));
            }
        };
        for deadline in self.dhcp.deadlines() {
            consider(deadline);
        }
        if self.link_up {
            consider(self.neighbours.next_deadline_after(now));
            consider(self.guard.as_ref().and_then(Guard::next_deadline));
        }
        for (_, set) in self.grant.each() {
            consider(set.next_deadline());
        }
        first
    }

    /// Makes sure that the stack is looked at when this passes.
    fn note_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = [self.deadline, deadline].into_iter().flatten().min();
    }

    /// The host on the link that a packet to `destination` is handed to.
    fn next_hop(lease: &Lease, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        if lease.subnet().contains(destination) { Some(destination) } else { lease.gateway }
    }

    /// The host on the link that a message to the DHCP server is handed to.
    ///
    /// A server whose messages reach us without a relay is on our link, whatever its address is: it is asked for there.
    /// Where it does not answer, the gateway is tried.
    fn message_hop(&self, lease: &Lease, server: Ipv4Addr) -> Option<Ipv4Addr> {
        let by_gateway = !lease.subnet().contains(server) && (lease.relayed || self.server_by_gateway);
        if by_gateway && lease.gateway.is_some() { lease.gateway } else { Some(server) }
    }

    fn neighbour_failed(&mut self, address: Ipv4Addr, now: Instant) {
        self.counters.events.neighbours_failed += 1;
        let Some(lease) = self.network else { return };
        if lease.gateway == Some(address)
            && self.gateway_mac.take().is_some()
            && self.logs.silent_gateway.admit("arp: silent gateways", now)
        {
            warn!("arp: gateway {} does not answer any more", address);
        }
        if self.dhcp.due(now).is_some_and(|due| self.message_hop(&lease, due.destination) == Some(address)) {
            let outside = !lease.subnet().contains(address);
            if outside && lease.gateway.is_some_and(|gateway| gateway != address) {
                self.server_by_gateway = true;
            } else {
                self.dhcp.skip(now, &mut self.random);
            }
        }
        self.senders = ProcessSet::ALL;
        let (counters, ready) = (&mut self.counters, &mut self.ready);
        for (process, set) in self.grant.each() {
            set.with_each(|_, socket| {
                let hop = socket.remote().and_then(|remote| Self::next_hop(&lease, remote.address));
                if hop == Some(address) && socket.neighbour_failed(now, &mut counters.tcp) {
                    ready.insert(process);
                }
            });
        }
    }

    /// Starts the connects that waited for an address.
    fn begin_waiting(&mut self, now: Instant) {
        for number in 0..self.grant.processes().min(usize::from(u8::MAX) + 1) {
            let process = ProcessId::new(number as u8);
            for number in 0..=u16::MAX {
                let socket = SocketIndex(number);
                let phase = self.grant.enter(process, |set| set.get(socket).map(|socket| socket.phase));
                match phase {
                    Ok(Some(Phase::Waiting { remote, deadline })) => self.begin(process, socket, remote, deadline, now),
                    Ok(Some(_)) => {}
                    // No region, or no more sockets.
                    _ => break,
                }
            }
        }
    }

    /// Hands a connect to TCP. Without an address of our own, or a free port, it goes on waiting.
    fn begin(&mut self, process: ProcessId, socket: SocketIndex, remote: Endpoint, deadline: Instant, now: Instant) {
        let Some(lease) = self.network else { return };
        let nobody = remote.address == lease.address || lease.subnet().reserves(remote.address);
        let reachable = !nobody && Self::next_hop(&lease, remote.address).is_some();
        let local = |port| Endpoint { address: lease.address, port };
        let (grant, connections) = (&mut self.grant, &mut self.connections);
        let port =
            self.random.port(lease.address, remote, |port| connections.find(grant, local(port), remote).is_some());
        let Some(local) = port.map(local) else { return };
        let parameters = ConnectParameters {
            local,
            remote,
            initial_sequence: SequenceNumber::new(self.random.initial_sequence(local, remote, now)),
            timestamp_offset: self.random.timestamp_offset(local, remote),
            maximum_segment: self.mtu - (ipv4::HEADER_BYTES + wire::tcp::HEADER_BYTES) as u16,
            deadline,
        };
        let ready = &mut self.ready;
        self.senders.insert(process);
        let begun = self.grant.enter(process, |set| {
            let begun = set.with(socket, |socket| {
                // Where nobody could ever answer there is no point in waiting until the deadline.
                let begun = if reachable { socket.tcp.connect(parameters, now) } else { Err(tcp::Error::TimedOut) };
                socket.phase = match begun {
                    Ok(()) => Phase::Started { remote },
                    Err(error) => {
                        ready.insert(process);
                        Phase::Failed { remote, error }
                    }
                };
                begun.is_ok()
            });
            (begun == Some(true), set.next_deadline())
        });
        let Ok((begun, deadline)) = begun else { return };
        self.note_deadline(deadline);
        if begun {
            self.connections.insert(&mut self.grant, Place { process, socket }, local.port);
        }
    }

    /// Logs where the gateway is, when that is news.
    fn report_gateway(&mut self, now: Instant) {
        let Some(gateway) = self.network.and_then(|lease| lease.gateway) else { return };
        let known = self.neighbours.peek(gateway);
        if let Some(mac) = known.filter(|_| known != self.gateway_mac)
            && self.logs.gateway.admit("arp: gateways", now)
        {
            self.gateway_mac = known;
            info!("arp: gateway {} is-at {}", gateway, mac);
        }
    }

    /// Queues a reset of a connection that this process gave up. Its peer's station must be known: a connection that ends
    /// is no reason to ask for one.
    fn queue_reset(&mut self, process: ProcessId, reset: Option<ResetReply>) {
        let Some(reply) = reset else { return };
        self.output = true;
        let hop = self.network.as_ref().and_then(|lease| Self::next_hop(lease, reply.remote.address));
        match hop.and_then(|hop| self.neighbours.peek(hop)) {
            Some(station) => {
                let queued = self.replies.farewell(process, station, reply);
                self.count_reply(queued);
            }
            None => self.counters.events.resets_unroutable += 1,
        }
    }

    fn count_reply(&mut self, queued: Result<(), Dropped>) {
        self.counters.events.control_dropped += u64::from(queued.is_err());
    }
}
