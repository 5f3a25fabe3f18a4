//! The whole stack under any list of commands: frames from anybody, the calls of its processes, and time.
//!
//! Before the list begins the stack has an address and a connection. The server's bytes follow from their sequence
//! numbers, so that whatever the segments are, what a process reads must be the stream.

use std::net::Ipv4Addr;

use anyhow::{Result, anyhow, ensure};
use slopos_abi::{Endpoint, SocketFlags};
use slopos_kernel::objects::SocketId;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::{Duration, Instant};
use slopos_net::MacAddress;
use slopos_net::stack::SocketError;
use slopos_net::tcp::Error;
use slopos_net::wire::ethernet;
use slopos_net::wire::ethernet::{EtherType, Header};
use slopos_net::wire::ipv4;
use slopos_net::wire::tcp::SequenceNumber;

use super::commands::{self, Command, Reader};
use super::parsers::{fix_ipv4, fix_transport};
use crate::network::{ADDRESS, MAC};
use crate::router::{DhcpServer, ROUTER, ROUTER_MAC, answer_arp, client_message, routed};
use crate::station::{Identity, Memory, Sizes, Station, with_station};
use crate::watch::{Watch, segment_of};
use slopos_lab::chance::Content;
use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::{Arp, Frame, Ipv4, Payload, Tcp};

const SIZES: [Sizes; 2] =
    [Sizes { sockets: 2, receive: 4_096, send: 2_048 }, Sizes { sockets: 1, receive: 700, send: 500 }];
/// The servers' first sequence number.
const INITIAL: SequenceNumber = SequenceNumber::new(7_000);
/// What the servers send.
const DOWNLOAD: Content = Content(11);
/// Every server's port.
const FIRST_PORT: u16 = 8_000;
/// Control bits (RFC 9293 section 3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// Connections of one list; more would be more of the same.
const LINES_MAX: usize = 12;
/// Commands of one list.
const COMMANDS_MAX: usize = 400;
const CONNECT_LIMIT: Duration = Duration::from_secs(180);

/// A connection.
struct Line {
    process: ProcessId,
    socket: SocketId,
    remote: Endpoint,
    local_port: u16,
    /// Behind the last that we sent.
    sent: SequenceNumber,
    /// Behind the last that the server sent.
    next: SequenceNumber,
    /// Bytes read.
    read: usize,
    /// The process has it.
    held: bool,
    /// Every SYN of the server's was the one that it should be, so it is known where the stream begins.
    known: bool,
}

struct Machine<'s, 'a> {
    station: &'s mut Station<'a>,
    now_us: u64,
    lines: Vec<Line>,
    /// The last question to a DHCP server.
    question: Vec<u8>,
    /// A segment that came as a frame was taken in, so there is no telling what the streams are.
    tainted: bool,
}

/// Runs the commands that the bytes mean, at most 400.
///
/// # Panics
/// Where something does not hold that must.
pub fn stack(data: &[u8]) {
    let mut memory = Memory::new(&SIZES);
    let identity = Identity { mac: MAC, max_frame: 1_514, seed: [7; 32] };
    let result = with_station(&mut memory, identity, |station| {
        station.watch = Watch::of_a_hostile_peer();
        let mut machine = Machine { station, now_us: 1_000, lines: Vec::new(), question: Vec::new(), tainted: false };
        machine.begin()?;
        for command in Reader::new(data).take(COMMANDS_MAX) {
            machine.carry_out(&command)?;
            machine.settle()?;
        }
        machine.end()
    });
    if let Err(error) = result {
        panic!("{error:#}");
    }
    assert!(memory.is_wiped(), "bytes are left in the memory of sockets that are free");
}

