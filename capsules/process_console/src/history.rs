//! The lines that were typed before.

use crate::line::LINE_MAX;
use heapless::String;

/// Bytes of all lines: two of the longest, or many short ones.
const BYTES: usize = 2 * LINE_MAX;

/// The lines typed before, the latest last; each ends with a newline. The oldest make room.
pub(crate) struct History {
    text: String<BYTES>,
}

impl History {
    pub(crate) const fn new() -> Self {
        History { text: String::new() }
    }

    /// How many lines there are.
    pub(crate) fn count(&self) -> usize {
        self.text.lines().count()
    }

    /// The line that many lines back; 1 is the latest.
    pub(crate) fn back(&self, count: usize) -> Option<&str> {
        self.text.lines().rev().nth(count.checked_sub(1)?)
    }

    /// Adds a line, unless it is empty or the same as the latest.
    pub(crate) fn remember(&mut self, line: &str) {
        if line.is_empty() || self.back(1) == Some(line) {
            return;
        }
        while self.text.len() + line.len() + 1 > self.text.capacity() {
            let Some(oldest) = self.text.find('\n') else { return };
            self.text.drain(..=oldest);
        }
        // There is room for both.
        let _ = self.text.push_str(line);
        let _ = self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_make_room() {
        let mut history = History::new();
        let line = |number: usize| std::format!("{number:0>1000}");
        for number in 0..40 {
            history.remember(&line(number));
        }
        assert_eq!(history.count(), BYTES / 1001);
        assert_eq!(history.back(1), Some(line(39).as_str()));
        assert_eq!(history.back(history.count() + 1), None);
        let longest = "x".repeat(LINE_MAX);
        history.remember(&longest);
        assert_eq!((history.back(1), history.back(2)), (Some(longest.as_str()), Some(line(39).as_str())));
        assert_eq!(history.back(0), None);
    }
}
