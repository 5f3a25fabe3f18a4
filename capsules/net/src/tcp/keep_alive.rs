//! How long the peer has been silent: probes of an idle connection (RFC 9293 section 3.8.4), and how many probes, of
//! this kind or of a closed window, went unanswered.

use slopos_kernel::time::{Duration, Instant};

use crate::tcp::tick::Tick;
use crate::tcp::timers::{Timer, Timers};

/// Silence after which a connection is probed: two hours or more.
const IDLE: Duration = Duration::from_secs(7_200);
const INTERVAL: Duration = Duration::from_secs(75);
const MOST_PROBES: u8 = 9;

/// What is known of the peer's silence.
#[derive(Clone, Debug, Default)]
pub struct KeepAlive {
    heard_at: Instant,
    /// Probes sent since something was received.
    unanswered: u8,
    /// A probe must go out.
    is_due: bool,
}

impl KeepAlive {
    /// A connection begins.
    pub fn new(now: Instant) -> Self {
        KeepAlive { heard_at: now, unanswered: 0, is_due: false }
    }

    /// An idle connection is to be probed from now on.
    pub fn begin(&self, now: Instant, timers: &mut Timers) {
        timers.start(Timer::KeepAlive, now + IDLE);
    }

    /// The peer has said something.
    pub const fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.unanswered = 0;
    }

    /// When that was.
    pub const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Whether a probe must go out.
    pub const fn is_due(&self) -> bool {
        self.is_due
    }

    /// It went out, or something else did that asks as much.
    pub const fn asked(&mut self) {
        self.is_due = false;
    }

    /// Counts one more probe, unless `limit` are unanswered already. Whether it may be sent.
    pub const fn admit_probe(&mut self, limit: u8) -> bool {
        let is_admitted = self.unanswered < limit;
        self.unanswered += is_admitted as u8;
        is_admitted
    }

    /// The timer has run out; `is_quiet` tells that nothing is on its way, which would be repeated and ask as much.
    /// Answers whether the peer is still to be waited for.
    pub fn expired(&mut self, is_quiet: bool, tick: &mut Tick<'_>) -> bool {
        if tick.now.since(self.heard_at) < IDLE {
            tick.timers.start(Timer::KeepAlive, self.heard_at + IDLE);
            return true;
        }
        if is_quiet {
            if !self.admit_probe(MOST_PROBES) {
                return false;
            }
            self.is_due = true;
        }
        tick.timers.start(Timer::KeepAlive, tick.now + INTERVAL);
        true
    }
}
