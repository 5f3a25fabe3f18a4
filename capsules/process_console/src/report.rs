//! What the commands print. What is printed comes in as plain values.

use crate::command::usage;
use core::fmt::{Result, Write};
use slopos_abi::CommandName;
use slopos_abi::flash::{AppState, TRIAL_STARTS, Trial};
use slopos_abi::info::GrantInfo;
use slopos_kernel::log_level::LogLevel;
use slopos_kernel::process::{Ending, Process};
use slopos_kernel::processor::Fault;
use slopos_kernel::time::Duration;

pub use crate::network_report::{
    Connection, DeviceState, Lease, LeaseDeadlines, Neighbour, connection, connection_head, lease, neighbour, network,
};

/// The text of `help`; `tests` tells that the image has the board's own tests.
pub fn help(tests: bool, out: &mut impl Write) -> Result {
    for command in CommandName::ALL.into_iter().filter(|command| tests || !command.is_for_tests()) {
        // The levels are not repeated in each line.
        let usage = if command == CommandName::Log { "log [LEVEL]" } else { usage(command) };
        writeln!(out, "{usage:<25} {}", summary(command))?;
    }
    writeln!(out, "{:<25} run a process and wait for it; ^C kills it", "APP [ARGUMENT...]")
}

/// What a command does, in a few words.
const fn summary(command: CommandName) -> &'static str {
    match command {
        CommandName::Help => "this list",
        CommandName::Version => "version, revision, build id, manifest",
        CommandName::Uptime => "how long the board has run",
        CommandName::Processes => "processes: state, last status, calls, ledger, CPU, restarts, memory",
        CommandName::Start => "run a process in the background",
        CommandName::Stop => "end a process in order: its connections are closed",
        CommandName::Restart => "stop a process if it runs, then run it in the background",
        CommandName::Kill => "end a process at once: its connections are reset",
        CommandName::Network => "address, gateway, lease, counters, buffers",
        CommandName::Lease => "the lease: server, deadlines",
        CommandName::Neighbours => "the neighbours on the link",
        CommandName::Sockets => "connections: state, round trip, window, retransmissions, bytes",
        CommandName::Grants => "what each process holds of the network",
        CommandName::Ledger => "connects that succeeded, and those that timed out",
        CommandName::Log => "the log's level, or another: trace, debug, info, warn, error",
        CommandName::Sleep => "wait",
        CommandName::Exit => "leave, with the status of the last command",
        CommandName::PowerOff => "switch the machine off",
        CommandName::Reboot => "start the machine anew",
        CommandName::Test => "run the board's own tests",
        CommandName::Panic => "make the kernel panic",
    }
}

/// What `version` prints.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The version.
    pub version: &'a str,
    /// The revision that it was built from.
    pub revision: &'a str,
    /// The linker's hash of the image.
    pub build_id: &'a [u8],
    /// The board's name, by the manifest.
    pub board: &'a str,
    /// The manifest's file.
    pub manifest: &'a str,
}

/// The text of `version`.
pub fn version(version: &Version<'_>, out: &mut impl Write) -> Result {
    write!(out, "SlopOS {} revision {}\nbuild id ", version.version, version.revision)?;
    version.build_id.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    writeln!(out, "\nboard {} manifest {}", version.board, version.manifest)
}

/// The text of `uptime`.
pub fn uptime(uptime: Duration, out: &mut impl Write) -> Result {
    let seconds = uptime.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    write!(out, "up ")?;
    if days > 0 {
        write!(out, "{days} d ")?;
    }
    writeln!(out, "{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, uptime.as_millis() % 1_000)
}

/// What `log` prints: the level, and what the image has no lines of anyway, its least grave ones being of `least`.
pub fn log_level(level: LogLevel, least: LogLevel, out: &mut impl Write) -> Result {
    write!(out, "log level {}", level.max(least).word())?;
    match level < least {
        true => writeln!(out, "; this image has no lines below {}, see DEFMT_LOG", least.word()),
        false => writeln!(out),
    }
}

/// What `ps` says of a process beyond what the kernel knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Since boot.
    pub uptime: Duration,
    /// Bytes for its program and its data.
    pub ram: usize,
    /// The most bytes of its stack that its last run has used.
    pub stack_high_water: usize,
}

