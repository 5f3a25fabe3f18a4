//! Lines of the log on a serial port that the console has too.
//!
//! Each begins with [`LOG_LINE_MARK`], and no line of the console's text does: one that would is changed. Where a line of
//! the log has to come before the console's line has ended, that is ended first.

use crate::LogRing;
use crate::text::Text;
use slopos_abi::{LOG_LINE_FORGED, LOG_LINE_MARK};

/// Most bytes of a line of the log, its end included. A longer one is cut where it is written.
pub const LINE_MAX: usize = 1024;

/// What ends a line.
pub const LINE_END: &str = "\r\n";

/// The line that is being sent, if there is one. All bytes zero is none.
pub struct MarkedLine {
    bytes: [u8; LOG_LINE_MARK.len() + LINE_MAX],
    length: usize,
    sent: usize,
}

impl Default for MarkedLine {
    fn default() -> Self {
        MarkedLine::new()
    }
}

impl MarkedLine {
    /// None.
    pub const fn new() -> Self {
        MarkedLine { bytes: [0; LOG_LINE_MARK.len() + LINE_MAX], length: 0, sent: 0 }
    }

    /// Takes the next line out of the ring. Does nothing while one is not wholly sent.
    pub fn begin<const N: usize>(&mut self, ring: &mut LogRing<N>) {
        if !self.is_sent() || ring.is_empty() {
            return;
        }
        (self.length, self.sent) = (0, 0);
        self.add(LOG_LINE_MARK.as_bytes());
        // The ring may hold the line in two parts, and holds the whole of it.
        let mut ended = false;
        while !ended && !ring.is_empty() {
            let front = ring.front();
            let end = front.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let part = front.get(..end.unwrap_or(front.len())).unwrap_or_default();
            self.add(part);
            ended = end.is_some();
            let count = part.len();
            ring.remove(count);
        }
    }

    fn add(&mut self, part: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + part.len()) {
            room.copy_from_slice(part);
            self.length += part.len();
        }
    }

    /// What of the line is not yet sent.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..self.length).unwrap_or_default()
    }

    /// The port has taken `count` bytes.
    pub fn remove(&mut self, count: usize) {
        self.sent = self.length.min(self.sent + count);
    }

    /// Whether there is no line, or all of it was sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.length
    }
}

/// Follows the console's text, as [`Text`] does, and keeps its lines from being taken for the log's.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarkedText {
    text: Text,
    /// How many bytes of the mark the line began with; more than it has where it did not.
    marked: u8,
}

/// The line did not begin with the mark.
const UNMARKED: u8 = LOG_LINE_MARK.len() as u8;

impl MarkedText {
    /// Takes the next byte. Returns what goes to the port before it.
    pub fn pass(&mut self, byte: u8) -> [&'static str; 2] {
        self.text.follow(byte);
        if matches!(byte, b'\r' | b'\n') {
            self.marked = 0;
            return [""; 2];
        }
        let goes_on = LOG_LINE_MARK.as_bytes().get(usize::from(self.marked)) == Some(&byte);
        self.marked = if goes_on { self.marked + 1 } else { UNMARKED };
        let forged = goes_on && self.marked == UNMARKED;
        [if forged { LOG_LINE_FORGED } else { "" }, ""]
    }

    /// Whether a line of the log may come now.
    pub fn admits_piece(&self) -> bool {
        self.text.admits_piece()
    }

    /// What ends the console's line for a line of the log to come; nothing where it has ended.
    pub fn end_line(&mut self) -> &'static str {
        let end = self.text.line_end();
        self.text = Text::default();
        self.marked = 0;
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(text: &str) -> String {
        let mut state = MarkedText::default();
        let mut out = Vec::new();
        for byte in text.bytes() {
            out.extend(state.pass(byte).concat().bytes());
            out.push(byte);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_line_of_a_program_looks_like_one_of_the_log() {
        for (text, expected) in [
            ("[log] x", "[log]? x"),
            ("a\n[log] x\r[log] y\r\n[log] ", "a\n[log]? x\r[log]? y\r\n[log]? "),
            ("a [log] x", "a [log] x"),
            ("[[log] x", "[[log] x"),
            ("[log]x\n[lo", "[log]x\n[lo"),
        ] {
            assert_eq!(passed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_is_sent_whole_however_it_lies_in_the_ring() {
        let mut ring = LogRing::<16>::new();
        let mut line = MarkedLine::new();
        for round in 0..20 {
            for text in ["abc\r\n", "defgh\r\n"] {
                ring.begin();
                ring.push(text.as_bytes());
                assert!(ring.end(), "{round}");
            }
            for text in ["[log] abc\r\n", "[log] defgh\r\n"] {
                line.begin(&mut ring);
                let mut sent = Vec::new();
                while !line.is_sent() {
                    // Nothing happens to it meanwhile.
                    line.begin(&mut ring_of_others());
                    sent.extend_from_slice(&line.rest()[..1]);
                    line.remove(1);
                }
                assert_eq!(String::from_utf8(sent).unwrap(), text);
            }
            line.begin(&mut ring);
            assert!(line.is_sent(), "nothing waits");
        }
    }

    fn ring_of_others() -> LogRing<16> {
        let mut ring = LogRing::new();
        ring.begin();
        ring.push(b"another\n");
        ring.end();
        ring
    }

    #[test]
    fn a_line_of_the_console_is_ended_where_one_of_the_log_comes() {
        for (text, end) in
            [("", ""), ("a\r\n", ""), ("slopos> ", "\r\n"), ("\x1b]0;ti", "\x18\r\n"), ("a\r\nb", "\r\n")]
        {
            let mut state = MarkedText::default();
            for byte in text.bytes() {
                state.pass(byte);
            }
            assert_eq!(state.end_line(), end, "{text:?}");
            assert_eq!(state.end_line(), "", "{text:?}");
            assert!(state.admits_piece());
        }
    }
}
