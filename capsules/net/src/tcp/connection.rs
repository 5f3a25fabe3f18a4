//! A connection: its two halves and the state of its life. Here is the spine: a segment comes in, one goes out, time
//! passes, each in the order of RFC 9293, each step one call.

mod calls;

use slopos_abi::{Endpoint, SocketFlags};
use slopos_kernel::objects::SocketId;
use slopos_kernel::readers::Readers;
use slopos_kernel::time::Instant;

use crate::tcp::clock::TimestampClock;
use crate::tcp::close::{ORPHAN_FIN_WAIT, TIME_WAIT, after_fins};
use crate::tcp::counters::{Counters, Dropped};
use crate::tcp::defence::{self, Answer, AnswerLimits, Verdict};
use crate::tcp::due::{Due, Span, Why};
use crate::tcp::handshake;
use crate::tcp::interface::{Polled, Received};
use crate::tcp::keep_alive::KeepAlive;
use crate::tcp::receiver::{Accepted, Copied, Incoming, Receiver};
use crate::tcp::reset::{ResetReply, reset_for};
use crate::tcp::sender::Sender;
use crate::tcp::state::{Error, Life, Outcome, State, Syn};
use crate::tcp::tick::Tick;
use crate::tcp::timers::{Timer, Timers};
use crate::wire::tcp::options::{Options, sack_bytes};
use crate::wire::tcp::{Flags, HEADER_BYTES, ParseError, Segment, Unverified};

/// Retransmissions, and probes of a closed window, without any answer before a connection is given up (R2 of RFC 9293
/// section 3.8.3): a quarter of an hour or more.
const RETRY_LIMIT: u8 = 15;
/// [`RETRY_LIMIT`] where no process waits for it any more.
const ORPHAN_RETRY_LIMIT: u8 = 8;
/// Retransmissions after which the way to the peer may be broken (R1 of the same section).
const ADVICE_RETRIES: u8 = 3;

/// One connection with its two rings. The memory is part of one process's grant.
pub struct Connection<'a> {
    sender: Sender<'a>,
    receiver: Receiver<'a>,
    life: Life,
    timers: Timers,
    clock: TimestampClock,
    keep_alive: KeepAlive,
    limits: AnswerLimits,
    local: Endpoint,
    remote: Endpoint,
    /// A reset that must go out; it outlives the connection.
    reset: Option<ResetReply>,
    flags: SocketFlags,
    /// A process holds the descriptor.
    is_held: bool,
}

/// The halves' view of what happens now.
macro_rules! tick {
    ($connection:ident, $now:expr, $counters:expr) => {
        &mut Tick { now: $now, timers: &mut $connection.timers, counters: $counters }
    };
}

impl<'a> Connection<'a> {
    /// A free connection with these two rings. Of either at most 2^30 bytes are used.
    pub fn new(receive: &'a mut [u8], send: &'a mut [u8]) -> Self {
        Connection {
            sender: Sender::new(send),
            receiver: Receiver::new(receive),
            life: Life::Closed(None),
            timers: Timers::default(),
            clock: TimestampClock::default(),
            keep_alive: KeepAlive::default(),
            limits: AnswerLimits::default(),
            local: Endpoint::UNSPECIFIED,
            remote: Endpoint::UNSPECIFIED,
            reset: None,
            flags: SocketFlags::default(),
            is_held: false,
        }
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.life.state()
    }

