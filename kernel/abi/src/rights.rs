//! The rights of a descriptor, as bits of the argument of `restrict`.

/// May be read.
pub const READ: u64 = 1 << 0;
/// May be written.
pub const WRITE: u64 = 1 << 1;
/// May be connected.
pub const CONNECT: u64 = 1 << 2;
/// All that exist.
pub const ALL: u64 = READ | WRITE | CONNECT;
