//! Which stretch of the stream is due: decided without changing anything, so that asking is free.

use slopos_kernel::time::Instant;

use crate::tcp::due::{Due, Span, Why};
use crate::tcp::sender::{Fin, Sender};
use crate::wire::tcp::Range;

impl Sender<'_> {
    /// What of the stream is due now, in segments of at most `limit` bytes of payload.
    pub fn schedule(&self, limit: usize, now: Instant) -> Option<Due> {
        self.retransmission(limit, now)
            .map(|span| Due::Data(span, Why::Retransmission))
            .or_else(|| self.new_data(limit, now).map(|span| Due::Data(span, Why::New)))
            .or_else(|| self.rescue(limit, now).map(|span| Due::Data(span, Why::Rescue)))
            .or_else(|| self.tail_probe(limit))
            .or_else(|| self.window_probe(limit))
    }

    /// Room in the congestion window, in bytes.
    fn congestion_room(&self, now: Instant) -> u32 {
        // Silence counts only while nothing is on its way; losses have rules of their own.
        let silent_for = if self.outstanding() == 0 { now.since(self.last_sent_at) } else { Default::default() };
        self.congestion.window(silent_for, self.round_trip.timeout()).saturating_sub(self.in_flight())
    }

    /// What is lost, as far as it fits in a segment.
    fn retransmission(&self, limit: usize, now: Instant) -> Option<Span> {
        let Range { start, end } = self.scoreboard.next_lost()?;
        let data_end = self.data_end();
        // A peer that has taken back its window gets no more than the first segment, over and over, until it answers.
        let window = (self.unacknowledged + self.window.size()).bytes_after(start) as usize;
        let window = if start == self.unacknowledged { window.max(limit) } else { window };
        let length = (end.earlier(data_end).bytes_after(start) as usize).min(limit).min(window);
        let fin = end.is_after(data_end) && start + length as u32 == data_end;
        if length == 0 && !fin {
            return None;
        }
        if !self.scoreboard.at_once() && self.congestion_room(now) < length as u32 {
            return None;
        }
        Some(Span { start, length, fin })
    }

    /// What was never sent: as much as the window, congestion, silly-window avoidance (RFC 9293 section 3.8.6.2.1) and
    /// Nagle's algorithm (section 3.7.4) let go.
    fn new_data(&self, limit: usize, now: Instant) -> Option<Span> {
        let unsent = self.unsent();
        let window = self.window_room();
        let length = unsent.min(limit).min(window);
        let is_last = length == unsent;
        let span = Span { start: self.next, length, fin: is_last && self.is_fin_unsent() && window > length };
        if length == 0 {
            return span.fin.then_some(span);
        }
        let is_full = length == limit;
        let is_flushed = is_last && (self.outstanding() == 0 || self.nodelay || self.is_ended());
        // The peer's whole buffer may be smaller than two segments.
        let is_best_for_the_window = length == window && length >= (self.window.largest() / 2) as usize;
        let may_go = is_full || is_flushed || is_best_for_the_window;
        (may_go && self.congestion_room(now) >= length as u32).then_some(span)
    }

    /// The last segment once more, while another loss is being repaired.
    fn rescue(&self, limit: usize, now: Instant) -> Option<Span> {
        if !self.scoreboard.wants_rescue(self.next) {
            return None;
        }
        self.last_segment(limit).filter(|span| self.congestion_room(now) >= span.length as u32)
    }

    /// Probes the tail (RFC 8985 section 7.3): by what was never sent, though the congestion window is full or Nagle's
    /// algorithm would wait, else by the last segment again.
    fn tail_probe(&self, limit: usize) -> Option<Due> {
        if !self.tail.is_due() || self.outstanding() == 0 {
            return None;
        }
        let unsent = self.unsent();
        let length = unsent.min(limit).min(self.window_room());
        if length > 0 {
            let fin = length == unsent && self.is_fin_unsent() && self.window_room() > length;
            return Some(Due::Data(Span { start: self.next, length, fin }, Why::New));
        }
        self.last_segment(limit).map(|span| Due::Data(span, Why::TailProbe))
    }

    /// The last segment of what is on its way.
    fn last_segment(&self, limit: usize) -> Option<Span> {
        let fin = self.next.is_after(self.data_end());
        let data_sent = self.next - u32::from(fin);
        let in_ring = data_sent.bytes_after(self.unacknowledged);
        let length = in_ring.min(u32::try_from(limit).unwrap_or(u32::MAX));
        (length > 0 || fin).then_some(Span { start: data_sent - length, length: length as usize, fin })
    }

    /// Probes the window: by what little it allows, or by a byte more than that.
    fn window_probe(&self, limit: usize) -> Option<Due> {
        if !self.persist.is_due() || !self.is_blocked_by_window() {
            return None;
        }
        let length = self.unsent().min(limit).min(self.window_room());
        if length == 0 {
            return Some(Due::WindowProbe);
        }
        Some(Due::Data(Span { start: self.next, length, fin: false }, Why::New))
    }

    /// Bytes that were written and never sent, window probes not counted.
    pub(super) fn unsent(&self) -> usize {
        self.data_end().bytes_after(self.next) as usize
    }

    fn is_fin_unsent(&self) -> bool {
        self.fin == Fin::Queued && !self.next.is_after(self.data_end())
    }

    /// How many bytes the peer's window lets us send, in bytes.
    fn window_room(&self) -> usize {
        (self.unacknowledged + self.window.size()).bytes_after(self.next) as usize
    }

    /// Whether only the peer's window keeps something from being sent, with nothing on its way: then no
    /// acknowledgement will come by itself.
    pub fn is_blocked_by_window(&self) -> bool {
        if self.outstanding() > 0 {
            return false;
        }
        let window = self.window_room();
        let unsent = self.unsent();
        if unsent == 0 {
            return self.is_fin_unsent() && window == 0;
        }
        let wanted = unsent.min(usize::from(self.segment_size));
        window < wanted && (window == 0 || window < (self.window.largest() / 2) as usize)
    }
}
