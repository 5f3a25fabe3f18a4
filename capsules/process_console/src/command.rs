//! Parses one command.

use slopos_kernel::time::Duration;

/// A command, its words borrowed from the line.
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
        arguments: Words<'a>,
        /// Whether it runs in the background: `start APP ARGUMENTS`.
        background: bool,
    },
}

/// A command that cannot be parsed. Its status is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// A quote has no partner, or stands inside a word.
    Quote,
    /// The built-in command takes other arguments; its usage.
    Usage(&'static str),
}

impl<'a> Command<'a> {
    /// Reads a command.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(line: &'a str) -> Result<Command<'a>, ParseError> {
        let mut words = Words::checked(line)?;
        let Some(name) = words.next() else { return Ok(Command::Empty) };
        let mut rest = words.clone();
        let usage = |usage| Err(ParseError::Usage(usage));
        match (name, rest.next(), rest.next()) {
            ("help", None, _) => Ok(Command::Help),
            ("ps", None, _) => Ok(Command::Processes),
            ("net", None, _) => Ok(Command::Network),
            ("grants", None, _) => Ok(Command::Grants),
            ("exit", None, _) => Ok(Command::Exit),
            ("start", Some(name), _) => {
                words.next();
                Ok(Command::Start { name, arguments: words, background: true })
            }
            ("sleep", Some(seconds), None) => {
                duration(seconds).map(Command::Sleep).ok_or(ParseError::Usage("sleep SECONDS"))
            }
            ("kill", Some(process), None) => Ok(Command::Kill(process)),
            ("help", ..) => usage("help"),
            ("ps", ..) => usage("ps"),
            ("net", ..) => usage("net"),
            ("grants", ..) => usage("grants"),
            ("start", ..) => usage("start APP [ARGUMENT...]"),
            ("exit", ..) => usage("exit"),
            ("sleep", ..) => usage("sleep SECONDS"),
            ("kill", ..) => usage("kill APP"),
            _ => Ok(Command::Start { name, arguments: words, background: false }),
        }
    }
}

/// The words of a line, without their quotes. They are slices of the line, so there may be any number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words<'a> {
    /// The rest of the line; begins with a word.
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The words of a line, if all its quotes match.
    fn checked(line: &'a str) -> Result<Words<'a>, ParseError> {
        let words = Words { rest: line.trim_start() };
        let mut rest = words.rest;
        while let Some((_, after)) = word(rest)? {
            rest = after;
        }
        Ok(words)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        // `checked` has seen all words.
        let (word, rest) = word(self.rest).ok()??;
        self.rest = rest;
        Some(word)
    }
}

/// The first word of a line, and the line from its next word on; `None` at the end of the line.
fn word(line: &str) -> Result<Option<(&str, &str)>, ParseError> {
    if line.is_empty() {
        return Ok(None);
    }
    let (word, after) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(ParseError::Quote)?,
        None => line.split_at(line.find(char::is_whitespace).unwrap_or(line.len())),
    };
    let glued = !after.is_empty() && !after.starts_with(char::is_whitespace);
    if glued || !line.starts_with('"') && word.contains('"') {
        return Err(ParseError::Quote);
    }
    Ok(Some((word, after.trim_start())))
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

    /// The name of a process that a line starts, with its arguments, and whether in the background.
    fn started(line: &str) -> (&str, std::vec::Vec<&str>, bool) {
        match Command::parse(line) {
            Ok(Command::Start { name, arguments, background }) => (name, arguments.collect(), background),
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn any_other_name_starts_a_process() {
        let arguments = std::vec!["-o", "null", "http://a/"];
        assert_eq!(started(" webget -o null  http://a/ "), ("webget", arguments, false));
        assert_eq!(started("say \"two words; one\" \"\" x"), ("say", std::vec!["two words; one", "", "x"], false));
        assert_eq!(started("say"), ("say", std::vec![], false));
    }

    #[test]
    fn start_runs_a_process_in_the_background() {
        assert_eq!(started("start monitor --every 1"), ("monitor", std::vec!["--every", "1"], true));
        assert_eq!(started("start monitor"), ("monitor", std::vec![], true));
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
        for bad in ["say \"x", "say a\"b\"", "say \"a\"b", "\"", "say x \"y", "start x y\""] {
            assert_eq!(Command::parse(bad), Err(ParseError::Quote), "{bad}");
        }
    }

    #[test]
    fn there_may_be_as_many_arguments_as_a_line_has_room_for() {
        let line = "x ".repeat(crate::LINE_MAX / 2);
        assert_eq!(started(&line).1.len(), crate::LINE_MAX / 2 - 1);
    }
}
