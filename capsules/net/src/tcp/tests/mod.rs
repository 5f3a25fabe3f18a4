//! Scenarios: what goes in, what comes out, when. Each test is named after the rule that it shows.
//!
//! [`established`] gives a connection whose handshake is done at time zero, with a peer that offers no options; the
//! builder methods change the peer or our side and begin anew. Every segment passes through the wire format.

use core::net::Ipv4Addr;
use core::ops::{Deref, DerefMut};

use slopos_kernel::objects::{SocketId, SocketIndex};
use slopos_kernel::process::ProcessId;
use slopos_kernel::readers::Readers;
use slopos_kernel::time::{Duration, Instant};

use super::timers::Timer;
use slopos_abi::{Endpoint, Readiness, SocketFlags};

use super::*;
use crate::wire::tcp::options::{SackBlocks, Timestamps};
use crate::wire::tcp::{Flags, Options, ParseError, Range, Segment, SequenceNumber, Unverified};

mod arrival;
mod attacks;
mod bounds;
mod close;
mod counts;
mod handshake;
mod incoming;
mod loss;
mod peer;
mod rack;
mod sending;
mod simulation;
mod tail;
mod windows;

pub const LOCAL: Endpoint = Endpoint { address: Ipv4Addr::from_octets([10, 0, 2, 15]), port: 50_000 };
pub const REMOTE: Endpoint = Endpoint { address: Ipv4Addr::from_octets([10, 0, 2, 2]), port: 80 };
/// Both sequence spaces wrap within a few hundred bytes.
pub const OUR_INITIAL: SequenceNumber = SequenceNumber::new(u32::MAX - 100);
pub const PEER_INITIAL: SequenceNumber = SequenceNumber::new(u32::MAX - 300);
pub const SEND_NEXT: SequenceNumber = SequenceNumber::new(u32::MAX - 99);
pub const RECEIVE_NEXT: SequenceNumber = SequenceNumber::new(u32::MAX - 299);
pub const SOCKET: SocketId = SocketId { process: ProcessId::new(0), index: SocketIndex(0) };
pub const TIMESTAMP_OFFSET: u32 = 77_000;

pub fn at(milliseconds: u64) -> Instant {
    Instant::from_millis(milliseconds)
}

pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// A segment that owns its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    pub sequence: SequenceNumber,
    pub acknowledgement: SequenceNumber,
    pub flags: Flags,
    pub window: u16,
    pub options: Options,
    pub payload: Vec<u8>,
}

impl Packet {
    fn with_flags(flags: Flags) -> Packet {
        Packet {
            sequence: RECEIVE_NEXT,
            acknowledgement: SEND_NEXT,
            flags,
            window: u16::MAX,
            options: Options::default(),
            payload: Vec::new(),
        }
    }

    pub fn seq(mut self, sequence: SequenceNumber) -> Self {
        self.sequence = sequence;
        self
    }

    pub fn acking(mut self, acknowledgement: SequenceNumber) -> Self {
        self.acknowledgement = acknowledgement;
        self
    }

    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    pub fn and(mut self, flags: Flags) -> Self {
        self.flags = self.flags.with(flags);
        self
    }

    pub fn stamped(mut self, value: u32, echo: u32) -> Self {
        self.options.timestamps = Some(Timestamps { value, echo });
        self
    }

    /// Blocks relative to SEND_NEXT.
    pub fn reporting(mut self, blocks: &[(u32, u32)]) -> Self {
        self.options.sack =
            blocks.iter().map(|(start, end)| Range { start: SEND_NEXT + *start, end: SEND_NEXT + *end }).collect();
        self
    }

    pub fn bytes(&self, from: Endpoint, to: Endpoint) -> Vec<u8> {
        let segment = Segment {
            source_port: from.port,
            destination_port: to.port,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            flags: self.flags,
            window: self.window,
            options: self.options.clone(),
            payload: &self.payload,
        };
        let mut out = vec![0; 65_535];
        let length = segment.emit(from.address, to.address, &mut out).unwrap();
        out.truncate(length);
        out
    }

    pub fn parse(from: Endpoint, to: Endpoint, bytes: &[u8]) -> Result<Packet, ParseError> {
        let segment = Segment::parse(from.address, to.address, bytes)?;
        Ok(Packet {
            sequence: segment.sequence,
            acknowledgement: segment.acknowledgement,
            flags: segment.flags,
            window: segment.window,
            options: segment.options.clone(),
            payload: segment.payload.to_vec(),
        })
    }

    /// SACK blocks relative to RECEIVE_NEXT.
    pub fn blocks(&self) -> Vec<(i32, i32)> {
        let relative = |position: SequenceNumber| position.offset_from(RECEIVE_NEXT);
        self.options.sack.iter().map(|block| (relative(block.start), relative(block.end))).collect()
    }
}

