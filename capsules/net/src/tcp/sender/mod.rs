//! The sending half of a connection: the send sequence space (RFC 9293 section 3.3.1), the ring that the process writes
//! to, the peer's window, and what watches over what is on its way.
//!
//! What is due is decided in `schedule`, built and noted in `emit`; what an acknowledgement means is in `acknowledge`, and
//! what silence means in `timeout`.

mod acknowledge;
mod emit;
mod persist;
mod schedule;
mod tail;
mod timeout;
mod window;

use slopos_kernel::time::{Duration, Instant};

use crate::tcp::congestion::Congestion;
use crate::tcp::interface::Traffic;
use crate::tcp::limits::{DEFAULT_MAXIMUM_SEGMENT, SMALLEST_MAXIMUM_SEGMENT};
use crate::tcp::loss::{Evidence, Scoreboard};
use crate::tcp::ring::Ring;
use crate::tcp::rtt::RoundTrip;
use crate::tcp::sender::persist::Persist;
use crate::tcp::sender::tail::TailLoss;
use crate::tcp::sender::window::SendWindow;
use crate::tcp::tick::Tick;
use crate::tcp::timers::Timer;
use crate::wire::tcp::Segment;
use crate::wire::tcp::SequenceNumber;
use crate::wire::tcp::options::Options;

/// A writer is woken when one part in so many of the ring is free, not for each byte.
const WRITABLE_PART: usize = 4;

/// The end of our stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fin {
    /// The process may write more.
    #[default]
    None,
    /// It has no more to send; a FIN follows what is in the ring.
    Queued,
    /// The FIN is acknowledged.
    Acknowledged,
}

/// The sending half.
pub struct Sender<'a> {
    ring: Ring<'a>,
    /// SND.UNA. Once the SYN is acknowledged this is the sequence number of the first byte in the ring.
    unacknowledged: SequenceNumber,
    /// SND.NXT: the first number that was never sent, window probes left out.
    next: SequenceNumber,
    /// The first number that was never sent at all; a probe of a closed window goes beyond `next`.
    highest: SequenceNumber,
    window: SendWindow,
    /// The largest payload that the peer and our link can take, options not subtracted, in bytes.
    maximum_segment: u16,
    /// SMSS: the same less the options of each segment.
    segment_size: u16,
    fin: Fin,
    /// Both sides do SACK.
    selective: bool,
    /// Small segments leave at once (no Nagle).
    nodelay: bool,
    /// How often the retransmission timer ran out since something was acknowledged.
    retransmissions: u8,
    round_trip: RoundTrip,
    congestion: Congestion,
    scoreboard: Scoreboard,
    tail: TailLoss,
    persist: Persist,
    last_sent_at: Instant,
    /// Bytes that were acknowledged.
    acknowledged_bytes: u64,
}

impl<'a> Sender<'a> {
    /// Nothing was written. The ring lies in `storage`, of which at most 2^30 bytes are used.
    pub fn new(storage: &'a mut [u8]) -> Self {
        Sender::with_ring(Ring::new(storage))
    }

    fn with_ring(ring: Ring<'a>) -> Self {
        let start = SequenceNumber::new(0);
        Sender {
            ring,
            unacknowledged: start,
            next: start,
            highest: start,
            window: SendWindow::default(),
            maximum_segment: DEFAULT_MAXIMUM_SEGMENT,
            segment_size: DEFAULT_MAXIMUM_SEGMENT,
            fin: Fin::None,
            selective: false,
            nodelay: false,
            retransmissions: 0,
            round_trip: RoundTrip::new(),
            congestion: Congestion::new(u32::from(DEFAULT_MAXIMUM_SEGMENT), false),
            scoreboard: Scoreboard::new(start, false),
            tail: TailLoss::default(),
            persist: Persist::default(),
            last_sent_at: Instant::BOOT,
            acknowledged_bytes: 0,
        }
    }

