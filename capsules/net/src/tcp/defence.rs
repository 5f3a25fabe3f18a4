//! Which segments are taken in (RFC 9293 sections 3.10.7.3 and 3.10.7.4), with the defences of RFC 5961 and PAWS of RFC
//! 7323. [`check`] decides and changes nothing; what it decides is one [`Verdict`].
//!
//! The order is that of RFC 9293 except that resets and SYNs come first: a reset needs no timestamp (RFC 7323 section
//! 5.2), and a SYN is challenged wherever it lies and whatever its options say (RFC 5961 section 4), for a peer that
//! has restarted knows neither our window nor our clocks.

use slopos_kernel::time::Instant;

use crate::tcp::clock::{Age, TimestampClock};
use crate::tcp::counters::{Counters, Dropped};
use crate::tcp::receiver::Receiver;
use crate::tcp::sender::Sender;
use crate::tcp::state::{Error, State};
use crate::wire::tcp::Segment;
use crate::wire::tcp::{Range, SequenceNumber};

/// Acknowledgements of one kind that anybody can ask for, in each [`LIMIT_INTERVAL_MS`] (RFC 5961 section 7).
const MOST_ANSWERS: u8 = 10;
const LIMIT_INTERVAL_MS: u32 = 5_000;

/// What the peer is told about a segment that is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// Where we are, at once: data that comes again means that its acknowledgement was lost.
    Acknowledgement,
    /// Where we are, at a limited rate, lest two confused ends answer each other for ever or a forger have us send.
    Challenge,
    /// That we are still here, at a limited rate of its own.
    KeepAlive,
    /// That there is no such connection.
    Reset,
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken in.
    Accept,
    /// Its stream is known already, but its acknowledgement may be news: where both sides close at once, the peer's FIN
    /// often comes again with the acknowledgement of ours.
    Repetition(Answer),
    /// The peer has ended the connection: with this error, unless all had been said.
    Reset(Option<Error>),
    /// A reset that may be forged.
    IgnoreReset(Answer),
    /// A SYN that may be forged; the peer is asked by an acknowledgement whether it meant it.
    Challenge,
    /// It is dropped.
    Drop(Dropped, Answer),
}

/// Decides about a segment for a connection in this state.
pub fn check(
    segment: &Segment<'_>,
    state: State,
    sender: &Sender<'_>,
    receiver: &Receiver<'_>,
    clock: &TimestampClock,
    now: Instant,
) -> Verdict {
    if state == State::SynSent {
        return check_answer_to_syn(segment, sender);
    }
    if segment.flags.reset() {
        return check_reset(segment.sequence, state, sender, receiver);
    }
    // The peer's SYN may come once more with its acknowledgement of ours, where both sides have begun at once.
    let is_syn = segment.flags.syn();
    if is_syn && (state != State::SynReceived || segment.sequence + 1 != receiver.next()) {
        return Verdict::Challenge;
    }
    match clock.age(segment, now) {
        Age::Fresh => {}
        // RFC 7323 section 3.2 lets it be dropped, but the peer must learn that we are still here.
        Age::Missing if is_keep_alive(segment, segment.sequence, state, receiver) => {
            return Verdict::Drop(Dropped::MissingTimestamp, Answer::KeepAlive);
        }
        Age::Missing => return Verdict::Drop(Dropped::MissingTimestamp, Answer::Nothing),
        Age::Old if segment.payload.is_empty() => return Verdict::Drop(Dropped::OldTimestamp, Answer::Challenge),
        Age::Old => return Verdict::Drop(Dropped::OldTimestamp, Answer::Acknowledgement),
    }
    let start = segment.sequence + u32::from(is_syn);
    let length = segment.payload.len() as u32 + u32::from(segment.flags.fin());
    let range = Range { start, end: start + length };
    let (verdict, answer) = if is_in_window(&range, receiver) {
        (Verdict::Accept, Answer::Nothing)
    } else {
        let answer = if is_keep_alive(segment, start, state, receiver) {
            Answer::KeepAlive
        } else if length == 0 {
            Answer::Challenge
        } else {
            Answer::Acknowledgement
        };
        if !is_repetition(&range, state, receiver) {
            let is_known = length > 0 && !range.end.is_after(receiver.next());
            return Verdict::Drop(if is_known { Dropped::Duplicate } else { Dropped::OutOfWindow }, answer);
        }
        (Verdict::Repetition(answer), answer)
    };
    if !segment.flags.ack() {
        return Verdict::Drop(Dropped::WithoutAcknowledgement, answer);
    }
    if state == State::SynReceived {
        if segment.acknowledgement != sender.next() {
            return Verdict::Drop(Dropped::UnacceptableAcknowledgement, Answer::Reset);
        }
    } else if !sender.may_acknowledge(segment.acknowledgement) {
        // A blind guess (RFC 5961 section 5).
        return Verdict::Drop(Dropped::UnacceptableAcknowledgement, Answer::Challenge);
    }
    verdict
}

