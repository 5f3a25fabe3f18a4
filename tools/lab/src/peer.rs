//! The other end of a TCP connection, without I/O and in virtual time: a server that keeps whole streams in memory,
//! counts positions in 64 bits, retransmits by going back, and checks what the client may not do. It shares no code
//! with the board.

use std::collections::BTreeMap;

use crate::wire::Tcp;
use crate::wire::tcp::{ACK, FIN, Options, RST, SYN};

/// Bytes of its largest segment.
const SEGMENT: usize = 1_200;
/// How long it waits for an acknowledgement, in milliseconds.
const TIMEOUT_MS: u64 = 300;

/// What the server does differently from run to run.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// It knows selective acknowledgements.
    pub selective: bool,
    /// It knows the timestamps option.
    pub timestamps: bool,
    /// The shift of its windows, where it offers one.
    pub scale: Option<u8>,
    /// The largest segment that it takes, where it says so.
    pub mss: Option<u16>,
    /// Bytes that it buffers before its application reads.
    pub buffer: usize,
}

/// The server's end.
#[derive(Debug)]
pub struct Peer {
    habits: Habits,
    /// Its first sequence number.
    initial: u32,
    /// The ports: its own, and the client's.
    ports: (u16, u16),
    /// The client's SYN has arrived, offering what we may use.
    open: bool,
    selective: bool,
    stamped: bool,
    scale_in: u8,
    scale_out: u8,
    client_initial: u32,
    /// In order, never dropped: what the client has sent.
    pub received: Vec<u8>,
    /// How much of it the application has read.
    pub read: usize,
    behind_gaps: BTreeMap<usize, Vec<u8>>,
    latest_behind_gap: usize,
    fin_at: Option<usize>,
    fin_taken: bool,
    recent_timestamp: u32,
    /// How far the client was ever allowed to send.
    edge: usize,
    to_send: Vec<u8>,
    acknowledged: usize,
    next: usize,
    sent_up_to: usize,
    window: usize,
    duplicates: u32,
    timer: Option<u64>,
    answer_due: bool,
    syn_acknowledged: bool,
    /// The client has reset the connection.
    pub was_reset: bool,
}

