//! The words that the process console takes as commands. A process is run by its name there, so it has none of these: the
//! manifest refuses it.

/// A command of the process console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`doc/console.md` says what each does")]
pub enum CommandName {
    Help,
    Version,
    Uptime,
    Processes,
    Start,
    Stop,
    Restart,
    Kill,
    Network,
    Lease,
    Neighbours,
    Sockets,
    Grants,
    Ledger,
    Log,
    Sleep,
    Exit,
    PowerOff,
    Reboot,
    /// Only in an image with the board's own tests.
    Test,
    /// Likewise.
    Panic,
}

impl CommandName {
    /// All of them, in the order of `help`.
    pub const ALL: [CommandName; 21] = [
        CommandName::Help,
        CommandName::Version,
        CommandName::Uptime,
        CommandName::Processes,
        CommandName::Start,
        CommandName::Stop,
        CommandName::Restart,
        CommandName::Kill,
        CommandName::Network,
        CommandName::Lease,
        CommandName::Neighbours,
        CommandName::Sockets,
        CommandName::Grants,
        CommandName::Ledger,
        CommandName::Log,
        CommandName::Sleep,
        CommandName::Exit,
        CommandName::PowerOff,
        CommandName::Reboot,
        CommandName::Test,
        CommandName::Panic,
    ];

    /// The word that is typed.
    pub const fn word(self) -> &'static str {
        match self {
            CommandName::Help => "help",
            CommandName::Version => "version",
            CommandName::Uptime => "uptime",
            CommandName::Processes => "ps",
            CommandName::Start => "start",
            CommandName::Stop => "stop",
            CommandName::Restart => "restart",
            CommandName::Kill => "kill",
            CommandName::Network => "net",
            CommandName::Lease => "lease",
            CommandName::Neighbours => "arp",
            CommandName::Sockets => "sockets",
            CommandName::Grants => "grants",
            CommandName::Ledger => "ledger",
            CommandName::Log => "log",
            CommandName::Sleep => "sleep",
            CommandName::Exit => "exit",
            CommandName::PowerOff => "poweroff",
            CommandName::Reboot => "reboot",
            CommandName::Test => "test",
            CommandName::Panic => "panic",
        }
    }

    /// The command of this word.
    pub fn find(word: &str) -> Option<CommandName> {
        CommandName::ALL.into_iter().find(|command| command.word() == word)
    }

    /// Whether only an image with the board's own tests has it.
    pub const fn is_for_tests(self) -> bool {
        matches!(self, CommandName::Test | CommandName::Panic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NAME_MAX;

    #[test]
    fn each_command_is_found_by_a_word_of_its_own_that_fits_a_column() {
        for command in CommandName::ALL {
            assert_eq!(CommandName::find(command.word()), Some(command));
            assert!(command.word().len() <= NAME_MAX);
        }
        assert_eq!(CommandName::find("webget"), None);
    }
}
