//! How much of each thing there can be: for the kernel, the capsules and the manifest alike.

/// Most processes of a board: sets of them are words of 64 bits.
pub const PROCESSES_MAX: usize = 64;
/// How many priorities there are. 0 runs first.
pub const PRIORITIES: usize = 8;
/// Entries in a process's descriptor table.
pub const DESCRIPTORS: usize = 32;
/// Descriptors that a process has from the start: the console's.
pub const CONSOLE_DESCRIPTORS: usize = 3;
/// Most sockets of a process: one for each descriptor that is not the console's.
pub const SOCKETS_MAX: usize = DESCRIPTORS - CONSOLE_DESCRIPTORS;
/// Smallest and largest buffer of a process for random bytes: a key of 128 bits, and what the entropy device is asked for at a
/// time.
pub const ENTROPY_BUFFER: core::ops::RangeInclusive<usize> = 16..=64;
/// Longest command that a process can ask the process console for, in bytes.
pub const ASKED_COMMAND_MAX: usize = 1024;
/// Longest name of a process, an app or a region of the flash, in bytes: what an entry of the flash map holds.
pub const NAME_MAX: usize = 16;
