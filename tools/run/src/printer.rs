//! Two streams written as one log, line by line, so that nobody can pass for another.
//!
//! The kernel's lines stand in the log as they are, for scripts look for them. The console's text is anybody's: a process
//! prints what a server sends it. So of the console's text control characters are escaped, and a line of it that could be
//! taken for one of the kernel's begins with [`MARK`]: what begins like a line of the kernel's is one. At a terminal, where
//! console text appears at once, the kernel's lines have a colour, and only what a line editor needs passes unchanged.

use crate::likeness::Likeness;
use crate::outcome::Event;
use crate::row::Row;
use slopos_escape::Escaper;
use std::io::{Result, Write};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes: console text is held back until its line is complete, so that lines never mix.
    Lines,
    /// For a person at a raw terminal: console text appears at once. On a [screen](Printer::screen) a log line takes the
    /// place of a console line that has no end yet, such as a prompt with what was typed, and that one is drawn again below
    /// it, with the cursor where it was.
    Terminal,
}

/// What a line of the console's begins with where it could be taken for another's.
pub const MARK: &str = "| ";

/// Most console bytes without a line's end that are held back.
const LINE_MAX: usize = 64 * 1024;

/// Longest control sequence that passes to a terminal: to erase a part of the line.
const ERASE_MAX: usize = 4;

/// What clears a screen (ECMA-48 sections 8.3.39, ED, and 8.3.21, CUP). All that it shows is scrolled out of sight instead,
/// for a program must not make a line of the kernel's vanish.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// Writes events as one log.
pub struct Printer<W: Write> {
    output: W,
    style: Style,
    /// Whether log lines begin with their time and level.
    times: bool,
    /// Whether console text is written as it is.
    raw: bool,
    /// Whether the kernel's lines have a colour.
    colour: bool,
    likeness: Likeness,
    /// Console text whose line is not complete. At a terminal, a control sequence that is not.
    partial: Vec<u8>,
    /// What shows text at a terminal.
    escaper: Escaper,
    /// The last line of the output is the console's and has no end.
    open: bool,
    /// The console's line was cut by one of the log.
    cut: bool,
    /// What a terminal shows of the console's line, to draw it again behind a line of the log.
    row: Row,
    /// Tells the rows and columns of the screen, where there is one.
    screen: Option<fn() -> (usize, usize)>,
}

impl<W: Write> Printer<W> {
    /// A printer at the beginning of a line.
    pub fn new(output: W, style: Style, times: bool) -> Printer<W> {
        Printer {
            output,
            style,
            times,
            raw: false,
            colour: false,
            likeness: Likeness::default(),
            partial: Vec::new(),
            escaper: Escaper::new(),
            open: false,
            cut: false,
            row: Row::default(),
            screen: None,
        }
    }

    /// Whether console text is written as it is, whatever it looks like and commands.
    pub fn raw(mut self, raw: bool) -> Printer<W> {
        self.raw = raw;
        self
    }

    /// What the lines of the kernel's log look like; [`Decoder::likeness`](crate::Decoder::likeness) knows.
    pub fn likeness(mut self, likeness: Likeness) -> Printer<W> {
        self.likeness = likeness;
        self
    }

    /// Whether the kernel's lines are shown in a colour, which console text cannot have.
    pub fn colour(mut self, colour: bool) -> Printer<W> {
        self.colour = colour;
        self
    }

    /// Writes to a screen, whose rows and columns this function tells: what was written there can be written anew.
    pub fn screen(mut self, size: Option<fn() -> (usize, usize)>) -> Printer<W> {
        self.screen = size;
        self
    }

