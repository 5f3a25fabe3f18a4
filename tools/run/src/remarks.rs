//! What webget says beside a body: its progress, which begins with a carriage return, stays one line on a terminal, and of
//! several empty lines one is shown. webget writes one where a body left its line open, which is not to be seen here.

use crate::outcome::Event;
use std::io::{Result, Write};

/// Longest line of progress that is shown, in bytes: a longer one would take more than a row.
const SHOWN_MAX: usize = 78;

/// Takes progress out of what passes by, and draws it below.
#[derive(Debug)]
pub struct Remarks {
    /// Whether there is a terminal to draw on.
    live: bool,
    /// The line of progress, where one has begun; what is drawn.
    progress: Option<Vec<u8>>,
    /// How many ends of lines passed last.
    line_ends: usize,
}

impl Remarks {
    /// For a terminal (`live`), or for anything else, where progress passes as it is.
    pub fn new(live: bool) -> Remarks {
        Remarks { live, progress: None, line_ends: 1 }
    }

    /// Passes an event on to `log`, without the progress in it. The progress is drawn on `terminal`.
    ///
    /// # Errors
    /// Those of `log` and of the terminal.
    pub fn pass<E: From<std::io::Error>>(
        &mut self,
        event: &Event,
        terminal: &mut impl Write,
        mut log: impl FnMut(&Event) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E> {
        self.erase(terminal)?;
        if let Event::Beside(bytes) = event {
            let text = self.without_progress(bytes);
            if !text.is_empty() {
                log(&Event::Beside(text))?;
            }
        } else {
            log(event)?;
        }
        Ok(self.draw(terminal)?)
    }

    /// Ends a line of progress that is still there, for nothing more will come.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn finish(&mut self, terminal: &mut impl Write) -> Result<()> {
        match self.progress.take() {
            Some(_) => writeln!(terminal),
            None => Ok(()),
        }
    }

    /// The text in `bytes` that is no progress. Progress that has ended is a line of it.
    fn without_progress(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for &byte in bytes {
            match (&mut self.progress, byte) {
                (Some(line), b'\n') => {
                    text.append(line);
                    text.push(b'\n');
                    // An empty line behind it is one too many.
                    (self.progress, self.line_ends) = (None, 2);
                }
                (Some(line), b'\r') => line.clear(),
                (Some(line), byte) => line.push(byte),
                (None, b'\r') if self.live && self.line_ends > 0 => self.progress = Some(Vec::new()),
                (None, b'\n') => {
                    self.line_ends += 1;
                    if self.line_ends <= 2 {
                        text.push(b'\n');
                    }
                }
                (None, byte) => {
                    self.line_ends = 0;
                    text.push(byte);
                }
            }
        }
        text
    }

    fn erase(&self, terminal: &mut impl Write) -> Result<()> {
        if self.progress.is_some() { terminal.write_all(b"\r\x1b[K") } else { Ok(()) }
    }

    fn draw(&self, terminal: &mut impl Write) -> Result<()> {
        let Some(line) = &self.progress else { return Ok(()) };
        let line = line.get(..SHOWN_MAX).unwrap_or(line);
        slopos_escape::show(line, &mut |shown| terminal.write_all(shown))?;
        terminal.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::{Printer, Style};
    use std::cell::RefCell;

    /// Both write to one terminal.
    struct Screen<'s>(&'s RefCell<Vec<u8>>);

    impl Write for Screen<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn shown(live: bool, pieces: &[&str]) -> String {
        let screen = RefCell::new(Vec::new());
        let mut printer = Printer::new(Screen(&screen), Style::Lines, false);
        let mut remarks = Remarks::new(live);
        for piece in pieces {
            let event = match piece.strip_prefix("log:") {
                Some(text) => Event::Qemu(text.into()),
                None => Event::Beside(piece.as_bytes().to_vec()),
            };
            remarks.pass(&event, &mut Screen(&screen), |event| printer.event(event)).expect("written");
        }
        printer.finish().expect("written");
        String::from_utf8(screen.into_inner()).expect("text")
    }

    #[test]
    fn progress_stays_one_line_below_the_rest() {
        let pieces = ["webget: GET u\n", "\r10 %", "\r20 %", "log: x", "\r30 %", "\n", "webget: done\n"];
        let expected = "webget: GET u\n10 %\r\x1b[K20 %\r\x1b[Kqemu:  x\n20 %\r\x1b[K30 %\r\x1b[K30 %\nwebget: done\n";
        assert_eq!(shown(true, &pieces), expected);
    }

    #[test]
    fn of_several_empty_lines_one_is_shown() {
        for live in [true, false] {
            assert_eq!(shown(live, &["A: b\n", "\n", "\n", "webget: done\n"]), "A: b\n\nwebget: done\n");
        }
        let pieces = ["\n\r10 %\n\nwebget: done\n"];
        assert_eq!(shown(true, &pieces), "\n10 %\nwebget: done\n");
    }

    #[test]
    fn a_return_within_a_line_is_no_progress_and_shows_itself() {
        assert_eq!(shown(true, &["Name: a\rb\r\n"]), "Name: a\\x0db\\x0d\n");
        assert_eq!(shown(true, &["\r\x1b[2Jx"]), "\\x1b[2Jx");
        assert_eq!(shown(false, &["\r10 %", "\r20 %\n"]), "\\x0d10 %\\x0d20 %\n");
    }
}
