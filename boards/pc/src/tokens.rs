//! The authorities that this board gives out, and to whom.

use slopos_kernel::capability::{EnterProcessMemory, HandFrames, ManageProcesses, ReadGrants};

/// Held by the event loop, which carries out the console's commands.
pub struct ConsoleAuthority(());

/// Held by the capsules, which answer each process about its own grants.
pub struct CallAuthority(());

/// Held by the flash, which loads apps into processes.
pub struct LoaderAuthority(());

/// Held by the event loop, which moves frames between the network device and the stack.
pub struct FrameAuthority(());

// SAFETY: the board's event loop hands over what the network device received, and nothing else.
unsafe impl HandFrames for FrameAuthority {}
// SAFETY: the board's event loop puts data that arrived into the buffer of a process that waits to read it, nowhere
// else.
unsafe impl EnterProcessMemory for FrameAuthority {}
// SAFETY: the board trusts the console's reports, which a person at the serial line asks for.
unsafe impl ReadGrants for ConsoleAuthority {}
// SAFETY: the kernel asks for the grants of the process that made the call, and of no other.
unsafe impl ReadGrants for CallAuthority {}
// SAFETY: the board trusts its event loop to start and kill what a person at the console names.
unsafe impl ManageProcesses for ConsoleAuthority {}
// SAFETY: the board trusts its loader, which writes the memory of processes that do not run.
unsafe impl EnterProcessMemory for LoaderAuthority {}

/// All of them.
pub struct Authorities {
    /// For the console's commands and reports.
    pub console: ConsoleAuthority,
    /// For what a process asks about its own grants.
    pub calls: CallAuthority,
    /// For the flash.
    pub loader: LoaderAuthority,
    /// For the frames.
    pub frames: FrameAuthority,
}

impl Authorities {
    /// Mints all tokens of the board.
    ///
    /// # Safety
    /// Only the composition of the board calls this, once, and hands each token to the part that its documentation
    /// names.
    pub const unsafe fn mint() -> Authorities {
        Authorities {
            console: ConsoleAuthority(()),
            calls: CallAuthority(()),
            loader: LoaderAuthority(()),
            frames: FrameAuthority(()),
        }
    }
}
