//! What every tool's command line has, so that each `main` is one line: [`main`] with the tool's arguments and its work.
//!
//! - `--help`, with the headings of the tool's own `after_help` (examples, exit status) in clap's style; `--version`, which
//!   is the workspace's; `--completions SHELL`.
//! - An error is one line, `TOOL: what went wrong: why`, and never a backtrace.
//! - Where standard output's reader is gone (`TOOL | head -1`), the tool ends as SIGPIPE ends any other, without a word.
//! - [`put`] for files that are there whole or not at all; [`Progress`] for what takes longer than two seconds.
#![forbid(unsafe_code)]

mod pipe;
mod progress;

pub use progress::{Progress, note};

use anyhow::{Context, Result};
use clap::builder::StyledStr;
use clap::{Arg, Command, Parser, value_parser};
use clap_complete::Shell;
use std::path::Path;
use std::process::{ExitCode, Termination};

/// Runs a tool: parses its arguments, does its work, and says how it ends. An error is status 1.
pub fn main<A: Parser, T: Termination>(work: impl FnOnce(A) -> Result<T>) -> ExitCode {
    main_or(1, work)
}

/// The same for a tool whose errors have a status of their own, because 1 is an answer.
pub fn main_or<A: Parser, T: Termination>(failure: u8, work: impl FnOnce(A) -> Result<T>) -> ExitCode {
    let command = furnished(A::command());
    let name = command.get_name().to_owned();
    progress::NAME.get_or_init(|| name.clone());
    pipe::watch(failure);
    // A tool gives its completions whatever else it wants or was given: a recipe has arguments of its own.
    if let Ok(matches) = command.clone().ignore_errors(true).try_get_matches()
        && let Some(shell) = matches.get_one::<Shell>(COMPLETIONS)
    {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut command.clone(), &name, &mut script);
        print!("{}", String::from_utf8_lossy(&script));
        return ExitCode::SUCCESS;
    }
    let arguments = command.try_get_matches().and_then(|matches| A::from_arg_matches(&matches));
    let done = match arguments {
        Ok(arguments) => work(arguments).map(Termination::report),
        // Help and version are "errors" that go to standard output.
        Err(error) => error.print().map(|()| ExitCode::from(error.exit_code() as u8)).map_err(Into::into),
    };
    done.unwrap_or_else(|error| {
        if pipe::is_broken(&error) {
            pipe::end();
        }
        note(format_args!("{error:#}"));
        ExitCode::from(failure)
    })
}

/// Writes a file beside its place, and puts it there when it is complete.
///
/// # Errors
/// It cannot be written.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_added_extension("new");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

const COMPLETIONS: &str = "completions";

/// A tool's command with what all tools have.
fn furnished(command: Command) -> Command {
    let completions = Arg::new(COMPLETIONS)
        .long(COMPLETIONS)
        .value_name("SHELL")
        .value_parser(value_parser!(Shell))
        .exclusive(true)
        .help("Prints the completions of this tool for a shell");
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let after = headings(&after, &command);
    command.version(env!("CARGO_PKG_VERSION")).arg(completions).after_help(after)
}

/// The text with its headings, lines such as `Examples:`, in the style of clap's own. A terminal alone gets to see it.
fn headings(text: &str, command: &Command) -> StyledStr {
    let style = command.get_styles().get_header();
    let line = |line: &str| match line.strip_suffix(':') {
        Some(heading) if !line.starts_with(' ') => format!("{style}{heading}:{style:#}"),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n").into()
}
