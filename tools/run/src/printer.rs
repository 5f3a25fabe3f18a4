//! Two streams written as one log, line by line.

use crate::machine::Event;
use std::io::{Result, Write};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes: console text is held back until its line is complete, so that lines never mix.
    Lines,
    /// For a person at a raw terminal: console text appears at once and unchanged; a log line that comes in the middle
    /// of a console line begins a new one.
    Terminal,
}

/// Most console bytes without a line's end that are held back.
const LINE_MAX: usize = 64 * 1024;

/// Writes events as one log.
pub struct Printer<W: Write> {
    output: W,
    style: Style,
    /// Whether log lines begin with their time and level.
    times: bool,
    /// Console text whose line is not complete. At a terminal it was written already.
    partial: Vec<u8>,
}

impl<W: Write> Printer<W> {
    /// A printer at the beginning of a line.
    pub fn new(output: W, style: Style, times: bool) -> Printer<W> {
        Printer { output, style, times, partial: Vec::new() }
    }

    /// Writes what an event tells.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Console(bytes) => self.console(bytes)?,
            Event::Log(line) => self.line(&line.show(self.times))?,
            Event::Qemu(text) => self.line(&format!("qemu: {text}"))?,
        }
        self.output.flush()
    }

    /// Writes a whole line that is not the console's.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn line(&mut self, text: &str) -> Result<()> {
        match self.style {
            Style::Lines => writeln!(self.output, "{text}"),
            Style::Terminal => {
                let first = if self.partial.is_empty() { "" } else { "\n" };
                self.partial.clear();
                writeln!(self.output, "{first}{text}")
            }
        }
    }

    /// Writes what was held back, for nothing more will come.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self) -> Result<W> {
        if self.style == Style::Lines && !self.partial.is_empty() {
            self.output.write_all(&self.partial)?;
            self.output.write_all(b"\n")?;
        }
        self.output.flush()?;
        Ok(self.output)
    }

    fn console(&mut self, bytes: &[u8]) -> Result<()> {
        if self.style == Style::Terminal {
            self.output.write_all(bytes)?;
        }
        let (complete, rest) = match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => bytes.split_at(end + 1),
            None => (&[][..], bytes),
        };
        if self.style == Style::Lines && !complete.is_empty() {
            self.output.write_all(&self.partial)?;
            self.output.write_all(complete)?;
        }
        if !complete.is_empty() {
            self.partial.clear();
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > LINE_MAX {
            if self.style == Style::Lines {
                self.output.write_all(&self.partial)?;
            }
            self.partial.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::Line;

    fn console(text: &str) -> Event {
        Event::Console(text.as_bytes().to_vec())
    }

    fn log(level: &'static str, text: &str) -> Event {
        Event::Log(Line { time: Some("0.25".into()), level: Some(level), text: text.into() })
    }

    fn printed(style: Style, times: bool, events: &[Event]) -> String {
        let mut printer = Printer::new(Vec::new(), style, times);
        for event in events {
            printer.event(event).expect("a vector takes all");
        }
        String::from_utf8(printer.finish().expect("a vector takes all")).expect("text")
    }

    #[test]
    fn a_log_line_does_not_cut_a_console_line() {
        let events = [console("HTTP/1.1 "), log("info", "tcp: connected"), console("200 OK\nbody"), log("info", "end")];
        assert_eq!(printed(Style::Lines, false, &events), "tcp: connected\nHTTP/1.1 200 OK\nend\nbody\n");
    }

    #[test]
    fn console_text_reaches_a_terminal_at_once_and_unchanged() {
        let events = [console("slop> "), log("info", "link up"), console("he"), console("lp\r\n"), log("info", "x")];
        assert_eq!(printed(Style::Terminal, false, &events), "slop> \nlink up\nhelp\r\nx\n");
    }

    #[test]
    fn levels_and_times_are_shown_where_they_help() {
        let events = [log("info", "up"), log("warn", "slow"), log("error", "gone"), Event::Qemu("no disk".into())];
        assert_eq!(printed(Style::Lines, false, &events), "up\nwarning: slow\nerror: gone\nqemu: no disk\n");
        assert_eq!(printed(Style::Lines, true, &events[..1]), "        0.25 info  up\n");
    }

    #[test]
    fn a_body_without_line_ends_is_not_held_back_for_ever() {
        let events = [console(&"a".repeat(LINE_MAX + 1)), log("info", "later")];
        let text = printed(Style::Lines, false, &events);
        assert!(text.starts_with("aaa") && text.ends_with("later\n"), "{} bytes", text.len());
    }
}
