//! Line editing for a terminal: backspace, ^U, ^W, ^C, and the history by the up and down keys.

use crate::history::History;
use crate::line::{Key, LINE_MAX, Line};
use crate::sequence::{Meaning, Sequence};
use core::fmt::Write;

/// The line that is being typed.
pub(crate) struct Editor<'a> {
    line: &'a mut Line,
    history: &'a mut History,
    /// How many lines back in the history the shown one is; 0 is the line being typed.
    back: usize,
    sequence: Sequence,
    after_return: bool,
}

impl<'a> Editor<'a> {
    pub(crate) fn new(line: &'a mut Line, history: &'a mut History) -> Self {
        Editor { line, history, back: 0, sequence: Sequence::new(), after_return: false }
    }

    /// Takes a key and echoes it. Returns whether it ends the line, which [`Editor::take_line`] then returns.
    pub(crate) fn key(&mut self, byte: u8, out: &mut impl Write) -> bool {
        let byte = match self.sequence.take(byte) {
            Meaning::Key(byte) => byte,
            meaning => {
                self.show_earlier(meaning, out);
                return false;
            }
        };
        // A terminal may send return as CR, as LF, or as both: an LF after a CR is the same key.
        let repeated = byte == b'\n' && self.after_return;
        self.after_return = byte == b'\r';
        match byte {
            b'\r' | b'\n' if repeated => {}
            b'\r' | b'\n' => {
                echo(out, "\n");
                self.back = 0;
                self.history.remember(self.line);
                return true;
            }
            Key::BACKSPACE | Key::DELETE => self.erase(1, out),
            Key::KILL_LINE => self.erase(LINE_MAX, out),
            Key::KILL_WORD => {
                let kept = self.line.trim_end().rfind(' ').map_or(0, |space| space + 1);
                let count = self.line.get(kept..).map_or(0, |word| word.chars().count());
                self.erase(count, out);
            }
            Key::INTERRUPT => {
                echo(out, "^C");
                self.line.clear();
                echo(out, "\n");
                // An empty line brings the prompt back.
                return true;
            }
            b' '..=b'~' if self.line.push(char::from(byte)).is_ok() => {
                // A slow terminal may miss bytes; the next redraw shows them.
                let _ = out.write_char(char::from(byte));
            }
            _ => {}
        }
        false
    }

    /// Replaces the line by another buffer, which is emptied for the next line, and returns the old one.
    pub(crate) fn take_line(&mut self, other: &mut &'a mut Line) {
        core::mem::swap(&mut self.line, other);
        self.line.clear();
    }

    /// Follows a byte that a process reads, to know where one of the terminal's sequences ends.
    pub(crate) fn watch(&mut self, byte: u8) {
        self.sequence.take(byte);
    }

    /// Writes the line again, after a new prompt.
    pub(crate) fn redraw(&self, out: &mut impl Write) {
        echo(out, self.line);
    }

    fn show_earlier(&mut self, meaning: Meaning, out: &mut impl Write) {
        let back = match meaning {
            Meaning::Up => self.back + 1,
            Meaning::Down => self.back.saturating_sub(1),
            Meaning::Key(_) | Meaning::Nothing => return,
        };
        if back > self.history.count() {
            return;
        }
        self.erase(LINE_MAX, out);
        if let Some(line) = self.history.back(back) {
            echo(out, line);
            // A line of the history fits, because it was typed as a line.
            let _ = self.line.push_str(line);
        }
        self.back = back;
    }

    fn erase(&mut self, count: usize, out: &mut impl Write) {
        for _ in 0..count {
            if self.line.pop().is_none() {
                break;
            }
            echo(out, "\x08 \x08");
        }
    }
}

/// Writes to the terminal. Bytes that a slow terminal does not take are lost until the next redraw.
fn echo(out: &mut impl Write, text: &str) {
    let _ = out.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn type_keys(keys: &[u8]) -> (Vec<String>, String) {
        let (mut line, mut history, mut other) = (Line::new(), History::new(), Line::new());
        let (mut editor, mut other) = (Editor::new(&mut line, &mut history), &mut other);
        let mut echo = String::new();
        let mut lines = Vec::new();
        for &key in keys {
            if editor.key(key, &mut echo) {
                editor.take_line(&mut other);
                lines.push(other.as_str().into());
            }
        }
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
    fn a_terminals_report_is_never_a_command() {
        // What a terminal says where some output has asked for its title, its colours, its settings, its clipboard.
        for report in [
            &b"\x1b]lexit\r\x1b\\"[..],
            b"\x1b]0;exit\r\x07",
            b"\x1bP1$rexit\r\x1b\\",
            b"\x1b_exit\r\x1b\\",
            b"\x9dexit\r\x9c",
            b"\xc2\x90exit\r\xc2\x9c",
        ] {
            let keys = [b"p", report, b"s\r"].concat();
            assert_eq!(type_keys(&keys).0, ["ps"], "{keys:x?}");
        }
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
