//! Line editing for a terminal, by the keys of Emacs and `readline`: moving, erasing, the history, completion by Tab.

use crate::completion::Choices;
use crate::history::History;
use crate::line::{Key, Line};
use crate::row::Row;
use crate::sequence::{Meaning, Sequence};
use core::fmt::Write;
use core::ops::Range;
use slopos_kernel::process::Configuration;

/// The line that is being typed.
pub(crate) struct Editor<'a> {
    line: &'a mut Line,
    /// Where the next character goes.
    cursor: usize,
    row: Row,
    history: &'a mut History,
    /// How many lines back in the history the shown one is; 0 is the line being typed.
    back: usize,
    /// The names that Tab completes.
    processes: &'a [Configuration],
    sequence: Sequence,
    after_return: bool,
    /// The last key was a Tab that left several choices.
    undecided: bool,
}

/// What a key came to, beyond a change of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Nothing.
    Nothing,
    /// The line is complete: [`Editor::take_line`].
    Line,
    /// The choices for the word before the cursor are to be listed: [`Editor::choices`].
    Choices,
    /// The screen is to be cleared.
    Clear,
}

impl<'a> Editor<'a> {
    pub(crate) fn new(line: &'a mut Line, history: &'a mut History, processes: &'a [Configuration]) -> Self {
        let (row, sequence) = (Row::default(), Sequence::new());
        let (after_return, undecided) = (false, false);
        Editor { line, cursor: 0, row, history, back: 0, processes, sequence, after_return, undecided }
    }

    /// Takes a byte and shows what it changes.
    pub(crate) fn key(&mut self, byte: u8, out: &mut impl Write) -> Typed {
        let meaning = self.sequence.take(byte);
        // A terminal may send return as CR, as LF, or as both: an LF after a CR is the same key.
        let after_return = core::mem::replace(&mut self.after_return, meaning == Meaning::Key(b'\r'));
        if meaning == Meaning::Nothing || after_return && meaning == Meaning::Key(b'\n') {
            return Typed::Nothing;
        }
        let undecided = core::mem::take(&mut self.undecided);
        match meaning {
            Meaning::Key(b'\r' | b'\n') => {
                self.row.go_to_end(self.line, out);
                write(out, "\n");
                self.history.remember(self.line);
                return self.complete_line();
            }
            Meaning::Key(Key::INTERRUPT) => {
                self.row.go_to_end(self.line, out);
                write(out, "^C\n");
                self.line.clear();
                self.history.take_draft();
                // An empty line brings the prompt back.
                return self.complete_line();
            }
            Meaning::Key(Key::TAB) => return self.complete_word(undecided, out),
            Meaning::Key(Key::CLEAR) => return Typed::Clear,
            Meaning::Key(Key::BACKSPACE | Key::DELETE) => self.erase(self.cursor.saturating_sub(1)..self.cursor, out),
            Meaning::DeleteNext | Meaning::Key(Key::DELETE_NEXT) => self.erase(self.cursor..self.cursor + 1, out),
            Meaning::Key(Key::KILL_LINE) => self.erase(0..self.cursor, out),
            Meaning::Key(Key::KILL_REST) => self.erase(self.cursor..self.line.len(), out),
            Meaning::Key(Key::KILL_WORD) => self.erase(self.word_start()..self.cursor, out),
            Meaning::Left | Meaning::Key(Key::LEFT) => self.go_to(self.cursor.saturating_sub(1), out),
            Meaning::Right | Meaning::Key(Key::RIGHT) => self.go_to(self.cursor + 1, out),
            Meaning::Home | Meaning::Key(Key::HOME) => self.go_to(0, out),
            Meaning::End | Meaning::Key(Key::END) => self.go_to(self.line.len(), out),
            Meaning::Up | Meaning::Key(Key::UP) => self.look_back(self.back + 1, out),
            Meaning::Down | Meaning::Key(Key::DOWN) => {
                if let Some(back) = self.back.checked_sub(1) {
                    self.look_back(back, out);
                }
            }
            Meaning::Key(byte @ b' '..=b'~') => self.insert(char::from(byte).encode_utf8(&mut [0; 4]), out),
            Meaning::Key(_) | Meaning::Nothing => {}
        }
        Typed::Nothing
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

    /// Shows the line again, after a new prompt.
    pub(crate) fn redraw(&mut self, out: &mut impl Write) {
        self.row.forget();
        self.row.show(self.line, 0, self.cursor, out);
    }

    /// What can complete the word before the cursor.
    pub(crate) fn choices(&self) -> Choices<'_> {
        Choices::behind(self.line.get(..self.cursor).unwrap_or_default(), self.processes)
    }

    fn complete_line(&mut self) -> Typed {
        self.back = 0;
        self.cursor = 0;
        self.row = Row::default();
        Typed::Line
    }

    /// Completes the word before the cursor as far as it is certain. The second time, its choices are listed.
    fn complete_word(&mut self, undecided: bool, out: &mut impl Write) -> Typed {
        let choices = self.choices();
        let common = choices.common();
        let (rest, only) = match common {
            Some((common, only)) => (common.get(choices.prefix().len()..).unwrap_or_default(), only),
            None => ("", true),
        };
        if rest.is_empty() && !only && undecided {
            self.row.go_to_end(self.line, out);
            write(out, "\n");
            return Typed::Choices;
        }
        self.undecided = !only;
        self.insert(rest, out);
        if common.is_some() && only {
            match self.line.as_bytes().get(self.cursor) {
                Some(b' ') => self.go_to(self.cursor + 1, out),
                _ => self.insert(" ", out),
            }
        } else if rest.is_empty() {
            write(out, "\x07");
        }
        Typed::Nothing
    }

    /// The beginning of the word before the cursor, or of the one before the blanks there.
    fn word_start(&self) -> usize {
        let before = self.line.get(..self.cursor).unwrap_or_default();
        before.trim_end().rfind(' ').map_or(0, |blank| blank + 1)
    }

    /// Shows the line that many lines back, if there is one. The one being typed is kept meanwhile.
    fn look_back(&mut self, back: usize, out: &mut impl Write) {
        if back > 0 && self.history.back(back).is_none() {
            return;
        }
        if self.back == 0 {
            self.history.keep_draft(self.line);
        }
        self.line.clear();
        if let Some(line) = self.history.back(back) {
            // A line of the history fits, because it was typed as a line.
            let _ = self.line.push_str(line);
        }
        self.back = back;
        self.cursor = self.line.len();
        self.row.show(self.line, 0, self.cursor, out);
    }

    fn go_to(&mut self, cursor: usize, out: &mut impl Write) {
        self.cursor = cursor.min(self.line.len());
        self.row.show(self.line, self.line.len(), self.cursor, out);
    }

    /// Puts a text before the cursor. A line that is full takes no more.
    fn insert(&mut self, text: &str, out: &mut impl Write) {
        if self.line.insert_str(self.cursor, text).is_ok() {
            let changed = self.cursor;
            self.cursor += text.len();
            self.row.show(self.line, changed, self.cursor, out);
        }
    }

    fn erase(&mut self, range: Range<usize>, out: &mut impl Write) {
        let range = range.start..range.end.min(self.line.len());
        if !range.is_empty() {
            self.line.drain(range.clone());
            self.cursor = range.start;
            self.row.show(self.line, range.start, self.cursor, out);
        }
    }
}

/// Writes to the terminal. Bytes that a slow terminal does not take are lost until the next redraw.
fn write(out: &mut impl Write, text: &str) {
    let _ = out.write_str(text);
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
