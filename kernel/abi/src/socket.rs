//! Arguments of `socket`.

/// The one kind there is: a TCP byte stream, used as client.
pub const KIND_STREAM: u64 = 1;

/// Calls answer EAGAIN instead of blocking.
pub const NONBLOCK: u64 = 1 << 0;
/// Small segments leave at once (no Nagle, RFC 9293 section 3.7.4).
pub const NODELAY: u64 = 1 << 1;
/// An idle connection is probed (RFC 9293 section 3.8.4).
pub const KEEPALIVE: u64 = 1 << 2;
/// All flags that exist.
pub const ALL_FLAGS: u64 = NONBLOCK | NODELAY | KEEPALIVE;
