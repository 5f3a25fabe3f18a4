//! Watchdogs: timers that reset the machine unless they are fed.
//!
//! Each counts down twice and resets the machine at the end of the second time, so a stage is half of the timeout.
//! Which one it was that ended the last boot is kept by the device over the reset.
//!
//! [`Feeder`] says when the board's loop is to feed it: only while the loop makes progress.

pub mod i6300esb;
pub mod tco;

use i6300esb::I6300esb;
use slopos_registers::{Bus, Hardware};
use tco::Tco;

/// Shortest timeout that each of them keeps, in milliseconds.
pub const TIMEOUT_MIN_MS: u32 = 3_000;
/// Longest timeout that each of them keeps, in milliseconds.
pub const TIMEOUT_MAX_MS: u32 = 1_200_000;

/// A watchdog of either kind.
pub enum Watchdog<B: Bus = Hardware> {
    /// The chipset's own.
    Tco(Tco<B>),
    /// A PCI device.
    I6300esb(I6300esb<B>),
}

impl<B: Bus> Watchdog<B> {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Watchdog::Tco(_) => "TCO",
            Watchdog::I6300esb(_) => "i6300esb",
        }
    }

    /// Whether it has reset the machine since it was last asked.
    pub fn take_fired(&self) -> bool {
        match self {
            Watchdog::Tco(tco) => tco.take_fired(),
            Watchdog::I6300esb(device) => device.take_fired(),
        }
    }

    /// Starts it. Gives the timeout that it keeps, in milliseconds: the next one that it can count, which is between
    /// [`TIMEOUT_MIN_MS`] and [`TIMEOUT_MAX_MS`], or a little above that.
    pub fn start(&self, timeout_ms: u32) -> u32 {
        let timeout_ms = timeout_ms.clamp(TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
        match self {
            Watchdog::Tco(tco) => tco.start(timeout_ms),
            Watchdog::I6300esb(device) => device.start(timeout_ms),
        }
    }

    /// Lets it begin its timeout anew.
    pub fn feed(&self) {
        match self {
            Watchdog::Tco(tco) => tco.feed(),
            Watchdog::I6300esb(device) => device.feed(),
        }
    }

    /// Stops it.
    pub fn stop(&self) {
        match self {
            Watchdog::Tco(tco) => tco.stop(),
            Watchdog::I6300esb(device) => device.stop(),
        }
    }
}

/// When a watchdog is fed. Feeding leaves a virtual machine, so it is not done in each pass of the loop.
pub struct Feeder {
    every_us: u64,
    next_us: u64,
}

impl Feeder {
    /// For this timeout: it is fed four times in it, so that three lost passes do not matter.
    pub const fn new(timeout_ms: u32, now_us: u64) -> Self {
        let every_us = timeout_ms as u64 * 1_000 / 4;
        Feeder { every_us, next_us: now_us.saturating_add(every_us) }
    }

    /// Whether to feed it now, at the end of a pass. `progress` says whether the pass did what it should: a process that
    /// was ready had its turn, or none was.
    pub fn is_due(&mut self, progress: bool, now_us: u64) -> bool {
        if !progress || now_us < self.next_us {
            return false;
        }
        self.next_us = now_us.saturating_add(self.every_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fed_four_times_in_a_timeout() {
        let mut feeder = Feeder::new(4_000, 0);
        let fed = (0..4_000_u64).filter(|millis| feeder.is_due(true, (millis + 1) * 1_000)).count();
        assert_eq!(fed, 4);
    }

    #[test]
    fn passes_without_progress_starve_it_and_the_next_with_progress_feeds_it() {
        let mut feeder = Feeder::new(4_000, 0);
        assert!((0..10_000_u64).all(|millis| !feeder.is_due(false, millis * 1_000)));
        assert!(feeder.is_due(true, 10_000_000));
        assert!(!feeder.is_due(true, 10_000_001));
    }
}
