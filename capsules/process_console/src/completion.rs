//! What can stand where the cursor is: commands and processes as the first word of a command, and the arguments of those
//! commands that take a process or a level.

use crate::command::{Argument, argument};
use core::fmt::{Result, Write};
use slopos_abi::CommandName;
use slopos_abi::limits::NAME_MAX;
use slopos_kernel::log_level::LogLevel;
use slopos_kernel::process::Configuration;

/// How many words are listed in a row of 80 columns.
const WORDS_PER_ROW: usize = 4;

/// The words that can complete the one before the cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choices<'a> {
    /// What is typed of the word.
    prefix: &'a str,
    argument: Argument,
    processes: &'a [Configuration],
}

impl<'a> Choices<'a> {
    /// The choices behind this text, which ends at the cursor. There are none within quotes.
    pub(crate) fn behind(text: &'a str, processes: &'a [Configuration]) -> Choices<'a> {
        let mut begin = 0;
        let mut quoted = false;
        for (index, byte) in text.bytes().enumerate() {
            match byte {
                b'"' => quoted = !quoted,
                b';' if !quoted => begin = index + 1,
                _ => {}
            }
        }
        let command = text.get(begin..).unwrap_or_default();
        let prefix = command.rsplit(' ').next().unwrap_or_default();
        let mut before = command.get(..command.len() - prefix.len()).unwrap_or_default().split_whitespace();
        let argument = match (before.next(), before.next()) {
            _ if quoted => Argument::Other,
            (None, _) => Argument::Command,
            (Some(word), None) => CommandName::find(word).map_or(Argument::Other, argument),
            (Some(_), Some(_)) => Argument::Other,
        };
        Choices { prefix, argument, processes }
    }

    /// What is typed of the word.
    pub(crate) fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// Whether this is a choice.
    fn fits(&self, word: &str) -> bool {
        word.starts_with(self.prefix)
    }

    /// The choices in no order.
    fn all(&self) -> impl Iterator<Item = &'static str> {
        let Choices { argument, processes, .. } = *self;
        let commands = CommandName::ALL.into_iter().filter(|command| !command.is_for_tests()).map(CommandName::word);
        let commands = commands.filter(move |_| argument == Argument::Command);
        let named = matches!(argument, Argument::Command | Argument::Process);
        let processes = processes.iter().map(|process| process.name).filter(move |_| named);
        let levels = LogLevel::ALL.into_iter().map(LogLevel::word).filter(move |_| argument == Argument::Level);
        commands.chain(processes).chain(levels)
    }

    /// The choices in the order of the alphabet.
    pub(crate) fn each(&self) -> impl Iterator<Item = &'static str> {
        let after = move |last: Option<&str>| {
            self.all().filter(|word| self.fits(word) && last.is_none_or(|last| *word > last)).min()
        };
        core::iter::successors(after(None), move |last| after(Some(*last)))
    }

    /// What all choices begin with, and whether there is only one; `None` without any.
    pub(crate) fn common(&self) -> Option<(&'static str, bool)> {
        let mut choices = self.each();
        let first = choices.next()?;
        let mut length = first.len();
        let mut only = true;
        for other in choices {
            only = false;
            let same = first.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
            length = length.min(same);
        }
        Some((first.get(..length).unwrap_or(first), only))
    }

    /// Lists the choices, in columns.
    pub(crate) fn list(&self, out: &mut impl Write) -> Result {
        let mut before = 0;
        for (index, word) in self.each().enumerate() {
            match index % WORDS_PER_ROW {
                0 if index == 0 => {}
                0 => out.write_char('\n')?,
                _ => write!(out, "{:1$}", "", (NAME_MAX + 2).saturating_sub(before))?,
            }
            out.write_str(word)?;
            before = word.len();
        }
        out.write_char('\n')
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use slopos_kernel::process::{ConsoleAccess, Restart};
    use std::string::String;
    use std::vec::Vec;

    const fn process(name: &'static str) -> Configuration {
        let (restart, console) = (Restart::Never, ConsoleAccess::Input);
        Configuration {
            name,
            app: "app",
            minimum_version: slopos_abi::flash::AppVersion::new(0),
            arguments: &[],
            start_at_boot: false,
            opens: &[],
            restart,
            priority: 3,
            console,
        }
    }

    pub(crate) static PROCESSES: [Configuration; 4] =
        [process("webget"), process("monitor"), process("stumbler"), process("spread10")];

    fn each(text: &str) -> Vec<&'static str> {
        Choices::behind(text, &PROCESSES).each().collect()
    }

    #[test]
    fn the_first_word_of_a_command_is_a_command_or_a_process() {
        assert_eq!(each("s"), ["sleep", "sockets", "spread10", "start", "stop", "stumbler"]);
        assert_eq!(each("ps; webget \"a;b\" ;st"), ["start", "stop", "stumbler"]);
        assert_eq!(each("ps;   we"), ["webget"]);
        assert_eq!(each("").len(), 19 + 4);
        assert_eq!(each("te"), [""; 0]);
    }

    #[test]
    fn arguments_are_completed_where_a_command_has_a_process_or_a_level() {
        for command in ["start", "stop", "restart", "kill"] {
            assert_eq!(each(&std::format!("{command} s")), ["spread10", "stumbler"]);
        }
        assert_eq!(each("log "), ["debug", "error", "info", "trace", "warn"]);
        for none in ["ps ", "webget m", "start webget m", "start \"we", "sleep 1", "log info ", "\"x"] {
            assert_eq!(each(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn what_the_choices_have_in_common_is_known() {
        let common = |text| Choices::behind(text, &PROCESSES).common();
        assert_eq!(common("st"), Some(("st", false)));
        assert_eq!(common("sta"), Some(("start", true)));
        assert_eq!(common("re"), Some(("re", false)));
        assert_eq!(common("res"), Some(("restart", true)));
        assert_eq!(common("start sp"), Some(("spread10", true)));
        assert_eq!(common("nothing"), None);
    }

    #[test]
    fn the_list_has_no_more_columns_than_a_terminal() {
        let mut text = String::new();
        Choices::behind("", &PROCESSES).list(&mut text).unwrap();
        assert!(text.lines().all(|line| line.len() < 80 && !line.ends_with(' ')) && text.ends_with('\n'), "{text}");
        assert_eq!(text.split_whitespace().count(), 19 + 4);
    }
}
