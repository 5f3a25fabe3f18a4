//! Parses one command.

use slopos_abi::CommandName;
use slopos_kernel::log_level::LogLevel;
use slopos_kernel::time::Duration;

/// A command, its words borrowed from the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// An empty line.
    Empty,
    /// A command that prints something and changes nothing.
    Report(ReportKind),
    /// `exit`, `poweroff` and `reboot`: what runs is ended, and the machine is left.
    Leave(Way),
    /// `sleep SECONDS`
    Sleep(Duration),
    /// `log LEVEL`
    Log(LogLevel),
    /// `stop APP`
    Stop(&'a str),
    /// `kill APP`
    Kill(&'a str),
    /// A process to run: `APP ARGUMENTS`, `start APP ARGUMENTS`, `restart APP ARGUMENTS`.
    Start {
        /// The process's name.
        name: &'a str,
        /// Its arguments, without quotes.
        arguments: Words<'a>,
        /// How it is run.
        how: How,
    },
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// `help`
    Help,
    /// `version`
    Version,
    /// `uptime`
    Uptime,
    /// `ps`
    Processes,
    /// `net`
    Network,
    /// `lease`
    Lease,
    /// `arp`
    Neighbours,
    /// `sockets`
    Sockets,
    /// `grants`
    Grants,
    /// `ledger`
    Ledger,
    /// `log` without a level
    LogLevel,
    /// The choices for the word before the cursor.
    Choices,
}

/// How the machine is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With the status of the last command, where the machine can tell it; else it is switched off.
    Exit,
    /// It is switched off.
    PowerOff,
    /// It starts anew.
    Reboot,
}

/// How a process is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The process console waits for its end.
    Foreground,
    /// The process console goes on.
    Background,
    /// Likewise; if it runs already, it is stopped first.
    Again,
}

/// A command that cannot be parsed. Its status is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// A quote has no partner, or stands inside a word.
    Quote,
    /// The built-in command takes other arguments; its usage.
    Usage(&'static str),
}

/// What a command takes as its first argument, as far as Tab can complete it; and the first word itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// Nothing, or nothing that is known here.
    Other,
    /// A command or a process.
    Command,
    /// A process.
    Process,
    /// A level of the log.
    Level,
}

/// The first argument of a command.
pub(crate) const fn argument(command: CommandName) -> Argument {
    match command {
        CommandName::Start | CommandName::Stop | CommandName::Restart | CommandName::Kill => Argument::Process,
        CommandName::Log => Argument::Level,
        _ => Argument::Other,
    }
}

/// How a command is written.
pub(crate) const fn usage(command: CommandName) -> &'static str {
    match command {
        CommandName::Start => "start APP [ARGUMENT...]",
        CommandName::Stop => "stop APP",
        CommandName::Restart => "restart APP [ARGUMENT...]",
        CommandName::Kill => "kill APP",
        CommandName::Log => "log [trace|debug|info|warn|error]",
        CommandName::Sleep => "sleep SECONDS",
        _ => command.word(),
    }
}

/// What a command prints, if it only prints something.
const fn report(command: CommandName) -> Option<ReportKind> {
    Some(match command {
        CommandName::Help => ReportKind::Help,
        CommandName::Version => ReportKind::Version,
        CommandName::Uptime => ReportKind::Uptime,
        CommandName::Processes => ReportKind::Processes,
        CommandName::Network => ReportKind::Network,
        CommandName::Lease => ReportKind::Lease,
        CommandName::Neighbours => ReportKind::Neighbours,
        CommandName::Sockets => ReportKind::Sockets,
        CommandName::Grants => ReportKind::Grants,
        CommandName::Ledger => ReportKind::Ledger,
        CommandName::Log => ReportKind::LogLevel,
        _ => return None,
    })
}

