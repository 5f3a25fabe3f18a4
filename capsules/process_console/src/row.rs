//! The part of a line that a terminal shows behind the prompt, in one row.
//!
//! A long line is shown in part, the part around the cursor: `<` and `>` stand where it goes on. So the row never wraps,
//! and nothing need be known of the terminal but that it has 80 columns. Nothing but text, blanks and backspaces is sent,
//! and the prompt is not repeated.

use core::fmt::Write;

/// Most characters that are shown. With a prompt of 8 characters the cursor stays in the first 80 columns.
pub(crate) const WIDTH: usize = 71;

/// What the terminal shows of the line.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// The first character that is shown.
    first: usize,
    /// How many are shown.
    shown: usize,
    /// The cursor's column, counted from the end of the prompt.
    column: usize,
}

impl Row {
    /// Nothing is shown any more: a new prompt stands in a new row.
    pub(crate) fn forget(&mut self) {
        *self = Row { first: self.first, ..Row::default() };
    }

    /// Shows a line that has changed from the character `changed` on, with the cursor at `cursor`. All of it is ASCII.
    pub(crate) fn show(&mut self, line: &str, changed: usize, cursor: usize, out: &mut impl Write) {
        let mut changed = changed;
        if cursor > self.first + WIDTH || cursor <= self.first && self.first > 0 {
            self.first = cursor.saturating_sub(WIDTH / 2);
            changed = 0;
        }
        let shown = line.len().saturating_sub(self.first).min(WIDTH);
        let from = changed.saturating_sub(self.first).min(shown);
        if from < shown || shown < self.shown {
            self.go_to(from, line, out);
            let end = shown.max(self.shown);
            self.shown = shown;
            self.go_to(end, line, out);
        }
        self.go_to(cursor - self.first.min(cursor), line, out);
    }

    /// Moves the cursor to the end of what is shown.
    pub(crate) fn go_to_end(&mut self, line: &str, out: &mut impl Write) {
        self.go_to(self.shown, line, out);
    }

    /// Moves the cursor: to the left by backspaces, to the right by writing again what stands there.
    fn go_to(&mut self, column: usize, line: &str, out: &mut impl Write) {
        // Bytes that a slow terminal does not take are lost until the next redraw.
        for _ in column..self.column {
            let _ = out.write_char('\x08');
        }
        for column in self.column..column {
            let _ = out.write_char(self.cell(column, line));
        }
        self.column = column;
    }

    /// What stands in a column.
    fn cell(&self, column: usize, line: &str) -> char {
        let place = self.first + column;
        match line.as_bytes().get(place) {
            Some(_) if column == 0 && self.first > 0 => '<',
            Some(_) if column + 1 == WIDTH && place + 1 < line.len() => '>',
            Some(&byte) => char::from(byte),
            None => ' ',
        }
    }
}