    /// Takes in a segment for this connection, as [`Connection::matches`] says, if it is undamaged. The answer, if any,
    /// leaves by [`Connection::transmit`].
    ///
    /// Data that comes next, as nearly all of it does, is copied to where it belongs while it is summed: to the reader of
    /// this `socket`, if `readers` has one, else into the receive ring. A damaged segment has then been written to memory
    /// that holds nothing, behind the end of the stream, where it is forgotten. What is accepted is delivered to the
    /// reader, and thereby read.
    ///
    /// # Errors
    /// [`ParseError::BadChecksum`]; nothing has changed.
    pub fn receive(
        &mut self,
        segment: Unverified<'_>,
        now: Instant,
        socket: SocketId,
        readers: &mut impl Readers,
        counters: &mut Counters,
    ) -> Result<Received, ParseError> {
        let is_expected = self.state() == State::Established && self.receiver.expects(segment.claimed());
        let (segment, copied) = if is_expected {
            self.receiver.copy_expected(segment, socket, readers)?
        } else {
            (segment.verify()?, Copied::Nowhere)
        };
        counters.segments_received += 1;
        if self.state() == State::Closed {
            return Ok(Received::default());
        }
        let received = self.decide(&segment, copied, now, counters);
        if copied == Copied::ToReader && self.receiver.next() == segment.sequence + segment.payload.len() as u32 {
            readers.deliver(socket, segment.payload.len());
        }
        if let Some(reason) = received.dropped {
            counters.count(reason);
        }
        self.sender.update_persist(now, &mut self.timers);
        Ok(received)
    }

    /// The checks of RFC 9293 sections 3.10.7.3 and 3.10.7.4, and what follows from them.
    fn decide(&mut self, segment: &Segment<'_>, copied: Copied, now: Instant, counters: &mut Counters) -> Received {
        let state = self.state();
        match defence::check(segment, state, &self.sender, &self.receiver, &self.clock, now) {
            Verdict::Accept => self.accept(segment, copied, now, counters),
            Verdict::Repetition(answer) => {
                self.repeat(segment, now);
                self.answer(answer, segment, now, counters);
                let ready = self.accept_acknowledgement(segment, now, counters);
                Received { ready, dropped: Some(Dropped::Duplicate), ..Received::default() }
            }
            Verdict::Reset(error) => {
                counters.resets_received += 1;
                counters.refused += u64::from(error == Some(Error::Refused));
                Received { ready: self.enter_closed(error), ..Received::default() }
            }
            Verdict::IgnoreReset(answer) => {
                counters.resets_ignored += 1;
                self.answer(answer, segment, now, counters);
                Received::default()
            }
            Verdict::Challenge => {
                self.answer(Answer::Challenge, segment, now, counters);
                Received::default()
            }
            Verdict::Drop(reason, answer) => {
                if reason == Dropped::Duplicate {
                    self.repeat(segment, now);
                }
                self.answer(answer, segment, now, counters);
                Received { dropped: Some(reason), ..Received::default() }
            }
        }
    }

    /// A segment that has passed the checks: first what it says about our half, then its stream.
    fn accept(&mut self, segment: &Segment<'_>, copied: Copied, now: Instant, counters: &mut Counters) -> Received {
        let mut received = Received::default();
        if self.state() == State::SynSent {
            received.excessive_scale = self.synchronize(segment, now, counters);
            if !segment.flags.ack() {
                return received;
            }
        }
        let ready = self.accept_acknowledgement(segment, now, counters);
        let stream = self.accept_stream(segment, copied, now, counters);
        Received { ready: ready || stream.news, dropped: stream.dropped, ..received }
    }

    /// Our SYN is answered by the peer's. Without an acknowledgement both sides have begun at once: ours goes out again,
    /// now with one. Answers whether the peer's window scale is excessive.
    fn synchronize(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) -> bool {
        let (sender, receiver, clock) = (&mut self.sender, &mut self.receiver, &mut self.clock);
        let is_excessive = handshake::synchronize(segment, sender, receiver, clock, now);
        counters.excessive_window_scales += u64::from(is_excessive);
        self.keep_alive.heard(now);
        let was_sent = self.life.syn().is_some_and(|syn| syn.was_sent);
        self.life = Life::SynReceived(Syn { is_due: !segment.flags.ack(), was_sent });
        is_excessive
    }

