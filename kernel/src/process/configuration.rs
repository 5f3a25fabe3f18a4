//! What the manifest says of a process.

use super::descriptor::ConsoleAccess;
use crate::time::Duration;
use slopos_abi::flash::AppVersion;

/// What the manifest says of a process.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// The process's name, its first argument.
    pub name: &'static str,
    /// The name of its app in the flash.
    pub app: &'static str,
    /// The oldest version of the app that it may run.
    pub minimum_version: AppVersion,
    /// Its arguments if it is started without any.
    pub arguments: &'static [&'static str],
    /// Whether it starts at boot.
    pub start_at_boot: bool,
    /// The names that it may open: regions of the flash, [`ENTROPY_NAME`](slopos_abi::ENTROPY_NAME) and
    /// [`COMMANDS_NAME`](slopos_abi::COMMANDS_NAME).
    pub opens: &'static [&'static str],
    /// What happens when it ends.
    pub restart: Restart,
    /// Below [`PRIORITIES`](slopos_abi::limits::PRIORITIES). 0 runs first; a process runs only while none with a lower
    /// number can.
    pub priority: u8,
    /// Its rights to the console.
    pub console: ConsoleAccess,
}

/// What happens when a process exits or faults. A killed process is not restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    Never,
    /// It is restarted with the manifest's arguments: first after `first`, then after twice the previous wait, up to
    /// `maximum`. After a run of at least `maximum` the next wait is `first` again.
    Backoff {
        /// The first wait.
        first: Duration,
        /// The longest wait.
        maximum: Duration,
    },
}
