//! A line of commands, and the keys that change it while it is typed.

use heapless::String;

/// Longest command, and longest line that can be typed, in bytes: a URL of 8,000 octets (RFC 9110 section 4.1) and the
/// words around it.
pub const LINE_MAX: usize = 8 * 1024;

/// One line of commands.
pub(crate) type Line = String<LINE_MAX>;

/// Control keys by the byte that they send.
pub struct Key;

impl Key {
    pub(crate) const HOME: u8 = 1;
    pub(crate) const LEFT: u8 = 2;
    /// Control-C.
    pub const INTERRUPT: u8 = 3;
    pub(crate) const DELETE_NEXT: u8 = 4;
    pub(crate) const END: u8 = 5;
    pub(crate) const RIGHT: u8 = 6;
    pub(crate) const BACKSPACE: u8 = 8;
    pub(crate) const TAB: u8 = 9;
    pub(crate) const KILL_REST: u8 = 11;
    pub(crate) const CLEAR: u8 = 12;
    pub(crate) const DOWN: u8 = 14;
    pub(crate) const UP: u8 = 16;
    pub(crate) const KILL_LINE: u8 = 21;
    pub(crate) const KILL_WORD: u8 = 23;
    pub(crate) const ESCAPE: u8 = 27;
    pub(crate) const DELETE: u8 = 127;
}
