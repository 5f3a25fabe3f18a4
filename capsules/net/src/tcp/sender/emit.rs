//! A stretch of the stream goes out: its segment is built straight into the caller's buffer, and noted as sent.

use slopos_abi::Endpoint;

use crate::tcp::due::{Span, Why};
use crate::tcp::sender::Sender;
use crate::tcp::tick::Tick;
use crate::tcp::timers::Timer;
use crate::wire::tcp::Segment;

impl Sender<'_> {
    /// Builds the segment of this stretch at the start of `out` and answers its length in bytes; `None` where it does
    /// not fit. `header` has everything but the place in the stream, the payload and what the flags say about these.
    pub fn emit(
        &self,
        span: &Span,
        header: Segment<'_>,
        (local, remote): (Endpoint, Endpoint),
        out: &mut [u8],
    ) -> Option<usize> {
        let offset = span.start.bytes_after(self.unacknowledged) as usize;
        let mut segment = header;
        segment.sequence = span.start;
        segment.flags.set_fin(span.fin);
        segment.flags.set_push(span.length > 0 && offset + span.length == self.ring.length());
        segment.emit_with(local.address, remote.address, self.ring.slices(offset, span.length), out)
    }

    /// Our SYN went out, for the first time or again.
    pub fn sent_syn(&mut self, is_first: bool, tick: &mut Tick<'_>) {
        self.last_sent_at = tick.now;
        tick.timers.start(Timer::Retransmission, tick.now + self.round_trip.timeout());
        if is_first {
            self.round_trip.sent(self.next, tick.now);
        } else {
            self.round_trip.retransmitted();
            tick.counters.retransmits += 1;
        }
    }

    /// This stretch went out.
    pub fn sent(&mut self, span: &Span, why: Why, tick: &mut Tick<'_>) {
        let (range, now, timeout) = (span.range(), tick.now, self.round_trip.timeout());
        let quantum = self.evidence(None, now).send_quantum();
        tick.counters.bytes_sent += span.length as u64;
        let silent_for = now.since(core::mem::replace(&mut self.last_sent_at, now));
        if why == Why::New {
            if self.outstanding() == 0 && silent_for > timeout {
                self.congestion.restart();
            }
            self.scoreboard.sent(range, now, quantum);
            self.next = range.end;
            self.highest = self.highest.later(self.next);
            self.round_trip.sent(self.next, now);
            tick.timers.ensure(Timer::Retransmission, now + timeout);
            self.persist.end(tick.timers);
            if self.tail.is_due() {
                self.probed_tail(false, tick);
            }
            self.schedule_tail_probe(tick);
            return;
        }
        tick.counters.retransmits += 1;
        self.round_trip.retransmitted();
        match why {
            Why::New | Why::Retransmission => {
                self.scoreboard.retransmitted(range, now, quantum);
                tick.timers.ensure(Timer::Retransmission, now + timeout);
            }
            Why::TailProbe => {
                self.scoreboard.probed(range, now, quantum);
                self.probed_tail(true, tick);
            }
            Why::Rescue => self.scoreboard.rescued(range, now, quantum),
        }
    }

    fn probed_tail(&mut self, is_repeated: bool, tick: &mut Tick<'_>) {
        self.tail.probed(self.next, is_repeated);
        tick.timers.start(Timer::Retransmission, tick.now + self.round_trip.timeout());
        tick.counters.tail_probes += 1;
    }

    /// The byte beyond a closed window, or the FIN.
    pub fn window_probe_span(&self) -> Span {
        let length = self.unsent().min(1);
        Span { start: self.next, length, fin: length == 0 }
    }

    /// That went out. SND.NXT stays where it is, so that what the peer does not take is sent as usual once the window
    /// opens.
    pub fn sent_window_probe(&mut self, tick: &mut Tick<'_>) {
        self.last_sent_at = tick.now;
        self.highest = self.highest.later(self.next + 1);
        self.persist.probed();
        tick.counters.window_probes += 1;
    }
}
