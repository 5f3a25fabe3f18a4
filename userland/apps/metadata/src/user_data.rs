//! What user data may say: a first line `#slopos`, then one command a line.
//!
//! Empty lines and lines that begin with `#` are comments. Nothing of it is carried out before all of it was looked at,
//! here and by the kernel, which decides what a command is and which ones are allowed.

use core::fmt;

use libslop::abi::limits::ASKED_COMMAND_MAX;

/// Most bytes of user data: what EC2 takes.
pub const MOST: usize = 16 * 1024;

/// The first line.
const FIRST: &[u8] = b"#slopos";

/// A command and its line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The line.
    pub line: usize,
    /// The command, without the blanks around it.
    pub text: &'a str,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The first line is another.
    First,
    /// It holds something beside printable ASCII.
    Character,
    /// It is too long.
    Long,
}

/// User data that is not carried out, and the line that is the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: ", self.line)?;
        match self.wrong {
            Wrong::First => formatter.write_str("user data for this board begins with #slopos"),
            Wrong::Character => formatter.write_str("a command is made of printable ASCII"),
            Wrong::Long => write!(formatter, "a command has at most {ASKED_COMMAND_MAX} bytes"),
        }
    }
}

/// The commands in user data, in their order; each may still be refused.
///
/// # Errors
/// The first line is not `#slopos`.
pub fn commands(bytes: &[u8]) -> Result<impl Iterator<Item = Result<Command<'_>, Refused>> + Clone, Refused> {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).zip(1..);
    match lines.next() {
        Some((FIRST, _)) => {}
        _ => return Err(Refused { line: 1, wrong: Wrong::First }),
    }
    let commands = lines.filter(|(text, _)| !matches!(text, [] | [b'#', ..]));
    Ok(commands
        .map(|(text, line)| command(text).map(|text| Command { line, text }).map_err(|wrong| Refused { line, wrong })))
}

fn command(text: &[u8]) -> Result<&str, Wrong> {
    if text.len() > ASKED_COMMAND_MAX {
        return Err(Wrong::Long);
    }
    let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    core::str::from_utf8(text).ok().filter(|_| printable).ok_or(Wrong::Character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(usize, &str)>, Refused> {
        commands(bytes)?.map(|command| command.map(|Command { line, text }| (line, text))).collect()
    }

    #[test]
    fn each_line_is_a_command_but_comments_and_empty_ones() {
        let text = "#slopos\n\n# Küche\n  webget -o store http://10.0.2.2/ \r\n\t\nps\n#exit\n# \x1b\nexit";
        assert_eq!(read(text.as_bytes()), Ok(vec![(4, "webget -o store http://10.0.2.2/"), (6, "ps"), (9, "exit")]));
        for nothing in ["#slopos", "#slopos\n", "#slopos \r\n\r\n", "#slopos\n# nothing\n"] {
            assert_eq!(read(nothing.as_bytes()), Ok(vec![]), "{nothing:?}");
        }
    }

    #[test]
    fn what_is_for_others_is_refused_by_its_first_line() {
        for other in [
            &b"#cloud-config\nruncmd:\n"[..],
            b"#!/bin/sh\nreboot\n",
            b"",
            b"\n#slopos\nps\n",
            b"#slopos2\nps\n",
            b"#SlopOS\nps\n",
            b"# slopos\nps\n",
            b"ps\n",
            b"\x1f\x8b\x08\0\0",
            b"\xef\xbb\xbf#slopos\n",
            b"<html>",
        ] {
            let refused = read(other).expect_err("not ours");
            assert_eq!((refused.line, refused.wrong), (1, Wrong::First), "{other:?}");
        }
    }

    #[test]
    fn a_command_that_is_none_is_refused_by_its_line() {
        let long = format!("#slopos\nps\n{}\n", "x".repeat(ASKED_COMMAND_MAX + 1));
        for (bytes, line, wrong) in [
            (&b"#slopos\nps\0\n"[..], 2, Wrong::Character),
            (b"#slopos\n\nps \x1b[2J\n", 3, Wrong::Character),
            (b"#slopos\nps\rexit\n", 2, Wrong::Character),
            (b"#slopos\nps\texit\n", 2, Wrong::Character),
            (b"#slopos\nps\nps\xff", 3, Wrong::Character),
            ("#slopos\nps ä\n".as_bytes(), 2, Wrong::Character),
            (long.as_bytes(), 3, Wrong::Long),
        ] {
            assert_eq!(read(bytes), Err(Refused { line, wrong }));
        }
        let refused = read(long.as_bytes()).expect_err("too long").to_string();
        assert_eq!(refused, "line 3: a command has at most 1024 bytes");
    }
}
