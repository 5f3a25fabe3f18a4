//! What silence of the peer means for what is on its way.

use slopos_kernel::time::Instant;

use crate::tcp::loss::Phase;
use crate::tcp::sender::Sender;
use crate::tcp::tick::Tick;
use crate::tcp::timers::{Timer, Timers};

impl Sender<'_> {
    /// How often the retransmission timer ran out since something was acknowledged.
    pub const fn retransmissions(&self) -> u8 {
        self.retransmissions
    }

    /// Nothing was acknowledged for an RTO (RFC 6298 section 5).
    pub fn retransmission_timeout(&mut self, tick: &mut Tick<'_>) {
        tick.counters.retransmission_timeouts += 1;
        self.round_trip.back_off();
        tick.timers.start(Timer::Retransmission, tick.now + self.round_trip.timeout());
        self.retransmissions = self.retransmissions.saturating_add(1);
        tick.timers.stop(Timer::TailProbe);
        tick.timers.stop(Timer::Reordering);
        self.tail.forget();
        self.tail.call_off();
    }

    /// What is on its way counts as lost (RFC 5681 section 3.1).
    pub fn begin_again(&mut self, now: Instant) {
        let is_again = self.scoreboard.phase() == Phase::Timeout;
        self.congestion.timeout(self.outstanding(), is_again);
        self.scoreboard.begin_timeout(self.unacknowledged, self.next, self.segment_size(), now);
    }

    /// What is missing has had its time to arrive out of order.
    pub fn reordering_timeout(&mut self, tick: &mut Tick<'_>) {
        tick.counters.reordering_timeouts += 1;
        let evidence = self.evidence(None, tick.now);
        self.find_lost(&evidence, tick);
        // What it has found goes out now, so the retransmission timer, which waited for it, starts anew.
        if tick.timers.expire(Timer::Retransmission, tick.now) {
            tick.timers.start(Timer::Retransmission, tick.now + self.round_trip.timeout());
        }
    }

    /// The tail is to be probed; the retransmission timer waits for the probe's answer.
    pub fn tail_timeout(&mut self, tick: &mut Tick<'_>) {
        self.tail.expired();
        tick.timers.start(Timer::Retransmission, tick.now + self.round_trip.timeout());
    }

    /// The window has been closed for too long.
    pub fn persist_timeout(&mut self, tick: &mut Tick<'_>) {
        self.persist.expired(self.round_trip.timeout(), tick);
    }

    /// Starts the persist timer where data waits for a window to open and nothing is on its way that would bring news
    /// of it; stops it otherwise. `since` is when that state may have begun.
    pub fn update_persist(&mut self, since: Instant, timers: &mut Timers) {
        if self.is_blocked_by_window() {
            self.persist.begin(since, self.round_trip.timeout(), timers);
        } else {
            self.persist.end(timers);
        }
    }
}
