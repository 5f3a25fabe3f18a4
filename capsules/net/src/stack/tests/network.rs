//! A link with one router on it, which is gateway, DHCP server and TCP server in one, built by hand from the wire
//! formats. Time is virtual: it jumps from one deadline of the stack's to the next.

use core::net::Ipv4Addr;

use slopos_abi::{Endpoint, RemoteRange, SocketFlags};
use slopos_host_log::Token;
use slopos_kernel::grant::Grant;
use slopos_kernel::objects::SocketId;
use slopos_kernel::process::ProcessId;
use slopos_kernel::readers::Readers;
use slopos_kernel::time::{Duration, Instant};

use crate::MacAddress;
use crate::sockets::{Socket, SocketSet};
use crate::stack::{Config, ConnectError, Progress, Stack};
use crate::wire::arp::{Operation, Packet};
use crate::wire::ethernet::{EtherType, Header};
use crate::wire::ipv4::Protocol;
use crate::wire::tcp::options::Options;
use crate::wire::tcp::{Flags, Segment, SequenceNumber};
use crate::wire::{ethernet, ipv4, udp};

pub const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
pub const ROUTER_MAC: MacAddress = MacAddress([0x52, 0x55, 10, 0, 2, 2]);
pub const OTHER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 9);
/// A server behind the router.
pub const FAR: Endpoint = Endpoint { address: Ipv4Addr::new(198, 51, 100, 7), port: 8_000 };
/// A server on the router itself.
pub const NEAR: Endpoint = Endpoint { address: ROUTER, port: 8_000 };
/// The process with two sockets and authority for port 8000 anywhere.
pub const APP: ProcessId = ProcessId::new(0);
/// The process without network.
pub const BARE: ProcessId = ProcessId::new(1);
/// Another process like `APP`.
pub const OTHER_APP: ProcessId = ProcessId::new(2);

pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";

/// No process waits for what arrives.
pub struct Nobody;

impl Readers for Nobody {
    fn buffer(&mut self, _: SocketId, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn deliver(&mut self, _: SocketId, _: usize) {
        unreachable!("nobody waits")
    }
}

pub fn seconds(seconds: u64) -> Instant {
    Instant::BOOT + Duration::from_secs(seconds)
}

/// A frame that the stack sent, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Arp(Packet),
    Dhcp { kind: u8, source: Ipv4Addr, destination: Ipv4Addr },
    Tcp { remote: Endpoint, flags: Flags, payload: Vec<u8> },
}

/// How the server treats connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Server {
    /// Answers a request, then closes.
    Http,
    /// Takes everything and keeps the connection open.
    Sink,
    Refuses,
    Silent,
}

pub struct Router {
    pub mac: MacAddress,
    /// The station address that it listens to; frames to another one are lost.
    pub answers_to: MacAddress,
    pub answers_arp: bool,
    pub answers_dhcp: bool,
    /// Whether a REQUEST is answered, where anything is.
    pub answers_requests: bool,
    pub refuses_lease: bool,
    pub lease_seconds: u32,
    /// Options of its OFFERs and ACKs in place of the usual ones, behind the message type.
    pub offer: Option<Vec<u8>>,
    pub ack: Option<Vec<u8>>,
    /// Where its DHCP messages come from.
    pub dhcp_source: Endpoint,
    /// Whom it answers ARP for.
    pub answers_for: Vec<Ipv4Addr>,
    pub server: Server,
    received: Vec<(u16, Vec<u8>)>,
}

/// The stack and what surrounds it.
pub struct Network {
    pub stack: Stack<'static>,
    pub now: Instant,
    pub router: Router,
    /// What the stack sent, with the time and the station that it was sent to.
    pub sent: Vec<(Instant, MacAddress, Sent)>,
    /// The number after the last FIN that the stack sent: what acknowledges it.
    pub last_fin_end: SequenceNumber,
    /// The number after the last SYN.
    pub last_syn_end: SequenceNumber,
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn set(sockets: usize) -> SocketSet<'static> {
    let sockets: Vec<_> = (0..sockets)
        .map(|_| Socket::new(leak([0_u8; 4_096]).as_mut_slice(), leak([0_u8; 4_096]).as_mut_slice()))
        .collect();
    let anyone = RemoteRange { address: Ipv4Addr::UNSPECIFIED, prefix: 0, first_port: 8_000, last_port: 8_000 };
    SocketSet::new("app", sockets.leak(), leak([anyone]))
}

