//! One command: what was asked for.

use heapless::Vec;
use slopos_kernel::time::Duration;

/// Most arguments of a command.
pub const ARGUMENTS_MAX: usize = 32;

/// A command, its words borrowed from the line.
#[expect(clippy::large_enum_variant, reason = "one lives on the stack for a moment, and there is no heap to box it in")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// An empty line.
    Empty,
    /// `help`
    Help,
    /// `ps`
    Processes,
    /// `net`
    Network,
    /// `grants`
    Grants,
    /// `exit`
    Exit,
    /// `sleep SECONDS`
    Sleep(Duration),
    /// `kill APP`
    Kill(&'a str),
    /// Any other name: a process to run.
    Start {
        /// The process's name.
        name: &'a str,
        /// Its arguments, without quotes.
        arguments: Vec<&'a str, ARGUMENTS_MAX>,
        /// Whether the console goes on without waiting for its end: `start APP ARGUMENTS`.
        background: bool,
    },
}

/// A command that makes no sense. Its status is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// A quote has no partner, or stands inside a word.
    Quote,
    /// More than [`ARGUMENTS_MAX`] arguments.
    TooManyArguments,
    /// The built-in command wants other arguments; how it is used.
    Usage(&'static str),
}

impl<'a> Command<'a> {
    /// Reads a command.
    pub fn parse(line: &'a str) -> Result<Command<'a>, ParseError> {
        let mut words = words(line)?;
        if words.is_empty() {
            return Ok(Command::Empty);
        }
        let name = words.remove(0);
        match (name, words.as_slice()) {
            ("help", []) => Ok(Command::Help),
            ("ps", []) => Ok(Command::Processes),
            ("net", []) => Ok(Command::Network),
            ("grants", []) => Ok(Command::Grants),
            ("start", [name, arguments @ ..]) => {
                Ok(Command::Start { name, arguments: arguments.iter().copied().collect(), background: true })
            }
            ("exit", []) => Ok(Command::Exit),
            ("sleep", [seconds]) => duration(seconds).map(Command::Sleep).ok_or(ParseError::Usage("sleep SECONDS")),
            ("kill", [process]) => Ok(Command::Kill(process)),
            ("help", _) => Err(ParseError::Usage("help")),
            ("ps", _) => Err(ParseError::Usage("ps")),
            ("net", _) => Err(ParseError::Usage("net")),
            ("grants", _) => Err(ParseError::Usage("grants")),
            ("start", _) => Err(ParseError::Usage("start APP [ARGUMENT...]")),
            ("exit", _) => Err(ParseError::Usage("exit")),
            ("sleep", _) => Err(ParseError::Usage("sleep SECONDS")),
            ("kill", _) => Err(ParseError::Usage("kill APP")),
            _ => Ok(Command::Start { name, arguments: words.into_iter().collect(), background: false }),
        }
    }
}

/// One place more than there may be arguments: the name.
type Words<'a> = Vec<&'a str, { ARGUMENTS_MAX + 1 }>;

fn words(line: &str) -> Result<Words<'_>, ParseError> {
    let mut words = Words::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(ParseError::Quote)?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        let glued = !after.is_empty() && !after.starts_with(char::is_whitespace);
        if glued || !rest.starts_with('"') && word.contains('"') {
            return Err(ParseError::Quote);
        }
        words.push(word).map_err(|_| ParseError::TooManyArguments)?;
        rest = after.trim_start();
    }
    Ok(words)
}

/// Seconds with up to six decimals, as a span.
fn duration(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(6 - fraction.len() as u32);
    let micros = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    Some(Duration::from_micros(micros.checked_add(fraction.parse::<u64>().ok()? * scale)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start<'a>(name: &'a str, arguments: &[&'a str]) -> Result<Command<'a>, ParseError> {
        Ok(Command::Start { name, arguments: arguments.iter().copied().collect(), background: false })
    }

    #[test]
    fn any_other_name_starts_a_process() {
        assert_eq!(Command::parse("webget -o null  http://a/"), start("webget", &["-o", "null", "http://a/"]));
        assert_eq!(Command::parse("say \"two words; one\" x"), start("say", &["two words; one", "x"]));
    }

    #[test]
    fn start_runs_a_process_in_the_background() {
        let arguments = ["--every", "1"].into_iter().collect();
        let expected = Command::Start { name: "monitor", arguments, background: true };
        assert_eq!(Command::parse("start monitor --every 1"), Ok(expected));
        assert_eq!(Command::parse("start"), Err(ParseError::Usage("start APP [ARGUMENT...]")));
    }

    #[test]
    fn built_in_commands_take_only_their_arguments() {
        assert_eq!(Command::parse("  ps "), Ok(Command::Processes));
        assert_eq!(Command::parse("ps x"), Err(ParseError::Usage("ps")));
        assert_eq!(Command::parse("exit 3"), Err(ParseError::Usage("exit")));
        assert_eq!(Command::parse("kill"), Err(ParseError::Usage("kill APP")));
        assert_eq!(Command::parse("   "), Ok(Command::Empty));
    }

    #[test]
    fn sleep_takes_seconds_with_decimals_and_nothing_else() {
        assert_eq!(Command::parse("sleep 2"), Ok(Command::Sleep(Duration::from_secs(2))));
        assert_eq!(Command::parse("sleep 0.25"), Ok(Command::Sleep(Duration::from_millis(250))));
        for bad in ["sleep", "sleep x", "sleep -1", "sleep 1.", "sleep .5", "sleep 99999999999999999999", "sleep 1 2"] {
            assert_eq!(Command::parse(bad), Err(ParseError::Usage("sleep SECONDS")), "{bad}");
        }
    }

    #[test]
    fn quotes_must_have_partners_and_hold_whole_words() {
        for bad in ["say \"x", "say a\"b\"", "say \"a\"b", "\""] {
            assert_eq!(Command::parse(bad), Err(ParseError::Quote), "{bad}");
        }
    }

    #[test]
    fn too_many_arguments_are_refused() {
        let line = "x ".repeat(ARGUMENTS_MAX + 2);
        assert_eq!(Command::parse(&line), Err(ParseError::TooManyArguments));
    }
}
