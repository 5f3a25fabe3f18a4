//! The control block (RFC 9293 section 3.3.1): every variable of a connection except the bytes themselves.

use slopos_abi::{Endpoint, SocketFlags};
use slopos_kernel::time::{Duration, Instant};

use super::assembler::Assembler;
use super::congestion::Congestion;
use super::counters::Counters;
use super::recovery::Recovery;
use super::reset::ResetReply;
use super::rtt::RoundTrip;
use super::tail::TailProbe;
use super::timers::Timers;
use crate::wire::tcp::SequenceNumber;
use crate::wire::tcp::options::{Options, TIMESTAMPS_BYTES};

/// What a peer that does not say can take in one segment, in bytes (RFC 9293 section 3.7.1).
pub(super) const DEFAULT_MAXIMUM_SEGMENT: u16 = 536;
/// No real link is so narrow; a peer that claims less would make us send more headers than data.
const SMALLEST_MAXIMUM_SEGMENT: u16 = 88;
/// Windows are shifted by no more (RFC 7323 section 2.3).
const LARGEST_SHIFT: u8 = 14;
/// Challenge acknowledgements in each [`CHALLENGE_INTERVAL`] (RFC 5961 section 7). The limit is the connection's own,
/// so that it tells nobody anything about other connections.
const MOST_CHALLENGES: u8 = 10;
const CHALLENGE_INTERVAL: Duration = Duration::from_secs(5);

/// Where a connection stands (RFC 9293 section 3.3.2). There is no LISTEN: this is a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub enum State {
    /// No connection.
    #[default]
    Closed,
    /// SYN sent, nothing heard.
    SynSent,
    /// Both sides have sent a SYN at the same time.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We have no more to send; the FIN, or data before it, is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer has no more to send; we may.
    CloseWait,
    /// Both sides have sent a FIN at the same time; ours is not acknowledged.
    Closing,
    /// The peer closed first, and our FIN is not acknowledged.
    LastAck,
    /// All is done; what is still in the network dies out (60 s).
    TimeWait,
}

impl State {
    /// Whether both sides know each other's sequence numbers.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, State::Closed | State::SynSent | State::SynReceived)
    }

    /// Whether the peer is told by a reset when the connection is given up (RFC 9293 section 3.10.5).
    pub(super) const fn is_reset_by_abort(self) -> bool {
        matches!(self, State::SynReceived | State::Established | State::CloseWait | State::FinWait1 | State::FinWait2)
    }

    /// Whether data or a FIN of ours may have to be sent.
    pub(super) const fn may_send(self) -> bool {
        matches!(self, State::Established | State::CloseWait | State::FinWait1 | State::Closing | State::LastAck)
    }

    /// Whether data of the peer is expected.
    pub(super) const fn may_receive(self) -> bool {
        matches!(self, State::Established | State::FinWait1 | State::FinWait2)
    }
}

/// Why a call did not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Error {
    /// Not now: wait until [`super::Socket::take_event`] tells that something happened, and try again.
    WouldBlock,
    /// There was no connect before.
    NotConnected,
    /// There was a connect already; a socket connects once.
    AlreadyConnected,
    /// The peer answered the SYN with a reset: nothing listens there.
    Refused,
    /// The peer ended the connection by a reset; what it had not acknowledged may be lost.
    Reset,
    /// The peer does not answer, or not in time.
    TimedOut,
    /// This side has ended its stream; nothing more can be written.
    Closed,
}

/// What a connection starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectParameters {
    /// Our end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
    /// Our first sequence number, not to be guessed by outsiders (RFC 6528).
    pub initial_sequence: SequenceNumber,
    /// What the clock of the timestamps option is ahead of the time since boot, in milliseconds: random, so that the
    /// option does not tell how long the machine has been running (RFC 7323 section 7.1).
    pub timestamp_offset: u32,
    /// The largest payload that we can receive in one segment, options not subtracted, in bytes: the MTU less 40.
    pub maximum_segment: u16,
    /// When to give up if the peer has not answered.
    pub deadline: Instant,
}

