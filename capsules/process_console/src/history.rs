//! The lines that were typed before, and the one that was being typed when they were looked through.

use crate::line::LINE_MAX;
use heapless::String;

/// Bytes of all lines: two of the longest, or many short ones.
const BYTES: usize = 2 * LINE_MAX;
/// Most lines that are kept.
const LINES: usize = 16;

/// The lines typed before, the latest last; each ends with a newline. The oldest make room.
pub(crate) struct History {
    text: String<BYTES>,
    /// The last line is no earlier one: it is the one being typed.
    has_draft: bool,
}

impl History {
    pub(crate) const fn new() -> Self {
        History { text: String::new(), has_draft: false }
    }

    /// The line that many lines back; 1 is the latest, 0 is the one being typed, if it was kept.
    pub(crate) fn back(&self, count: usize) -> Option<&str> {
        let place = (count + usize::from(self.has_draft)).checked_sub(1)?;
        self.text.lines().rev().nth(place)
    }

    /// Adds a line, unless it is empty or the same as the latest. The one being typed is forgotten.
    pub(crate) fn remember(&mut self, line: &str) {
        self.take_draft();
        if self.back(1) != Some(line) {
            self.add(line);
        }
    }

    /// Keeps the line that is being typed while earlier ones are looked at.
    pub(crate) fn keep_draft(&mut self, line: &str) {
        self.take_draft();
        self.has_draft = self.add(line);
    }

    /// Forgets the line that was being typed.
    pub(crate) fn take_draft(&mut self) {
        if core::mem::take(&mut self.has_draft) {
            self.text.pop();
            let rest = self.text.rfind('\n').map_or(0, |end| end + 1);
            self.text.truncate(rest);
        }
    }

    /// Adds a line, if it is not empty, and drops the oldest for it. Answers whether it was added.
    fn add(&mut self, line: &str) -> bool {
        if line.is_empty() {
            return false;
        }
        while self.text.lines().count() >= LINES || self.text.len() + line.len() + 1 > self.text.capacity() {
            let Some(oldest) = self.text.find('\n') else { return false };
            self.text.drain(..=oldest);
        }
        self.text.push_str(line).is_ok() && self.text.push('\n').is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> std::string::String {
        std::format!("{number:0>1500}")
    }

    #[test]
    fn the_oldest_lines_make_room() {
        let mut history = History::new();
        for number in 0..40 {
            history.remember(&line(number));
        }
        let kept = BYTES / 1501;
        assert_eq!(history.back(1), Some(line(39).as_str()));
        assert_eq!(history.back(kept), Some(line(40 - kept).as_str()));
        assert_eq!(history.back(kept + 1), None);
        let longest = "x".repeat(LINE_MAX);
        history.remember(&longest);
        assert_eq!((history.back(1), history.back(2)), (Some(longest.as_str()), Some(line(39).as_str())));
        assert_eq!(history.back(0), None);
    }

    #[test]
    fn sixteen_lines_are_kept_and_none_twice_in_a_row() {
        let mut history = History::new();
        for number in 0..20 {
            for _ in 0..2 {
                history.remember(&std::format!("{number}"));
            }
            history.remember("");
        }
        let kept: std::vec::Vec<_> = (1..).map_while(|count| history.back(count)).collect();
        assert_eq!(kept, (4..20).rev().map(|number| number.to_string()).collect::<std::vec::Vec<_>>());
    }

    #[test]
    fn the_line_being_typed_is_kept_until_a_line_is_complete() {
        let mut history = History::new();
        history.remember("ps");
        history.keep_draft("net");
        assert_eq!([0, 1, 2].map(|count| history.back(count)), [Some("net"), Some("ps"), None]);
        history.keep_draft("ne");
        assert_eq!([0, 1, 2].map(|count| history.back(count)), [Some("ne"), Some("ps"), None]);
        history.remember("ps");
        assert_eq!([0, 1, 2].map(|count| history.back(count)), [None, Some("ps"), None]);
        history.keep_draft("");
        assert_eq!([0, 1].map(|count| history.back(count)), [None, Some("ps")]);
    }
}
