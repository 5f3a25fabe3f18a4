//! The set that `poll` looks at.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Reading would not block: data, end of stream or an error waits.
pub const READABLE: u16 = 1 << 0;
/// Writing would not block: there is room, or an error waits.
pub const WRITABLE: u16 = 1 << 1;
/// The connection failed or was reset. Reported whether asked for or not.
pub const ERROR: u16 = 1 << 2;
/// The peer will send nothing more. Reported whether asked for or not.
pub const HANGUP: u16 = 1 << 3;
/// The descriptor is not open. Reported whether asked for or not.
pub const INVALID: u16 = 1 << 4;

/// A timeout that never passes.
pub const FOREVER: u64 = u64::MAX;

/// One entry of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Entry {
    /// Which descriptor; a negative one is skipped.
    pub descriptor: i32,
    /// What the caller waits for: READABLE, WRITABLE or both.
    pub interest: u16,
    /// What the kernel found.
    pub ready: u16,
}
