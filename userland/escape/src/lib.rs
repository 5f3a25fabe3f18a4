//! Shows text from somewhere else without its control characters.
//!
//! [`Escaper`] is given bytes in any pieces, and passes on UTF-8 in which only tab and line feed are left of all that
//! controls a terminal or hides where text begins.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

/// Longest beginning of a character that may wait for its rest, in bytes.
const UNFINISHED: usize = 3;

/// Longest escape: `\u{2028}`.
const ESCAPE: usize = 8;

/// Makes a stream of bytes safe to show.
#[derive(Clone, Debug, Default)]
pub struct Escaper {
    /// The beginning of a character whose rest has not come.
    unfinished: [u8; UNFINISHED],
    length: usize,
}

impl Escaper {
    /// One at the beginning of a text.
    pub const fn new() -> Escaper {
        Escaper { unfinished: [0; UNFINISHED], length: 0 }
    }

    /// Takes the next bytes, and gives `put` what is to be shown of them, piece by piece.
    ///
    /// # Errors
    /// Those of `put`; the rest of the bytes is lost then.
    pub fn push<E>(&mut self, mut bytes: &[u8], put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while self.length > 0
            && let [next, rest @ ..] = bytes
        {
            let mut character = [0; UNFINISHED + 1];
            let begun = &self.unfinished[..self.length];
            character[..begun.len()].copy_from_slice(begun);
            character[begun.len()] = *next;
            match core::str::from_utf8(&character[..=begun.len()]) {
                Ok(whole) => {
                    self.length = 0;
                    bytes = rest;
                    text(whole, put)?;
                }
                // There are characters of four bytes at most, so what is not yet one has room.
                Err(error) if error.error_len().is_none() && self.length < UNFINISHED => {
                    self.unfinished[self.length] = *next;
                    self.length += 1;
                    bytes = rest;
                }
                // What has begun goes on with no such byte.
                Err(_) => self.finish(put)?,
            }
        }
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text(chunk.valid(), put)?;
            let bad = chunk.invalid();
            let unfinished =
                chunks.peek().is_none() && core::str::from_utf8(bad).is_err_and(|error| error.error_len().is_none());
            if unfinished && let Some(place) = self.unfinished.get_mut(..bad.len()) {
                place.copy_from_slice(bad);
                self.length = bad.len();
            } else {
                bad.iter().try_for_each(|&byte| put(byte_escape(byte).as_bytes()))?;
            }
        }
        Ok(())
    }

    /// The text ends here: a character that was only begun is shown as its bytes.
    ///
    /// # Errors
    /// Those of `put`.
    pub fn finish<E>(&mut self, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let length = core::mem::take(&mut self.length);
        self.unfinished[..length].iter().try_for_each(|&byte| put(byte_escape(byte).as_bytes()))
    }
}

/// Shows a text in one go.
///
/// # Errors
/// Those of `put`.
pub fn show<E>(bytes: &[u8], put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut escaper = Escaper::new();
    escaper.push(bytes, put)?;
    escaper.finish(put)
}

/// Shows what is UTF-8.
fn text<E>(text: &str, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut clean_from = 0;
    let run = |from: usize, to: usize, put: &mut dyn FnMut(&[u8]) -> Result<(), E>| {
        text.get(from..to).filter(|run| !run.is_empty()).map_or(Ok(()), |run| put(run.as_bytes()))
    };
    for (at, character) in text.char_indices().filter(|&(_, character)| is_control(character)) {
        run(clean_from, at, put)?;
        put(character_escape(character).as_bytes())?;
        clean_from = at + character.len_utf8();
    }
    run(clean_from, text.len(), put)
}

/// Whether a character controls a terminal, ends a line, or turns the direction of text.
pub const fn is_control(character: char) -> bool {
    match character {
        '\t' | '\n' => false,
        // C0, DEL and C1.
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        // Unicode's line and paragraph separator; its bidirectional marks, embeddings, overrides and isolates.
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => false,
    }
}

/// The letters that stand for a character or a byte.
struct Letters {
    bytes: [u8; ESCAPE],
    length: usize,
}