pub fn ack() -> Packet {
    Packet::with_flags(Flags::ACK)
}

pub fn data(payload: &[u8]) -> Packet {
    Packet { payload: payload.to_vec(), ..Packet::with_flags(Flags::ACK) }
}

pub fn fin() -> Packet {
    Packet::with_flags(Flags::ACK.with(Flags::FIN))
}

pub fn rst() -> Packet {
    Packet::with_flags(Flags::RST)
}

pub fn syn() -> Packet {
    Packet { sequence: PEER_INITIAL, acknowledgement: SequenceNumber::new(0), ..Packet::with_flags(Flags::SYN) }
}

pub fn syn_ack() -> Packet {
    Packet { sequence: PEER_INITIAL, ..Packet::with_flags(Flags::SYN.with(Flags::ACK)) }
}

/// What a connection is tried with.
#[derive(Clone)]
struct Setup {
    receive_bytes: usize,
    send_bytes: usize,
    flags: SocketFlags,
    /// The peer's SYN-ACK.
    answer: Packet,
}

/// The buffer of a read that waits, if there is one, and how many bytes were delivered to it.
struct Waiting(Option<(Vec<u8>, usize)>);

impl Readers for Waiting {
    fn buffer(&mut self, _: SocketId, length: usize) -> Option<&mut [u8]> {
        let (buffer, delivered) = self.0.as_mut()?;
        buffer.get_mut(*delivered..*delivered + length)
    }

    fn deliver(&mut self, _: SocketId, length: usize) {
        let (buffer, delivered) = self.0.as_mut().expect("no read waits");
        *delivered += length;
        assert!(*delivered <= buffer.len());
    }
}

/// Nobody waits.
pub struct Nobody;

impl Readers for Nobody {
    fn buffer(&mut self, _: SocketId, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn deliver(&mut self, _: SocketId, _: usize) {
        unreachable!("nobody waits")
    }
}

/// A connection under test, what it has counted and what it has told.
pub struct Fixture {
    pub inner: Connection<'static>,
    pub counters: Counters,
    setup: Setup,
    waiting: Waiting,
    ready: bool,
    negative_advice: bool,
}

impl Deref for Fixture {
    type Target = Connection<'static>;

    fn deref(&self) -> &Connection<'static> {
        &self.inner
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut Connection<'static> {
        &mut self.inner
    }
}

/// A connection whose SYN has not left.
pub fn connecting() -> Fixture {
    let mut answer = syn_ack();
    answer.options.maximum_segment = Some(1_460);
    Fixture::connecting(Setup { receive_bytes: 65_535, send_bytes: 65_535, flags: SocketFlags::default(), answer })
}

/// A connection after its handshake, with nothing left to be sent.
pub fn established() -> Fixture {
    connecting().begin()
}

impl Fixture {
    fn connecting(setup: Setup) -> Fixture {
        let ring = |bytes: usize| -> &'static mut [u8] { vec![0; bytes].leak() };
        let mut inner = Connection::new(ring(setup.receive_bytes), ring(setup.send_bytes));
        inner.open(setup.flags);
        let parameters = ConnectParameters {
            local: LOCAL,
            remote: REMOTE,
            initial_sequence: OUR_INITIAL,
            timestamp_offset: TIMESTAMP_OFFSET,
            maximum_segment: 1_460,
            deadline: at(180_000),
        };
        inner.connect(parameters, at(0)).unwrap();
        Fixture {
            inner,
            counters: Counters::default(),
            setup,
            waiting: Waiting(None),
            ready: false,
            negative_advice: false,
        }
    }

    fn begin(mut self) -> Fixture {
        assert_eq!(self.sent(at(0)).len(), 1);
        self.receive(self.setup.answer.clone(), at(0));
        assert_eq!(self.state(), State::Established);
        assert_eq!(self.sent(at(0)).len(), 1);
        self.ready = false;
        self.counters = Counters::default();
        self
    }

    fn again(setup: Setup) -> Fixture {
        Fixture::connecting(setup).begin()
    }

    /// With a receive ring of so many bytes.
    pub fn receive_window(mut self, bytes: usize) -> Self {
        self.setup.receive_bytes = bytes;
        Fixture::again(self.setup)
    }

