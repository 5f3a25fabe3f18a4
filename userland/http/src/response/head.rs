//! The head of a response, as it is handed on.

use httparse::Header;

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The second number of the protocol's version: 0 or 1. A higher one counts as 1 (RFC 9110 section 2.5).
    pub minor_version: u8,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The words after it; may be empty.
    pub reason: &'a str,
    /// The header fields, in the server's order. A value may be folded: [`unfolded`] says how it reads.
    pub headers: &'a [Header<'a>],
}

/// The pieces of a field's value: a space belongs between two of them, where the server began a new line
/// (RFC 9112 section 5.2, obs-fold).
pub fn unfolded(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty())
}
