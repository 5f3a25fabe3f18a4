//! Probes of a closed window (RFC 9293 section 3.8.6.1): while nothing is on its way, no acknowledgement would bring
//! the news that it has opened.

use slopos_kernel::time::{Duration, Instant};

use crate::tcp::tick::Tick;
use crate::tcp::timers::{Timer, Timers};

/// Probes are no further apart.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// Doubling the shortest interval so often passes a minute by far.
const MOST_DOUBLINGS: u8 = 16;

/// The probing of one connection.
#[derive(Clone, Debug, Default)]
pub struct Persist {
    /// How often the interval has been doubled.
    doublings: u8,
    /// A probe must go out.
    is_due: bool,
}

impl Persist {
    /// Whether a probe must go out.
    pub const fn is_due(&self) -> bool {
        self.is_due
    }

    fn interval(&self, timeout: Duration) -> Duration {
        timeout.times(1 << self.doublings).min(LONGEST_INTERVAL)
    }

    /// Data waits for the window to open, since `since` at the earliest; `timeout` is the RTO.
    pub fn begin(&self, since: Instant, timeout: Duration, timers: &mut Timers) {
        timers.ensure(Timer::Persist, since + self.interval(timeout));
    }

    /// Nothing waits any more.
    pub fn end(&mut self, timers: &mut Timers) {
        timers.stop(Timer::Persist);
        *self = Persist::default();
    }

    /// The timer has run out.
    pub fn expired(&mut self, timeout: Duration, tick: &mut Tick<'_>) {
        self.is_due = true;
        self.doublings = self.doublings.saturating_add(1).min(MOST_DOUBLINGS);
        tick.timers.start(Timer::Persist, tick.now + self.interval(timeout));
    }

    /// The probe went out.
    pub const fn probed(&mut self) {
        self.is_due = false;
    }
}
