//! What stands in a terminal's row, and where its cursor is, as far as the board's console has written it: so the row can
//! make room for a line of the log and be drawn again below it.

/// A row of a terminal, from its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// ASCII characters, which take a column each.
    cells: Vec<u8>,
    cursor: usize,
    /// Something else was written, and nobody but the terminal knows how many columns that takes.
    unknown: bool,
}

/// Most columns that are kept. No terminal has more.
const COLUMNS_MAX: usize = 1_000;

impl Row {
    /// Takes in what was written to the terminal: text, return, backspace, bell, line feed, and whole sequences that erase.
    pub fn write(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'\n' => *self = Row::default(),
                b'\r' => self.cursor = 0,
                8 => self.cursor = self.cursor.saturating_sub(1),
                7 => {}
                0x1b => {
                    let end = rest.iter().position(|&byte| byte == b'K').unwrap_or(rest.len());
                    let (sequence, after) = rest.split_at(end);
                    self.erase(sequence);
                    rest = after.get(1..).unwrap_or_default();
                }
                b' '..=b'~' if self.cursor < COLUMNS_MAX => {
                    if self.cursor >= self.cells.len() {
                        self.cells.resize(self.cursor + 1, b' ');
                    }
                    self.cells[self.cursor] = byte;
                    self.cursor += 1;
                }
                _ => self.unknown = true,
            }
        }
    }

    /// Erases a part of the row (ECMA-48 section 8.3.41, EL).
    fn erase(&mut self, sequence: &[u8]) {
        let length = self.cells.len();
        let part = match sequence {
            b"[" | b"[0" => self.cursor.min(length)..length,
            b"[1" => 0..(self.cursor + 1).min(length),
            b"[2" => 0..length,
            _ => return self.unknown = true,
        };
        self.cells[part].fill(b' ');
    }

    /// What draws the row again at a terminal with so many columns, from the beginning of an empty row; `None` where it is
    /// not known, or takes more than one row.
    pub fn drawing(&self, columns: usize) -> Option<Vec<u8>> {
        let blanks = self.cells.iter().rev().take_while(|&&cell| cell == b' ').count();
        let end = (self.cells.len() - blanks).max(self.cursor);
        if self.unknown || end == 0 || end >= columns {
            return None;
        }
        let mut drawing = self.cells[..end.min(self.cells.len())].to_vec();
        drawing.resize(end, b' ');
        drawing.resize(2 * end - self.cursor, 8);
        Some(drawing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(text: &str) -> Option<String> {
        let mut row = Row::default();
        row.write(text.as_bytes());
        row.drawing(80).map(|drawing| String::from_utf8(drawing).expect("text"))
    }

    #[test]
    fn a_row_is_drawn_with_its_cursor() {
        for (written, drawn) in [
            ("slopos> ps", "slopos> ps"),
            ("a line\nslopos> ", "slopos> "),
            // The cursor was moved to the left, something erased, something inserted.
            ("> webget\x08\x08\x08", "> webget\x08\x08\x08"),
            ("> pz\x08 \x08s\x07", "> ps"),
            ("> bc\x08\x08abc\x08\x08", "> abc\x08\x08"),
            ("progress 10 %\r", "progress 10 %\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08"),
            ("progress 10 %\rdone\x1b[K", "done"),
            ("abc\x08\x1b[1Kx", "  x"),
            ("abc\r\x1b[2Kx", "x"),
        ] {
            assert_eq!(drawing(written).as_deref(), Some(drawn), "{written:?}");
        }
        // However much was typed and taken back.
        assert_eq!(drawing(&format!("> {}ps", "x\x08 \x08".repeat(100))).as_deref(), Some("> ps"));
    }

    #[test]
    fn a_row_that_is_not_known_is_not_drawn() {
        assert_eq!(drawing(""), None);
        assert_eq!(drawing("a\tb"), None);
        assert_eq!(drawing("ä"), None);
        assert_eq!(drawing(&"x".repeat(80)), None);
        assert_eq!(drawing(&"x".repeat(79)), Some("x".repeat(79)));
        assert_eq!(drawing(&"x".repeat(2_000)), None);
        assert_eq!(drawing("ä\n> ").as_deref(), Some("> "));
    }
}