impl Network {
    pub fn new() -> Self {
        let regions = leak([Some(leak(set(2))), None, Some(leak(set(2)))]);
        Network {
            stack: Stack::new(MAC, Config { max_frame: 1_514 }, [42; 32], Grant::new(regions), seconds(0)),
            now: seconds(0),
            router: Router {
                mac: ROUTER_MAC,
                answers_to: ROUTER_MAC,
                answers_arp: true,
                answers_dhcp: true,
                answers_requests: true,
                refuses_lease: false,
                lease_seconds: 1_000,
                offer: None,
                ack: None,
                dhcp_source: Endpoint { address: ROUTER, port: 67 },
                answers_for: vec![ROUTER],
                server: Server::Http,
                received: Vec::new(),
            },
            sent: Vec::new(),
            last_fin_end: SequenceNumber::new(0),
            last_syn_end: SequenceNumber::new(0),
        }
    }

    /// A network on which the stack has its address and has found its gateway.
    pub fn up() -> Self {
        let mut network = Network::new();
        network.settle();
        assert!(network.stack.is_up());
        network
    }

    /// Does all that needs no time to pass.
    pub fn settle(&mut self) {
        for _ in 0..100 {
            self.stack.poll(self.now);
            self.pull();
            if self.stack.next_deadline().is_none_or(|deadline| deadline > self.now) {
                return;
            }
        }
        panic!("the stack does not come to rest: {:?}", self.sent.last());
    }

    /// Pulls frames until there are none, and lets the router answer each.
    fn pull(&mut self) {
        loop {
            let mut frame = [0; 1_514];
            let Some(length) = self.stack.transmit(&mut frame, self.now, &Token) else { return };
            self.look_at(&frame[..length]);
        }
    }

