//! Text of the console on a port that carries the log too: where a piece of the log may go between, and what must not be
//! taken for one.
//!
//! A piece that came within a line would stand in the way of who looks for words in it, and one within an escape sequence
//! or a character of several bytes would spoil it on a terminal. So the text is followed as a terminal does (ECMA-48
//! sections 5.3 to 5.6; RFC 3629), and a piece comes at the beginning of a line; between the characters of one that is
//! longer than [`LINE_MAX`]; and anywhere in a sequence that is longer than [`SEQUENCE_MAX`]: nobody's text may hold the log
//! up. Where no text waits, a piece needs no leave.

use slopos_abi::{LOG_PIECE_BEGIN, LOG_PIECE_END};

/// Longest line whose end a piece waits for, in bytes.
pub const LINE_MAX: u16 = 1024;
/// Longest sequence that a piece waits for, in bytes.
pub const SEQUENCE_MAX: u16 = 64;

/// A piece without anything in it.
const EMPTY_PIECE: [&str; 2] = [LOG_PIECE_BEGIN, LOG_PIECE_END];

/// ECMA-48 section 8.3.13: what cancels a sequence.
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between characters and sequences.
    #[default]
    Between,
    /// After ESC.
    Escape,
    /// In an escape sequence, with the bytes that are not its last one.
    Intermediate,
    /// In a control sequence.
    Control,
    /// In a string, which ST or a bell ends.
    Text,
    /// In a character, of which so many bytes are to come.
    Character(u8),
}

/// Follows the text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text {
    state: State,
    /// Bytes since the line began.
    line: u16,
    /// Bytes since the text was between.
    sequence: u16,
}

impl Text {
    /// Takes the next byte. Returns what goes to the port before it, so that the text does not begin a piece: an empty
    /// piece, which leaves the text the same for who takes pieces and text apart.
    pub fn pass(&mut self, byte: u8) -> [&'static str; 2] {
        if self.follow(byte) { EMPTY_PIECE } else { [""; 2] }
    }

    /// Takes the next byte. Returns whether it would begin a piece, with the one before it.
    pub(crate) fn follow(&mut self, byte: u8) -> bool {
        let begins_command = self.state == State::Escape && byte == b'_';
        self.state = if begins_command { State::Between } else { self.state.after(byte) };
        self.sequence = if self.state == State::Between { 0 } else { self.sequence.saturating_add(1) };
        self.line = if byte == b'\n' { 0 } else { self.line.saturating_add(1) };
        begins_command
    }

    /// What ends the line for another text to come; nothing where it has ended.
    pub(crate) fn line_end(&self) -> &'static str {
        match (self.state, self.line) {
            (State::Between, 0) => "",
            (State::Between, _) => "\r\n",
            // A terminal takes no more for a part of the sequence.
            _ => "\x18\r\n",
        }
    }

    /// Whether a piece of the log may come now.
    pub fn admits_piece(&self) -> bool {
        let ended = self.line == 0 || self.line > LINE_MAX;
        self.state == State::Between && ended || self.sequence > SEQUENCE_MAX
    }
}

impl State {
    fn after(self, byte: u8) -> State {
        match (self, byte) {
            (_, ESCAPE) => State::Escape,
            (_, CANCEL | SUBSTITUTE) => State::Between,
            (State::Character(left), 0x80..=0xbf) if left > 1 => State::Character(left - 1),
            (State::Character(_), 0x80..=0xbf) => State::Between,
            (State::Between | State::Character(_), 0xc2..=0xdf) => State::Character(1),
            (State::Between | State::Character(_), 0xe0..=0xef) => State::Character(2),
            (State::Between | State::Character(_), 0xf0..=0xf4) => State::Character(3),
            (State::Between | State::Character(_), _) => State::Between,
            (State::Escape, b'[') => State::Control,
            (State::Escape, b'P' | b'X' | b']' | b'^') => State::Text,
            (State::Escape | State::Intermediate, 0x20..=0x2f) => State::Intermediate,
            (State::Escape | State::Intermediate, _) => State::Between,
            (State::Control, 0x40..=0x7e) => State::Between,
            (State::Control, _) => State::Control,
            (State::Text, BELL) => State::Between,
            (State::Text, _) => State::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text as the port gets it after a line that is too long, with `|` where a piece may come.
    fn passed(text: &[u8]) -> Vec<u8> {
        let mut state = Text { line: LINE_MAX, ..Text::default() };
        let mut out = Vec::new();
        for &byte in text {
            out.extend(state.pass(byte).concat().bytes());
            out.push(byte);
            if state.admits_piece() {
                out.push(b'|');
            }
        }
        out
    }

    #[test]
    fn a_piece_comes_at_the_beginning_of_a_line() {
        let mut state = Text::default();
        assert!(state.admits_piece());
        let mut admitted = |text: &str| {
            text.bytes()
                .map(|byte| {
                    state.pass(byte);
                    state.admits_piece()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(admitted("a\r\n\nb"), [false, false, true, true, false]);
        assert!(admitted(&"x".repeat(usize::from(LINE_MAX) - 1)).iter().all(|admits| !admits));
        assert_eq!(admitted("yz"), [true, true]);
    }

    #[test]
    fn a_piece_comes_between_characters_and_sequences_alone() {
        for (text, expected) in [
            ("ab", "a|b|"),
            ("\x1b[1;31mx\x1b[m", "\x1b[1;31m|x|\x1b[m|"),
            ("\x1b(Bx", "\x1b(B|x|"),
            ("\x1b7\x1bc", "\x1b7|\x1bc|"),
            ("\x1b]0;title\x07x", "\x1b]0;title\x07|x|"),
            ("\x1bPq\x1b\\x", "\x1bPq\x1b\\|x|"),
            ("ä€😀", "ä|€|😀|"),
            ("\x1b[3\x18x", "\x1b[3\x18|x|"),
            ("\x1b\x1b[mx", "\x1b\x1b[m|x|"),
        ] {
            assert_eq!(passed(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
        // What is no character holds nothing up.
        assert_eq!(
            passed(&[0xff, 0x80, 0xe2, b'a', 0xc3, 0xc3, 0xa4]),
            [0xff, b'|', 0x80, b'|', 0xe2, b'a', b'|', 0xc3, 0xc3, 0xa4, b'|']
        );
    }

    #[test]
    fn nothing_that_is_printed_begins_a_piece() {
        let empty = "\x1b_SlopOS;\x1b\\";
        for (text, expected) in [
            ("\x1b_SlopOS;", format!("\x1b{empty}_|S|l|o|p|O|S|;|")),
            ("\x1b\x1b_", format!("\x1b\x1b{empty}_|")),
            ("\x1b]\x1b_", format!("\x1b]\x1b{empty}_|")),
            ("_\x1b[_", "_|\x1b[_|".to_owned()),
        ] {
            assert_eq!(passed(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_does_not_hold_the_log_up() {
        let endless = [&b"\x1b]"[..], &[b'x'; 200]].concat();
        let shown = passed(&endless);
        let first = shown.iter().position(|&byte| byte == b'|').unwrap();
        assert_eq!(first, usize::from(SEQUENCE_MAX) + 1);
    }
}
