//! Watchdogs: timers that reset the machine unless they are fed.
//!
//! Each counts down twice and resets the machine at the end of the second time, so a stage is half of the timeout.
//! Whether it has ended the last boot is kept by the device over the reset.

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