/// A line of `ps`, with the table's head before it if `head` is set.
pub fn process(process: &Process, usage: Usage, head: bool, out: &mut impl Write) -> Result {
    if head {
        writeln!(
            out,
            "{:<16} {:<8} {:>6} {:>7} {:>3} {:>7} {:>6} {:>5} {:>8} {:>4} {:>5} ENDED",
            "PROCESS", "STATE", "STATUS", "CALLS", "FDS", "DENIALS", "LEDGER", "CPU", "RESTARTS", "RAM", "STACK"
        )?;
    }
    write!(out, "{:<16} {:<8} ", process.configuration.name, process.state().word())?;
    match process.status() {
        Some(status) => write!(out, "{status:>6}")?,
        None => write!(out, "{:>6}", "-")?,
    }
    let ledger = process.ledger.balance();
    let restarts = process.starts.saturating_sub(1);
    let (calls, descriptors, denials) = (process.calls, process.open_descriptors(), process.denials);
    write!(out, " {calls:>7} {descriptors:>3} {denials:>7} {ledger:>+6} ")?;
    match share(process.busy, usage.uptime) {
        1_000.. => write!(out, "{:>5}", "100%")?,
        share => write!(out, "{:>2}.{}%", share / 10, share % 10)?,
    }
    write!(out, " {restarts:>8} ")?;
    size(usage.ram, 4, out)?;
    write!(out, " ")?;
    size(usage.stack_high_water, 5, out)?;
    match ended(process.ending(), process.fault()) {
        Ended::Not => writeln!(out, " -"),
        Ended::Because(why) => writeln!(out, " {why}"),
        Ended::Fault(code) => writeln!(out, " fault {code}"),
    }
}

/// What `ps` says below its table of a process whose app has a version on trial, or one that was taken back; nothing of any
/// other. `version` is that of the program in its RAM.
pub fn trial(name: &str, version: Option<&str>, state: AppState, out: &mut impl Write) -> Result {
    let version = version.unwrap_or("-");
    match (state.trial(), state.reverted()) {
        (Trial::None, None) => Ok(()),
        (Trial::None, Some(reason)) => {
            writeln!(out, "{name}: version {version}; a newer one was reverted: {}", reason.text())
        }
        (Trial::Waiting, _) => {
            writeln!(out, "{name}: version {version} loaded; one on trial waits for its first start")
        }
        (Trial::Begun { starts }, _) => {
            writeln!(out, "{name}: version {version} loaded; one is on trial, start {starts} of {TRIAL_STARTS}")
        }
    }
}

/// What `ps` says below its table where the board trusts the development key.
pub fn development_key(out: &mut impl Write) -> Result {
    writeln!(out, "the DEVELOPMENT KEY is trusted: everybody can sign programs for this board")
}

/// A part of a span, in thousandths.
fn share(part: Duration, whole: Duration) -> u64 {
    part.as_micros().saturating_mul(1_000) / whole.as_micros().max(1)
}

/// Writes a number of bytes in three digits and a unit at most, to the right of so many columns.
fn size(bytes: usize, columns: usize, out: &mut impl Write) -> Result {
    let mut tenths = bytes.saturating_mul(10);
    let mut units = "KMG".bytes().map(char::from);
    if bytes < 1_000 {
        return write!(out, "{bytes:>columns$}");
    }
    let mut unit = 'B';
    while tenths >= 10_000 {
        let Some(next) = units.next() else { break };
        tenths /= 1_024;
        unit = next;
    }
    let columns = columns.saturating_sub(1);
    match tenths {
        0..100 => write!(out, "{:>1$}.{2}{unit}", tenths / 10, columns.saturating_sub(2), tenths % 10),
        _ => write!(out, "{:>columns$}{unit}", tenths / 10),
    }
}

/// How a run has ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It has not.
    Not,
    /// In words.
    Because(&'static str),
    /// By the exception of this code, which would take too many words.
    Fault(&'static str),
}

/// The longest words for an exception that have room in a row of `ps`.
const WORDS_MAX: usize = 14;

fn ended(ending: Option<Ending>, fault: Option<&Fault>) -> Ended {
    match ending {
        None => Ended::Not,
        Some(Ending::Exited) => Ended::Because("exited"),
        Some(Ending::Stopped) => Ended::Because("stopped"),
        Some(Ending::Killed) => Ended::Because("killed"),
        Some(Ending::Faulted) => match fault.map_or("fault", |fault| fault.name).split_once(' ') {
            Some((code, words)) if code.starts_with('#') && words.len() > WORDS_MAX => Ended::Fault(code),
            Some((code, words)) if code.starts_with('#') => Ended::Because(words),
            _ => Ended::Because("fault"),
        },
    }
}

/// A line of `ledger`, with the table's head before it if `head` is set.
pub fn ledger(process: &Process, head: bool, out: &mut impl Write) -> Result {
    if head {
        writeln!(out, "{:<16} {:>10} {:>10} {:>10}", "PROCESS", "CONNECTED", "TIMED OUT", "BALANCE")?;
    }
    let ledger = &process.ledger;
    let name = process.configuration.name;
    writeln!(out, "{name:<16} {:>10} {:>10} {:>+10}", ledger.wins(), ledger.losses(), ledger.balance())
}

/// A line of `grants`: one process.
pub fn grant(name: &str, info: &GrantInfo, out: &mut impl Write) -> Result {
    let GrantInfo { bytes, in_use, high_water, denials, drops, recycled, sockets, sockets_in_use } = info;
    writeln!(
        out,
        "{name} bytes={bytes} in_use={in_use} high_water={high_water} denials={denials} drops={drops} \
         recycled={recycled} sockets={sockets_in_use}/{sockets}"
    )
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
