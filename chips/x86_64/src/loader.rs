//! Which kind of loader started the kernel, and so how what it says is to be read.

use crate::multiboot2;
use crate::start_info::{CommandLine, StartInfo, StartInfoError, physical_slice};

/// Reads what the loader says at a physical address, and copies the command line out, which has to be empty. `loader` is
/// the kind, as the entry code passes it on: 0 for PVH, else Multiboot2's number.
///
/// # Errors
/// As [`StartInfoError`] says.
///
/// # Safety
/// The first 4 GiB must be mapped at their own addresses and nothing may write the loader's structures.
pub unsafe fn read(loader: u32, address: u64, command_line: &mut CommandLine) -> Result<StartInfo, StartInfoError> {
    // SAFETY: the caller's promise, and `physical_slice` stays below 4 GiB.
    let reach = |address, length| unsafe { physical_slice(address, length) };
    match loader {
        0 => StartInfo::read_pvh(address, command_line, reach),
        multiboot2::MAGIC => multiboot2::read(address, command_line, reach),
        _ => Err(StartInfoError::Magic),
    }
}
