//! The contract between the kernel and its processes, and between the kernel and the flash image.
//!
//! Numbers and C-layout structures only: no behaviour beyond checking a value. [`Syscall`] has the calls, [`Errno`] the
//! errors, [`limits`] how much of each thing there can be, [`flash`] the layout of the board's flash, [`CommandName`] the
//! words that are no names of processes.
//! `kernel/abi/README.md` documents each call.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod bits;
mod command;
mod endpoint;
mod errno;
pub mod flash;
pub mod info;
pub mod limits;
pub mod poll;
mod rights;
mod socket;
mod syscall;

pub use command::CommandName;
pub use endpoint::{Endpoint, RemoteRange, prefix_mask};
pub use errno::Errno;
pub use poll::Readiness;
pub use rights::Rights;
pub use socket::{SocketFlags, SocketKind};
pub use syscall::Syscall;

/// Descriptor of the console's input.
pub const STDIN: i32 = 0;
/// Descriptor of the console's output.
pub const STDOUT: i32 = 1;
/// Descriptor of the console's output for diagnostics.
pub const STDERR: i32 = 2;

/// The name by which a process opens the entropy device, where the manifest lets it. No region of the flash has it.
pub const ENTROPY_NAME: &str = "entropy";

/// The name by which a process opens the way to the process console, where the manifest lets it have commands carried
/// out. No region of the flash has it.
pub const COMMANDS_NAME: &str = "commands";

/// Lowest virtual address of a process: its first segment is linked here.
pub const USER_BASE: u64 = 0x40_0000;
/// First virtual address beyond a process. Its stack ends one guard page (4096 bytes) below.
pub const USER_END: u64 = 0x60_0000;

/// Longest argument block that any process can be started with, in bytes: a command of 8 KiB, with a NUL for each blank
/// between its words and one behind the last.
///
/// The block lies at the top of the process's own stack. On entry `rdi` is its address and `rsi` its length in bytes:
/// the process's name, then its arguments, each ended by one NUL byte. `rsp` is a multiple of 16, and below the block.
pub const ARGUMENTS_MAX: usize = 8 * 1024 + 1;

/// Longest argument block of a process with a stack of so many bytes: half of the stack is left for what it is there
/// for.
pub const fn arguments_max(stack_bytes: usize) -> usize {
    let half = stack_bytes / 2;
    if half < ARGUMENTS_MAX { half } else { ARGUMENTS_MAX }
}

/// Exit status of a process that the kernel ended: a fault, or a kill.
pub const STATUS_KILLED: i32 = 110;
/// Largest exit status that the debug-exit device can report; a larger or negative one counts as this.
pub const STATUS_MAX: i32 = 111;

/// How the first frame of the kernel's log begins. The kernel's build id follows, two hexadecimal digits for each byte, and
/// then the zero byte that ends each frame.
pub const LOG_BEGINNING: &str = "SlopOS log, build ";

/// What begins a piece of the kernel's log on a serial port that the console has too: an application program command
/// (ECMA-48 section 8.3.2, APC), which terminals leave out, and the name of what follows. The piece itself is in base64
/// (RFC 4648 section 4), and [`LOG_PIECE_END`] follows it.
pub const LOG_PIECE_BEGIN: &str = "\x1b_SlopOS;";
/// What ends a piece of the log: a string terminator (ECMA-48 section 8.3.143, ST).
pub const LOG_PIECE_END: &str = "\x1b\\";
/// Most bytes of the log in one piece.
pub const LOG_PIECE_MAX: usize = 96;

/// What a line of the kernel's log begins with on a serial port that the console has too, where the log is lines of text.
pub const LOG_LINE_MARK: &str = "[log] ";
/// What the board puts before the last byte of the mark, where a line of the console's text begins with that: no such line
/// is to be taken for one of the log.
pub const LOG_LINE_FORGED: &str = "?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_half_of_the_stack_and_no_more_than_a_command_of_8_kib_needs() {
        assert_eq!(ARGUMENTS_MAX, 8_193);
        for (stack, most) in [(0, 0), (4_096, 2_048), (16_385, 8_192), (16_386, 8_193), (1 << 20, 8_193)] {
            assert_eq!(arguments_max(stack), most, "of {stack} bytes");
        }
    }

    #[test]
    fn bits_are_those_that_programs_in_the_flash_were_built_with() {
        assert_eq!([Rights::READ, Rights::WRITE, Rights::CONNECT, Rights::ALL].map(Rights::bits), [1, 2, 4, 7]);
        let ready = [Readiness::READABLE, Readiness::WRITABLE, Readiness::ERROR, Readiness::HANGUP, Readiness::INVALID];
        assert_eq!(ready.map(Readiness::bits), [1, 2, 4, 8, 16]);
        let flag = |nonblock, nodelay, keepalive| SocketFlags { nonblock, nodelay, keepalive }.bits();
        let flags =
            [flag(true, false, false), flag(false, true, false), flag(false, false, true), flag(true, true, true)];
        assert_eq!(flags, [1, 2, 4, 7]);
        for bits in 0..=7 {
            assert_eq!(Rights::try_from(bits).map(|rights| u64::from(rights.bits())), Ok(bits));
        }
        for bits in [8, 0x107, u64::MAX] {
            assert_eq!(Rights::try_from(bits), Err(Errno::Invalid));
        }
    }
}
