//! What the manifest says of a process.

use super::descriptor::ConsoleAccess;
use crate::time::Duration;

/// What the manifest says of a process.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// The process's name, its first argument.
    pub name: &'static str,
    /// The app that it runs, as the flash names it.
    pub app: &'static str,
    /// Arguments it is started with where the starter gives none.
    pub arguments: &'static [&'static str],
    /// Whether it starts at boot.
    pub start_at_boot: bool,
    /// Regions of the flash that it may open.
    pub flash: &'static [&'static str],
    /// What happens when it ends.
    pub restart: Restart,
    /// Below [`PRIORITIES`](slopos_abi::limits::PRIORITIES). 0 runs first; a process runs only while none with a lower
    /// number can.
    pub priority: u8,
    /// What it may do with the console.
    pub console: ConsoleAccess,
}

/// What happens when a process ends by itself or by a fault. One that was killed stays down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    Never,
    /// It starts again with the manifest's arguments: first after `first`, then after twice the time before, up to
    /// `maximum`. A run of at least `maximum` makes the next wait `first` again.
    Backoff {
        /// The first wait.
        first: Duration,
        /// The longest wait.
        maximum: Duration,
    },
}