    /// With a send ring of so many bytes.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.setup.send_bytes = bytes;
        Fixture::again(self.setup)
    }

    /// With a peer that offers this window in its SYN.
    pub fn peer_window(mut self, window: u16) -> Self {
        self.setup.answer.window = window;
        Fixture::again(self.setup)
    }

    /// With a peer that announces this MSS, or none.
    pub fn peer_mss(mut self, mss: Option<u16>) -> Self {
        self.setup.answer.options.maximum_segment = mss;
        Fixture::again(self.setup)
    }

    /// With a peer that scales windows.
    pub fn peer_scale(mut self, shift: u8) -> Self {
        self.setup.answer.options.window_scale = Some(shift);
        Fixture::again(self.setup)
    }

    /// With a peer that does SACK.
    pub fn selective(mut self) -> Self {
        self.setup.answer.options.sack_permitted = true;
        Fixture::again(self.setup)
    }

    /// With a peer that does timestamps; its clock stands at 500.
    pub fn timestamps(mut self) -> Self {
        self.setup.answer = self.setup.answer.stamped(500, TIMESTAMP_OFFSET);
        Fixture::again(self.setup)
    }

    pub fn nodelay(mut self) -> Self {
        self.setup.flags.nodelay = true;
        Fixture::again(self.setup)
    }

    pub fn keepalive(mut self) -> Self {
        self.setup.flags.keepalive = true;
        Fixture::again(self.setup)
    }

    /// A segment from the peer arrives.
    pub fn receive(&mut self, packet: Packet, now: Instant) {
        let bytes = packet.bytes(REMOTE, LOCAL);
        self.receive_bytes(&bytes, now).unwrap();
    }

    /// A segment from the peer arrives, damaged perhaps.
    pub fn receive_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<(), ParseError> {
        let segment = Unverified::parse(REMOTE.address, LOCAL.address, bytes)?;
        let received = self.inner.receive(segment, now, SOCKET, &mut self.waiting, &mut self.counters)?;
        self.ready |= received.ready;
        Ok(())
    }

    /// The timers run.
    pub fn poll(&mut self, now: Instant) {
        let polled = self.inner.poll(now, &mut self.counters);
        self.ready |= polled.ready;
        self.negative_advice |= polled.negative_advice;
    }

    /// Whether, since this was asked last, something happened that a blocked call may wait for.
    pub fn take_ready(&mut self) -> bool {
        core::mem::take(&mut self.ready)
    }

    /// Whether, since this was asked last, the way to the peer was said to be broken perhaps.
    pub fn take_negative_advice(&mut self) -> bool {
        core::mem::take(&mut self.negative_advice)
    }

    /// All that leaves at `now`, after the timers have run.
    pub fn sent(&mut self, now: Instant) -> Vec<Packet> {
        self.poll(now);
        let mut sent = Vec::new();
        let mut out = [0; 1_480];
        loop {
            let wanted = self.inner.wants_transmit(now);
            let length = self.inner.transmit(&mut out, now, &mut self.counters);
            assert_eq!(wanted, length.is_some(), "wants_transmit and transmit disagree");
            let Some(length) = length else { return sent };
            sent.push(Packet::parse(LOCAL, REMOTE, &out[..length]).unwrap());
            assert!(sent.len() < 1_000, "transmission does not end");
        }
    }

    /// The one segment that leaves at `now`.
    pub fn sent_one(&mut self, now: Instant) -> Packet {
        let sent = self.sent(now);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.into_iter().next().unwrap()
    }

    pub fn state(&self) -> State {
        self.inner.state()
    }

    pub fn read(&mut self) -> Result<Vec<u8>, Error> {
        self.read_up_to(100_000)
    }

    pub fn read_up_to(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; most];
        let read = self.inner.read(&mut out)?;
        out.truncate(read);
        Ok(out)
    }

    /// The process waits in a read of so many bytes.
    pub fn wait_to_read(&mut self, bytes: usize) {
        let mut buffer = vec![0xee; bytes];
        assert_eq!(self.inner.read(&mut buffer), Err(Error::WouldBlock));
        self.waiting.0 = Some((buffer, 0));
    }

    /// The process is woken: its read is complete, or else is tried again.
    pub fn read_again(&mut self) -> Result<Vec<u8>, Error> {
        let (mut buffer, delivered) = self.waiting.0.take().expect("no read waits");
        let read = if delivered > 0 { delivered } else { self.inner.read(&mut buffer)? };
        buffer.truncate(read);
        Ok(buffer)
    }

    pub fn write(&mut self, bytes: &[u8], now: Instant) {
        assert_eq!(self.inner.write(bytes, now), Ok(bytes.len()));
    }

    /// The time of the next timer, which there must be.
    pub fn deadline(&self) -> Instant {
        self.inner.next_deadline().expect("no timer runs")
    }
}

/// Where payloads begin, relative to SEND_NEXT, and how long they are.
pub fn places(packets: &[Packet]) -> Vec<(i32, usize)> {
    packets.iter().map(|packet| (packet.sequence.offset_from(SEND_NEXT), packet.payload.len())).collect()
}

pub fn no_blocks() -> SackBlocks {
    SackBlocks::new()
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