/// The send sequence space.
#[derive(Clone, Debug, Default)]
pub(super) struct SendSequence {
    /// ISS.
    pub initial: SequenceNumber,
    /// SND.UNA. Once the SYN is acknowledged this is the sequence number of the first byte in the send ring.
    pub unacknowledged: SequenceNumber,
    /// SND.NXT: the first number that was never sent, window probes left out.
    pub next: SequenceNumber,
    /// The first number that was never sent at all; a probe of a closed window goes beyond `next`.
    pub highest: SequenceNumber,
    /// SND.WND in bytes.
    pub window: u32,
    /// The largest window that the peer ever offered, in bytes.
    pub largest_window: u32,
    /// SND.WL1.
    pub window_sequence: SequenceNumber,
    /// SND.WL2.
    pub window_acknowledgement: SequenceNumber,
    /// Shift of the windows that the peer sends.
    pub shift: u8,
    /// The largest payload that the peer and our link can take, options not subtracted, in bytes.
    pub maximum_segment: u16,
    /// The SYN must go out (again).
    pub syn_due: bool,
    /// The SYN has gone out before.
    pub syn_sent: bool,
    /// The process has no more to send; a FIN follows what is in the ring.
    pub fin_queued: bool,
    /// The FIN is acknowledged.
    pub fin_acknowledged: bool,
}

/// The receive sequence space.
#[derive(Clone, Debug, Default)]
pub(super) struct ReceiveSequence {
    /// IRS.
    pub initial: SequenceNumber,
    /// RCV.NXT.
    pub next: SequenceNumber,
    /// The right edge of the window as advertised; it never moves left.
    pub advertised: SequenceNumber,
    /// What the last segment that we sent acknowledged (Last.ACK.sent of RFC 7323).
    pub acknowledged: SequenceNumber,
    /// Shift of the windows that we send.
    pub shift: u8,
    /// What we announced as MSS, in bytes.
    pub maximum_segment: u16,
    /// Bytes that lie in the buffer of the process that waits for them, and that its read has not returned yet. While
    /// there are any, the process is in that read.
    pub delivered: u32,
    /// The largest payload seen, in bytes: what the peer means by a full segment.
    pub largest_payload: u16,
    /// Where the peer's FIN lies, once it was seen.
    pub fin_at: Option<SequenceNumber>,
    /// The FIN is in order: the stream has ended.
    pub fin_received: bool,
}

/// What we owe the peer.
#[derive(Clone, Debug, Default)]
pub(super) struct AcknowledgementDebt {
    /// An acknowledgement must go out now.
    pub now: bool,
    /// Payload received since the last one, in bytes.
    pub bytes: u32,
}

/// The timestamps option, where both sides agreed to it (RFC 7323).
#[derive(Clone, Debug)]
pub(super) struct TimestampClock {
    /// TS.Recent.
    pub recent: u32,
    /// When that was received.
    pub recent_at: Instant,
}

/// A probe that the timers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Of a closed window: a byte beyond it.
    Window,
    /// Of an idle connection: an acknowledgement with an old sequence number.
    KeepAlive,
    /// Of the end of what is on its way: new data, or the last segment again (RFC 8985 section 7).
    Tail,
}

/// How many acknowledgements of one kind were sent of late, of those that a stranger may ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct ChallengeLimit {
    since: Instant,
    spent: u8,
}

impl ChallengeLimit {
    /// Whether one more may be sent.
    pub fn allow(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= CHALLENGE_INTERVAL {
            *self = ChallengeLimit { since: now, spent: 0 };
        }
        let allowed = self.spent < MOST_CHALLENGES;
        self.spent += u8::from(allowed);
        allowed
    }
}

/// Everything about one connection but the bytes.
#[derive(Clone, Debug)]
pub(super) struct Control {
    pub state: State,
    /// A process holds the descriptor.
    pub owned: bool,
    pub flags: SocketFlags,
    /// There was a connect.
    pub connect_called: bool,
    /// The handshake was finished.
    pub was_established: bool,
    /// Why the connection ended, where it did not end in order.
    pub error: Option<Error>,
    /// Something happened that a blocked call may wait for.
    pub event: bool,
    pub local: Endpoint,
    pub remote: Endpoint,
    pub send: SendSequence,
    pub receive: ReceiveSequence,
    pub debt: AcknowledgementDebt,
    /// Both sides scale their windows.
    pub scaling: bool,
    pub timestamp_offset: u32,
    pub timestamps: Option<TimestampClock>,
    /// Both sides do SACK.
    pub selective: bool,
    pub assembler: Assembler,
    pub round_trip: RoundTrip,
    pub congestion: Congestion,
    pub recovery: Recovery,
    pub timers: Timers,
    pub probe: Option<Probe>,
    /// The tail-loss probe whose fate is not known.
    pub tail_probe: Option<TailProbe>,
    pub reset_due: Option<ResetReply>,
    pub challenges: ChallengeLimit,
    /// Answers to keep-alives: forged segments that are challenged must not use these up.
    pub keep_alive_answers: ChallengeLimit,
    /// How often the retransmission timer ran out since something was acknowledged.
    pub retransmissions: u8,
    /// So many that the way to the peer may be broken (R1 of RFC 9293 section 3.8.3); not told to the stack yet.
    pub doubts_way: bool,
    /// Probes sent since something was received.
    pub probes_unanswered: u8,
    pub last_received_at: Instant,
    pub last_sent_at: Instant,
    pub time_wait_since: Instant,
}

