//! The receiving half of a connection: the receive sequence space (RFC 9293 section 3.3.1), the ring that the process
//! reads from, what is held behind a gap, and what is to be acknowledged.

mod assembler;
mod policy;
mod window;

use slopos_kernel::objects::SocketId;
use slopos_kernel::readers::Readers;

use crate::tcp::counters::Dropped;
use crate::tcp::receiver::assembler::Assembler;
use crate::tcp::receiver::policy::AcknowledgementPolicy;
use crate::tcp::receiver::window::ReceiveWindow;
use crate::tcp::ring::Ring;
use crate::tcp::tick::Tick;
use crate::tcp::timers::{Timer, Timers};
use crate::wire::tcp::options::{LARGEST_OPTIONS, LARGEST_SACK_BLOCKS, Options, SackBlocks};
use crate::wire::tcp::{Flags, ParseError, Segment, Unverified};
use crate::wire::tcp::{Range, SequenceNumber};

/// Whether a payload has been copied already, while it was summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It lies in the frame only.
    Nowhere,
    /// It lies in the receive ring, directly behind the end.
    ToRing,
    /// It lies in the buffer of the process that waits for it.
    ToReader,
}

/// The part of a segment that is about the stream; it shrinks to what lies within the window.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'s> {
    /// Where the payload begins.
    pub sequence: SequenceNumber,
    /// The payload.
    pub payload: &'s [u8],
    /// Whether the peer's FIN follows it.
    pub fin: bool,
    /// Whether the payload is where it belongs.
    pub copied: Copied,
}

/// What a segment brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The process can read something that it could not before.
    pub news: bool,
    /// The stream has ended with it.
    pub fin: bool,
    /// Its data was not kept.
    pub dropped: Option<Dropped>,
}

/// The end of the peer's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// Not known.
    #[default]
    Open,
    /// The FIN lies here, behind a gap.
    At(SequenceNumber),
    /// Everything up to the FIN has arrived.
    Reached,
}

/// What each segment of ours tells about what has arrived.
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    /// RCV.NXT.
    pub number: SequenceNumber,
    /// The window, as the wire has it.
    pub window: u16,
    /// The right edge of that window.
    pub edge: SequenceNumber,
    /// What lies behind a gap.
    pub sack: SackBlocks,
}

/// The receiving half.
pub struct Receiver<'a> {
    ring: Ring<'a>,
    assembler: Assembler,
    window: ReceiveWindow,
    policy: AcknowledgementPolicy,
    /// RCV.NXT.
    next: SequenceNumber,
    /// What the last segment that we sent acknowledged (Last.ACK.sent of RFC 7323).
    acknowledged: SequenceNumber,
    end: End,
    /// Both sides do SACK.
    selective: bool,
    /// Bytes that have arrived in order.
    arrived: u64,
}

impl<'a> Receiver<'a> {
    /// Nothing has arrived. The ring lies in `storage`, of which at most 2^30 bytes are used.
    pub fn new(storage: &'a mut [u8]) -> Self {
        Receiver {
            ring: Ring::new(storage),
            assembler: Assembler::new(),
            window: ReceiveWindow::default(),
            policy: AcknowledgementPolicy::default(),
            next: SequenceNumber::default(),
            acknowledged: SequenceNumber::default(),
            end: End::Open,
            selective: false,
            arrived: 0,
        }
    }

    /// Bytes that have arrived in order.
    pub const fn received(&self) -> u64 {
        self.arrived
    }

    /// A connection begins, in which no segment is to bring more than `maximum_segment` bytes.
    pub fn open(&mut self, maximum_segment: u16) {
        self.window = ReceiveWindow::new(self.ring.capacity(), maximum_segment);
    }

    /// The peer's SYN has come: its number and what it offers.
    pub fn synchronize(&mut self, initial: SequenceNumber, options: &Options) {
        self.next = initial + 1;
        self.acknowledged = self.next;
        self.window.begin(self.next + u32::from(self.syn_window()), options.window_scale.is_some());
        self.selective = options.sack_permitted;
    }

    /// The connection is over. What has arrived in order stays to be read.
    pub fn finish(&mut self) {
        self.assembler.clear();
        self.policy = AcknowledgementPolicy::default();
        if self.end != End::Reached {
            self.end = End::Open;
        }
    }

    /// Overwrites what has arrived, and forgets all.
    pub fn wipe(&mut self) {
        self.discard();
        self.finish();
        self.window = ReceiveWindow::default();
        self.next = SequenceNumber::default();
        self.acknowledged = SequenceNumber::default();
        self.end = End::Open;
        self.selective = false;
        self.arrived = 0;
    }