    /// What was sent, and how; what was received is the receiver's to say.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            round_trip: self.round_trip.smoothed(),
            congestion_window: self.congestion.current(),
            retransmissions: self.round_trip.retransmissions(),
            sent: self.acknowledged_bytes,
            received: 0,
        }
    }

    /// Overwrites what was written, and forgets all.
    #[inline(never)]
    pub fn wipe(&mut self) {
        self.ring.wipe();
        *self = Sender::with_ring(core::mem::take(&mut self.ring));
    }

    /// Small segments leave at once (no Nagle, RFC 9293 section 3.7.4), or not.
    pub const fn set_nodelay(&mut self, nodelay: bool) {
        self.nodelay = nodelay;
    }

    /// A connection begins with this number, that of our SYN.
    pub fn open(&mut self, initial: SequenceNumber, now: Instant) {
        self.unacknowledged = initial;
        self.next = initial + 1;
        self.highest = self.next;
        self.last_sent_at = now;
    }

    /// Takes over what the peer's SYN offers; `maximum_segment` is what our link can take, and `overhead` what the options
    /// of each segment do, in bytes. Whether the peer offers a window scale beyond the largest.
    pub fn negotiate(&mut self, offered: &Options, maximum_segment: u16, overhead: usize) -> bool {
        let theirs = offered.maximum_segment.unwrap_or(DEFAULT_MAXIMUM_SEGMENT);
        self.maximum_segment = theirs.min(maximum_segment).max(SMALLEST_MAXIMUM_SEGMENT.min(maximum_segment));
        self.segment_size = self.maximum_segment.saturating_sub(overhead as u16);
        self.selective = offered.sack_permitted;
        self.window.negotiate(offered.window_scale)
    }

    /// This segment acknowledges our SYN, which was sent `echoed` ago if the option tells.
    pub fn establish(&mut self, segment: &Segment<'_>, echoed: Option<Duration>, tick: &mut Tick<'_>) {
        let was_repeated = self.retransmissions > 0;
        self.scoreboard = Scoreboard::new(self.unacknowledged, self.selective);
        self.unacknowledged = segment.acknowledgement;
        self.window.begin(segment);
        self.round_trip.acknowledged(segment.acknowledgement, echoed, tick.now);
        if was_repeated {
            self.round_trip.handshake_was_repeated();
        }
        self.congestion = Congestion::new(self.segment_size(), was_repeated);
        self.retransmissions = 0;
        tick.timers.stop(Timer::Retransmission);
    }

    /// SND.UNA.
    pub const fn unacknowledged(&self) -> SequenceNumber {
        self.unacknowledged
    }

    /// SND.NXT.
    pub const fn next(&self) -> SequenceNumber {
        self.next
    }

    /// Bytes and FIN that are sent and not acknowledged, lost or not.
    pub const fn outstanding(&self) -> u32 {
        self.next.bytes_after(self.unacknowledged)
    }

    /// The largest payload that the peer and our link can take, options not subtracted, in bytes.
    pub fn maximum_segment(&self) -> usize {
        usize::from(self.maximum_segment)
    }

    /// Bytes that were written and are not acknowledged.
    pub fn held_bytes(&self) -> usize {
        self.ring.length()
    }

    /// Whether an acknowledgement of this number may come from the peer: it covers nothing that was never sent, and is not
    /// older than the peer's window (RFC 5961 section 5).
    pub fn may_acknowledge(&self, number: SequenceNumber) -> bool {
        let oldest = self.unacknowledged - self.window.largest();
        !number.is_before(oldest) && !number.is_after(self.highest)
    }

    /// Whether this side has ended its stream.
    pub fn is_ended(&self) -> bool {
        self.fin != Fin::None
    }

    /// Whether the end of our stream is acknowledged, and so all of it.
    pub fn is_fin_acknowledged(&self) -> bool {
        self.fin == Fin::Acknowledged
    }

    /// Whether there is room enough to wake a writer for.
    pub fn has_room(&self) -> bool {
        self.ring.free() >= (self.ring.capacity() / WRITABLE_PART).max(1)
    }

    /// Takes as much of `data` as there is room for and answers how much.
    pub fn write(&mut self, data: &[u8]) -> usize {
        self.ring.append(data)
    }

    /// Ends this side's stream: a FIN follows what has been written.
    pub const fn end(&mut self) {
        self.fin = Fin::Queued;
    }

    /// SMSS: the payload of a full segment without SACK blocks, in bytes.
    fn segment_size(&self) -> u32 {
        u32::from(self.segment_size)
    }

    /// How much of what is outstanding is on its way.
    fn in_flight(&self) -> u32 {
        self.scoreboard.in_flight(self.unacknowledged, self.next)
    }

    /// The sequence number behind the last byte that was written, where the FIN lies or will lie.
    fn data_end(&self) -> SequenceNumber {
        self.unacknowledged + self.ring.length() as u32
    }

    /// What the scoreboard goes by: the time, and what is known about the round trip.
    fn evidence(&self, echoed: Option<Duration>, now: Instant) -> Evidence {
        Evidence { now, echoed, shortest: self.round_trip.shortest(), smoothed: self.round_trip.smoothed() }
    }
}

#[cfg(test)]
impl Sender<'_> {
    /// RTO.
    pub fn timeout(&self) -> Duration {
        self.round_trip.timeout()
    }

    /// SRTT.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    /// cwnd in bytes.
    pub fn congestion_window(&self) -> u32 {
        self.congestion.window(Duration::ZERO, Duration::from_secs(1))
    }
}
