//! The control keys.

/// Control keys by the byte that they send.
pub struct Key;

impl Key {
    /// Control-C.
    pub const INTERRUPT: u8 = 3;
    pub(crate) const BACKSPACE: u8 = 8;
    pub(crate) const KILL_LINE: u8 = 21;
    pub(crate) const KILL_WORD: u8 = 23;
    pub(crate) const ESCAPE: u8 = 27;
    pub(crate) const DELETE: u8 = 127;
}
