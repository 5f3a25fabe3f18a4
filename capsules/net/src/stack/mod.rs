//! What joins the protocols: one Ethernet interface, one address by DHCP, and the sockets of all processes.
//!
//! The board calls it like this, and nothing happens in between:
//!
//! ```text
//! for each frame that arrived   stack.receive(frame, now, readers)
//! when the deadline passed      stack.poll(now)
//! after these, and after each system call on a socket, while the device has room:
//!                               stack.transmit(buffer, now), until it returns None
//! then                          wake the processes in stack.take_ready(), sleep until stack.next_deadline()
//! ```
//!
//! Receiving is in `receive.rs`, sending in `transmit.rs`, what processes call in `calls.rs`, how a connection begins
//! in `connect.rs`, and how the address comes and goes in `address.rs`; here is what they share, and what happens with
//! time.

mod address;
mod calls;
mod connect;
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
use slopos_kernel::process::ProcessSet;
use slopos_kernel::time::Instant;

pub use calls::{SocketError, SocketReport};
pub use connect::ConnectError;
use logs::Logs;
pub use replies::REPLIES_MAX;
use replies::{Dropped, Replies};

use crate::MacAddress;
use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::dhcp::client::{Client, Lease};
use crate::neighbour::cache::{Cache, NeighbourReport};
use crate::neighbour::conflict::Watch;
use crate::random::Random;
pub use crate::sockets::Progress;
use crate::sockets::{ConnectionTable, SocketSet};
use crate::wire::ipv4::LINK_LOCAL;
use crate::wire::{self, ethernet, ipv4, udp};

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
    watch: Option<Watch>,
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
    deadline: Deadline,
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
        let mut deadline = Deadline::NONE;
        deadline.note(Some(now));
        let mtu = config.max_frame.saturating_sub(ethernet::HEADER_BYTES as u16).max(MTU_LEAST);
        Stack {
            mac,
            mtu,
            mtu_max: mtu,
            link_up: true,
            random: Random::new(seed),
            neighbours: Cache::new(processes),
            gateway_mac: None,
            watch: None,
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
            deadline,
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
            self.deadline.note(Some(now));
        } else {
            self.replies.clear();
            self.leaving = None;
        }
    }

    /// Draws sequence numbers, ports and transactions from another seed, which must be unguessable, from now on. What exists
    /// stays as it was drawn: connections and a transaction under way go on.
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

    /// The lease in use, and the state of the client that looks after it.
    pub fn lease(&self) -> Option<(&Lease, &'static str)> {
        Some((self.network.as_ref()?, self.dhcp.state_word()))
    }

    /// Each neighbour, as it is by `now`.
    pub fn neighbours(&self, now: Instant) -> impl Iterator<Item = NeighbourReport> {
        self.neighbours.each(now)
    }

    /// When [`Stack::poll`] must be called, if no frame and no system call comes first. `None` while nothing is timed.
    ///
    /// Cheap, and sometimes too early: then the poll finds nothing to do and sets the right time.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    /// Lets time pass: all timers that ran out by `now`. Returns at once where none did.
    pub fn poll(&mut self, now: Instant) {
        if !self.deadline.is_due(now) {
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
        for (process, set) in self.grant.each() {
            if !set.is_due(now) {
                continue;
            }
            self.senders.insert(process);
            let mut first = 0;
            while let Some(mut socket) = set.next_due(first, now) {
                first = usize::from(socket.index().0) + 1;
                let polled = socket.poll(now, &mut self.counters.tcp);
                if polled.ready {
                    self.ready.insert(process);
                }
                if let (Some(remote), Some(lease)) = (polled.doubted, self.network)
                    && let Some(hop) = Self::next_hop(&lease, remote.address)
                {
                    self.neighbours.doubt(hop, now);
                }
            }
            set.find_deadline(now);
        }
        self.deadline = self.first_deadline_after(now);
    }

    /// The first timer that runs out after `now`. What was due by now has been dealt with, or is a frame that waits
    /// to be pulled; for that one no time need pass.
    fn first_deadline_after(&mut self, now: Instant) -> Deadline {
        let mut first = Deadline::NONE;
        for deadline in self.dhcp.deadlines() {
            first.note_after(deadline, now);
        }
        if self.link_up {
            first.note_after(self.neighbours.next_deadline_after(now), now);
            first.note_after(self.watch.as_ref().and_then(Watch::next_deadline), now);
        }
        for (_, set) in self.grant.each() {
            first.note_after(set.next_deadline(), now);
        }
        first
    }

    /// The host on the link that a packet to `destination` is handed to. A link-local address is on the link, whatever
    /// the lease says, and never the gateway's business (RFC 3927 section 2.6.2).
    fn next_hop(lease: &Lease, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        let is_near = lease.subnet().contains(destination) || LINK_LOCAL.contains(destination);
        if is_near { Some(destination) } else { lease.gateway }
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
        for (process, set) in self.grant.each() {
            for index in set.indices() {
                let Some(mut socket) = set.enter(index) else { continue };
                let hop = socket.peer().and_then(|peer| Self::next_hop(&lease, peer.address));
                if hop == Some(address) && socket.neighbour_failed(now, &mut self.counters.tcp) {
                    self.ready.insert(process);
                }
            }
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

    fn count_reply(&mut self, queued: Result<(), Dropped>) {
        self.counters.events.replies_dropped += u64::from(queued.is_err());
    }
}