    /// Lets time pass up to `until`.
    pub fn run(&mut self, until: Instant) {
        self.settle();
        while let Some(deadline) = self.stack.next_deadline().filter(|&deadline| deadline <= until) {
            self.now = deadline;
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    /// A frame arrives, and all that it leads to at once happens.
    pub fn deliver(&mut self, frame: &[u8]) {
        self.stack.receive(frame, self.now, &mut Nobody, &Token);
        self.settle();
    }

    /// What was sent since the last call.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent).into_iter().map(|(_, _, sent)| sent).collect()
    }

    /// Kinds and times, in seconds, of the DHCP messages sent since the last call.
    pub fn take_dhcp(&mut self) -> Vec<(u64, u8)> {
        let kinds = self.sent.iter().filter_map(|(at, _, sent)| match sent {
            Sent::Dhcp { kind, .. } => Some((at.as_millis() / 1_000, *kind)),
            _ => None,
        });
        let kinds = kinds.collect();
        self.sent.clear();
        kinds
    }

    fn look_at(&mut self, frame: &[u8]) {
        let (header, payload) = Header::parse(frame).unwrap();
        assert_eq!(header.source, MAC);
        let heard = [self.router.answers_to, MacAddress::BROADCAST].contains(&header.destination);
        let sent = match header.ether_type {
            EtherType::ARP => {
                let packet = Packet::parse(payload).unwrap();
                if heard {
                    self.answer_arp(&packet);
                }
                Sent::Arp(packet)
            }
            EtherType::IPV4 => {
                let (packet, payload) = ipv4::Header::parse(payload).unwrap();
                match packet.protocol {
                    Protocol::UDP => self.look_at_dhcp(&packet, payload),
                    _ => self.look_at_tcp(&packet, payload, heard),
                }
            }
            other => panic!("nobody asked for {other:?}"),
        };
        self.sent.push((self.now, header.destination, sent));
    }

    fn answer_arp(&mut self, packet: &Packet) {
        let answers = self.router.answers_arp && self.router.answers_for.contains(&packet.target);
        if packet.operation == Operation::Request && answers {
            let reply = Packet {
                operation: Operation::Reply,
                sender_mac: self.router.mac,
                sender: packet.target,
                target_mac: packet.sender_mac,
                target: packet.sender,
            };
            self.stack.receive(&arp_frame(MAC, self.router.mac, &reply), self.now, &mut Nobody, &Token);
        }
    }

    fn look_at_dhcp(&mut self, packet: &ipv4::Header, payload: &[u8]) -> Sent {
        let (_, message) = udp::Header::parse(packet.source, packet.destination, payload).unwrap();
        let kind = message[242];
        let answer = match kind {
            1 => Some(2),
            3 if !self.router.answers_requests => None,
            3 => Some(if self.router.refuses_lease { 6 } else { 5 }),
            _ => None,
        };
        if let Some(answer) = answer.filter(|_| self.router.answers_dhcp) {
            let terms = match answer {
                2 => self.router.offer.clone(),
                5 => self.router.ack.clone(),
                _ => None,
            };
            let terms = terms.unwrap_or_else(|| usual_terms(answer, self.router.lease_seconds));
            let message = dhcp_message(answer, &message[4..8], &terms);
            let frame = dhcp_datagram_frame(self.router.dhcp_source, answer == 6, &message);
            self.stack.receive(&frame, self.now, &mut Nobody, &Token);
        }
        Sent::Dhcp { kind, source: packet.source, destination: packet.destination }
    }

    fn look_at_tcp(&mut self, packet: &ipv4::Header, payload: &[u8], heard: bool) -> Sent {
        let segment = Segment::parse(packet.source, packet.destination, payload).unwrap();
        let sent = Sent::Tcp {
            remote: Endpoint { address: packet.destination, port: segment.destination_port },
            flags: segment.flags,
            payload: segment.payload.to_vec(),
        };
        if segment.flags.syn() {
            self.last_syn_end = segment.sequence + 1;
        }
        if segment.flags.fin() {
            self.last_fin_end = segment.sequence + segment.sequence_length();
        }
        let replies = if heard { self.router.serve(&segment) } else { vec![] };
        for reply in replies {
            let frame = tcp_frame(packet.destination, packet.source, &reply);
            self.stack.receive(&frame, self.now, &mut Nobody, &Token);
        }
        sent
    }

    /// A socket of the process on which a connect to `remote` was begun.
    pub fn begin(&mut self, process: ProcessId, remote: Endpoint, timeout: u64) -> SocketId {
        let socket = self.stack.socket(process, SocketFlags::default()).unwrap();
        let deadline = self.now + Duration::from_secs(timeout);
        let begun = self.stack.connect(socket, remote, deadline, self.now);
        assert!(matches!(begun, Ok(Progress::Pending)), "{begun:?}");
        self.settle();
        socket
    }

    /// A socket of the process that is connected to `remote`.
    pub fn connect(&mut self, process: ProcessId, remote: Endpoint) -> SocketId {
        let socket = self.begin(process, remote, 100);
        assert_eq!(self.progress(socket, remote), Ok(Progress::Done(Ok(()))));
        socket
    }

    /// Our end of a connection.
    pub fn local(&self, socket: SocketId) -> Endpoint {
        let report = self.stack.sockets(socket.process, &Token).find(|report| report.index == socket.index);
        report.and_then(|report| report.local).unwrap()
    }

    pub fn progress(&mut self, socket: SocketId, remote: Endpoint) -> Result<Progress, ConnectError> {
        self.stack.connect(socket, remote, self.now, self.now)
    }
}

impl Router {
    /// What the server answers to a segment.
    fn serve(&mut self, segment: &Segment<'_>) -> Vec<Segment<'static>> {
        let blank = Segment {
            source_port: segment.destination_port,
            destination_port: segment.source_port,
            sequence: segment.acknowledgement,
            acknowledgement: segment.sequence + segment.sequence_length(),
            flags: Flags::ACK,
            window: 8_192,
            options: Options::default(),
            payload: &[],
        };
        if segment.flags.reset() || self.server == Server::Silent {
            return vec![];
        }
        if segment.flags.syn() && self.server == Server::Refuses {
            return vec![Segment { sequence: SequenceNumber::new(0), flags: Flags::RST.with(Flags::ACK), ..blank }];
        }
        if segment.flags.syn() {
            self.received.retain(|(port, _)| *port != segment.source_port);
            self.received.push((segment.source_port, Vec::new()));
            let sequence = SequenceNumber::new(7_000);
            return vec![Segment { sequence, flags: Flags::SYN.with(Flags::ACK), ..blank }];
        }
        let Some((_, received)) = self.received.iter_mut().find(|(port, _)| *port == segment.source_port) else {
            return vec![];
        };
        received.extend_from_slice(segment.payload);
        if self.server == Server::Http && !segment.payload.is_empty() && received.ends_with(b"\r\n\r\n") {
            return vec![Segment { payload: ANSWER, flags: Flags::ACK.with(Flags::FIN), ..blank }];
        }
        if segment.sequence_length() == 0 { vec![] } else { vec![blank] }
    }

    /// What the server received on connections from this port.
    pub fn received(&self) -> Vec<&[u8]> {
        self.received.iter().map(|(_, bytes)| bytes.as_slice()).collect()
    }
}

pub fn frame(destination: MacAddress, source: MacAddress, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_BYTES];
    Header { destination, source, ether_type }.emit(&mut frame).unwrap();
    frame.extend_from_slice(payload);
    frame
}

pub fn arp_frame(destination: MacAddress, source: MacAddress, packet: &Packet) -> Vec<u8> {
    let mut bytes = [0; 46];
    packet.emit(&mut bytes).unwrap();
    frame(destination, source, EtherType::ARP, &bytes)
}

pub fn ipv4_packet(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; ipv4::HEADER_BYTES];
    ipv4::Header { source, destination, protocol }.emit(payload.len(), &mut header).unwrap();
    [&header, payload].concat()
}

