//! The monotonic clock: the time-stamp counter, scaled to microseconds.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The time-stamp counter now.
pub fn time_stamp() -> u64 {
    // SAFETY: RDTSC only reads; the kernel never forbids it (CR4.TSD is clear).
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// A clock that counts microseconds from its start and never runs backwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    /// Microseconds for 2^44 ticks: scaling is then one multiplication and a shift.
    scale: u64,
}

/// The clock of the whole kernel, so that log lines too can tell the time: start and scale.
#[cfg_attr(not(test), unsafe(link_section = ".bss.cpu"))]
static START: AtomicU64 = AtomicU64::new(0);
#[cfg_attr(not(test), unsafe(link_section = ".bss.cpu"))]
static SCALE: AtomicU64 = AtomicU64::new(0);

impl Clock {
    /// A clock that shows 0 at counter value `start`.
    pub const fn new(start: u64, ticks_per_second: u64) -> Clock {
        let scale = if ticks_per_second == 0 { 0 } else { ((1_000_000_u128 << 44) / ticks_per_second as u128) as u64 };
        Clock { start, scale }
    }

    /// Microseconds shown at a counter value.
    pub const fn at(&self, ticks: u64) -> u64 {
        ((ticks.saturating_sub(self.start) as u128 * self.scale as u128) >> 44) as u64
    }

    /// Makes this the clock that [`now_micros`] reads.
    pub fn install(&self) {
        START.store(self.start, Relaxed);
        SCALE.store(self.scale, Relaxed);
    }
}

/// Microseconds since the installed clock's start; 0 before one is installed.
pub fn now_micros() -> u64 {
    Clock { start: START.load(Relaxed), scale: SCALE.load(Relaxed) }.at(time_stamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_ticks_is_a_million_microseconds() {
        let clock = Clock::new(1_000, 2_600_000_000);
        let shown = clock.at(1_000 + 2_600_000_000);
        assert!((999_999..=1_000_000).contains(&shown), "{shown}");
        assert_eq!(clock.at(0), 0);
    }

    #[test]
    fn a_century_does_not_overflow() {
        let clock = Clock::new(0, 4_000_000_000);
        let century = 100 * 365 * 86_400;
        assert!(clock.at(century * 4_000_000_000) / 1_000_000 >= century - 10);
    }
}
