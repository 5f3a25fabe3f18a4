//! The time.

use core::time::Duration;

use libslop::time;

/// Time since boot.
pub fn now() -> Duration {
    time::since_boot().expect("the kernel has a clock")
}