impl Machine<'_, '_> {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now_us)
    }

    /// Gets an address and a connection.
    fn begin(&mut self) -> Result<()> {
        let dhcp = DhcpServer { addresses: [(MAC.0, ADDRESS)].into(), lease_seconds: 86_400, broadcasts: false };
        self.settle()?;
        for _ in 0..2 {
            let (_, answer) = dhcp.answer(&self.question);
            self.deliver(&answer.ok_or_else(|| anyhow!("no question was asked"))?)?;
            self.settle()?;
        }
        ensure!(self.station.stack.is_up(), "there is no address");
        self.open(0)?;
        self.settle()?;
        self.segment(&commands::Segment {
            flags: SYN | ACK,
            window: 8_000,
            options: vec![2, 4, 5, 180, 1, 3, 3, 1, 4, 2],
            ..commands::Segment::default()
        })?;
        self.settle()
    }

    /// Every process is killed; then nothing may be left.
    fn end(&mut self) -> Result<()> {
        for process in self.station.processes() {
            self.station.kill(process);
        }
        self.settle()?;
        ensure!(self.station.is_empty(), "killed processes have sockets");
        Ok(())
    }

    fn deliver(&mut self, frame: &[u8]) -> Result<()> {
        let now = self.now();
        self.station.deliver(frame, now)
    }

    fn settle(&mut self) -> Result<()> {
        // Each round sends something; questions are answered at once, and the answers can lead to no question.
        for _ in 0..20 {
            let mut frames = Vec::new();
            let now = self.now();
            self.station.settle(now, |frame| frames.push(frame.to_vec()))?;
            if frames.is_empty() {
                break;
            }
            for frame in frames {
                self.look_at(frame)?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, frame: Vec<u8>) -> Result<()> {
        if let Some(answer) = answer_arp(&frame) {
            return self.deliver(&answer);
        }
        if let Some((packet, segment, _)) = segment_of(&frame) {
            let remote = Endpoint { address: packet.destination, port: segment.destination_port };
            let end = segment.sequence + segment.sequence_length();
            if let Some(line) = self.lines.iter_mut().find(|line| line.remote == remote)
                && !segment.flags.reset()
            {
                line.local_port = segment.source_port;
                line.sent = if segment.flags.syn() { end } else { line.sent.later(end) };
            }
        } else if client_message(&frame).is_some() {
            self.question = frame;
        }
        Ok(())
    }

    fn carry_out(&mut self, command: &Command) -> Result<()> {
        let now = self.now();
        match *command {
            Command::Wait { micros } => self.wait(micros),
            Command::Frame { fix, ref bytes } => {
                let mut frame = bytes.clone();
                if fix {
                    fix_frame(&mut frame);
                }
                let before = self.station.stack.counters().tcp.segments_received;
                self.deliver(&frame)?;
                self.tainted |= self.station.stack.counters().tcp.segments_received > before;
                Ok(())
            }
            Command::Segment(ref segment) => self.segment(segment),
            Command::Read { line, bytes } => self.read(line, bytes),
            Command::Write { line, bytes } => {
                if let Some(line) = pick(&mut self.lines, line) {
                    let data = vec![0x5a; usize::from(bytes).min(5_000)];
                    let result = self.station.stack.write(line.socket, &data, now);
                    ensure!(!matches!(result, Ok(0)) || data.is_empty(), "a write took nothing");
                }
                Ok(())
            }
            Command::Finish { line } => {
                if let Some(line) = pick(&mut self.lines, line) {
                    self.station.stack.close_write(line.socket);
                }
                Ok(())
            }
            Command::Close { line } => {
                if let Some(line) = pick(&mut self.lines, line) {
                    line.held = false;
                    self.station.close(line.socket, now);
                }
                Ok(())
            }
            Command::Open { how } => self.open(how),
            Command::Dhcp { kind, seconds, address } => self.dhcp(kind, seconds, address),
            Command::Arp { operation, sender_mac, sender, target } => {
                let [a, b, c, d, e, _] = ROUTER_MAC;
                let packet = Arp {
                    operation: if operation == 0 { 1 } else { 2 },
                    sender_mac: [a, b, c, d, e, sender_mac],
                    sender: if sender == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 2, sender) },
                    target_mac: MAC.0,
                    target: Ipv4Addr::new(10, 0, 2, target),
                };
                let (source, payload) = (packet.sender_mac, Payload::Arp(packet));
                self.deliver(&Frame { destination: MAC.0, source, payload }.emit())
            }
            Command::Link { up, mtu } => {
                self.station.stack.set_link(up, now);
                self.station.stack.set_mtu(mtu);
                Ok(())
            }
            Command::Kill { process } => {
                let process = ProcessId::new(process);
                self.station.kill(process);
                self.lines.iter_mut().filter(|line| line.process == process).for_each(|line| line.held = false);
                ensure!(self.station.in_use(process) == 0, "a killed process has sockets");
                Ok(())
            }
        }
    }

    /// Time passes, from one deadline to the next, but for a bounded number of them only.
    fn wait(&mut self, micros: u64) -> Result<()> {
        let until = self.now_us + micros;
        for _ in 0..200 {
            let Some(deadline) = self.station.stack.next_deadline().map(Instant::as_micros) else { break };
            if deadline > until {
                break;
            }
            self.now_us = self.now_us.max(deadline);
            self.settle()?;
        }
        self.now_us = until;
        Ok(())
    }

    fn open(&mut self, how: u8) -> Result<()> {
        if self.lines.len() >= LINES_MAX {
            return Ok(());
        }
        let process = ProcessId::new(how & 1);
        let flags = SocketFlags { nodelay: how & 2 != 0, keepalive: how & 4 != 0, nonblock: false };
        let now = self.now();
        let socket = match self.station.stack.socket(process, flags) {
            Ok(socket) => socket,
            Err(SocketError::GrantExhausted) => return Ok(()),
            Err(error) => return Err(anyhow!("a process was denied a socket: {error:?}")),
        };
        // What was recycled is no longer this process's to close.
        self.lines.iter_mut().filter(|line| line.socket == socket).for_each(|line| {
            line.held = false;
        });
        let remote = Endpoint { address: ROUTER, port: FIRST_PORT + self.lines.len() as u16 };
        self.station
            .stack
            .connect(socket, remote, now + CONNECT_LIMIT, now)
            .map_err(|error| anyhow!("a connect was not begun: {error:?}"))?;
        self.lines.push(Line {
            process,
            socket,
            remote,
            local_port: 0,
            sent: SequenceNumber::new(0),
            next: INITIAL,
            read: 0,
            held: true,
            known: true,
        });
        Ok(())
    }

    fn read(&mut self, line: u8, bytes: u16) -> Result<()> {
        let Some(line) = pick(&mut self.lines, line) else { return Ok(()) };
        let length = usize::from(bytes).min(5_000);
        let readable = self.station.is_readable(line.socket);
        let result = self.station.read(line.socket, length, length.is_multiple_of(2));
        ensure!((result == Err(Error::WouldBlock)) != readable, "readable is {readable} and a read gives {result:?}");
        if let Ok(bytes) = result {
            if line.known && !self.tainted {
                let wrong = DOWNLOAD.difference(line.read, &bytes);
                ensure!(wrong.is_none(), "the byte at {wrong:?} of a stream was read wrong");
            }
            line.read += bytes.len();
        }
        Ok(())
    }

    fn segment(&mut self, told: &commands::Segment) -> Result<()> {
        let count = self.lines.len();
        let Some(line) = usize::from(told.line).checked_rem(count).and_then(|index| self.lines.get_mut(index)) else {
            return Ok(());
        };
        let flags = told.flags;
        let sequence = moved(line.next, told.sequence);
        line.known &= flags & SYN == 0 || sequence == INITIAL;
        let first = if flags & SYN != 0 { sequence + 1 } else { sequence };
        let mut payload = vec![0; usize::from(told.payload)];
        // What lies before the stream's first byte is not part of it, and must be cut off.
        let early = (INITIAL + 1).bytes_after(first) as usize;
        let part = payload.get_mut(early..).unwrap_or(&mut []);
        DOWNLOAD.fill(first.bytes_after(INITIAL + 1) as usize, part);
        let mut options = told.options.clone();
        options.truncate(40);
        let end = first + payload.len() as u32 + u32::from(flags & FIN);
        if flags & RST == 0 {
            line.next = line.next.later(end);
        }
        let segment = Tcp {
            source: line.remote.port,
            destination: line.local_port,
            sequence: sequence.as_u32(),
            acknowledgement: moved(line.sent, told.acknowledgement).as_u32(),
            flags,
            window: told.window,
            options,
            payload,
        };
        let packet = Ipv4::new(ROUTER, ADDRESS, Body::Tcp(segment));
        self.deliver(&routed(MAC.0, Payload::Ipv4(packet)))
    }

    fn dhcp(&mut self, kind: u8, seconds: u32, address: u8) -> Result<()> {
        let server = DhcpServer {
            addresses: [(MAC.0, Ipv4Addr::new(10, 0, 2, address))].into(),
            lease_seconds: seconds,
            broadcasts: address & 1 != 0,
        };
        let Some(question) = client_message(&self.question) else { return Ok(()) };
        let answer =
            question.answer_type().and_then(|usual| server.reply(&question, if kind == 0 { usual } else { kind }));
        answer.map_or(Ok(()), |frame| self.deliver(&frame))
    }
}

fn moved(number: SequenceNumber, by: i16) -> SequenceNumber {
    number + i32::from(by) as u32
}

/// The connection that a byte of a command means, among those that a process holds.
fn pick(lines: &mut [Line], which: u8) -> Option<&mut Line> {
    let held = lines.iter().filter(|line| line.held).count();
    let index = usize::from(which).checked_rem(held)?;
    lines.iter_mut().filter(|line| line.held).nth(index)
}

/// Makes a frame one for us, with the right lengths and checksums, as far as it has room for them.
fn fix_frame(frame: &mut [u8]) {
    let Some((header, _)) = Header::parse(frame) else { return };
    if header.destination != MacAddress::BROADCAST {
        frame[..6].copy_from_slice(&MAC.0);
    }
    let packet = &mut frame[ethernet::HEADER_BYTES..];
    if header.ether_type != EtherType::IPV4 || !fix_ipv4(packet) {
        return;
    }
    let Ok((header, payload)) = ipv4::Header::parse(packet) else { return };
    let (start, length) = (packet.len().min(usize::from(packet[0] & 15) * 4), payload.len());
    if let Some(payload) = packet.get_mut(start..start + length) {
        fix_transport(header.source, header.destination, header.protocol, payload);
    }
}
