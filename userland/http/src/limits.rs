//! How much of a response is taken in, whatever the server sends.

/// Most bytes of a response's head: 32 KiB of header fields, as servers and proxies at most let pass, and a status
/// line.
pub const HEAD: usize = 33 * 1024;

/// Most header fields. 100 is what servers and proxies at most let pass, and some add a few of their own.
pub const HEADERS: usize = 128;

/// Most bytes of one chunk's line: its size, padded or not, and its extensions.
pub const LINE: u32 = 8 * 1024;

/// Most bytes of the trailer section: as many as header fields may have.
pub const TRAILERS: u32 = 32 * 1024;
