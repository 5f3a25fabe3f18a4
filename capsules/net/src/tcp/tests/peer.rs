//! A server for the simulation, written apart from the socket: it keeps whole streams in memory, counts positions in
//! 64 bits, retransmits by going back, and checks what the socket may not do.

use std::collections::BTreeMap;

use super::*;

const SEGMENT: usize = 1_200;
const TIMEOUT_MS: u64 = 300;

/// What the server does differently from run to run.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub selective: bool,
    pub timestamps: bool,
    pub scale: Option<u8>,
    pub mss: Option<u16>,
    /// Bytes that it buffers before its application reads.
    pub buffer: usize,
}

pub struct Peer {
    habits: Habits,
    /// The socket's SYN has arrived, offering what we may use.
    open: bool,
    selective: bool,
    stamped: bool,
    scale_in: u8,
    scale_out: u8,
    socket_initial: SequenceNumber,
    /// In order, never dropped: what the socket has sent.
    pub received: Vec<u8>,
    /// How much of it the application has read.
    pub read: usize,
    behind_gaps: BTreeMap<usize, Vec<u8>>,
    latest_behind_gap: usize,
    fin_at: Option<usize>,
    fin_taken: bool,
    recent_timestamp: u32,
    /// How far the socket was ever allowed to send.
    edge: usize,
    to_send: Vec<u8>,
    pub close_after_sending: bool,
    acknowledged: usize,
    next: usize,
    sent_up_to: usize,
    window: usize,
    duplicates: u32,
    timer: Option<u64>,
    answer_due: bool,
    syn_acknowledged: bool,
    pub was_reset: bool,
}

impl Peer {
    pub fn new(habits: Habits, to_send: Vec<u8>) -> Peer {
        Peer {
            habits,
            open: false,
            selective: false,
            stamped: false,
            scale_in: 0,
            scale_out: 0,
            socket_initial: SequenceNumber::new(0),
            received: Vec::new(),
            read: 0,
            behind_gaps: BTreeMap::new(),
            latest_behind_gap: 0,
            fin_at: None,
            fin_taken: false,
            recent_timestamp: 0,
            edge: 0,
            to_send,
            close_after_sending: true,
            acknowledged: 0,
            next: 0,
            sent_up_to: 0,
            window: 0,
            duplicates: 0,
            timer: None,
            answer_due: false,
            syn_acknowledged: false,
            was_reset: false,
        }
    }

    /// The socket's whole stream and its FIN have arrived, and ours are acknowledged.
    pub fn is_done(&self) -> bool {
        self.fin_taken && self.acknowledged == self.to_send.len() + 1
    }

    pub fn has_fin(&self) -> bool {
        self.fin_taken
    }

    pub fn timer(&self) -> Option<u64> {
        self.timer
    }

    fn buffered(&self) -> usize {
        self.received.len() - self.read
    }

    pub fn application_reads(&mut self, bytes: usize) {
        let before = self.habits.buffer - self.buffered();
        self.read = self.received.len().min(self.read + bytes);
        if before < SEGMENT && self.habits.buffer - self.buffered() >= SEGMENT {
            self.answer_due = self.open;
        }
    }

    pub fn receive(&mut self, packet: &Packet, now: u64) {
        if packet.flags.reset() {
            self.was_reset = true;
            self.timer = None;
            return;
        }
        if packet.flags.syn() {
            if !self.open {
                self.open = true;
                self.socket_initial = packet.sequence;
                self.selective = self.habits.selective && packet.options.sack_permitted;
                self.stamped = self.habits.timestamps && packet.options.timestamps.is_some();
                if let (Some(theirs), Some(ours)) = (packet.options.window_scale, self.habits.scale) {
                    (self.scale_in, self.scale_out) = (theirs, ours);
                }
                self.window = usize::from(packet.window);
                self.recent_timestamp = packet.options.timestamps.map_or(0, |stamps| stamps.value);
            }
            self.answer_due = true;
            return;
        }
        assert!(self.open && packet.flags.ack());
        assert_eq!(self.stamped, packet.options.timestamps.is_some());
        if let Some(stamps) = packet.options.timestamps {
            let expected = self.socket_initial + 1 + self.received.len() as u32;
            let newer = (stamps.value.wrapping_sub(self.recent_timestamp) as i32) > 0;
            if newer && !packet.sequence.is_after(expected) {
                self.recent_timestamp = stamps.value;
            }
        }
        self.take_acknowledgement(packet, now);
        self.take_stream(packet);
    }

    fn take_acknowledgement(&mut self, packet: &Packet, now: u64) {
        let position = packet.acknowledgement.offset_from(PEER_INITIAL + 1);
        if position < 0 {
            return;
        }
        self.syn_acknowledged = true;
        let position = position as usize;
        assert!(position <= self.sent_up_to.max(self.acknowledged), "it acknowledges what was never sent");
        if position > self.acknowledged {
            self.acknowledged = position;
            self.next = self.next.max(position);
            self.duplicates = 0;
            self.timer = (self.next > self.acknowledged).then_some(now + TIMEOUT_MS);
        } else if packet.payload.is_empty() && position == self.acknowledged && self.next > position {
            self.duplicates += 1;
            if self.duplicates == 3 {
                self.next = self.acknowledged;
            }
        }
        if position == self.acknowledged {
            self.window = usize::from(packet.window) << self.scale_in;
            // A closed window is asked about when the timer runs out.
            if self.window == 0 && self.timer.is_none() && self.acknowledged < self.to_send.len() {
                self.timer = Some(now + TIMEOUT_MS);
            }
        }
    }