    /// Writes what an event tells.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Console(bytes) | Event::Beside(bytes) if self.style == Style::Lines => self.lines(bytes)?,
            Event::Console(bytes) | Event::Beside(bytes) => self.keys(bytes)?,
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
        let drawing = self.screen.filter(|_| self.open && !self.raw).and_then(|size| self.row.drawing(size().1));
        if drawing.is_some() {
            self.output.write_all(b"\r\x1b[K")?;
        } else if self.open {
            self.output.write_all(b"\n")?;
            self.cut = true;
        }
        self.open = drawing.is_some();
        let (before, after) = if self.colour { ("\x1b[36m", "\x1b[39m") } else { ("", "") };
        self.output.write_all(before.as_bytes())?;
        slopos_escape::show(text.as_bytes(), &mut |shown| self.output.write_all(shown))?;
        writeln!(self.output, "{after}")?;
        match drawing {
            Some(drawing) => self.output.write_all(&drawing),
            None => {
                self.row = Row::default();
                Ok(())
            }
        }
    }

    /// Ends a line of the console's that is open.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn end_line(&mut self) -> Result<()> {
        if std::mem::take(&mut self.open) { self.output.write_all(b"\n") } else { Ok(()) }
    }

    /// Writes what was held back, for nothing more will come.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self) -> Result<W> {
        let rest = std::mem::take(&mut self.partial);
        if self.style == Style::Terminal {
            slopos_escape::show(&rest, &mut |shown| self.output.write_all(shown))?;
        } else if !rest.is_empty() || self.open {
            self.console_line(&rest)?;
            self.output.write_all(b"\n")?;
        }
        self.output.flush()?;
        Ok(self.output)
    }

    /// Takes console text for a file or a pipe.
    fn lines(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(piece);
            let ends = self.partial.last() == Some(&b'\n');
            if ends || self.partial.len() > LINE_MAX {
                let mut line = std::mem::take(&mut self.partial);
                self.console_line(&line)?;
                // Most lines are short; what a long one needed is not kept.
                line.clear();
                self.partial = if line.capacity() > LINE_MAX { Vec::new() } else { line };
                self.open = !ends;
                self.cut &= !ends;
            }
        }
        Ok(())
    }

    /// Writes a line of the console's, or a part of one.
    fn console_line(&mut self, line: &[u8]) -> Result<()> {
        if self.raw {
            return self.output.write_all(line);
        }
        let shown = shown(line)?;
        let text = String::from_utf8_lossy(&shown);
        if !self.open && (self.cut || self.likeness.fits(&text, self.times)) {
            self.output.write_all(MARK.as_bytes())?;
        }
        self.output.write_all(&shown)
    }

    /// Takes console text for a terminal. What a line editor writes passes: backspace, return, bell, and the sequences
    /// that erase a part of the line.
    fn keys(&mut self, bytes: &[u8]) -> Result<()> {
        if self.raw {
            self.output.write_all(bytes)?;
            self.open = bytes.last().map_or(self.open, |&byte| byte != b'\n');
            return Ok(());
        }
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if !self.partial.is_empty() {
                // An escape came, and perhaps more.
                let (byte, rest) = (bytes[0], &bytes[1..]);
                let clears = CLEAR.starts_with(&self.partial) && CLEAR.get(self.partial.len()) == Some(&byte);
                let erases = match self.partial.len() {
                    1 => byte == b'[',
                    length if length < ERASE_MAX => byte.is_ascii_digit() || byte == b'K',
                    _ => byte == b'K',
                } && !self.partial.contains(&b'J');
                if clears || erases {
                    self.partial.push(byte);
                    bytes = rest;
                    if self.partial == CLEAR {
                        self.partial.clear();
                        self.scroll()?;
                    } else if erases && byte == b'K' {
                        let sequence = std::mem::take(&mut self.partial);
                        self.draw(&sequence)?;
                    }
                } else {
                    let shown = shown(&std::mem::take(&mut self.partial))?;
                    self.draw(&shown)?;
                }
                continue;
            }
            let passes = |byte: u8| matches!(byte, b'\r' | b'\n' | 7 | 8);
            match bytes.iter().position(|&byte| passes(byte) || byte == 0x1b) {
                Some(0) if bytes[0] == 0x1b => {
                    self.partial.push(0x1b);
                    bytes = &bytes[1..];
                }
                Some(0) => {
                    self.draw(&bytes[..1])?;
                    self.open = bytes[0] != b'\n';
                    bytes = &bytes[1..];
                }
                end => {
                    let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    let mut all = Vec::new();
                    self.escaper.push(text, &mut |shown| {
                        all.extend_from_slice(shown);
                        Ok::<_, std::io::Error>(())
                    })?;
                    self.draw(&all)?;
                    self.open = true;
                    bytes = rest;
                }
            }
        }
        Ok(())
    }

    /// Writes to a terminal, and remembers what its row shows.
    fn draw(&mut self, bytes: &[u8]) -> Result<()> {
        self.row.write(bytes);
        self.output.write_all(bytes)
    }

    /// Scrolls all that a screen shows out of sight.
    fn scroll(&mut self) -> Result<()> {
        let Some(size) = self.screen else { return Ok(()) };
        self.draw(&vec![b'\n'; size().0])?;
        self.open = false;
        // To the screen's first row and column.
        self.output.write_all(b"\x1b[H")
    }
}

