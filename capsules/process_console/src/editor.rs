//! Line editing for a terminal: backspace, ^U, ^W, ^C, and the lines typed before by the up and down keys.

use crate::{LINE_MAX, Line};
use core::fmt::Write;
use heapless::Deque;

/// Lines kept for the up key.
const HISTORY: usize = 8;

/// Control keys by the byte that they send.
pub struct Key;

impl Key {
    /// Control-C.
    pub const INTERRUPT: u8 = 3;
    const BACKSPACE: u8 = 8;
    const KILL_LINE: u8 = 21;
    const KILL_WORD: u8 = 23;
    const ESCAPE: u8 = 27;
    const DELETE: u8 = 127;
}

/// How far an escape sequence has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Bracket,
}

/// The line that is being typed.
pub(crate) struct Editor {
    line: Line,
    history: Deque<Line, HISTORY>,
    /// How many lines back the shown one is; 0 is the line being typed.
    back: usize,
    escape: Escape,
    after_return: bool,
}

impl Editor {
    pub(crate) fn new() -> Self {
        Editor { line: Line::new(), history: Deque::new(), back: 0, escape: Escape::None, after_return: false }
    }

    /// Takes a key and echoes it; a whole line when the return key ends it.
    pub(crate) fn key(&mut self, byte: u8, out: &mut impl Write) -> Option<Line> {
        if self.escape != Escape::None {
            self.escape_key(byte, out);
            return None;
        }
        // A terminal may send return as CR, as LF, or as both: the LF behind a CR is the same key.
        let repeated = byte == b'\n' && self.after_return;
        self.after_return = byte == b'\r';
        match byte {
            b'\r' | b'\n' if repeated => None,
            b'\r' | b'\n' => {
                echo(out, "\n");
                self.remember();
                Some(core::mem::take(&mut self.line))
            }
            Key::BACKSPACE | Key::DELETE => {
                self.erase(1, out);
                None
            }
            Key::KILL_LINE => {
                self.erase(LINE_MAX, out);
                None
            }
            Key::KILL_WORD => {
                let kept = self.line.trim_end().rfind(' ').map_or(0, |space| space + 1);
                let count = self.line.get(kept..).map_or(0, |word| word.chars().count());
                self.erase(count, out);
                None
            }
            Key::INTERRUPT => {
                echo(out, "^C");
                self.line.clear();
                echo(out, "\n");
                // An empty line brings the prompt back.
                Some(Line::new())
            }
            Key::ESCAPE => {
                self.escape = Escape::Begun;
                None
            }
            b' '..=b'~' => {
                if self.line.push(char::from(byte)).is_ok() {
                    // The terminal may be slow; what it misses shows in the next redraw.
                    let _ = out.write_char(char::from(byte));
                }
                None
            }
            _ => None,
        }
    }

    /// Writes the line again, behind a new prompt.
    pub(crate) fn redraw(&self, out: &mut impl Write) {
        echo(out, &self.line);
    }

    fn escape_key(&mut self, byte: u8, out: &mut impl Write) {
        self.escape = match (self.escape, byte) {
            (Escape::Begun, b'[') => Escape::Bracket,
            // Parameters of a key that has no meaning here.
            (Escape::Bracket, b'0'..=b'?') => Escape::Bracket,
            (Escape::Bracket, b'A') => self.show(self.back + 1, out),
            (Escape::Bracket, b'B') => self.show(self.back.saturating_sub(1), out),
            _ => Escape::None,
        };
    }

    fn show(&mut self, back: usize, out: &mut impl Write) -> Escape {
        let count = self.history.len();
        if back <= count {
            let line = if back == 0 {
                Line::new()
            } else {
                self.history.iter().nth(count - back).cloned().unwrap_or_default()
            };
            self.erase(LINE_MAX, out);
            echo(out, &line);
            self.line = line;
            self.back = back;
        }
        Escape::None
    }

    fn erase(&mut self, count: usize, out: &mut impl Write) {
        for _ in 0..count {
            if self.line.pop().is_none() {
                break;
            }
            echo(out, "\x08 \x08");
        }
    }

    fn remember(&mut self) {
        self.back = 0;
        if self.line.is_empty() || self.history.back() == Some(&self.line) {
            return;
        }
        if self.history.is_full() {
            self.history.pop_front();
        }
        // There is room: the oldest line has just made it.
        let _ = self.history.push_back(self.line.clone());
    }
}

/// Writes to the terminal. What a slow terminal does not take is lost, and shows again with the next prompt.
fn echo(out: &mut impl Write, text: &str) {
    let _ = out.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn type_keys(keys: &[u8]) -> (Vec<String>, String) {
        let mut editor = Editor::new();
        let mut echo = String::new();
        let lines =
            keys.iter().filter_map(|&key| editor.key(key, &mut echo)).map(|line| line.as_str().into()).collect();
        (lines, echo)
    }

    #[test]
    fn keys_are_echoed_and_return_ends_the_line_once() {
        assert_eq!(type_keys(b"ps\r\nnet\n"), (vec!["ps".into(), "net".into()], "ps\nnet\n".into()));
    }

    #[test]
    fn backspace_erases_but_not_beyond_the_start() {
        assert_eq!(type_keys(b"\x7fpx\x7fs\r").0, ["ps"]);
        assert_eq!(type_keys(b"a\x08\x08b\r").1, "a\x08 \x08b\n");
    }

    #[test]
    fn control_u_and_w_erase_the_line_and_a_word() {
        assert_eq!(type_keys(b"one two\x15ps\r").0, ["ps"]);
        assert_eq!(type_keys(b"one two \x17ps\r").0, ["one ps"]);
    }

    #[test]
    fn up_and_down_walk_through_earlier_lines() {
        assert_eq!(type_keys(b"a\rb\r\x1b[A\x1b[A\r").0, ["a", "b", "a"]);
        assert_eq!(type_keys(b"a\rb\r\x1b[A\x1b[A\x1b[B\r").0, ["a", "b", "b"]);
        assert_eq!(type_keys(b"a\r\x1b[A\x1b[A\x1b[A\r").0, ["a", "a"]);
    }

    #[test]
    fn unknown_keys_and_sequences_leave_the_line_alone() {
        assert_eq!(type_keys(b"a\x1b[3~\x1b[1;5Cb\x00\xff\x1bxc\r").0, ["abc"]);
    }

    #[test]
    fn a_line_that_is_full_takes_no_more() {
        let mut keys = vec![b'x'; LINE_MAX + 10];
        keys.push(b'\r');
        assert_eq!(type_keys(&keys).0[0].len(), LINE_MAX);
    }

    #[test]
    fn control_c_drops_the_line() {
        assert_eq!(type_keys(b"abc\x03ps\r").0, ["", "ps"]);
    }
}
