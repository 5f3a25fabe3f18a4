//! A row of a terminal, as what was written to it makes it look.

/// Columns of an ordinary terminal.
pub const COLUMNS: usize = 80;

/// How many rows the terminal at standard output has; an ordinary number where it is none.
pub fn rows_of_terminal() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(25, |size| size.ws_row.into())
}

/// The last row of a terminal: its characters and where the cursor is.
#[derive(Debug, Default)]
pub struct Row {
    cells: Vec<char>,
    cursor: usize,
}

impl Row {
    /// Takes a character. A newline begins another row.
    pub fn write(&mut self, character: char) {
        match character {
            '\n' => *self = Row::default(),
            '\r' => self.cursor = 0,
            '\x08' => self.cursor = self.cursor.saturating_sub(1),
            '\x07' => {}
            // What does not fit cannot be drawn again, so it need not be known.
            _ if self.cursor > COLUMNS => {}
            _ => {
                match self.cells.get_mut(self.cursor) {
                    Some(cell) => *cell = character,
                    None => self.cells.push(character),
                }
                self.cursor += 1;
            }
        }
    }

    /// Takes a sequence that erases a part of the row: what is behind the cursor, before it, or all (ECMA-48 section
    /// 8.3.41).
    pub fn erase(&mut self, sequence: &[u8]) {
        match sequence {
            b"\x1b[1K" => self.cells.iter_mut().take(self.cursor + 1).for_each(|cell| *cell = ' '),
            b"\x1b[2K" => self.cells.fill(' '),
            _ => self.cells.truncate(self.cursor),
        }
    }

    /// Whether it holds something that did not wrap into another row.
    pub fn can_be_drawn_again(&self) -> bool {
        (1..COLUMNS).contains(&self.cells.len())
    }

    /// What has to be written to an empty row to make it look like this one.
    pub fn again(&self) -> String {
        self.cells.iter().copied().chain(std::iter::repeat_n('\x08', self.cells.len() - self.cursor)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_drawn_again_as_it_looks() {
        for (written, again) in [
            ("ps", "ps"),
            ("a\nps", "ps"),
            ("pz\x08 \x08s", "ps"),
            ("abc\x08\x08", "abc\x08\x08"),
            ("abc\rx", "xbc\x08\x08"),
            ("\x08a\x07\u{e4}", "a\u{e4}"),
        ] {
            let mut row = Row::default();
            written.chars().for_each(|character| row.write(character));
            assert_eq!(row.again(), again, "{written:?}");
        }
    }

    #[test]
    fn parts_of_a_row_are_erased() {
        for (sequence, again) in
            [(&b"\x1b[K"[..], "a"), (b"\x1b[0K", "a"), (b"\x1b[1K", "  c\x08\x08"), (b"\x1b[2K", "   \x08\x08")]
        {
            let mut row = Row::default();
            "abc\x08\x08".chars().for_each(|character| row.write(character));
            row.erase(sequence);
            assert_eq!(row.again(), again, "{sequence:x?}");
        }
    }

    #[test]
    fn a_row_that_has_wrapped_or_is_empty_is_not_drawn_again() {
        let of = |length| {
            let mut row = Row::default();
            "x".repeat(length).chars().for_each(|character| row.write(character));
            row.can_be_drawn_again()
        };
        assert_eq!([0, 1, COLUMNS - 1, COLUMNS, 10 * COLUMNS].map(of), [false, true, true, false, false]);
    }
}
