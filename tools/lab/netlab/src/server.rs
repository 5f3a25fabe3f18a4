//! The other end of one TCP connection of the board, every field of which the script may change.

use crate::lab::{Lab, REMOTE, SOON};
use slopos_lab::servers::loopback::{has_head, response};
use slopos_lab::wire::tcp::{ACK, FIN, Options, PSH, RST, SYN, Tcp};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// Bytes that [`Server::reply`] has on their way at most: little enough for a device whose queue is short, and that the
/// board has something to acknowledge often.
pub const IN_FLIGHT: u32 = 16 * 1024;
/// How long the server waits for an acknowledgement before it sends again.
const RETRANSMISSION: Duration = Duration::from_millis(250);

/// What the server says of itself in its SYN.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its options. With timestamps, the server echoes the board's clock in them.
    pub options: Options,
    /// Option bytes behind those, as they are.
    pub more_options: Vec<u8>,
    /// Its window, as it stands in each segment.
    pub window: u16,
    /// Its initial sequence number.
    pub initial: u32,
}

impl Default for Offer {
    /// An MSS of 1460, window scale 0, a window of 65,535 bytes, and a sequence number whose stream wraps early.
    fn default() -> Offer {
        let options = Options { mss: Some(1460), shift: Some(0), ..Options::default() };
        Offer { options, more_options: Vec::new(), window: 65_535, initial: u32::MAX - 5_000 }
    }
}

/// Our end of a connection.
#[derive(Debug)]
pub struct Server {
    /// Our end.
    pub local: SocketAddrV4,
    /// The board's end.
    pub board: SocketAddrV4,
    /// The board's SYN.
    pub syn: Tcp,
    /// Its options.
    pub syn_options: Options,
    /// What we said.
    pub offer: Offer,
    /// The next number that we send.
    pub next: u32,
    /// What the board has acknowledged of ours.
    pub acknowledged: u32,
    /// The next number that we expect.
    pub expected: u32,
    /// The board's window behind `acknowledged`, in bytes.
    pub board_window: u32,
    /// The number behind the last byte that we sent, whether it arrived or not.
    pub highest: u32,
    /// The right edge of the window that we gave last, beyond which the board must not send.
    pub edge: u32,
    /// What the board has sent, in order.
    pub received: Vec<u8>,
    /// The board has said that it sends no more.
    pub finished: bool,
    /// The board has reset the connection.
    pub was_reset: bool,
    clock: Instant,
    recent: Option<u32>,
}

impl Server {
    /// Waits for the board's SYN to a port, and checks it. Nothing is answered yet.
    #[track_caller]
    pub fn listen(lab: &mut Lab, port: u16, offer: Offer) -> Server {
        let (board, local, syn) = lab.wait(&format!("a SYN to port {port}"), SOON, |seen| {
            let packet = seen.frame.ipv4()?;
            let segment = seen.frame.tcp().filter(|segment| segment.has(SYN) && segment.destination == port)?;
            let ends = (packet.source, packet.destination);
            Some((SocketAddrV4::new(ends.0, segment.source), SocketAddrV4::new(ends.1, port), segment.clone()))
        });
        assert_eq!((syn.flags, syn.acknowledgement, syn.payload.len()), (SYN, 0, 0), "{}", lab.transcript());
        let syn_options = syn.known_options();
        let edge = syn.sequence.wrapping_add(1 + u32::from(offer.window));
        Server {
            local,
            board,
            syn_options: syn_options.clone(),
            next: offer.initial,
            acknowledged: offer.initial,
            highest: offer.initial,
            expected: syn.sequence.wrapping_add(1),
            board_window: u32::from(syn.window),
            edge,
            received: Vec::new(),
            finished: false,
            was_reset: false,
            clock: Instant::now(),
            recent: syn_options.timestamps.map(|(value, _)| value),
            syn,
            offer,
        }
    }

    /// Waits for a connection to port 80 and completes the handshake.
    #[track_caller]
    pub fn accept(lab: &mut Lab, offer: Offer) -> Server {
        let mut server = Server::listen(lab, 80, offer);
        server.answer(lab);
        server
    }

    /// Sends the SYN with its acknowledgement and waits for the acknowledgement of that.
    #[track_caller]
    pub fn answer(&mut self, lab: &mut Lab) {
        self.send(lab, self.syn_ack());
        self.next = self.offer.initial.wrapping_add(1);
        while self.acknowledged != self.next {
            self.take(lab, SOON);
            assert!(!self.was_reset, "the board refused our SYN\n{}", lab.transcript());
        }
    }