    /// What the segment acknowledges: our SYN, data, our FIN. Answers whether a blocked call may wait for that.
    fn accept_acknowledgement(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) -> bool {
        self.clock.note(segment, self.receiver.acknowledged(), now);
        self.keep_alive.heard(now);
        if self.state() == State::SynReceived {
            self.establish(segment, now, counters);
            return true;
        }
        let clock = &self.clock;
        let echoed = || clock.echoed(segment, now);
        let is_ready = self.sender.acknowledge(segment, echoed, tick!(self, now, counters));
        self.follow_fins(false, now);
        is_ready
    }

    /// Our SYN is acknowledged.
    fn establish(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) {
        let echoed = self.clock.echoed(segment, now);
        self.sender.establish(segment, echoed, tick!(self, now, counters));
        if segment.flags.syn() {
            self.receiver.acknowledge_now();
        }
        self.timers.stop(Timer::Connect);
        if self.flags.keepalive {
            self.keep_alive.begin(now, &mut self.timers);
        }
        self.life = if self.sender.is_ended() { Life::FinWait1 } else { Life::Established };
        counters.established += 1;
    }

    /// The segment's part of the peer's stream, where more of that is expected.
    fn accept_stream(
        &mut self,
        segment: &Segment<'_>,
        copied: Copied,
        now: Instant,
        counters: &mut Counters,
    ) -> Accepted {
        if !self.state().may_receive() {
            return Accepted::default();
        }
        let incoming = self.receiver.trim(Incoming {
            sequence: segment.sequence + u32::from(segment.flags.syn()),
            payload: segment.payload,
            fin: segment.flags.fin(),
            copied,
        });
        if !self.is_held && !incoming.payload.is_empty() {
            // Nobody will read it, and the peer must not believe that somebody did.
            self.abort_with(None);
            return Accepted::default();
        }
        let accepted = self.receiver.accept(&incoming, tick!(self, now, counters));
        if accepted.fin {
            self.follow_fins(true, now);
        }
        accepted
    }

    /// The state that follows when our FIN is acknowledged or the peer's is received.
    fn follow_fins(&mut self, is_received: bool, now: Instant) {
        let before = self.state();
        let after = after_fins(before, self.sender.is_fin_acknowledged(), is_received);
        if after == before {
            return;
        }
        match after {
            State::FinWait2 => {
                self.life = Life::FinWait2;
                if !self.is_held {
                    self.timers.start(Timer::Linger, now + ORPHAN_FIN_WAIT);
                }
            }
            State::CloseWait => self.life = Life::CloseWait,
            State::Closing => self.life = Life::Closing,
            State::TimeWait => self.enter_time_wait(now),
            _ => {
                self.enter_closed(None);
            }
        }
    }

    /// A segment says again what was received before.
    fn repeat(&mut self, segment: &Segment<'_>, now: Instant) {
        self.receiver.repeated(segment);
        if segment.flags.fin() && self.state() == State::TimeWait {
            self.enter_time_wait(now);
        }
    }

    /// Tells the peer what it has to know about a segment that is not taken in.
    fn answer(&mut self, answer: Answer, segment: &Segment<'_>, now: Instant, counters: &mut Counters) {
        if answer == Answer::Reset {
            self.answer_by_reset(segment, now);
        } else if self.limits.admit(answer, now, counters) {
            self.receiver.acknowledge_now();
        }
    }

    /// The peer still has the connection of an earlier life of ours. The reset ends that, so our SYN can follow at once
    /// (RFC 9293 section 3.5.1, figure 9); only so often, or forgers could make us send it for ever.
    fn answer_by_reset(&mut self, segment: &Segment<'_>, now: Instant) {
        let Some(reply) = reset_for(self.local, self.remote, segment) else { return };
        self.reset = Some(reply);
        if let Life::SynSent(syn) = &mut self.life
            && syn.was_sent
            && self.limits.admit_syn(now)
        {
            syn.is_due = true;
        }
    }

