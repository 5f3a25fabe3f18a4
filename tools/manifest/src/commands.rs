//! The key `commands`: what a process may have the process console carry out.

use crate::error::{Fault, line_of};
use crate::table::{Table, suggest};
use crate::{AllowedCommand, Process};
use slopos_abi::CommandName;
use toml::Spanned;
use toml::de::DeValue;

/// The words that a command can begin with on this board.
pub(crate) struct Words<'t> {
    processes: Vec<&'t str>,
    selftest: bool,
}

impl<'t> Words<'t> {
    /// Those of a board with these `[[process]]` tables.
    pub fn new(processes: impl Iterator<Item = &'t Spanned<DeValue<'t>>>, selftest: bool) -> Words<'t> {
        let name = |process: &'t Spanned<DeValue<'t>>| process.get_ref().get("name")?.get_ref().as_str();
        Words { processes: processes.filter_map(name).collect(), selftest }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        let built_in = CommandName::ALL.into_iter().filter(|command| self.selftest || !command.is_for_tests());
        built_in.map(|command| command.word()).chain(self.processes.iter().copied())
    }
}

/// What a process may have carried out; nothing where the key is missing.
pub(crate) fn commands(table: &Table<'_>, text: &str, words: &Words<'_>) -> Result<Vec<AllowedCommand>, Fault> {
    let mut commands: Vec<AllowedCommand> = Vec::new();
    let named = table.texts("commands")?;
    if let Some(value) = table.get("commands").filter(|_| named.is_empty()) {
        return Err(Fault::new(value.span().start, "`commands` names nothing; leave it out to allow nothing"));
    }
    for word in named {
        let name = word.value;
        if !words.all().any(|known| known == name) {
            let meant = suggest(name, words.all());
            return Err(Fault::new(
                word.at,
                format!("`commands`: there is neither a command nor a process `{name}`{meant}"),
            ));
        }
        if commands.iter().any(|known| known.word == name) {
            return Err(Fault::new(word.at, format!("`commands` names `{name}` twice")));
        }
        commands.push(AllowedCommand { word: name.to_owned(), line: line_of(text, word.at) });
    }
    Ok(commands)
}

impl Process {
    /// The words of what it may have carried out.
    pub fn command_words(&self) -> Vec<&str> {
        self.commands.iter().map(|command| command.word.as_str()).collect()
    }
}