impl Letters {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, letter: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = letter;
            self.length += 1;
        }
    }
}

/// `\x1b`
fn byte_escape(byte: u8) -> Letters {
    let mut letters = Letters { bytes: [0; ESCAPE], length: 0 };
    for letter in [b'\\', b'x', digit(byte >> 4), digit(byte & 15)] {
        letters.push(letter);
    }
    letters
}

/// `\u{2028}`, or as a byte where it is one.
fn character_escape(character: char) -> Letters {
    let number = u32::from(character);
    if let Ok(byte @ ..=0x7f) = u8::try_from(number) {
        return byte_escape(byte);
    }
    let mut letters = Letters { bytes: [0; ESCAPE], length: 0 };
    b"\\u{".iter().for_each(|&letter| letters.push(letter));
    let digits = (32 - number.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        letters.push(digit((number >> (4 * place)) as u8 & 15));
    }
    letters.push(b'}');
    letters
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn shown<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut out = Vec::new();
        let mut put = |bytes: &[u8]| -> Result<(), Infallible> {
            out.extend_from_slice(bytes);
            Ok(())
        };
        let mut escaper = Escaper::new();
        for piece in pieces {
            escaper.push(piece, &mut put).unwrap();
        }
        escaper.finish(&mut put).unwrap();
        String::from_utf8(out).expect("what is shown is UTF-8")
    }

    #[test]
    fn ordinary_text_passes_with_tabs_and_line_feeds() {
        let text = "a\tb\nÄ € 😀 \\x1b ‐ end";
        assert_eq!(shown([text.as_bytes()]), text);
    }

    #[test]
    fn each_control_character_is_shown_as_letters() {
        for (bytes, expected) in [
            (&b"\x1b]0;title\x07"[..], "\\x1b]0;title\\x07"),
            (b"a\rb\r\n", "a\\x0db\\x0d\n"),
            (b"\0\x08\x7f", "\\x00\\x08\\x7f"),
            ("\u{80}\u{85}\u{9b}2J\u{9f}\u{a0}".as_bytes(), "\\u{80}\\u{85}\\u{9b}2J\\u{9f}\u{a0}"),
            (b"\x9b2J \x9d \xe4", "\\x9b2J \\x9d \\xe4"),
            ("\u{2028}\u{2029}".as_bytes(), "\\u{2028}\\u{2029}"),
            ("\u{61c}\u{200e}\u{200f}\u{202e}\u{2066}".as_bytes(), "\\u{61c}\\u{200e}\\u{200f}\\u{202e}\\u{2066}"),
            // Overlong, a surrogate, beyond the last character.
            (b"\xc0\x9b\xed\xa0\x80\xf5\x80", "\\xc0\\x9b\\xed\\xa0\\x80\\xf5\\x80"),
        ] {
            assert_eq!(shown([bytes]), expected);
        }
    }

    #[test]
    fn nothing_that_controls_is_left_of_any_bytes_however_they_are_cut() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        bytes.extend((0..=255).flat_map(|byte| [0xc2, byte]));
        bytes.extend((0..=255).flat_map(|byte| [0xe2, 0x80, byte, 0xf0, 0x9f, byte]));
        let whole = shown([&bytes[..]]);
        assert!(!whole.contains(is_control));
        for size in 1..8 {
            assert_eq!(shown(bytes.chunks(size)), whole, "pieces of {size}");
        }
    }

    #[test]
    fn a_character_that_is_only_begun_is_shown_at_the_end() {
        assert_eq!(shown([&b"a\xf0\x9f"[..], b"\x98"]), "a\\xf0\\x9f\\x98");
        assert_eq!(shown([&b"\xe2"[..], b"\x82", b"\xac"]), "€");
        assert_eq!(shown([&b"\xe2\x82"[..], b"\x1b["]), "\\xe2\\x82\\x1b[");
    }

    #[test]
    fn an_error_of_the_output_comes_through() {
        assert_eq!(show(b"a\x1b", &mut |bytes| if bytes == b"a" { Ok(()) } else { Err(7) }), Err(7));
    }
}
