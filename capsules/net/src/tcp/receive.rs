//! A segment comes in (RFC 9293 section 3.10.7, with the defences of RFC 5961 and PAWS of RFC 7323).

use slopos_kernel::time::{Duration, Instant};

use super::arrival::Arrival;
use super::close::ORPHAN_FIN_WAIT;
use super::congestion::Congestion;
use super::control::{AcknowledgementDebt, DEFAULT_MAXIMUM_SEGMENT, Error, State};
use super::counters::Counters;
use super::recovery::Recovery;
use super::reset::reset_for;
use super::socket::Socket;
use super::timers::DELAYED_ACKNOWLEDGEMENT;
use crate::wire::tcp::{Flags, ParseError, Range, Segment, SequenceNumber, Unverified};

/// A timestamp this old says nothing any more, for the peer's clock may have gone round half its circle (RFC 7323
/// section 5.5).
const TIMESTAMP_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3_600);

/// The part of a segment that is about the stream; it shrinks to what lies within the window.
struct Incoming<'s> {
    sequence: SequenceNumber,
    payload: &'s [u8],
    fin: bool,
    place: Place,
}

/// Where a payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the frame.
    Frame,
    /// In the receive ring, directly behind the end.
    Ring,
    /// In the buffer of the process that waits for it.
    Reader,
}

impl Incoming<'_> {
    fn length(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.fin)
    }

    fn end(&self) -> SequenceNumber {
        self.sequence + self.length()
    }
}