    /// Overwrites what has arrived: nobody will read it.
    pub fn discard(&mut self) {
        self.ring.wipe();
        self.assembler.clear();
    }

    /// RCV.NXT.
    pub const fn next(&self) -> SequenceNumber {
        self.next
    }

    /// Last.ACK.sent of RFC 7323.
    pub const fn acknowledged(&self) -> SequenceNumber {
        self.acknowledged
    }

    /// How large a window can be, in bytes.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// How much can be taken in, in bytes.
    pub fn room(&self) -> u32 {
        self.ring.free() as u32
    }

    /// Behind the last byte that can be taken in.
    pub fn edge(&self) -> SequenceNumber {
        self.next + self.room()
    }

    /// Bytes that are held, in order or not.
    pub fn held_bytes(&self) -> usize {
        self.ring.length() + self.assembler.bytes() as usize
    }

    /// Whether something has arrived that the process has not read.
    pub fn has_unread(&self) -> bool {
        !self.ring.is_empty() || !self.assembler.is_empty()
    }

    /// Whether a read gives bytes, or the end of the stream.
    pub fn is_readable(&self) -> bool {
        !self.ring.is_empty() || self.has_ended()
    }

    /// Whether the peer's stream has ended.
    pub fn has_ended(&self) -> bool {
        self.end == End::Reached
    }

    /// Whether an acknowledgement must go out now.
    pub const fn is_acknowledgement_due(&self) -> bool {
        self.policy.is_due()
    }

    /// An acknowledgement must go out now.
    pub const fn acknowledge_now(&mut self) {
        self.policy.at_once();
    }

    /// What we announce as MSS, in bytes.
    pub const fn maximum_segment(&self) -> u16 {
        self.window.maximum_segment()
    }

    /// The shift of our windows that our SYN offers, or that was agreed upon.
    pub const fn shift(&self) -> Option<u8> {
        self.window.shift()
    }

    /// Whether both sides do SACK.
    pub const fn is_selective(&self) -> bool {
        self.selective
    }

    /// The window of a SYN, which is never scaled (RFC 7323 section 2.2).
    pub fn syn_window(&self) -> u16 {
        self.ring.free().min(usize::from(u16::MAX)) as u16
    }

    /// Whether a segment brings nothing but the data that comes next, all of which there is room for, and nothing is held
    /// behind it.
    pub fn expects(&self, segment: &Segment<'_>) -> bool {
        let length = segment.payload.len();
        segment.sequence == self.next
            && length > 0
            && length <= self.ring.free()
            && self.end == End::Open
            && self.assembler.is_empty()
            && segment.flags.with(Flags::PSH) == Flags::ACK.with(Flags::PSH)
    }

