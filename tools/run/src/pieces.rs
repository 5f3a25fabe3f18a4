//! Takes a serial port apart that carries the kernel's log between the console's text.
//!
//! The log comes in pieces that begin with [`LOG_PIECE_BEGIN`] and end with [`LOG_PIECE_END`]. The board sees to it that
//! nobody's text begins one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slopos_abi::{LOG_PIECE_BEGIN, LOG_PIECE_END, LOG_PIECE_MAX};

/// Most characters of base64 in a piece.
const CHARACTERS_MAX: usize = LOG_PIECE_MAX.div_ceil(3) * 4;

/// A part of what came over the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The console's.
    Text(Vec<u8>),
    /// The log's.
    Log(Vec<u8>),
    /// A piece of the log that is cut or garbled; so many bytes.
    Damaged(usize),
}

/// Takes the port's bytes, in whatever portions they come.
#[derive(Debug, Default)]
pub struct Pieces {
    /// What may be the beginning of a piece, or is.
    held: Vec<u8>,
}

impl Pieces {
    /// Takes the next bytes and returns what they complete, in order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Part> {
        let mut parts = Vec::new();
        for &byte in bytes {
            self.held.push(byte);
            self.examine(&mut parts);
        }
        parts
    }

    /// What is left at the port's end.
    pub fn finish(self) -> Option<Part> {
        if self.held.is_empty() {
            return None;
        }
        let began = self.held.starts_with(LOG_PIECE_BEGIN.as_bytes());
        Some(if began { Part::Damaged(self.held.len()) } else { Part::Text(self.held) })
    }

    /// Looks at what is held, to which a byte was added.
    fn examine(&mut self, parts: &mut Vec<Part>) {
        let begin = LOG_PIECE_BEGIN.as_bytes();
        if let Some(inside) = self.held.strip_prefix(begin) {
            if let Some(characters) = inside.strip_suffix(LOG_PIECE_END.as_bytes()) {
                parts.push(STANDARD.decode(characters).map_or(Part::Damaged(self.held.len()), Part::Log));
                self.held.clear();
            } else if !may_go_on(inside) {
                // What does not fit is looked at again, for it may begin the next piece.
                let length = self.held.len();
                let escaped = self.held[length - 2] == begin[0] && self.held[length - 1] != begin[0];
                let rest = self.held.split_off(length - if escaped { 2 } else { 1 });
                parts.push(Part::Damaged(self.held.len()));
                self.held.clear();
                for byte in rest {
                    self.held.push(byte);
                    self.examine(parts);
                }
            }
        } else if !begin.starts_with(&self.held) {
            // No other byte of the beginning is its first one, so only the last byte may begin another.
            let last = self.held.pop();
            let kept = last.filter(|byte| Some(byte) == begin.first());
            let mut text = std::mem::take(&mut self.held);
            match kept {
                Some(byte) => self.held.push(byte),
                None => text.extend(last),
            }
            match parts.last_mut() {
                Some(Part::Text(before)) => before.append(&mut text),
                _ if text.is_empty() => {}
                _ => parts.push(Part::Text(text)),
            }
        }
    }
}

/// Whether a piece may go on so.
fn may_go_on(inside: &[u8]) -> bool {
    let characters = inside.strip_suffix(&LOG_PIECE_END.as_bytes()[..1]).unwrap_or(inside);
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    characters.len() <= CHARACTERS_MAX && characters.iter().all(is_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_apart(bytes: &[u8], portion: usize) -> Vec<Part> {
        let mut pieces = Pieces::default();
        let mut parts: Vec<Part> = bytes.chunks(portion).flat_map(|chunk| pieces.push(chunk)).collect();
        parts.extend(pieces.finish());
        // How the bytes came makes no difference but to where text is cut.
        parts.into_iter().fold(Vec::new(), |mut joined, part| {
            match (joined.last_mut(), part) {
                (Some(Part::Text(before)), Part::Text(mut text)) => before.append(&mut text),
                (_, part) => joined.push(part),
            }
            joined
        })
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    #[test]
    fn text_and_log_are_told_apart_in_whatever_portions_they_come() {
        let bytes = b"slopos> \x1b_SlopOS;U2xvcE9TAA==\x1b\\ps\r\n\x1b\x1b_SlopOS;//4A\x1b\\\x1b[m\x1b_Slop\x1b";
        let log = [Part::Log(b"SlopOS\0".into()), Part::Log(vec![0xff, 0xfe, 0])];
        let expected =
            [text("slopos> "), log[0].clone(), text("ps\r\n\x1b"), log[1].clone(), text("\x1b[m\x1b_Slop\x1b")];
        for portion in 1..=bytes.len() {
            assert_eq!(taken_apart(bytes, portion), expected, "{portion}");
        }
    }

    #[test]
    fn a_damaged_piece_is_told_and_the_next_one_is_found() {
        for (damaged, lost) in [
            ("\x1b_SlopOS;U2xv", 13),      // cut by the next one
            ("\x1b_SlopOS;U2x\x1b\\", 14), // a character is missing
            ("\x1b_SlopOS;U2\x1b", 12),    // the end is cut
            ("\x1b_SlopOS;=A==\x1b\\", 15),
        ] {
            let bytes = format!("{damaged}\x1b_SlopOS;//4A\x1b\\a");
            let parts = taken_apart(bytes.as_bytes(), 3);
            assert_eq!(parts, [Part::Damaged(lost), Part::Log(vec![0xff, 0xfe, 0]), text("a")], "{damaged:?}");
        }
        assert_eq!(taken_apart(b"\x1b_SlopOS;U2xv", 4), [Part::Damaged(13)]);
        assert_eq!(taken_apart(b"\x1b_SlopOS;U2 xv", 4), [Part::Damaged(11), text(" xv")]);
        let endless = [&b"\x1b_SlopOS;"[..], &[b'A'; 1_000]].concat();
        assert!(matches!(taken_apart(&endless, 100)[..], [Part::Damaged(_), Part::Text(_)]));
    }

    #[test]
    fn text_does_not_wait_for_more() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.push(b"slopos> "), [text("slopos> ")]);
        assert_eq!(pieces.push(b"a\x1b"), [text("a")]);
        assert_eq!(pieces.push(b"[K"), [text("\x1b[K")]);
    }
}
