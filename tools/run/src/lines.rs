//! Lines of the kernel's log, and the log of a kernel that writes it as text: what a line says, and which lines of a serial
//! port are the log's where the console has that port too.

use crate::pieces::{Part, Pieces};
use slopos_abi::LOG_LINE_MARK;
use std::time::Duration;

/// The levels' names.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// One line of the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The kernel's time stamp, where it has one.
    pub time: Option<String>,
    /// `info`, `warn` and so on; `None` for a line without a level.
    pub level: Option<&'static str>,
    /// What the kernel says.
    pub text: String,
}

impl Line {
    /// The time stamp as a span of time.
    pub fn since_boot(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.time.as_deref()?.parse().ok()?).ok()
    }

    /// The line as a log shows it.
    ///
    /// An ordinary line is its bare text, because scripts look for these lines; warnings and errors say that they are.
    /// With `times`, each line begins with its time and level instead.
    pub fn show(&self, times: bool) -> String {
        let level = self.level.unwrap_or("");
        match (times, level) {
            (true, _) => format!("{:>12} {level:<5} {}", self.time.as_deref().unwrap_or(""), self.text),
            (false, "warn") => format!("warning: {}", self.text),
            (false, "error") => format!("error: {}", self.text),
            (false, _) => self.text.clone(),
        }
    }
}

/// Reads a line as [`Line::show`] writes it with times; `None` where it is none.
pub fn line(text: &str) -> Option<Line> {
    let (time, rest) = text.trim_start().split_once(' ')?;
    let is_time = time.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let (level, text) = rest.split_at_checked(5)?;
    let level = match level.trim_end() {
        "" => None,
        word => Some(*LEVELS.iter().find(|level| **level == word)?),
    };
    let text = text.strip_prefix(' ')?.to_owned();
    is_time.then(|| Line { time: Some(time.to_owned()), level, text })
}

/// Takes a port apart that carries the log between the console's text.
pub enum Shared {
    /// Frames, in pieces.
    Pieces(Pieces),
    /// Lines with a mark.
    Lines(Marked),
}

impl Default for Shared {
    fn default() -> Self {
        Shared::Pieces(Pieces::default())
    }
}

impl Shared {
    /// Takes the next bytes and returns what they complete, in order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Part> {
        match self {
            Shared::Pieces(pieces) => pieces.push(bytes),
            Shared::Lines(lines) => lines.push(bytes),
        }
    }

    /// What is left at the port's end.
    pub fn finish(self) -> Option<Part> {
        match self {
            Shared::Pieces(pieces) => pieces.finish(),
            Shared::Lines(lines) => lines.finish(),
        }
    }
}

/// Finds the lines with a mark. The board sees to it that none of the console's has it.
#[derive(Debug)]
pub struct Marked {
    /// What may be the beginning of a mark; behind one, the line.
    held: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line, or in what may be its mark.
    Beginning,
    /// In a line of the console's.
    Text,
    /// In one of the log's.
    Log,
}

impl Default for Marked {
    fn default() -> Self {
        Marked { held: Vec::new(), place: Place::Beginning }
    }
}

impl Marked {
    fn push(&mut self, bytes: &[u8]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        for &byte in bytes {
            self.held.push(byte);
            match self.place {
                Place::Log if byte == b'\n' => {
                    parts.push(Part::Log(std::mem::take(&mut self.held)));
                    self.place = Place::Beginning;
                }
                Place::Log => {}
                Place::Beginning if self.held == LOG_LINE_MARK.as_bytes() => {
                    self.held.clear();
                    self.place = Place::Log;
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                }
                Place::Beginning if LOG_LINE_MARK.as_bytes().starts_with(&self.held) => {}
                Place::Beginning | Place::Text => {
                    text.append(&mut self.held);
                    self.place = if matches!(byte, b'\r' | b'\n') { Place::Beginning } else { Place::Text };
                }
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        parts
    }

    fn finish(self) -> Option<Part> {
        match (self.held.is_empty(), self.place) {
            (true, _) => None,
            (_, Place::Log) => Some(Part::Log(self.held)),
            _ => Some(Part::Text(self.held)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_shown() {
        for (time, level, text) in [
            ("0.012345", Some("info"), "dhcp: lease 10.0.2.15/24"),
            ("12345678.000001", Some("error"), ""),
            ("1.5", None, "  two blanks"),
            ("0.1", Some("warn"), "a"),
        ] {
            let given = Line { time: Some(time.into()), level, text: text.into() };
            assert_eq!(line(&given.show(true)), Some(given));
        }
        for none in ["", "?", "0.1", "0.1 info", "x.1 info  a", "0.1 loud  a", "0. info  a", "    0.000009 infos a"] {
            assert_eq!(line(none), None, "{none:?}");
        }
    }

    #[test]
    fn lines_of_the_log_are_told_from_the_console_s_in_whatever_portions_they_come() {
        let bytes = b"[log] one\r\n[lo\n[log]? forged\r[log] two\n[ x\nslopos> \r\n[log] three\r\na [log] b\n[log] cut";
        for portion in 1..=bytes.len() {
            let mut marked = Marked::default();
            let mut parts: Vec<Part> = bytes.chunks(portion).flat_map(|chunk| marked.push(chunk)).collect();
            parts.extend(marked.finish());
            let mut log = Vec::new();
            let mut text = Vec::new();
            for part in parts {
                match part {
                    Part::Log(line) => log.push(String::from_utf8(line).expect("text")),
                    Part::Text(more) => text.extend(more),
                    Part::Damaged(count) => panic!("{count}"),
                }
            }
            assert_eq!(log, ["one\r\n", "two\n", "three\r\n", "cut"], "{portion}");
            assert_eq!(
                String::from_utf8(text).expect("text"),
                "[lo\n[log]? forged\r[ x\nslopos> \r\na [log] b\n",
                "{portion}"
            );
        }
    }
}