impl Control {
    /// A slot that nobody uses.
    pub fn free() -> Self {
        let start = SequenceNumber::new(0);
        Control {
            state: State::Closed,
            owned: false,
            flags: SocketFlags::default(),
            connect_called: false,
            was_established: false,
            error: None,
            event: false,
            local: Endpoint::UNSPECIFIED,
            remote: Endpoint::UNSPECIFIED,
            send: SendSequence::default(),
            receive: ReceiveSequence::default(),
            debt: AcknowledgementDebt::default(),
            scaling: false,
            timestamp_offset: 0,
            timestamps: None,
            selective: false,
            assembler: Assembler::new(),
            round_trip: RoundTrip::new(),
            congestion: Congestion::new(u32::from(DEFAULT_MAXIMUM_SEGMENT), false),
            recovery: Recovery::new(start, false),
            timers: Timers::default(),
            probe: None,
            tail_probe: None,
            reset_due: None,
            challenges: ChallengeLimit::default(),
            keep_alive_answers: ChallengeLimit::default(),
            retransmissions: 0,
            doubts_way: false,
            probes_unanswered: 0,
            last_received_at: Instant::BOOT,
            last_sent_at: Instant::BOOT,
            time_wait_since: Instant::BOOT,
        }
    }

    /// SMSS: the payload of a full segment without SACK blocks, in bytes.
    pub fn segment_size(&self) -> u32 {
        let options = if self.timestamps.is_some() { TIMESTAMPS_BYTES as u32 } else { 0 };
        u32::from(self.send.maximum_segment).saturating_sub(options)
    }

    /// Bytes and FIN that are sent and not acknowledged, lost or not.
    pub fn outstanding(&self) -> u32 {
        self.send.next.bytes_after(self.send.unacknowledged)
    }

    /// How much of that is on its way.
    pub fn in_flight(&self) -> u32 {
        self.recovery.in_flight(self.send.unacknowledged, self.send.next)
    }

    /// Our clock for the timestamps option, in milliseconds.
    pub fn timestamp(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.timestamp_offset)
    }

    /// The reset that ends this connection from our side (RFC 9293 section 3.10.5).
    pub fn reset_reply(&self) -> ResetReply {
        ResetReply {
            local: self.local,
            remote: self.remote,
            sequence: self.send.next,
            acknowledgement: Some(self.receive.next),
        }
    }

    /// Takes over what the peer's SYN offers. Window scale, timestamps and SACK are in force only if both sides
    /// offered them, and we always do.
    pub fn negotiate(&mut self, options: &Options, now: Instant, counters: &mut Counters) {
        let offered = options.maximum_segment.unwrap_or(DEFAULT_MAXIMUM_SEGMENT);
        self.send.maximum_segment =
            offered.min(self.receive.maximum_segment).max(SMALLEST_MAXIMUM_SEGMENT.min(self.receive.maximum_segment));
        self.scaling = options.window_scale.is_some();
        match options.window_scale {
            Some(shift) => {
                // RFC 7323 section 2.3 wants it logged; that is the stack's, which has a budget for it.
                counters.excessive_window_scales += u64::from(shift > LARGEST_SHIFT);
                self.send.shift = shift.min(LARGEST_SHIFT);
            }
            None => (self.send.shift, self.receive.shift) = (0, 0),
        }
        self.selective = options.sack_permitted;
        self.timestamps = options.timestamps.map(|seen| TimestampClock { recent: seen.value, recent_at: now });
    }
}

/// The shift with which a window of `capacity` bytes can be told in 16 bits (RFC 7323 section 2.2).
pub(super) fn shift_for(capacity: usize) -> u8 {
    (0..LARGEST_SHIFT).find(|shift| capacity >> shift <= usize::from(u16::MAX)).unwrap_or(LARGEST_SHIFT)
}