/// Text with its control characters escaped.
fn shown(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut shown = Vec::new();
    slopos_escape::show(bytes, &mut |piece| {
        shown.extend_from_slice(piece);
        Ok::<_, std::io::Error>(())
    })?;
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Line;

    fn console(text: &str) -> Event {
        Event::Console(text.as_bytes().to_vec())
    }

    fn log(level: &'static str, text: &str) -> Event {
        Event::Log(Line { time: Some("0.25".into()), level: Some(level), text: text.into() })
    }

    fn printed(style: Style, times: bool, events: &[Event]) -> String {
        written(Printer::new(Vec::new(), style, times), events)
    }

    fn written(mut printer: Printer<Vec<u8>>, events: &[Event]) -> String {
        for event in events {
            printer.event(event).expect("a vector takes all");
        }
        String::from_utf8(printer.finish().expect("a vector takes all")).expect("text")
    }

    /// As a kernel has it that logs of DHCP and of its tests.
    fn likeness() -> Likeness {
        let symbols = ["dhcp: lease {=u8}", "Interrupt tests passed."]
            .map(|text| format!(r#"{{"package":"p","tag":"defmt_info","data":"{text}"}}"#));
        Likeness::of_symbols(symbols.iter().map(String::as_str))
    }

    #[test]
    fn a_log_line_does_not_cut_a_console_line() {
        let events = [console("HTTP/1.1 "), log("info", "tcp: connected"), console("200 OK\nbody"), log("info", "end")];
        assert_eq!(printed(Style::Lines, false, &events), "tcp: connected\nHTTP/1.1 200 OK\nend\nbody\n");
    }

    /// What a screen of 24 rows and 80 columns gets.
    fn screened(events: &[Event]) -> String {
        written(Printer::new(Vec::new(), Style::Terminal, false).screen(Some(|| (24, 80))), events)
    }

    #[test]
    fn console_text_reaches_a_terminal_at_once() {
        let events = [console("slop> "), log("info", "link up"), console("he"), console("lp\r\n"), log("info", "x")];
        assert_eq!(screened(&events), "slop> \r\x1b[Klink up\nslop> help\r\nx\n");
        // In a file nothing can be erased.
        assert_eq!(printed(Style::Terminal, false, &events), "slop> \nlink up\nhelp\r\nx\n");
    }

    #[test]
    fn the_prompt_is_drawn_again_with_what_was_typed_behind_a_log_line() {
        let typed = [console("slopos> "), console("p"), console("z"), console("\x08 \x08"), console("s")];
        let events = [&typed[..], &[log("info", "link up"), log("info", "link down"), console("\r\n")]].concat();
        let line = "slopos> ps";
        let expected = format!("slopos> pz\x08 \x08s\r\x1b[Klink up\n{line}\r\x1b[Klink down\n{line}\r\n");
        assert_eq!(screened(&events), expected);
        // With the cursor where it was, and the next key there.
        let events = [console("slopos> nett\x08\x08"), log("info", "link up"), console("xtt\x08\x08")];
        let line = "slopos> nett\x08\x08";
        assert_eq!(screened(&events), format!("{line}\r\x1b[Klink up\n{line}xtt\x08\x08"));
        // One that takes more than a row cannot be erased, and is left as it is.
        let long = "x".repeat(81);
        let events = [console(&long), log("info", "link up"), console("y"), log("info", "link down")];
        assert_eq!(screened(&events), format!("{long}\nlink up\ny\r\x1b[Klink down\ny"));
    }

    #[test]
    fn a_cleared_screen_loses_no_line() {
        let cleared = format!("x{}\x1b[H", "\n".repeat(24));
        assert_eq!(screened(&[console("x\x1b[2J\x1b[Hslopos> ")]), format!("{cleared}slopos> "));
        let pieces: Vec<_> = "x\x1b[2J\x1b[Hslopos> ".chars().map(|key| console(&key.to_string())).collect();
        assert_eq!(screened(&pieces), format!("{cleared}slopos> "));
        assert_eq!(printed(Style::Terminal, false, &pieces), "xslopos> ");
        for text in ["\x1b[2Jy", "\x1b[2J\x1b[K", "\x1b[Hy", "\x1b[2J\x1b[2Jy"] {
            let escaped = text.replace('\x1b', "\\x1b");
            assert_eq!(screened(&[console(text)]), escaped, "{text:?}");
        }
    }

    #[test]
    fn levels_and_times_are_shown_where_they_help() {
        let events = [log("info", "up"), log("warn", "slow"), log("error", "gone"), Event::Qemu("no disk".into())];
        assert_eq!(printed(Style::Lines, false, &events), "up\nwarning: slow\nerror: gone\nqemu: no disk\n");
        assert_eq!(printed(Style::Lines, true, &events[..1]), "        0.25 info  up\n");
    }

    #[test]
    fn a_body_without_line_ends_is_not_held_back_for_ever_and_hides_no_line() {
        let long = "a".repeat(LINE_MAX + 1);
        let events = [console(&long), log("info", "dhcp: lease 1"), console("dhcp: lease 2\nx\n")];
        // What goes on behind the kernel's line is known to be the console's.
        let expected = format!("{long}\ndhcp: lease 1\n| dhcp: lease 2\nx\n");
        assert_eq!(printed(Style::Lines, false, &events), expected);
        assert_eq!(printed(Style::Lines, false, &events[..1]), format!("{long}\n"));
        // Without a line of the kernel's between, it is one line.
        let events = [console(&long), console(&long), console("\nend\n")];
        assert_eq!(printed(Style::Lines, false, &events), format!("{long}{long}\nend\n"));
    }

    #[test]
    fn a_console_line_that_could_be_the_kernels_is_marked() {
        let body =
            "Interrupt tests passed.\ndhcp: lease 6.6.6.6/24\nerror: gone\nqemu: x\nHTTP/1.1 200 OK\nwebget: done\n";
        let events = [log("info", "dhcp: lease 1"), console(body), log("info", "Interrupt tests passed.")];
        let printer = || Printer::new(Vec::new(), Style::Lines, false).likeness(likeness());
        assert_eq!(
            written(printer(), &events),
            "dhcp: lease 1\n| Interrupt tests passed.\n| dhcp: lease 6.6.6.6/24\n| error: gone\n| qemu: x\n\
             HTTP/1.1 200 OK\nwebget: done\nInterrupt tests passed.\n"
        );
        // In pieces of any size, and at the end without a line's end.
        let pieces: Vec<Event> =
            body.trim_end().as_bytes().chunks(3).map(|piece| Event::Console(piece.into())).collect();
        assert!(
            written(printer(), &pieces).starts_with("| Interrupt tests passed.\n| dhcp: lease 6.6.6.6/24\n| error")
        );
        assert_eq!(written(printer(), &[console("Interrupt tests passed.")]), "| Interrupt tests passed.\n");
        let timed = Printer::new(Vec::new(), Style::Lines, true).likeness(likeness());
        assert_eq!(written(timed, &[console("        0.25 info  up\n")]), "|         0.25 info  up\n");
        assert_eq!(written(printer().raw(true), &events[1..2]), body);
    }

    #[test]
    fn control_characters_are_escaped_in_lines() {
        let text = "a\rdhcp: lease 1\x1b[2K\u{9b}A\u{2028}b\tc\n";
        let expected = "a\\x0ddhcp: lease 1\\x1b[2K\\u{9b}A\\u{2028}b\tc\n";
        assert_eq!(printed(Style::Lines, false, &[console(text)]), expected);
        assert_eq!(printed(Style::Lines, false, &[Event::Console(b"\x9b\xff\n".to_vec())]), "\\x9b\\xff\n");
        assert_eq!(printed(Style::Lines, false, &[log("info", "a\x1b[2J")]), "a\\x1b[2J\n");
        assert_eq!(written(Printer::new(Vec::new(), Style::Lines, false).raw(true), &[console(text)]), text);
    }

    #[test]
    fn a_terminal_gets_what_a_line_editor_needs_and_no_more() {
        for (text, expected) in [
            ("ps\x08 \x08\r\x1b[Kslopos> \x07", "ps\x08 \x08\r\x1b[Kslopos> \x07"),
            ("\x1b[2K\x1b[0K", "\x1b[2K\x1b[0K"),
            ("\x1b]0;x\x07\x1b[2Jy", "\\x1b]0;x\x07\\x1b[2Jy"),
            ("\x1b[36mkernel\x1b[39m", "\\x1b[36mkernel\\x1b[39m"),
            ("\x1b[1A\x1b\x1b[K", "\\x1b[1A\\x1b\x1b[K"),
            ("\x1b[123K", "\\x1b[123K"),
            ("ä\u{9b}2J", "ä\\u{9b}2J"),
        ] {
            assert_eq!(printed(Style::Terminal, false, &[console(text)]), expected, "{text:?}");
            let bytes: Vec<Event> = text.bytes().map(|byte| Event::Console(vec![byte])).collect();
            assert_eq!(printed(Style::Terminal, false, &bytes), expected, "{text:?} byte by byte");
        }
        let coloured = Printer::new(Vec::new(), Style::Terminal, false).colour(true).screen(Some(|| (24, 80)));
        let events = [console("x"), log("info", "link up")];
        assert_eq!(written(coloured, &events), "x\r\x1b[K\x1b[36mlink up\x1b[39m\nx");
    }
}