impl Peer {
    /// A server that waits for a SYN, sends these bytes from its first sequence number on, and closes.
    pub fn new(habits: Habits, initial: u32, to_send: Vec<u8>) -> Peer {
        Peer {
            habits,
            initial,
            ports: (0, 0),
            open: false,
            selective: false,
            stamped: false,
            scale_in: 0,
            scale_out: 0,
            client_initial: 0,
            received: Vec::new(),
            read: 0,
            behind_gaps: BTreeMap::new(),
            latest_behind_gap: 0,
            fin_at: None,
            fin_taken: false,
            recent_timestamp: 0,
            edge: 0,
            to_send,
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

    /// The client's whole stream and its FIN have arrived, and ours are acknowledged.
    pub fn is_done(&self) -> bool {
        self.fin_taken && self.acknowledged == self.to_send.len() + 1
    }

    /// The client's whole stream and its FIN have arrived.
    pub fn has_fin(&self) -> bool {
        self.fin_taken
    }

    /// When [`Peer::transmit`] has something to say though nothing arrives, in milliseconds.
    pub fn timer(&self) -> Option<u64> {
        self.timer
    }

    fn buffered(&self) -> usize {
        self.received.len() - self.read
    }

    /// Its application reads so many bytes at most.
    pub fn application_reads(&mut self, bytes: usize) {
        let before = self.habits.buffer - self.buffered();
        self.read = self.received.len().min(self.read + bytes);
        if before < SEGMENT && self.habits.buffer - self.buffered() >= SEGMENT {
            self.answer_due = self.open;
        }
    }

    /// Takes in a segment.
    ///
    /// # Panics
    /// The client does what it may not do.
    pub fn receive(&mut self, segment: &Tcp, now: u64) {
        if segment.has(RST) {
            self.was_reset = true;
            self.timer = None;
            return;
        }
        let options = segment.known_options();
        if segment.has(SYN) {
            if !self.open {
                self.open = true;
                self.ports = (segment.destination, segment.source);
                self.client_initial = segment.sequence;
                self.selective = self.habits.selective && options.sack_permitted;
                self.stamped = self.habits.timestamps && options.timestamps.is_some();
                if let (Some(theirs), Some(ours)) = (options.shift, self.habits.scale) {
                    (self.scale_in, self.scale_out) = (theirs, ours);
                }
                self.window = usize::from(segment.window);
                self.recent_timestamp = options.timestamps.map_or(0, |(value, _)| value);
            }
            self.answer_due = true;
            return;
        }
        assert!(self.open && segment.has(ACK));
        assert_eq!(self.stamped, options.timestamps.is_some());
        if let Some((value, _)) = options.timestamps {
            let is_newer = (value.wrapping_sub(self.recent_timestamp) as i32) > 0;
            if is_newer && self.position(segment) <= self.received.len() as i64 {
                self.recent_timestamp = value;
            }
        }
        self.take_acknowledgement(segment, now);
        self.take_stream(segment);
    }

    /// Where in the client's stream a segment begins.
    fn position(&self, segment: &Tcp) -> i64 {
        i64::from(segment.sequence.wrapping_sub(self.client_initial.wrapping_add(1)) as i32)
    }

    fn take_acknowledgement(&mut self, segment: &Tcp, now: u64) {
        let position = segment.acknowledgement.wrapping_sub(self.initial.wrapping_add(1)) as i32;
        let Ok(position) = usize::try_from(position) else { return };
        self.syn_acknowledged = true;
        assert!(position <= self.sent_up_to.max(self.acknowledged), "it acknowledges what was never sent");
        if position > self.acknowledged {
            self.acknowledged = position;
            self.next = self.next.max(position);
            self.duplicates = 0;
            self.timer = (self.next > self.acknowledged).then_some(now + TIMEOUT_MS);
        } else if segment.payload.is_empty() && position == self.acknowledged && self.next > position {
            self.duplicates += 1;
            if self.duplicates == 3 {
                self.next = self.acknowledged;
            }
        }
        if position == self.acknowledged {
            self.window = usize::from(segment.window) << self.scale_in;
            // A closed window is asked about when the timer runs out.
            if self.window == 0 && self.timer.is_none() && self.acknowledged < self.to_send.len() {
                self.timer = Some(now + TIMEOUT_MS);
            }
        }
    }

    fn take_stream(&mut self, segment: &Tcp) {
        let start = self.position(segment);
        let length = segment.payload.len();
        if let Some(mss) = self.habits.mss {
            assert!(length <= usize::from(mss), "a segment of {length} bytes");
        } else {
            assert!(length <= 536);
        }
        if length == 0 && !segment.has(FIN) {
            return;
        }
        self.answer_due = true;
        let start = usize::try_from(start).expect("data before the SYN");
        // One byte more is a probe.
        assert!(start + length <= self.edge + 1, "data at {start}+{length} beyond {}", self.edge);
        if segment.has(FIN) {
            assert!(self.fin_at.is_none_or(|fin_at| fin_at == start + length), "the FIN has moved");
            self.fin_at = Some(start + length);
        }
        let room = (self.read + self.habits.buffer).saturating_sub(start);
        let payload = &segment.payload[..length.min(room)];
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
            self.behind_gaps.pop_first().into_iter().for_each(|(start, payload)| {
                self.received.extend(payload.get(self.received.len() - start..).unwrap_or_default());
            });
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

    fn segment(&mut self, position: usize, payload: &[u8], now: u64) -> Tcp {
        let taken = self.received.len() + usize::from(self.fin_taken);
        let first = self.client_initial.wrapping_add(1);
        let window = (self.habits.buffer - self.buffered()).min(65_535 << self.scale_out) >> self.scale_out;
        self.edge = self.edge.max(self.received.len() + (window << self.scale_out));
        self.answer_due = false;
        let count = if self.stamped { 3 } else { 4 };
        let blocks = if self.selective { self.blocks() } else { Vec::new() };
        let number = |position: usize| first.wrapping_add(position as u32);
        let sack = blocks.into_iter().take(count).map(|(start, end)| (number(start), number(end))).collect();
        let timestamps = self.stamped.then_some((now as u32, self.recent_timestamp));
        let options = Options { timestamps, sack, ..Options::default() };
        Tcp {
            source: self.ports.0,
            destination: self.ports.1,
            sequence: self.initial.wrapping_add(1 + position as u32),
            acknowledgement: first.wrapping_add(taken as u32),
            flags: ACK,
            window: window as u16,
            options: options.emit(),
            payload: payload.to_vec(),
        }
    }

    /// The next segment to send, if there is one.
    pub fn transmit(&mut self, now: u64) -> Option<Tcp> {
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
            let mut answer = self.segment(0, &[], now);
            answer.flags |= SYN;
            answer.sequence = self.initial;
            answer.window = self.habits.buffer.min(65_535) as u16;
            self.edge = usize::from(answer.window);
            let timestamps = self.stamped.then_some((now as u32, self.recent_timestamp));
            let Habits { mss, scale: shift, .. } = self.habits;
            answer.options =
                Options { mss, shift, sack_permitted: self.selective, timestamps, sack: Vec::new() }.emit();
            return Some(answer);
        }
        let window = if timed_out { self.window.max(1) } else { self.window.min(20 * SEGMENT) };
        let room = (self.acknowledged + window).saturating_sub(self.next);
        let end = self.to_send.len().min(self.next + room.min(SEGMENT));
        let last = end == self.to_send.len() && self.next <= end;
        if self.next < end || (last && self.acknowledged <= end) {
            let payload = self.to_send[self.next..end].to_vec();
            let mut segment = self.segment(self.next, &payload, now);
            self.next = end;
            if last {
                segment.flags |= FIN;
                self.next += 1;
            }
            self.sent_up_to = self.sent_up_to.max(self.next);
            self.timer.get_or_insert(now + TIMEOUT_MS);
            return Some(segment);
        }
        self.answer_due.then(|| {
            let next = self.next;
            self.segment(next, &[], now)
        })
    }
}