    fn take_stream(&mut self, packet: &Packet) {
        let start = packet.sequence.offset_from(self.socket_initial + 1);
        let length = packet.payload.len();
        if let Some(mss) = self.habits.mss {
            assert!(length <= usize::from(mss), "a segment of {length} bytes");
        } else {
            assert!(length <= 536);
        }
        if length == 0 && !packet.flags.fin() {
            return;
        }
        self.answer_due = true;
        let start = usize::try_from(start).expect("data before the SYN");
        // One byte more is a probe.
        assert!(start + length <= self.edge + 1, "data at {start}+{length} beyond {}", self.edge);
        if packet.flags.fin() {
            assert!(self.fin_at.is_none_or(|fin_at| fin_at == start + length), "the FIN has moved");
            self.fin_at = Some(start + length);
        }
        let room = (self.read + self.habits.buffer).saturating_sub(start);
        let payload = &packet.payload[..length.min(room)];
        if start <= self.received.len() {
            if let Some(new) = payload.get(self.received.len() - start..) {
                self.received.extend(new);
            }
        } else if !payload.is_empty() {
            self.behind_gaps.insert(start, payload.to_vec());
            self.latest_behind_gap = start;
        }
        while let Some((&start, _)) = self.behind_gaps.first_key_value() {
            if start > self.received.len() {
                break;
            }
            let (start, payload) = self.behind_gaps.pop_first().unwrap();
            if let Some(new) = payload.get(self.received.len() - start..) {
                self.received.extend(new);
            }
        }
        self.fin_taken |= self.fin_at == Some(self.received.len());
    }

    /// What lies behind gaps as whole stretches, the one that was added to last before the others (RFC 2018 section 4).
    fn blocks(&self) -> Vec<(usize, usize)> {
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        for (start, payload) in &self.behind_gaps {
            let end = start + payload.len();
            match blocks.last_mut() {
                Some(last) if last.1 >= *start => last.1 = last.1.max(end),
                _ => blocks.push((*start, end)),
            }
        }
        if let Some(latest) = blocks.iter().position(|block| (block.0..block.1).contains(&self.latest_behind_gap)) {
            blocks[..=latest].rotate_right(1);
        }
        blocks
    }

    fn packet(&mut self, position: usize, payload: &[u8], now: u64) -> Packet {
        let mut packet = data(payload).seq(PEER_INITIAL + 1 + position as u32);
        let taken = self.received.len() + usize::from(self.fin_taken);
        packet.acknowledgement = self.socket_initial + 1 + taken as u32;
        let window = (self.habits.buffer - self.buffered()).min(65_535 << self.scale_out) >> self.scale_out;
        packet.window = window as u16;
        self.edge = self.edge.max(self.received.len() + (window << self.scale_out));
        if self.stamped {
            packet = packet.stamped(now as u32, self.recent_timestamp);
        }
        if self.selective {
            for (start, end) in self.blocks().into_iter().take(if self.stamped { 3 } else { 4 }) {
                let first = self.socket_initial + 1;
                packet.options.sack.push(Range { start: first + start as u32, end: first + end as u32 }).unwrap();
            }
        }
        self.answer_due = false;
        packet
    }

    /// The next packet to send, if there is one.
    pub fn transmit(&mut self, now: u64) -> Option<Packet> {
        if !self.open || self.was_reset {
            return None;
        }
        let timed_out = self.timer.is_some_and(|timer| timer <= now);
        if timed_out {
            self.timer = None;
            self.next = self.acknowledged;
        }
        if !self.syn_acknowledged {
            if !self.answer_due && !timed_out {
                return None;
            }
            self.timer = Some(now + TIMEOUT_MS);
            let mut answer = self.packet(0, &[], now).seq(PEER_INITIAL).and(Flags::SYN);
            answer.window = self.habits.buffer.min(65_535) as u16;
            self.edge = usize::from(answer.window);
            answer.options.maximum_segment = self.habits.mss;
            answer.options.window_scale = self.habits.scale;
            answer.options.sack_permitted = self.selective;
            return Some(answer);
        }
        let window = if timed_out { self.window.max(1) } else { self.window.min(20 * SEGMENT) };
        let room = (self.acknowledged + window).saturating_sub(self.next);
        let end = self.to_send.len().min(self.next + room.min(SEGMENT));
        let last = self.close_after_sending && end == self.to_send.len() && self.next <= end;
        if self.next < end || (last && self.acknowledged <= end) {
            let payload = self.to_send[self.next..end].to_vec();
            let mut packet = self.packet(self.next, &payload, now);
            self.next = end;
            if last {
                packet = packet.and(Flags::FIN);
                self.next += 1;
            }
            self.sent_up_to = self.sent_up_to.max(self.next);
            self.timer.get_or_insert(now + TIMEOUT_MS);
            return Some(packet);
        }
        self.answer_due.then(|| {
            let next = self.next;
            self.packet(next, &[], now)
        })
    }
}