    /// Our SYN with the acknowledgement of the board's.
    pub fn syn_ack(&self) -> Tcp {
        let mut options = self.offer.options.clone();
        options.timestamps = options.timestamps.and(self.recent).map(|recent| (self.now(), recent));
        let options = [options.emit(), self.offer.more_options.clone()].concat();
        Tcp { flags: SYN | ACK, sequence: self.offer.initial, options, ..self.segment() }
    }

    /// An acknowledgement of everything, for the script to change.
    pub fn segment(&self) -> Tcp {
        let with_timestamps = self.offer.options.timestamps.and(self.recent);
        let options = Options { timestamps: with_timestamps.map(|recent| (self.now(), recent)), ..Options::default() };
        Tcp {
            source: self.local.port(),
            destination: self.board.port(),
            sequence: self.next,
            acknowledgement: self.expected,
            flags: ACK,
            window: self.offer.window,
            options: options.emit(),
            payload: Vec::new(),
        }
    }

    /// A segment with bytes of our stream, `offset` bytes behind `next`.
    pub fn data(&self, offset: u32, bytes: &[u8]) -> Tcp {
        let sequence = self.next.wrapping_add(offset);
        Tcp { flags: ACK | PSH, sequence, payload: bytes.to_vec(), ..self.segment() }
    }

    /// A reset, `offset` numbers behind `next`.
    pub fn reset(&self, offset: u32) -> Tcp {
        Tcp { flags: RST, sequence: self.next.wrapping_add(offset), acknowledgement: 0, ..self.segment() }
    }

    /// Sends a segment as it is.
    pub fn send(&mut self, lab: &mut Lab, segment: Tcp) {
        if segment.has(ACK) {
            let shift = if segment.has(SYN) { 0 } else { self.shift() };
            let edge = segment.acknowledgement.wrapping_add(u32::from(segment.window) << shift);
            if (edge.wrapping_sub(self.edge) as i32) > 0 {
                self.edge = edge;
            }
        }
        let end = segment.sequence.wrapping_add(segment.length());
        // A number half a circle away is a script's jump, which the board has to ignore.
        if (1..1 << 30).contains(&end.wrapping_sub(self.highest)) {
            self.highest = end;
        }
        lab.send_tcp(*self.local.ip(), *self.board.ip(), segment);
    }

    /// Sends bytes as the next of our stream, and counts them as sent.
    pub fn push(&mut self, lab: &mut Lab, bytes: &[u8]) {
        let segment = self.data(0, bytes);
        self.next = self.next.wrapping_add(bytes.len() as u32);
        self.send(lab, segment);
    }

    /// Whether a frame's segment belongs to this connection.
    pub fn owns(&self, source: Ipv4Addr, segment: &Tcp) -> bool {
        (source, segment.source, segment.destination) == (*self.board.ip(), self.board.port(), self.local.port())
    }

    /// The board's next segment of this connection, taken into account. Nothing is answered.
    #[track_caller]
    pub fn take(&mut self, lab: &mut Lab, limit: Duration) -> Tcp {
        match self.poll(lab, limit) {
            Some(segment) => segment,
            None => panic!("no segment came within {limit:?}: {self:?}\n{}", lab.transcript()),
        }
    }

    /// As [`Server::take`], but `None` where no segment comes.
    #[track_caller]
    pub fn poll(&mut self, lab: &mut Lab, limit: Duration) -> Option<Tcp> {
        let deadline = Instant::now() + limit;
        loop {
            let seen = lab.next(deadline)?;
            let (Some(packet), Some(segment)) = (seen.frame.ipv4(), seen.frame.tcp()) else { continue };
            if self.owns(packet.source, segment) {
                if let Err(why) = self.note(segment) {
                    panic!("{why}: {segment:?}, {self:?}\n{}", lab.transcript());
                }
                return Some(segment.clone());
            }
        }
    }

