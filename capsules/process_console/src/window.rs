//! A window onto a long text: as many of its lines as fit, from a given one on.
//!
//! A report is longer than the room in the console's queue. It is written again from the start for each part, so only
//! the number of lines that have been printed has to be remembered.

use core::fmt::{Error, Write};
use heapless::String;

/// The most bytes of a window, and of a line in it: the room that the console keeps for the process console.
pub const LINE_ROOM: usize = 512;

/// Keeps whole lines of the text that is written to it, from line `first` on.
pub struct Window<'a> {
    kept: &'a mut String<LINE_ROOM>,
    /// Lines to skip.
    first: usize,
    /// Lines seen so far.
    seen: usize,
    /// Bytes of whole lines in `kept`.
    whole: usize,
    lines: usize,
}

impl<'a> Window<'a> {
    /// A window that skips the lines before `first`. `kept` has to be empty.
    pub fn new(kept: &'a mut String<LINE_ROOM>, first: usize) -> Self {
        Window { kept, first, seen: 0, whole: 0, lines: 0 }
    }

    /// Drops the line that did not fit whole. Returns how many lines were kept.
    pub fn finish(self) -> usize {
        self.kept.truncate(self.whole);
        self.lines
    }
}

impl Write for Window<'_> {
    /// Fails once a line does not fit. A line that is longer than the window is cut.
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for part in text.split_inclusive('\n') {
            let ends = part.ends_with('\n');
            if self.seen >= self.first {
                for character in part.chars() {
                    let room = LINE_ROOM - self.kept.len();
                    // There is room for the newline of a line that was cut.
                    if room > character.len_utf8() || character == '\n' && room > 0 {
                        self.kept.push(character).map_err(|_| Error)?;
                    } else if self.lines > 0 {
                        return Err(Error);
                    }
                }
                if ends {
                    self.whole = self.kept.len();
                    self.lines += 1;
                }
            }
            self.seen += usize::from(ends);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> std::vec::Vec<std::string::String> {
        let mut parts = std::vec::Vec::new();
        let mut first = 0;
        loop {
            let mut kept = String::new();
            let mut window = Window::new(&mut kept, first);
            // In pieces, as formatting writes.
            let _ = text.as_bytes().chunks(7).try_for_each(|piece| window.write_str(str::from_utf8(piece).unwrap()));
            let lines = window.finish();
            if lines == 0 {
                return parts;
            }
            first += lines;
            parts.push(kept.as_str().into());
        }
    }

    #[test]
    fn a_long_text_comes_in_parts_of_whole_lines() {
        let text: std::string::String = (0..200).map(|line| format!("line {line}\n")).collect();
        let parts = parts(&text);
        assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= LINE_ROOM && part.ends_with('\n')));
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn a_line_of_just_the_room_is_whole_and_a_longer_one_is_cut() {
        let fits = "x".repeat(LINE_ROOM - 1) + "\n";
        assert_eq!(parts(&format!("{fits}y\n")), [fits.clone(), "y\n".into()]);
        let long = "x".repeat(3 * LINE_ROOM) + "\n";
        assert_eq!(parts(&format!("a\n{long}y\n")), ["a\n".into(), fits, "y\n".into()]);
    }
}