    /// The next segment, where `room` bytes are to be had for header and payload.
    fn due(&self, room: usize, now: Instant) -> Option<Due> {
        if let Some(reply) = self.reset {
            return Some(Due::Reset(reply));
        }
        match self.life {
            Life::Closed(_) => return None,
            Life::SynSent(syn) | Life::SynReceived(syn) if syn.is_due => return Some(Due::Syn),
            _ => {}
        }
        if let Some(due) = self.sender.schedule(self.payload_limit(room), now) {
            Some(due)
        } else if self.keep_alive.is_due() {
            Some(Due::KeepAlive)
        } else {
            self.receiver.is_acknowledgement_due().then_some(Due::Acknowledgement)
        }
    }

    /// The largest payload of a segment with the options that it needs now, in bytes.
    fn payload_limit(&self, room: usize) -> usize {
        let options = self.clock.bytes();
        let options = options + sack_bytes(self.receiver.sack_block_count(options));
        room.saturating_sub(HEADER_BYTES).min(self.sender.maximum_segment()).saturating_sub(options)
    }

    /// Builds the next segment that is due, header, options, payload and checksum, at the start of `out`, and answers
    /// its length in bytes; `None` when nothing is due. To be called again until then. `out` is as long as an IPv4
    /// payload may be on the link.
    pub fn transmit(&mut self, out: &mut [u8], now: Instant, counters: &mut Counters) -> Option<usize> {
        let length = match self.due(out.len(), now)? {
            Due::Reset(reply) => {
                let length = Some(reply.emit(out)).filter(|length| *length > 0)?;
                counters.resets_sent += 1;
                self.reset = None;
                return Some(length);
            }
            Due::Syn => self.send_syn(out, now, counters)?,
            Due::Data(span, why) => {
                let length = self.emit(&span, out, now)?;
                self.sender.sent(&span, why, tick!(self, now, counters));
                if why == Why::New {
                    self.keep_alive.asked();
                }
                length
            }
            Due::WindowProbe => {
                let length = self.emit(&self.sender.window_probe_span(), out, now)?;
                self.sender.sent_window_probe(tick!(self, now, counters));
                length
            }
            Due::KeepAlive => {
                let length = self.emit(&Span::empty(self.sender.unacknowledged() - 1), out, now)?;
                self.keep_alive.asked();
                counters.keep_alive_probes += 1;
                length
            }
            Due::Acknowledgement => self.emit(&Span::empty(self.sender.next()), out, now)?,
        };
        counters.segments_sent += 1;
        Some(length)
    }

    fn send_syn(&mut self, out: &mut [u8], now: Instant, counters: &mut Counters) -> Option<usize> {
        let has_come = self.state() == State::SynReceived;
        let ends = (self.local, self.remote);
        let segment = handshake::syn(has_come, &self.sender, &self.receiver, &self.clock, ends, now);
        let length = segment.emit(self.local.address, self.remote.address, out)?;
        let syn = self.life.syn()?;
        let is_first = !syn.was_sent;
        *syn = Syn { is_due: false, was_sent: true };
        self.receiver.sent_syn();
        self.sender.sent_syn(is_first, tick!(self, now, counters));
        Some(length)
    }

    /// Builds the segment of a stretch of our stream, which acknowledges all that was received.
    fn emit(&mut self, span: &Span, out: &mut [u8], now: Instant) -> Option<usize> {
        let acknowledgement = self.receiver.acknowledgement(self.clock.bytes());
        let header = Segment {
            source_port: self.local.port,
            destination_port: self.remote.port,
            sequence: span.start,
            acknowledgement: acknowledgement.number,
            flags: Flags::ACK,
            window: acknowledgement.window,
            options: Options { timestamps: self.clock.option(now), sack: acknowledgement.sack, ..Options::default() },
            payload: &[],
        };
        let length = self.sender.emit(span, header, (self.local, self.remote), out)?;
        self.receiver.sent(acknowledgement.edge, &mut self.timers);
        Some(length)
    }

