//! The set that `poll` looks at.

use crate::bits::bit_set;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bit_set! {
    /// What would not block. Bits that have no meaning are passed over.
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    pub struct Readiness(u16);
    /// Reading would not block: data, end of stream or an error waits.
    READABLE = 0;
    /// Writing would not block: there is room, or an error waits.
    WRITABLE = 1;
    /// The connection failed or was reset. Reported whether asked for or not.
    ERROR = 2;
    /// The peer will send nothing more. Reported whether asked for or not.
    HANGUP = 3;
    /// The descriptor is not open. Reported whether asked for or not.
    INVALID = 4;
}

impl From<u16> for Readiness {
    fn from(bits: u16) -> Readiness {
        Readiness(bits)
    }
}

/// A timeout that never passes.
pub const FOREVER: u64 = u64::MAX;

/// One entry of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Entry {
    /// Which descriptor; a negative one is skipped.
    pub descriptor: i32,
    /// What the caller waits for: READABLE, WRITABLE or both.
    pub interest: Readiness,
    /// What the kernel found.
    pub ready: Readiness,
}
