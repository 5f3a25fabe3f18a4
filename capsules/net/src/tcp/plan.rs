//! Which segment is due: decided without changing anything, so that asking is free.

use slopos_kernel::time::Instant;

use super::control::{Probe, State};
use super::reset::ResetReply;
use super::socket::Socket;
use crate::wire::tcp::options::{LARGEST_OPTIONS, LARGEST_SACK_BLOCKS, TIMESTAMPS_BYTES, sack_bytes};
use crate::wire::tcp::{HEADER_BYTES, SequenceNumber};

/// The next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// There is none.
    Nothing,
    /// A reset that was promised.
    Reset(ResetReply),
    /// Our SYN, with an acknowledgement if the peer's has arrived.
    Synchronize,
    /// Bytes of the send ring, or the FIN, or both.
    Data {
        /// Where they begin.
        sequence: SequenceNumber,
        /// How many bytes.
        length: usize,
        /// The FIN follows them.
        fin: bool,
        /// Whether this goes out for the first time.
        new: bool,
    },
    /// The last segment once more, to find out whether the end of what is on its way is lost.
    TailProbe {
        /// Where it begins.
        sequence: SequenceNumber,
        /// How many bytes.
        length: usize,
        /// The FIN follows them.
        fin: bool,
    },
    /// The last segment once more, during the repair of another loss.
    Rescue {
        /// Where it begins.
        sequence: SequenceNumber,
        /// How many bytes.
        length: usize,
        /// The FIN follows them.
        fin: bool,
    },
    /// One byte beyond a closed window, or the FIN.
    WindowProbe,
    /// A question whether the peer is still there.
    KeepAlive,
    /// An acknowledgement alone.
    Acknowledge,
}

