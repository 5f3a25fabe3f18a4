//! The person's terminal as the board's serial line.

use rustix::termios::{OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Write, stderr, stdin, stdout};

/// A terminal whose input is raw: every key is a byte, and none is a signal. Dropping it restores the terminal.
pub struct RawMode {
    before: Option<Termios>,
}

impl RawMode {
    /// Puts standard input into raw mode. Where it is no terminal there is nothing to do.
    ///
    /// # Errors
    /// The terminal does not let itself be changed.
    pub fn enter() -> std::io::Result<RawMode> {
        let input = stdin();
        if !isatty(&input) {
            return Ok(RawMode { before: None });
        }
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        // The board ends its lines with LF alone; what is shown is still the terminal's to arrange.
        raw.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        tcsetattr(&input, OptionalActions::Now, &raw)?;
        Ok(RawMode { before: Some(before) })
    }
}

impl RawMode {
    /// What the terminal was set to before; `None` where standard input is none.
    pub fn before(&self) -> Option<Termios> {
        self.before.clone()
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            restore(before);
        }
    }
}

/// Rows and columns of the terminal that is standard output; those of a DEC VT100 where it does not say.
pub fn screen_size() -> (usize, usize) {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

/// Sets standard input's terminal to what it was before.
pub fn restore(before: &Termios) {
    if let Err(why) = tcsetattr(stdin(), OptionalActions::Now, before) {
        // Where it is gone there is nobody to tell.
        let _told = writeln!(stderr(), "run: the terminal stays raw, type `reset`: {why}");
    }
}

/// The byte that Ctrl-A sends; it begins an escape, as in QEMU's own console.
const ESCAPE: u8 = 1;

/// Tells what the person types for the board from what is meant for this tool.
#[derive(Debug, Default)]
pub struct Keys {
    escaped: bool,
}

impl Keys {
    /// Takes typed bytes; the bytes for the board go to `board`. Returns whether the person wants to quit.
    ///
    /// Ctrl-A x quits, Ctrl-A Ctrl-A is one Ctrl-A for the board, Ctrl-A and anything else is dropped.
    pub fn type_bytes(&mut self, typed: &[u8], board: &mut Vec<u8>) -> bool {
        for &byte in typed {
            match (std::mem::take(&mut self.escaped), byte) {
                (false, ESCAPE) => self.escaped = true,
                (false, _) | (true, ESCAPE) => board.push(byte),
                (true, b'x' | b'X') => return true,
                (true, _) => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_a_is_an_escape() {
        let typed = |pieces: &[&[u8]]| {
            let (mut keys, mut board) = (Keys::default(), Vec::new());
            let quit = pieces.iter().any(|piece| keys.type_bytes(piece, &mut board));
            (quit, board)
        };
        assert_eq!(typed(&[b"help\r"]), (false, b"help\r".to_vec()));
        assert_eq!(typed(&[b"a\x01", b"xb"]), (true, b"a".to_vec()));
        assert_eq!(typed(&[b"a\x01\x01x"]), (false, b"a\x01x".to_vec()));
        assert_eq!(typed(&[b"a\x01cx\x03"]), (false, b"ax\x03".to_vec()));
    }
}
