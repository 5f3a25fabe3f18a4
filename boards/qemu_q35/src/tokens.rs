//! The capabilities that this board mints, and whom it hands them to.

use slopos_kernel::capability::{EnterProcessMemory, ManageProcesses};

/// Held by the event loop, which carries out the console's commands.
pub struct Console(());

/// Held by the flash, which loads apps into processes.
pub struct Loader(());

// SAFETY: the board trusts its event loop to start and kill what a person at the console names.
unsafe impl ManageProcesses for Console {}
// SAFETY: the board trusts its loader, which writes the memory of processes that do not run.
unsafe impl EnterProcessMemory for Loader {}

impl Console {
    /// The token. Only `main` makes one.
    pub const fn mint() -> Self {
        Console(())
    }
}

impl Loader {
    /// The token. Only `main` makes one.
    pub const fn mint() -> Self {
        Loader(())
    }
}