impl Socket<'_> {
    /// Takes in a segment for this connection, as [`Socket::matches`] says, if it is undamaged. The answer, if any,
    /// leaves by [`Socket::transmit`].
    ///
    /// Data that comes next, as nearly all of it does, is copied to where it belongs while it is summed: to a reader, if
    /// `deliver` has one, else into the receive ring. A damaged segment has then been written to memory that holds
    /// nothing, behind the end of the stream, where it is forgotten. What `deliver` copies to must be the buffer of the
    /// next [`Socket::read`], from its start.
    ///
    /// # Errors
    /// [`ParseError::BadChecksum`]; nothing has changed.
    pub fn receive(
        &mut self,
        segment: Unverified<'_>,
        now: Instant,
        deliver: impl FnOnce(&mut Arrival<'_>),
        counters: &mut Counters,
    ) -> Result<(), ParseError> {
        let mut place = Place::Frame;
        let segment = if self.is_next(segment.claimed()) {
            let (ring, payload) = (&mut self.receive_ring, segment.claimed().payload);
            let delivered = self.control.receive.delivered;
            segment.verify_while(|sum| {
                // What the ring holds has to be read first.
                if ring.is_empty() {
                    let mut arrival = Arrival::new(payload, delivered, sum);
                    deliver(&mut arrival);
                    if arrival.is_copied() {
                        place = Place::Reader;
                        return;
                    }
                }
                ring.place_summed(payload, sum);
                place = Place::Ring;
            })?
        } else {
            segment.verify()?
        };
        self.receive_verified(&segment, place, now, counters);
        Ok(())
    }

    /// Whether a segment brings the data that comes next, all of which there is room for, and nothing is held behind it.
    fn is_next(&self, segment: &Segment<'_>) -> bool {
        let receive = &self.control.receive;
        let length = segment.payload.len();
        segment.sequence == receive.next
            && length > 0
            && length <= self.receive_ring.free()
            && self.control.state == State::Established
            && receive.fin_at.is_none()
            && self.control.assembler.is_empty()
            && segment.flags.with(Flags::PSH) == Flags::ACK.with(Flags::PSH)
    }

    fn receive_verified(&mut self, segment: &Segment<'_>, place: Place, now: Instant, counters: &mut Counters) {
        counters.segments_received += 1;
        match self.control.state {
            State::Closed => return,
            State::SynSent => self.receive_in_syn_sent(segment, now, counters),
            _ => self.receive_synchronized(segment, place, now, counters),
        }
        self.update_persist(now);
    }

    /// RFC 9293 section 3.10.7.3.
    fn receive_in_syn_sent(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) {
        let control = &mut self.control;
        let flags = segment.flags;
        if flags.ack() && segment.acknowledgement != control.send.next {
            counters.unacceptable_acknowledgements += 1;
            let reply = reset_for(control.local, control.remote, segment);
            // The peer still has the connection of an earlier life of ours. The reset ends that, so our SYN can follow
            // at once (RFC 9293 section 3.5.1, figure 9); only so often, or forgers could make us send it for ever.
            if reply.is_some() && control.send.syn_sent && control.challenges.allow(now) {
                control.send.syn_due = true;
            }
            control.reset_due = reply.or(control.reset_due);
            return;
        }
        if flags.reset() {
            // Without an acknowledgement of our SYN anybody could have sent it.
            if flags.ack() {
                counters.resets_received += 1;
                counters.refused += 1;
                self.end(Some(Error::Refused));
            } else {
                counters.resets_ignored += 1;
            }
            return;
        }
        if !flags.syn() {
            counters.out_of_window += 1;
            return;
        }
        control.receive.initial = segment.sequence;
        control.receive.next = segment.sequence + 1;
        control.receive.acknowledged = control.receive.next;
        // The window in our SYN was not scaled.
        let advertised = self.receive_ring.free().min(usize::from(u16::MAX));
        control.receive.advertised = control.receive.next + advertised as u32;
        control.negotiate(&segment.options, now, counters);
        control.last_received_at = now;
        if !flags.ack() {
            // Both sides have begun at once. Our SYN goes out again, now with the acknowledgement.
            control.state = State::SynReceived;
            control.send.syn_due = true;
            return;
        }
        control.debt.now = true;
        self.establish(segment, u32::from(segment.window), now, counters);
        let incoming = Incoming {
            sequence: segment.sequence + 1,
            payload: segment.payload,
            fin: flags.fin(),
            place: Place::Frame,
        };
        if self.control.state.may_receive() {
            let incoming = self.trim(incoming);
            self.take_stream(incoming, now, counters);
        }
    }

    /// Our SYN is acknowledged; `window` is the peer's window in bytes.
    fn establish(&mut self, segment: &Segment<'_>, window: u32, now: Instant, counters: &mut Counters) {
        let echoed = self.echoed(segment, now);
        let control = &mut self.control;
        let repeated = control.retransmissions > 0;
        control.send.unacknowledged = segment.acknowledgement;
        control.send.syn_due = false;
        control.send.window = window;
        control.send.largest_window = window;
        control.send.window_sequence = segment.sequence;
        control.send.window_acknowledgement = segment.acknowledgement;
        control.round_trip.acknowledged(segment.acknowledgement, echoed, now);
        if repeated {
            control.round_trip.handshake_was_repeated();
        }
        control.congestion = Congestion::new(control.segment_size(), repeated);
        control.recovery = Recovery::new(control.send.initial, control.selective);
        control.retransmissions = 0;
        control.timers.connect = None;
        control.timers.retransmit = None;
        control.state = if control.send.fin_queued { State::FinWait1 } else { State::Established };
        control.was_established = true;
        control.event = true;
        counters.established += 1;
        self.start_keep_alive(now);
    }

    /// RFC 9293 section 3.10.7.4, in its order except that resets and SYNs come first: a reset needs no timestamp
    /// (RFC 7323 section 5.2), and a SYN is challenged wherever it lies and whatever its options say (RFC 5961
    /// section 4), for a peer that has restarted knows neither our window nor our clocks.
    fn receive_synchronized(&mut self, segment: &Segment<'_>, place: Place, now: Instant, counters: &mut Counters) {
        let flags = segment.flags;
        let mut incoming = Incoming { sequence: segment.sequence, payload: segment.payload, fin: flags.fin(), place };
        if flags.reset() {
            self.receive_reset(segment.sequence, now, counters);
            return;
        }
        if flags.syn() {
            if self.control.state != State::SynReceived || segment.sequence != self.control.receive.initial {
                self.challenge(now, counters);
                return;
            }
            // The peer's SYN once more, now with its acknowledgement of ours.
            incoming.sequence += 1;
        }
        if !self.is_timestamp_acceptable(segment, now, counters) {
            return;
        }
        if !self.is_in_window(&incoming) {
            self.reject(&incoming, now, counters);
            if !self.is_repetition(&incoming) {
                return;
            }
            // Its stream is known, but its acknowledgement may be news: where both sides close at once, the peer's FIN
            // often comes again with the acknowledgement of ours.
            incoming = Incoming { sequence: self.control.receive.next, payload: &[], fin: false, place: Place::Frame };
        }
        if !flags.ack() {
            counters.without_acknowledgement += 1;
            return;
        }
        if !self.is_acknowledgement_acceptable(segment, now, counters) {
            return;
        }
        self.note_timestamp(segment, now);
        self.control.last_received_at = now;
        self.control.probes_unanswered = 0;
        if self.control.state == State::SynReceived {
            let window = if flags.syn() {
                u32::from(segment.window)
            } else {
                u32::from(segment.window) << self.control.send.shift
            };
            if flags.syn() {
                self.control.debt.now = true;
            }
            self.establish(segment, window, now, counters);
        } else {
            self.acknowledge(segment, now, counters);
        }
        if self.control.send.fin_acknowledged {
            match self.control.state {
                State::FinWait1 => {
                    self.control.state = State::FinWait2;
                    if !self.control.owned {
                        self.control.timers.linger = Some(now + ORPHAN_FIN_WAIT);
                    }
                }
                State::Closing => self.enter_time_wait(now),
                State::LastAck => {
                    self.end(None);
                    return;
                }
                _ => {}
            }
        }
        if self.control.state.may_receive() {
            let incoming = self.trim(incoming);
            self.take_stream(incoming, now, counters);
        }
    }

    /// A reset counts only at exactly the number that comes next; elsewhere in the window the peer is asked whether it
    /// meant it (RFC 5961 section 3). In TIME-WAIT it is ignored, or old segments could disturb the next connection
    /// (RFC 1337).
    fn receive_reset(&mut self, sequence: SequenceNumber, now: Instant, counters: &mut Counters) {
        let control = &self.control;
        let edge = control.receive.next + self.receive_ring.free() as u32;
        if sequence != control.receive.next || control.state == State::TimeWait {
            counters.resets_ignored += 1;
            if sequence.is_after(control.receive.next) && sequence.is_before(edge) {
                self.challenge(now, counters);
            }
            return;
        }
        counters.resets_received += 1;
        let error = match control.state {
            State::SynReceived => {
                counters.refused += 1;
                Some(Error::Refused)
            }
            // Both sides had said all that they wanted to.
            State::Closing | State::LastAck if self.send_ring.is_empty() => None,
            _ => Some(Error::Reset),
        };
        self.end(error);
    }

    /// PAWS (RFC 7323 section 5.3).
    fn is_timestamp_acceptable(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) -> bool {
        let Some(clock) = &self.control.timestamps else { return true };
        let Some(seen) = segment.options.timestamps else {
            counters.missing_timestamps += 1;
            // RFC 7323 section 3.2 lets it be dropped, but the peer must learn that we are still here.
            if self.is_keep_alive(segment.sequence, segment.payload.len(), segment.flags.fin()) {
                self.answer_keep_alive(now, counters);
            }
            return false;
        };
        let is_older = (seen.value.wrapping_sub(clock.recent) as i32) < 0;
        if !is_older || now.since(clock.recent_at) > TIMESTAMP_LIFETIME {
            return true;
        }
        counters.old_timestamps += 1;
        if segment.payload.is_empty() {
            self.challenge(now, counters);
        } else {
            self.control.debt.now = true;
        }
        false
    }

    /// Keeps the peer's clock reading to echo it: that of the segment which the next acknowledgement is about (RFC 7323
    /// section 4.3).
    fn note_timestamp(&mut self, segment: &Segment<'_>, now: Instant) {
        let acknowledged = self.control.receive.acknowledged;
        if let (Some(clock), Some(seen)) = (&mut self.control.timestamps, segment.options.timestamps)
            && !segment.sequence.is_after(acknowledged)
        {
            clock.recent = seen.value;
            clock.recent_at = now;
        }
    }

    /// Whether some of it lies in the window. An empty segment right behind the window will do, too: the peer has
    /// filled the window, and its acknowledgements count. While the window is closed, so does anything at its edge,
    /// for its acknowledgement (RFC 9293 section 3.10.7.4).
    fn is_in_window(&self, incoming: &Incoming<'_>) -> bool {
        let next = self.control.receive.next;
        let free = self.receive_ring.free() as u32;
        let edge = next + free;
        if incoming.length() == 0 {
            return !incoming.sequence.is_before(next) && !incoming.sequence.is_after(edge);
        }
        let begins = if free == 0 { !incoming.sequence.is_after(next) } else { incoming.sequence.is_before(edge) };
        begins && incoming.end().is_after(next)
    }

    /// Whether a segment that does not lie in the window says again what was received not long ago, on a connection
    /// that both sides have agreed upon.
    fn is_repetition(&self, incoming: &Incoming<'_>) -> bool {
        let behind = self.control.receive.next.offset_from(incoming.end());
        let recent = usize::try_from(behind).is_ok_and(|behind| behind <= self.receive_ring.capacity());
        recent && incoming.length() > 0 && self.control.state.is_synchronized()
    }

    /// Nothing of it lies in the window: it is dropped, and the peer told where we are. Data is answered at once, for
    /// its acknowledgement was lost; anything else only so often, lest two confused ends answer each other for ever.
    fn reject(&mut self, incoming: &Incoming<'_>, now: Instant, counters: &mut Counters) {
        let next = self.control.receive.next;
        let keep_alive = self.is_keep_alive(incoming.sequence, incoming.payload.len(), incoming.fin);
        if incoming.length() == 0 || incoming.end().is_after(next) {
            counters.out_of_window += 1;
        } else {
            counters.duplicates += 1;
            if self.control.selective && !incoming.payload.is_empty() {
                let end = incoming.sequence + incoming.payload.len() as u32;
                self.control.assembler.note_duplicate(Range { start: incoming.sequence, end });
            }
            if incoming.fin && self.control.state == State::TimeWait {
                self.enter_time_wait(now);
            }
        }
        if keep_alive {
            self.answer_keep_alive(now, counters);
        } else if incoming.length() == 0 {
            self.challenge(now, counters);
        } else {
            self.control.debt.now = true;
        }
    }

    /// An acknowledgement of what was not sent, or of what is older than the peer's window, is a blind guess (RFC 5961
    /// section 5).
    fn is_acknowledgement_acceptable(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) -> bool {
        let control = &mut self.control;
        let acknowledgement = segment.acknowledgement;
        if control.state == State::SynReceived {
            if acknowledgement == control.send.next {
                return true;
            }
            counters.unacceptable_acknowledgements += 1;
            control.reset_due = reset_for(control.local, control.remote, segment);
            return false;
        }
        let oldest = control.send.unacknowledged - control.send.largest_window;
        if !acknowledgement.is_before(oldest) && !acknowledgement.is_after(control.send.highest) {
            return true;
        }
        counters.unacceptable_acknowledgements += 1;
        self.challenge(now, counters);
        false
    }

    /// Cuts off what was received before and what lies behind the window, or behind the end of the stream.
    fn trim<'s>(&mut self, incoming: Incoming<'s>) -> Incoming<'s> {
        if incoming.place != Place::Frame {
            return incoming;
        }
        let control = &mut self.control;
        let Incoming { mut sequence, mut payload, mut fin, place } = incoming;
        let early = control.receive.next.bytes_after(sequence);
        payload = payload.get(early as usize..).unwrap_or(&[]);
        sequence += early;
        let edge = control.receive.next + self.receive_ring.free() as u32;
        let room = edge.bytes_after(sequence) as usize;
        if payload.len() > room {
            payload = payload.get(..room).unwrap_or(&[]);
            fin = false;
            control.debt.now = true;
        }
        if let Some(end) = control.receive.fin_at {
            payload = payload.get(..end.bytes_after(sequence) as usize).unwrap_or(payload);
        }
        Incoming { sequence, payload, fin, place }
    }

    /// Takes in what was trimmed to the window: data in order, data behind a gap, and the FIN.
    fn take_stream(&mut self, incoming: Incoming<'_>, now: Instant, counters: &mut Counters) {
        let length = incoming.payload.len() as u32;
        if length > 0 {
            if !self.control.owned {
                // Nobody will read it, and the peer must not believe that somebody did.
                self.control.reset_due = Some(self.control.reset_reply());
                self.end(None);
                return;
            }
            let largest = self.control.receive.largest_payload.max(length.min(u32::from(u16::MAX)) as u16);
            self.control.receive.largest_payload = largest.min(self.control.receive.maximum_segment);
            if incoming.sequence == self.control.receive.next {
                self.take_in_order(&incoming, now, counters);
            } else {
                self.take_behind_gap(&incoming, counters);
            }
        }
        if incoming.fin {
            let fin_at = incoming.sequence + length;
            self.control.receive.fin_at.get_or_insert(fin_at);
            // Out of order it brings nothing yet, but the peer must learn of the gap.
            self.control.debt.now = true;
        }
        if self.control.receive.fin_at == Some(self.control.receive.next) && !self.control.receive.fin_received {
            self.take_fin(now);
        }
    }

    fn take_in_order(&mut self, incoming: &Incoming<'_>, now: Instant, counters: &mut Counters) {
        let control = &mut self.control;
        let before = control.receive.next;
        let length = incoming.payload.len();
        let taken = match incoming.place {
            Place::Frame => self.receive_ring.append(incoming.payload),
            Place::Ring => self.receive_ring.extend(length),
            Place::Reader => {
                control.receive.delivered += length as u32;
                length
            }
        };
        control.receive.next += taken as u32;
        if !control.assembler.is_empty() {
            let reached = control.assembler.close_gap(control.receive.next);
            self.receive_ring.extend(reached.bytes_after(control.receive.next) as usize);
            control.receive.next = reached;
            // The peer is repairing a loss and waits for word of it (RFC 5681 section 4.2).
            control.debt.now = true;
        }
        let received = control.receive.next.bytes_after(before);
        counters.bytes_received += u64::from(received);
        control.event |= received > 0;
        control.debt.bytes = control.debt.bytes.saturating_add(received);
        let smallest_full = DEFAULT_MAXIMUM_SEGMENT.min(control.receive.maximum_segment);
        let full = u32::from(control.receive.largest_payload.max(smallest_full));
        if control.debt.bytes >= 2 * full {
            control.debt.now = true;
        } else {
            control.timers.delayed_acknowledgement.get_or_insert(now + DELAYED_ACKNOWLEDGEMENT);
        }
    }

    fn take_behind_gap(&mut self, incoming: &Incoming<'_>, counters: &mut Counters) {
        let control = &mut self.control;
        let offset = incoming.sequence.bytes_after(control.receive.next) as usize;
        let end = incoming.sequence + incoming.payload.len() as u32;
        control.debt.now = true;
        if control.assembler.insert(Range { start: incoming.sequence, end }).is_err() {
            counters.reassembly_full += 1;
            return;
        }
        counters.out_of_order += 1;
        self.receive_ring.place(offset, incoming.payload);
    }

    /// Everything up to the peer's FIN has arrived.
    fn take_fin(&mut self, now: Instant) {
        let control = &mut self.control;
        control.receive.next += 1;
        control.receive.fin_received = true;
        control.assembler.clear();
        control.debt = AcknowledgementDebt { now: true, bytes: 0 };
        control.event = true;
        match control.state {
            State::Established => control.state = State::CloseWait,
            State::FinWait1 => control.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(now),
            _ => {}
        }
    }
}