impl<'a> Command<'a> {
    /// Reads a command.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(line: &'a str) -> Result<Command<'a>, ParseError> {
        let mut words = Words::checked(line)?;
        let Some(name) = words.next() else { return Ok(Command::Empty) };
        // The board's own tests are run as if they were processes.
        let Some(command) = CommandName::find(name).filter(|command| !command.is_for_tests()) else {
            return Ok(Command::Start { name, arguments: words, how: How::Foreground });
        };
        let mut rest = words.clone();
        let parsed = match (command, rest.next(), rest.next()) {
            (CommandName::Start | CommandName::Restart, Some(name), _) => {
                words.next();
                let how = if command == CommandName::Start { How::Background } else { How::Again };
                Some(Command::Start { name, arguments: words, how })
            }
            (CommandName::Stop, Some(process), None) => Some(Command::Stop(process)),
            (CommandName::Kill, Some(process), None) => Some(Command::Kill(process)),
            (CommandName::Log, Some(level), None) => LogLevel::find(level).map(Command::Log),
            (CommandName::Sleep, Some(seconds), None) => duration(seconds).map(Command::Sleep),
            (CommandName::Exit, None, _) => Some(Command::Leave(Way::Exit)),
            (CommandName::PowerOff, None, _) => Some(Command::Leave(Way::PowerOff)),
            (CommandName::Reboot, None, _) => Some(Command::Leave(Way::Reboot)),
            (command, None, _) => report(command).map(Command::Report),
            _ => None,
        };
        parsed.ok_or(ParseError::Usage(usage(command)))
    }
}

/// The words of a line, without their quotes. They are slices of the line, so there may be any number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words<'a> {
    /// The rest of the line; begins with a word.
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The first word of a line, if there is one.
    pub(crate) fn first(line: &'a str) -> Option<&'a str> {
        Words { rest: line.trim_start() }.next()
    }

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

    /// The name of a process that a line starts, with its arguments, and how.
    fn started(line: &str) -> (&str, std::vec::Vec<&str>, How) {
        match Command::parse(line) {
            Ok(Command::Start { name, arguments, how }) => (name, arguments.collect(), how),
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn any_other_name_starts_a_process() {
        let arguments = std::vec!["-o", "null", "http://a/"];
        assert_eq!(started(" webget -o null  http://a/ "), ("webget", arguments, How::Foreground));
        assert_eq!(
            started("say \"two words; one\" \"\" x"),
            ("say", std::vec!["two words; one", "", "x"], How::Foreground)
        );
        assert_eq!(started("say"), ("say", std::vec![], How::Foreground));
    }

    #[test]
    fn start_and_restart_run_a_process_in_the_background() {
        assert_eq!(started("restart monitor"), ("monitor", std::vec![], How::Again));
        assert_eq!(started("start monitor --every 1"), ("monitor", std::vec!["--every", "1"], How::Background));
        assert_eq!(started("start monitor"), ("monitor", std::vec![], How::Background));
        assert_eq!(Command::parse("start"), Err(ParseError::Usage("start APP [ARGUMENT...]")));
    }

    #[test]
    fn built_in_commands_take_only_their_arguments() {
        assert_eq!(Command::parse("  ps "), Ok(Command::Report(ReportKind::Processes)));
        assert_eq!(Command::parse("stop monitor"), Ok(Command::Stop("monitor")));
        assert_eq!(Command::parse("stop"), Err(ParseError::Usage("stop APP")));
        assert_eq!(Command::parse("ps x"), Err(ParseError::Usage("ps")));
        assert_eq!(Command::parse("exit 3"), Err(ParseError::Usage("exit")));
        assert_eq!(Command::parse("kill"), Err(ParseError::Usage("kill APP")));
        assert_eq!(Command::parse("   "), Ok(Command::Empty));
    }

    #[test]
    fn no_command_is_taken_for_a_process() {
        for command in CommandName::ALL.into_iter().filter(|command| !command.is_for_tests()) {
            let parsed = Command::parse(command.word());
            assert!(!matches!(parsed, Ok(Command::Start { .. })), "{parsed:?}");
            assert!(usage(command).starts_with(command.word()));
            let usage = Err(ParseError::Usage(usage(command)));
            let takes_arguments = matches!(command, CommandName::Start | CommandName::Restart);
            assert_eq!(Command::parse(&std::format!("{} x y", command.word())) == usage, !takes_arguments);
        }
    }

    #[test]
    fn log_takes_a_level_or_says_it() {
        assert_eq!(Command::parse("log"), Ok(Command::Report(ReportKind::LogLevel)));
        assert_eq!(Command::parse("log warn"), Ok(Command::Log(LogLevel::Warn)));
        let usage = Err(ParseError::Usage("log [trace|debug|info|warn|error]"));
        assert_eq!((Command::parse("log Warn"), Command::parse("log warn x")), (usage.clone(), usage));
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
