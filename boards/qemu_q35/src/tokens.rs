//! The capabilities that this board mints, and whom it hands them to.

use slopos_kernel::capability::{EnterProcessMemory, HandFrames, ManageProcesses, ReadGrants};

/// Held by the event loop, which carries out the console's commands.
pub struct Console(());

/// Held by the capsules, which answer each process about its own grants.
pub struct Calls(());

/// Held by the flash, which loads apps into processes.
pub struct Loader(());

/// Held by the event loop, which moves frames between the network device and the stack.
pub struct Wire(());

// SAFETY: the board's event loop hands over what the network device received, and nothing else.
unsafe impl HandFrames for Wire {}
// SAFETY: the board's event loop puts what arrived into the buffer of a process that waits to read it, nowhere else.
unsafe impl EnterProcessMemory for Wire {}
// SAFETY: the board trusts the console's reports, which a person at the serial line asks for.
unsafe impl ReadGrants for Console {}
// SAFETY: the kernel asks for the grants of the process that made the call, and of no other.
unsafe impl ReadGrants for Calls {}
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

impl Calls {
    /// The token. Only `main` makes one.
    pub const fn mint() -> Self {
        Calls(())
    }
}

impl Loader {
    /// The token. Only `main` makes one.
    pub const fn mint() -> Self {
        Loader(())
    }
}

impl Wire {
    /// The token. Only `main` makes one.
    pub const fn mint() -> Self {
        Wire(())
    }
}
