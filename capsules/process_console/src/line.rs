//! A line of commands, and how long it may be.

use heapless::String;

/// Longest command, and longest line that can be typed, in bytes: a URL of 8,000 octets (RFC 9110 section 4.1) and the
/// words around it.
pub const LINE_MAX: usize = 8 * 1024;

/// One line of commands.
pub(crate) type Line = String<LINE_MAX>;