    /// Copies the data that comes next to where it belongs while it is summed: to the reader of this socket, if one waits,
    /// else behind the end of the ring. What is damaged has then been written to memory that holds nothing.
    ///
    /// # Errors
    /// [`ParseError::BadChecksum`]; nothing has changed.
    pub fn copy_expected<'s>(
        &mut self,
        segment: Unverified<'s>,
        socket: SocketId,
        readers: &mut impl Readers,
    ) -> Result<(Segment<'s>, Copied), ParseError> {
        let payload = segment.claimed().payload;
        let ring = &mut self.ring;
        let mut copied = Copied::ToRing;
        let segment = segment.verify_while(|sum| {
            // What the ring holds has to be read first.
            if ring.is_empty()
                && let Some(buffer) = readers.buffer(socket, payload.len())
                && buffer.len() == payload.len()
            {
                sum.add_copy(buffer, payload);
                copied = Copied::ToReader;
            } else {
                ring.place_summed(payload, sum);
            }
        })?;
        Ok((segment, copied))
    }

    /// A segment says again what was received before. Its payload is reported by the next acknowledgement (RFC 2883).
    pub fn repeated(&mut self, segment: &Segment<'_>) {
        if self.selective && !segment.payload.is_empty() {
            let end = segment.sequence + segment.payload.len() as u32;
            self.assembler.note_duplicate(Range { start: segment.sequence, end });
        }
    }

    /// Cuts off what was received before and what lies behind the window, or behind the end of the stream.
    pub fn trim<'s>(&mut self, incoming: Incoming<'s>) -> Incoming<'s> {
        if incoming.copied != Copied::Nowhere {
            return incoming;
        }
        let Incoming { mut sequence, mut payload, mut fin, copied } = incoming;
        let early = self.next.bytes_after(sequence);
        payload = payload.get(early as usize..).unwrap_or(&[]);
        sequence += early;
        let room = self.edge().bytes_after(sequence) as usize;
        if payload.len() > room {
            payload = payload.get(..room).unwrap_or(&[]);
            fin = false;
            self.policy.at_once();
        }
        if let End::At(end) = self.end {
            payload = payload.get(..end.bytes_after(sequence) as usize).unwrap_or(payload);
        }
        Incoming { sequence, payload, fin, copied }
    }

    /// Takes in what was trimmed to the window: data in order, data behind a gap, and the FIN.
    pub fn accept(&mut self, incoming: &Incoming<'_>, tick: &mut Tick<'_>) -> Accepted {
        let mut accepted = Accepted::default();
        let length = incoming.payload.len() as u32;
        if length > 0 {
            self.policy.saw(length, self.window.maximum_segment());
            if incoming.sequence == self.next {
                accepted.news = self.take_in_order(incoming, tick) > 0;
            } else {
                accepted.dropped = self.take_behind_gap(incoming, tick);
            }
        }
        if incoming.fin {
            if self.end == End::Open {
                self.end = End::At(incoming.sequence + length);
            }
            // Out of order it brings nothing yet, but the peer must learn of the gap.
            self.policy.at_once();
        }
        if self.end == End::At(self.next) {
            self.end = End::Reached;
            self.next += 1;
            self.assembler.clear();
            self.policy.ended();
            accepted.news = true;
            accepted.fin = true;
        }
        accepted
    }

    /// Answers by how many bytes the stream went on.
    fn take_in_order(&mut self, incoming: &Incoming<'_>, tick: &mut Tick<'_>) -> u32 {
        let before = self.next;
        let length = incoming.payload.len();
        let taken = match incoming.copied {
            Copied::Nowhere => self.ring.append(incoming.payload),
            Copied::ToRing => self.ring.extend(length),
            Copied::ToReader => length,
        };
        self.next += taken as u32;
        // What the reader has got has been read.
        if incoming.copied == Copied::ToReader {
            self.update_window();
        }
        if !self.assembler.is_empty() {
            let reached = self.assembler.close_gap(self.next);
            self.ring.extend(reached.bytes_after(self.next) as usize);
            self.next = reached;
            // The peer is repairing a loss and waits for word of it (RFC 5681 section 4.2).
            self.policy.at_once();
        }
        let received = self.next.bytes_after(before);
        tick.counters.bytes_received += u64::from(received);
        self.arrived += u64::from(received);
        self.policy.received(received, self.window.maximum_segment(), tick);
        received
    }

    fn take_behind_gap(&mut self, incoming: &Incoming<'_>, tick: &mut Tick<'_>) -> Option<Dropped> {
        self.policy.at_once();
        let offset = incoming.sequence.bytes_after(self.next) as usize;
        let end = incoming.sequence + incoming.payload.len() as u32;
        if self.assembler.insert(Range { start: incoming.sequence, end }).is_err() {
            return Some(Dropped::ReassemblyFull);
        }
        tick.counters.out_of_order += 1;
        self.ring.place(offset, incoming.payload);
        None
    }

    /// Moves what has arrived to the front of `out`. `None` where there is nothing.
    pub fn read(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.ring.is_empty() {
            return None;
        }
        let read = self.ring.read(out);
        if self.ring.is_empty() && self.assembler.is_empty() {
            self.ring.rewind();
        }
        Some(read)
    }

    /// Announces the room that reading has made, once it is worth a segment.
    pub fn update_window(&mut self) {
        if self.window.is_worth_an_update(self.edge(), self.ring.capacity()) {
            self.policy.at_once();
        }
    }

    /// How many SACK blocks the next segment has, where other options take so many bytes.
    pub fn sack_block_count(&self, other_options: usize) -> usize {
        if !self.selective {
            return 0;
        }
        let room = LARGEST_OPTIONS.saturating_sub(other_options);
        self.assembler.sack_block_count().min(LARGEST_SACK_BLOCKS).min(room.saturating_sub(4) / 8)
    }

    /// What the next segment tells, where other options take so many bytes.
    pub fn acknowledgement(&self, other_options: usize) -> Acknowledgement {
        let most_blocks = self.sack_block_count(other_options);
        let (window, edge) = self.window.choose(self.next, self.edge(), self.ring.capacity());
        Acknowledgement { number: self.next, window, edge, sack: self.assembler.sack_blocks(most_blocks) }
    }

    /// A segment with this acknowledgement went out.
    pub fn sent(&mut self, edge: SequenceNumber, timers: &mut Timers) {
        self.window.announced(edge);
        self.acknowledged = self.next;
        self.sent_syn();
        timers.stop(Timer::DelayedAcknowledgement);
        self.assembler.reported();
    }

    /// Our SYN went out, which acknowledges the peer's if that has come.
    pub const fn sent_syn(&mut self) {
        self.policy.sent();
    }
}