pub fn tcp_frame(source: Ipv4Addr, destination: Ipv4Addr, segment: &Segment<'_>) -> Vec<u8> {
    let mut bytes = [0; 1_480];
    let length = segment.emit(source, destination, &mut bytes).unwrap();
    let packet = ipv4_packet(source, destination, Protocol::TCP, &bytes[..length]);
    frame(MAC, ROUTER_MAC, EtherType::IPV4, &packet)
}

/// A server's message of this kind, to the address that it is about to grant.
pub fn dhcp_frame(kind: u8, transaction: &[u8], lease_seconds: u32) -> Vec<u8> {
    let message = dhcp_message(kind, transaction, &usual_terms(kind, lease_seconds));
    dhcp_datagram_frame(Endpoint { address: ROUTER, port: 67 }, kind == 6, &message)
}

/// What the router's DHCP server says beside the message type: who it is, and what it grants.
pub fn usual_terms(kind: u8, lease_seconds: u32) -> Vec<u8> {
    let mut terms = vec![54, 4, 10, 0, 2, 2];
    if kind != 6 {
        terms.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 51, 4]);
        terms.extend(lease_seconds.to_be_bytes());
    }
    terms
}

/// A server's message of this kind with these options behind the message type.
pub fn dhcp_message(kind: u8, transaction: &[u8], terms: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(transaction);
    message[28..34].copy_from_slice(&MAC.0);
    if kind != 6 {
        message[16..20].copy_from_slice(&ADDRESS.octets());
    }
    message.extend([99, 130, 83, 99, 53, 1, kind]);
    message.extend_from_slice(terms);
    message.push(255);
    message
}

/// A frame with this message of a DHCP server's, to the address that it grants or to everybody.
pub fn dhcp_datagram_frame(source: Endpoint, to_all: bool, message: &[u8]) -> Vec<u8> {
    let destination = if to_all { Ipv4Addr::BROADCAST } else { ADDRESS };
    let mut datagram = [&[0; udp::HEADER_BYTES], message].concat();
    let header = udp::Header { source_port: source.port, destination_port: 68 };
    header.emit(source.address, destination, &mut datagram).unwrap();
    let packet = ipv4_packet(source.address, destination, Protocol::UDP, &datagram);
    frame(if to_all { MacAddress::BROADCAST } else { MAC }, ROUTER_MAC, EtherType::IPV4, &packet)
}