/// RFC 9293 section 3.10.7.3.
fn check_answer_to_syn(segment: &Segment<'_>, sender: &Sender<'_>) -> Verdict {
    let flags = segment.flags;
    if flags.ack() && segment.acknowledgement != sender.next() {
        Verdict::Drop(Dropped::UnacceptableAcknowledgement, Answer::Reset)
    } else if flags.reset() {
        // Without an acknowledgement of our SYN anybody could have sent it.
        if flags.ack() { Verdict::Reset(Some(Error::Refused)) } else { Verdict::IgnoreReset(Answer::Nothing) }
    } else if flags.syn() {
        Verdict::Accept
    } else {
        Verdict::Drop(Dropped::OutOfWindow, Answer::Nothing)
    }
}

/// A reset counts only at exactly the number that comes next; elsewhere in the window the peer is asked whether it
/// meant it (RFC 5961 section 3). In TIME-WAIT it is ignored, or old segments could disturb the next connection (RFC
/// 1337).
fn check_reset(sequence: SequenceNumber, state: State, sender: &Sender<'_>, receiver: &Receiver<'_>) -> Verdict {
    if sequence != receiver.next() || state == State::TimeWait {
        let is_in_window = sequence.is_after(receiver.next()) && sequence.is_before(receiver.edge());
        return Verdict::IgnoreReset(if is_in_window { Answer::Challenge } else { Answer::Nothing });
    }
    Verdict::Reset(match state {
        State::SynReceived => Some(Error::Refused),
        // Both sides had said all that they wanted to.
        State::Closing | State::LastAck if sender.held_bytes() == 0 => None,
        _ => Some(Error::Reset),
    })
}

/// Whether some of it lies in the window. An empty segment right behind the window will do, too: the peer has filled
/// the window, and its acknowledgements count. While the window is closed, so does anything at its edge, for its
/// acknowledgement (RFC 9293 section 3.10.7.4).
fn is_in_window(range: &Range, receiver: &Receiver<'_>) -> bool {
    let (next, edge) = (receiver.next(), receiver.edge());
    if range.length() == 0 {
        return !range.start.is_before(next) && !range.start.is_after(edge);
    }
    let begins = if receiver.room() == 0 { !range.start.is_after(next) } else { range.start.is_before(edge) };
    begins && range.end.is_after(next)
}

/// Whether a segment that does not lie in the window says again what was received not long ago, on a connection that
/// both sides have agreed upon.
fn is_repetition(range: &Range, state: State, receiver: &Receiver<'_>) -> bool {
    let behind = receiver.next().offset_from(range.end);
    let is_recent = usize::try_from(behind).is_ok_and(|behind| behind <= receiver.capacity());
    is_recent && range.length() > 0 && state.is_synchronized()
}

/// Whether the peer asks whether we are still here: by nothing, or an octet that means nothing, directly left of what
/// comes next (RFC 9293 section 3.8.4), or by an octet beyond a closed window (section 3.8.6.1).
fn is_keep_alive(segment: &Segment<'_>, sequence: SequenceNumber, state: State, receiver: &Receiver<'_>) -> bool {
    let (next, length) = (receiver.next(), segment.payload.len());
    let is_left = sequence + 1 == next && length <= 1;
    let is_window_probe = sequence == next && length == 1 && receiver.room() == 0;
    state.is_synchronized() && !segment.flags.fin() && (is_left || is_window_probe)
}

/// How many acknowledgements of one kind were sent of late.
#[derive(Clone, Debug, Default)]
struct Limit {
    /// Since when, in milliseconds since boot; it wraps after seven weeks, which makes one interval longer.
    since_ms: u32,
    spent: u8,
}

impl Limit {
    /// Whether one more may be sent.
    fn admit(&mut self, now: Instant) -> bool {
        let now_ms = now.as_millis() as u32;
        if now_ms.wrapping_sub(self.since_ms) >= LIMIT_INTERVAL_MS {
            *self = Limit { since_ms: now_ms, spent: 0 };
        }
        let is_admitted = self.spent < MOST_ANSWERS;
        self.spent += u8::from(is_admitted);
        is_admitted
    }
}

/// The limits of what anybody can ask for. Each kind has its own, in each connection, so that it tells nobody anything
/// about other connections, and forgers who use up the one do not keep the peer from the other.
#[derive(Clone, Debug, Default)]
pub struct AnswerLimits {
    challenges: Limit,
    keep_alives: Limit,
}

impl AnswerLimits {
    /// Whether an acknowledgement goes out as this answer.
    pub fn admit(&mut self, answer: Answer, now: Instant, counters: &mut Counters) -> bool {
        let is_admitted = match answer {
            Answer::Nothing | Answer::Reset => return false,
            Answer::Acknowledgement => return true,
            Answer::Challenge => self.challenges.admit(now),
            Answer::KeepAlive => self.keep_alives.admit(now),
        };
        if is_admitted {
            counters.challenge_acknowledgements += 1;
        } else {
            counters.challenges_suppressed += 1;
        }
        is_admitted
    }

    /// Whether our SYN may follow a reset of ours; that counts as a challenge.
    pub fn admit_syn(&mut self, now: Instant) -> bool {
        self.challenges.admit(now)
    }
}