    /// Waits for a segment of this connection that `choose` accepts.
    #[track_caller]
    pub fn wait(&mut self, lab: &mut Lab, what: &str, limit: Duration, choose: impl Fn(&Tcp) -> bool) -> Tcp {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.poll(lab, left) {
                Some(segment) if choose(&segment) => return segment,
                Some(_) => {}
                None => panic!("{what} did not come within {limit:?}\n{}", lab.transcript()),
            }
        }
    }

    /// Waits for the whole head of a request, acknowledges it and returns it.
    #[track_caller]
    pub fn request(&mut self, lab: &mut Lab) -> String {
        while !has_head(&self.received) {
            self.take(lab, SOON);
        }
        self.send(lab, self.segment());
        String::from_utf8(self.received.clone()).expect("a request is text")
    }

    /// Sends bytes in segments of the board's MSS within its window, no more than [`IN_FLIGHT`] at a time, again where
    /// they are not acknowledged, and returns when all are.
    #[track_caller]
    pub fn reply(&mut self, lab: &mut Lab, bytes: &[u8]) {
        let timestamps = if self.segment().options.is_empty() { 0 } else { 12 };
        let size = usize::from(self.syn_options.mss.unwrap_or(536)) - timestamps;
        let begin = self.next;
        let end = begin.wrapping_add(bytes.len() as u32);
        let mut silent_since = Instant::now();
        while self.acknowledged != end {
            let limit = self.acknowledged.wrapping_add(self.board_window.min(IN_FLIGHT));
            while self.next != end && (limit.wrapping_sub(self.next) as i32) > 0 {
                let offset = self.next.wrapping_sub(begin) as usize;
                let room = limit.wrapping_sub(self.next) as usize;
                let piece = &bytes[offset..bytes.len().min(offset + size.min(room))];
                self.push(lab, piece);
            }
            let before = self.acknowledged;
            if self.poll(lab, RETRANSMISSION).is_none() {
                // All that is not acknowledged goes out again; into a closed window, one byte.
                self.next = self.acknowledged;
                self.board_window = self.board_window.max(1);
            }
            assert!(!self.was_reset, "the board reset the connection\n{}", lab.transcript());
            if self.acknowledged != before {
                silent_since = Instant::now();
            }
            assert!(silent_since.elapsed() < SOON, "the board acknowledges no more\n{}", lab.transcript());
        }
    }

    /// Sends a whole HTTP response.
    #[track_caller]
    pub fn respond(&mut self, lab: &mut Lab, body: &[u8]) {
        self.reply(lab, &response(body));
    }

    /// Says that nothing follows, and waits until both directions are closed and acknowledged.
    #[track_caller]
    pub fn close(&mut self, lab: &mut Lab) {
        let fin = Tcp { flags: ACK | FIN, ..self.segment() };
        self.next = self.next.wrapping_add(1);
        self.send(lab, fin);
        while !(self.finished && self.acknowledged == self.next) {
            self.take(lab, SOON);
            assert!(!self.was_reset, "the board reset the connection\n{}", lab.transcript());
            if self.finished {
                self.send(lab, self.segment());
            }
        }
    }

    /// Takes a segment of the board's into account, and checks it against what we allowed.
    fn note(&mut self, segment: &Tcp) -> Result<(), String> {
        if segment.has(RST) {
            self.was_reset = true;
            return Ok(());
        }
        let options = segment.known_options();
        let begin = segment.sequence.wrapping_add(u32::from(segment.has(SYN)));
        let data_end = begin.wrapping_add(segment.payload.len() as u32);
        // A FIN may lie beyond the window: it takes no room.
        if (data_end.wrapping_sub(self.edge) as i32) > 0 && !segment.payload.is_empty() {
            // A probe of a closed window carries one byte.
            if segment.payload.len() > 1 || self.edge != begin {
                return Err(format!("{} bytes beyond the window", data_end.wrapping_sub(self.edge)));
            }
        } else if begin == self.expected {
            self.received.extend(&segment.payload);
            self.expected = data_end;
            if segment.has(FIN) {
                self.finished = true;
                self.expected = self.expected.wrapping_add(1);
            }
        } else if (begin.wrapping_sub(self.expected) as i32) < 0 && (data_end.wrapping_sub(self.expected) as i32) > 0 {
            let known = self.expected.wrapping_sub(begin) as usize;
            self.received.extend(&segment.payload[known..]);
            self.expected = data_end;
        }
        if segment.has(ACK) {
            if (segment.acknowledgement.wrapping_sub(self.acknowledged) as i32) >= 0 {
                self.acknowledged = segment.acknowledgement;
                let shift =
                    if segment.has(SYN) || self.offer.options.shift.is_none() { None } else { self.syn_options.shift };
                self.board_window = u32::from(segment.window) << shift.unwrap_or(0).min(14);
            }
            if (self.acknowledged.wrapping_sub(self.highest) as i32) > 0 {
                return Err("acknowledges what was not sent".to_owned());
            }
            // We had gone back to send again, and need not.
            if (self.acknowledged.wrapping_sub(self.next) as i32) > 0 {
                self.next = self.acknowledged;
            }
        }
        if let Some((value, _)) = options.timestamps {
            self.recent = Some(value);
        }
        Ok(())
    }

    /// By how much our own windows are shifted: as we said, but no more than 14, and only if the board scales as well.
    fn shift(&self) -> u8 {
        self.syn_options.shift.and(self.offer.options.shift).unwrap_or(0).min(14)
    }

    /// Our clock of timestamps, in milliseconds.
    fn now(&self) -> u32 {
        self.clock.elapsed().as_millis() as u32
    }
}

/// The address of a page on the server behind the router.
pub fn url() -> String {
    format!("http://{REMOTE}/")
}