    /// Runs the timers that have run out. To be called whenever [`Connection::next_deadline`] has passed; what becomes
    /// due leaves by [`Connection::transmit`].
    pub fn poll(&mut self, now: Instant, counters: &mut Counters) -> Polled {
        let mut polled = Polled::default();
        if self.timers.earliest().is_none_or(|earliest| earliest > now) {
            return polled;
        }
        let retry_limit = if self.is_held { RETRY_LIMIT } else { ORPHAN_RETRY_LIMIT };
        for timer in Timer::ALL {
            if !self.timers.expire(timer, now) {
                continue;
            }
            let tick = tick!(self, now, counters);
            match timer {
                Timer::Connect => polled.ready |= self.give_up(counters),
                Timer::Linger => polled.ready |= self.enter_closed(None),
                Timer::DelayedAcknowledgement => {
                    counters.delayed_acknowledgements += 1;
                    self.receiver.acknowledge_now();
                }
                Timer::Reordering => self.sender.reordering_timeout(tick),
                Timer::TailProbe => self.sender.tail_timeout(tick),
                Timer::Retransmission => {
                    self.sender.retransmission_timeout(tick);
                    polled.negative_advice |= self.sender.retransmissions() == ADVICE_RETRIES;
                    if let Some(syn) = self.life.syn() {
                        // While connecting, the caller's deadline is the limit.
                        syn.is_due = true;
                    } else if self.sender.retransmissions() > retry_limit {
                        polled.ready |= self.give_up(counters);
                    } else {
                        self.sender.begin_again(now);
                    }
                }
                // As long as the peer answers the probes the connection lives.
                Timer::Persist if self.keep_alive.admit_probe(retry_limit) => self.sender.persist_timeout(tick),
                Timer::KeepAlive if self.keep_alive.expired(self.sender.outstanding() == 0, tick) => {}
                Timer::Persist | Timer::KeepAlive => polled.ready |= self.give_up(counters),
            }
        }
        polled
    }

    /// The peer does not answer.
    fn give_up(&mut self, counters: &mut Counters) -> bool {
        counters.timed_out += 1;
        self.enter_closed(Some(Error::TimedOut))
    }

    /// The connection ends at once, with a reset where the peer must get one.
    fn abort_with(&mut self, error: Option<Error>) -> bool {
        if self.state().is_reset_by_abort() {
            self.reset = Some(self.reset_reply());
        }
        self.enter_closed(error)
    }

    /// The reset that ends this connection from our side (RFC 9293 section 3.10.5).
    fn reset_reply(&self) -> ResetReply {
        ResetReply {
            local: self.local,
            remote: self.remote,
            sequence: self.sender.next(),
            acknowledgement: Some(self.receiver.next()),
        }
    }

    /// The connection is over. What has arrived stays for the process to read, if one holds it; what was to be sent is
    /// wiped. Answers whether a process may wait for that.
    fn enter_closed(&mut self, error: Option<Error>) -> bool {
        if !self.is_held {
            let reset = self.free();
            self.reset = reset;
            return false;
        }
        let was_established = self.state().is_synchronized();
        self.sender.wipe();
        self.receiver.finish();
        self.timers.stop_all();
        self.keep_alive = KeepAlive::default();
        self.life = Life::Closed(Some(Outcome { was_established, error }));
        true
    }

    /// Wipes both rings and makes it free, whatever state it is in. The reset that was still to be sent, if any, is the
    /// caller's to send.
    pub fn free(&mut self) -> Option<ResetReply> {
        self.receiver.wipe();
        self.sender.wipe();
        self.life = Life::Closed(None);
        self.timers.stop_all();
        self.clock = TimestampClock::default();
        self.keep_alive = KeepAlive::default();
        self.limits = AnswerLimits::default();
        self.local = Endpoint::UNSPECIFIED;
        self.remote = Endpoint::UNSPECIFIED;
        self.flags = SocketFlags::default();
        self.is_held = false;
        self.reset.take()
    }

    /// TIME-WAIT begins, or begins again.
    fn enter_time_wait(&mut self, now: Instant) {
        self.life = Life::TimeWait { since: now };
        self.timers.stop_all();
        self.timers.start(Timer::Linger, now + TIME_WAIT);
        self.keep_alive.asked();
    }
}