impl Socket<'_> {
    /// Whether [`Socket::transmit`] would give a segment now.
    pub fn wants_transmit(&self, now: Instant) -> bool {
        self.plan(now, usize::MAX) != Plan::Nothing
    }

    /// The next segment, where `room` bytes are to be had for header and payload.
    pub(super) fn plan(&self, now: Instant, room: usize) -> Plan {
        let control = &self.control;
        if let Some(reply) = control.reset_due {
            return Plan::Reset(reply);
        }
        match control.state {
            State::Closed => return Plan::Nothing,
            State::SynSent | State::SynReceived if control.send.syn_due => return Plan::Synchronize,
            state if state.may_send() => {
                let limit = self.payload_limit(room);
                if let Some(plan) = self
                    .plan_retransmission(now, limit)
                    .or_else(|| self.plan_new(now, limit))
                    .or_else(|| self.plan_rescue(now, limit))
                    .or_else(|| self.plan_tail_probe(limit))
                    .or_else(|| self.plan_window_probe(limit))
                {
                    return plan;
                }
            }
            _ => {}
        }
        if control.probe == Some(Probe::KeepAlive) {
            Plan::KeepAlive
        } else if control.debt.now {
            Plan::Acknowledge
        } else {
            Plan::Nothing
        }
    }

    /// How many SACK blocks go into a segment other than a SYN.
    pub(super) fn sack_block_limit(&self) -> usize {
        let control = &self.control;
        if !control.selective {
            return 0;
        }
        let room = if control.timestamps.is_some() { LARGEST_OPTIONS - TIMESTAMPS_BYTES } else { LARGEST_OPTIONS };
        control.assembler.sack_block_count().min(LARGEST_SACK_BLOCKS).min(room.saturating_sub(4) / 8)
    }

    /// The largest payload of a segment with the options that it needs now, in bytes.
    fn payload_limit(&self, room: usize) -> usize {
        let timestamps = if self.control.timestamps.is_some() { TIMESTAMPS_BYTES } else { 0 };
        let options = timestamps + sack_bytes(self.sack_block_limit());
        let link = room.saturating_sub(HEADER_BYTES);
        link.min(usize::from(self.control.send.maximum_segment)).saturating_sub(options)
    }

    /// The sequence number behind the last byte that was written, where the FIN lies or will lie.
    fn data_end(&self) -> SequenceNumber {
        self.control.send.unacknowledged + self.send_ring.length() as u32
    }

    /// Room in the congestion window, in bytes.
    fn congestion_room(&self, now: Instant) -> u32 {
        let control = &self.control;
        let in_flight = control.in_flight();
        // Silence counts only while nothing is on its way; losses have rules of their own.
        let silent_for = if control.outstanding() == 0 { now.since(control.last_sent_at) } else { Default::default() };
        control.congestion.window(silent_for, control.round_trip.timeout()).saturating_sub(in_flight)
    }

    fn plan_retransmission(&self, now: Instant, limit: usize) -> Option<Plan> {
        let control = &self.control;
        let lost = control.recovery.next_lost()?;
        self.plan_again(lost.start, lost.end, control.recovery.at_once(), now, limit)
    }

    /// Sends again what lies from `start` to `end`, as far as it fits in a segment.
    fn plan_again(
        &self,
        start: SequenceNumber,
        end: SequenceNumber,
        at_once: bool,
        now: Instant,
        limit: usize,
    ) -> Option<Plan> {
        let control = &self.control;
        let data_end = self.data_end();
        // A peer that has taken back its window gets no more than the first segment, over and over, until it answers.
        let window = (control.send.unacknowledged + control.send.window).bytes_after(start) as usize;
        let window = if start == control.send.unacknowledged { window.max(limit) } else { window };
        let length = (end.earlier(data_end).bytes_after(start) as usize).min(limit).min(window);
        let fin = end.is_after(data_end) && start + length as u32 == data_end;
        if length == 0 && !fin {
            return None;
        }
        if !at_once && self.congestion_room(now) < length as u32 {
            return None;
        }
        Some(Plan::Data { sequence: start, length, fin, new: false })
    }

    /// What was never sent: as much as the window, congestion, silly-window avoidance (RFC 9293 section 3.8.6.2.1) and
    /// Nagle's algorithm (section 3.7.4) let go.
    fn plan_new(&self, now: Instant, limit: usize) -> Option<Plan> {
        let control = &self.control;
        let send = &control.send;
        let unsent = self.unsent();
        let window = self.window_room();
        let idle = control.outstanding() == 0;
        let length = unsent.min(limit).min(window);
        let last = length == unsent;
        let fin = last && self.is_fin_unsent() && window > length;
        if length == 0 {
            return fin.then_some(Plan::Data { sequence: send.next, length: 0, fin: true, new: true });
        }
        let full = length == limit;
        let flushing = last && (idle || control.flags.nodelay || send.fin_queued);
        // The peer's whole buffer may be smaller than two segments.
        let best_that_the_window_allows = length == window && length >= (send.largest_window / 2) as usize;
        if !(full || flushing || best_that_the_window_allows) {
            return None;
        }
        if self.congestion_room(now) < length as u32 {
            return None;
        }
        Some(Plan::Data { sequence: send.next, length, fin, new: true })
    }

    /// Probes the tail (RFC 8985 section 7.3): by what was never sent, though the congestion window is full or Nagle's
    /// algorithm would wait, else by the last segment again.
    fn plan_tail_probe(&self, limit: usize) -> Option<Plan> {
        let control = &self.control;
        if control.probe != Some(Probe::Tail) || control.outstanding() == 0 {
            return None;
        }
        let unsent = self.unsent();
        let length = unsent.min(limit).min(self.window_room());
        if length > 0 {
            let fin = length == unsent && self.is_fin_unsent() && self.window_room() > length;
            return Some(Plan::Data { sequence: control.send.next, length, fin, new: true });
        }
        let (sequence, length, fin) = self.last_segment(limit)?;
        Some(Plan::TailProbe { sequence, length, fin })
    }

    fn plan_rescue(&self, now: Instant, limit: usize) -> Option<Plan> {
        if !self.control.recovery.wants_rescue(self.control.send.next) {
            return None;
        }
        let (sequence, length, fin) = self.last_segment(limit)?;
        (self.congestion_room(now) >= length as u32).then_some(Plan::Rescue { sequence, length, fin })
    }

    /// The last segment of what is on its way: where it begins, its length, and whether the FIN follows.
    fn last_segment(&self, limit: usize) -> Option<(SequenceNumber, usize, bool)> {
        let send = &self.control.send;
        let fin = send.next.is_after(self.data_end());
        let data_sent = send.next - u32::from(fin);
        let in_ring = data_sent.bytes_after(send.unacknowledged);
        let length = in_ring.min(u32::try_from(limit).unwrap_or(u32::MAX));
        (length > 0 || fin).then_some((data_sent - length, length as usize, fin))
    }

    /// Probes the window: by what little it allows, or by a byte more than that.
    fn plan_window_probe(&self, limit: usize) -> Option<Plan> {
        if self.control.probe != Some(Probe::Window) || !self.is_blocked_by_window() {
            return None;
        }
        let length = self.unsent().min(limit).min(self.window_room());
        if length == 0 {
            return Some(Plan::WindowProbe);
        }
        Some(Plan::Data { sequence: self.control.send.next, length, fin: false, new: true })
    }

    /// Bytes that were written and never sent, window probes not counted.
    pub(super) fn unsent(&self) -> usize {
        self.data_end().bytes_after(self.control.send.next) as usize
    }

    fn is_fin_unsent(&self) -> bool {
        let send = &self.control.send;
        send.fin_queued && !send.fin_acknowledged && !send.next.is_after(self.data_end())
    }

    /// How many bytes the peer's window lets us send, in bytes.
    fn window_room(&self) -> usize {
        let send = &self.control.send;
        (send.unacknowledged + send.window).bytes_after(send.next) as usize
    }

    /// Whether only the peer's window keeps something from being sent, with nothing on its way: then no
    /// acknowledgement will come by itself.
    pub(super) fn is_blocked_by_window(&self) -> bool {
        let control = &self.control;
        if !control.state.may_send() || control.outstanding() > 0 {
            return false;
        }
        let window = self.window_room();
        let unsent = self.unsent();
        if unsent == 0 {
            return self.is_fin_unsent() && window == 0;
        }
        let wanted = unsent.min(control.segment_size() as usize);
        window < wanted && (window == 0 || window < (control.send.largest_window / 2) as usize)
    }
}
