//! The log as lines of text.
//!
//! Takes the place of `defmt`'s encoder: it keeps what `defmt` writes of a line, and when that ends makes text of it. The
//! texts are in the kernel's symbols, which are not loaded; so tools/texts, which the build calls when the kernel is linked,
//! puts what it makes of them into the room that is left for them here.

use core::fmt::{self, Write};
use slopos_log::LogRing;
pub use slopos_log::lines::MarkedLine as Piece;
use slopos_log::lines::{LINE_END, LINE_MAX, Texts, UNKNOWN, Values};

/// Bytes for the texts; the build says how many of them are used, and refuses a kernel that has more.
const ROOM: usize = 32 << 10;

// Constants for the kernel, and none for the compiler, which knows nothing of what the build puts there.
#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".section .rodata.log_texts, \"a\", @progbits",
    ".globl __log_texts",
    ".type __log_texts, @object",
    ".size __log_texts, {room}",
    "__log_texts: .zero {room}",
    ".text",
    room = const ROOM,
);

/// The texts.
fn texts() -> Texts<'static> {
    unsafe extern "C" {
        static __log_texts: [u8; ROOM];
    }
    // SAFETY: it is there, above, of this size, and among the constants, which nothing writes.
    Texts::new(unsafe { &__log_texts })
}

/// Begins the log with the kernel's build id.
pub fn announce<const N: usize>(ring: &mut LogRing<N>, build_id: &[u8]) {
    ring.announce(build_id, LINE_END.as_bytes());
}

/// What stands where `defmt`'s encoder stands on a board with frames.
pub struct Encoder(Values);

impl Encoder {
    /// One that is between two lines.
    pub const fn new() -> Encoder {
        Encoder(Values::new())
    }

    /// A line begins.
    pub fn start_frame(&mut self, _: impl FnMut(&[u8])) {
        self.0.clear();
    }

    /// The next bytes of what `defmt` writes of it.
    pub fn write(&mut self, bytes: &[u8], _: impl FnMut(&[u8])) {
        self.0.push(bytes);
    }

    /// It ends: gives `put` its text, a piece at a time.
    #[inline(never)]
    pub fn end_frame(&mut self, put: impl FnMut(&[u8])) {
        let mut line = Line { put, room: LINE_MAX - UNKNOWN.len() - LINE_END.len() };
        // What has no room is cut, which the sign says.
        if self.0.write(texts(), &mut line).is_err() {
            (line.put)(UNKNOWN.as_bytes());
        }
        (line.put)(LINE_END.as_bytes());
    }
}

/// A line that is being written, which has an end.
struct Line<P: FnMut(&[u8])> {
    put: P,
    room: usize,
}

impl<P: FnMut(&[u8])> Write for Line<P> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(self.room);
        let (fits, rest) = text.split_at(end);
        (self.put)(fits.as_bytes());
        self.room -= end;
        if rest.is_empty() { Ok(()) } else { Err(fmt::Error) }
    }
}
