//! Commands that processes ask for: what is behind the descriptor that FS_OPEN of `commands` gives.
//!
//! A process whose manifest entry has `commands` has one request in its own grant, and nothing else of this. It writes
//! one command, which is checked by the parser that will carry it out, and then reads the command's status. The read
//! begins it, so a process can have all its commands checked before the first one is carried out.
//!
//! The process console carries a request out when it has nothing else to do, or for the process in the foreground while
//! that waits. Processes take turns. A request that has not begun is forgotten with its process.

use crate::command::{Command, Words};
use crate::script::split_script;
use heapless::String;
use slopos_abi::limits::ASKED_COMMAND_MAX;
use slopos_abi::{Errno, Readiness};
use slopos_kernel::capability::ReadGrants;
use slopos_kernel::grant::{Grant, NoGrant};
use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::time::Instant;

/// The memory for the command of a request. Its initial value is all zeros, so it may lie in memory that starts as
/// zeros.
pub type RequestLine = String<ASKED_COMMAND_MAX>;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    None,
    /// A command was written, and its status is not asked for yet.
    Written,
    /// A read waits for the command to begin and to end.
    Waiting,
    /// It is carried out; what the console did before comes after it. `wanted` is whether its process is still there.
    Begun { outer: Option<Asked>, wanted: bool },
    /// It has ended with this status, which is to be read.
    Ended(i32),
}

/// Whose command the process console carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub by: ProcessId,
    /// Whether the process was in the foreground, and is again afterwards.
    pub foreground: bool,
    /// The status of the command that it asked for before; 0 if there was none.
    pub last: i32,
}

/// What the grant of one process holds.
pub struct Request<'a> {
    process: &'static str,
    /// The words that may be commands, and the processes that they may name.
    allowed: &'static [&'static str],
    /// The command; `None` while it is on loan.
    line: Option<&'a mut RequestLine>,
    state: State,
    last: i32,
    begun: u64,
    log: LogBudget,
}

/// What a process may ask for and has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The words that may be commands, and the processes that they may name.
    pub allowed: &'static [&'static str],
    /// Commands that were begun since boot.
    pub begun: u64,
}

impl<'a> Request<'a> {
    /// No request yet. The process of this name may ask for commands made of these words.
    pub fn new(process: &'static str, allowed: &'static [&'static str], line: &'a mut RequestLine) -> Self {
        Request { process, allowed, line: Some(line), state: State::None, last: 0, begun: 0, log: LogBudget::new() }
    }

    /// Takes the command, if it is one and allowed.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let (State::None | State::Written | State::Ended(_), Some(line)) = (self.state, &mut self.line) else {
            return Err(Errno::Again);
        };
        let command = one_command(bytes)?;
        if !is_allowed(command, self.allowed)? {
            return Err(Errno::Access);
        }
        wipe(line);
        line.push_str(command).map_err(|_| Errno::Invalid)?;
        self.state = State::Written;
        Ok(bytes.len())
    }

    /// Moves the status to `into`, or begins to wait for it.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        // A buffer that is too short loses nothing.
        let into = into.first_chunk_mut().ok_or(Errno::Invalid)?;
        match self.state {
            State::None => return Ok(0),
            State::Written | State::Waiting => {
                self.state = State::Waiting;
                return Err(Errno::Again);
            }
            State::Begun { .. } => return Err(Errno::Again),
            State::Ended(status) => *into = status.to_le_bytes(),
        }
        self.state = State::None;
        Ok(into.len())
    }

    /// Forgets the request. One that is carried out goes on, for nobody.
    fn forget(&mut self) {
        self.last = 0;
        self.state = match self.state {
            State::Begun { outer, .. } => State::Begun { outer, wanted: false },
            _ => State::None,
        };
        if let Some(line) = &mut self.line {
            wipe(line);
        }
    }
}

/// Wipes a line: a command can hold a password.
fn wipe(line: &mut RequestLine) {
    line.clear();
    while line.push('\0').is_ok() {}
    line.clear();
}

/// The one command in these bytes.
///
/// # Errors
/// EINVAL: they are none, or too many, hold anything but printable ASCII, or a semicolon that would end the command.
fn one_command(bytes: &[u8]) -> Result<&str, Errno> {
    let printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::Invalid)?;
    let command = text.trim();
    let one = printable && bytes.len() <= ASKED_COMMAND_MAX && split_script(text).0.len() == text.len();
    if one && !command.is_empty() { Ok(command) } else { Err(Errno::Invalid) }
}

/// Whether a command is made of these words: the command itself, and the process that it names.
///
/// # Errors
/// EINVAL: it is no command, or is written wrongly.
fn is_allowed(command: &str, words: &[&str]) -> Result<bool, Errno> {
    let parsed = Command::parse(command).map_err(|_| Errno::Invalid)?;
    let named = match parsed {
        Command::Start { name, .. } | Command::Stop(name) | Command::Kill(name) => Some(name),
        _ => None,
    };
    Ok([Words::first(command), named].into_iter().flatten().all(|word| words.contains(&word)))
}

/// A process without a grant reaches nothing here: the kernel does not let it open the name.
fn denied(_: NoGrant) -> Errno {
    Errno::Access
}

/// The requests of all processes.
pub struct Requests<'a> {
    grant: Grant<'a, Request<'a>>,
    /// The processes that wait for their commands to begin.
    waiting: ProcessSet,
    /// The index of the process whose turn it is.
    turn: usize,
    /// The processes whose calls are to be tried again.
    ready: ProcessSet,
}

impl<'a> Requests<'a> {
    /// None yet, with these grants.
    pub fn new(grant: Grant<'a, Request<'a>>) -> Self {
        Requests { grant, waiting: ProcessSet::EMPTY, turn: 0, ready: ProcessSet::EMPTY }
    }

    /// Whether the process may ask for commands.
    ///
    /// # Errors
    /// [`Errno::Access`] where it has no grant.
    pub fn open(&self, process: ProcessId) -> Result<(), Errno> {
        self.grant.view(process).map(|_| ()).map_err(denied)
    }

    /// Takes one command, of at most [`ASKED_COMMAND_MAX`] bytes of printable ASCII, in place of one that has not
    /// begun.
    ///
    /// # Errors
    /// [`Errno::Invalid`] where it is not one command, [`Errno::Access`] where the manifest does not name its word or
    /// the process in it, [`Errno::Again`] while an earlier one is carried out.
    pub fn write(&mut self, process: ProcessId, bytes: &[u8]) -> Result<usize, Errno> {
        self.grant.enter(process).map_err(denied)?.write(bytes)
    }

    /// Moves the status of the command, four bytes in little-endian order, to `into`; 0 bytes where none was asked for.
    /// The first try begins the command.
    ///
    /// # Errors
    /// [`Errno::Again`] until it has ended, [`Errno::Invalid`] where `into` has fewer than four bytes.
    pub fn read(&mut self, process: ProcessId, into: &mut [u8]) -> Result<usize, Errno> {
        let request = self.grant.enter(process).map_err(denied)?;
        let read = request.read(into);
        if request.state == State::Waiting {
            self.waiting.insert(process);
        }
        read
    }

    /// Whether a command can be written, and whether a status is there.
    pub fn readiness(&self, process: ProcessId) -> Readiness {
        let Ok(request) = self.grant.view(process) else { return Readiness::ERROR };
        match request.state {
            State::None | State::Written => Readiness::WRITABLE,
            State::Ended(_) => Readiness::READABLE | Readiness::WRITABLE,
            State::Waiting | State::Begun { .. } => Readiness::NONE,
        }
    }

    /// The process closed its descriptor or has ended.
    pub fn forget(&mut self, process: ProcessId) {
        if let Ok(request) = self.grant.enter(process) {
            request.forget();
        }
        self.waiting.remove(process);
    }

    /// The processes whose calls are to be tried again.
    pub fn take_ready(&mut self) -> ProcessSet {
        self.ready.take()
    }

    /// Whether [`Requests::take_ready`] would name a process.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What a process may ask for and has asked for; `None` where that is nothing.
    pub fn figures(&self, process: ProcessId, _: &impl ReadGrants) -> Option<Figures> {
        self.grant.view(process).ok().map(|request| Figures { allowed: request.allowed, begun: request.begun })
    }

    /// The process whose command may begin: this one, if it is in the foreground, or the one whose turn it is.
    pub(crate) fn next(&self, foreground: Option<ProcessId>) -> Option<ProcessId> {
        match foreground {
            Some(process) => Some(process).filter(|&process| self.waiting.contains(process)),
            None => self.waiting.first_from(self.turn),
        }
    }

    /// Lends the command of a process that waits, which is carried out from now on; `outer` is what the console carried
    /// out so far.
    // A function of its own, so that a pass without a request does not pay for it.
    #[inline(never)]
    pub(crate) fn begin(
        &mut self,
        by: ProcessId,
        foreground: bool,
        outer: Option<Asked>,
        now: Instant,
    ) -> Option<(&'a mut RequestLine, Asked)> {
        self.waiting.remove(by);
        self.turn = by.index() + 1;
        let request = self.grant.enter(by).ok()?;
        let line = request.line.take()?;
        request.state = State::Begun { outer, wanted: true };
        request.begun = request.begun.saturating_add(1);
        let word = request.allowed.iter().find(|&&word| Some(word) == Words::first(line));
        if request.log.admit(request.process, now) {
            defmt::info!("console: {=str} is carried out for process {=str}", *word.unwrap_or(&""), request.process);
        }
        Some((line, Asked { by, foreground, last: request.last }))
    }

    /// Takes back the command that [`Requests::begin`] lent.
    pub(crate) fn give_back(&mut self, by: ProcessId, line: &'a mut RequestLine) {
        wipe(line);
        if let Ok(request) = self.grant.enter(by) {
            request.line = Some(line);
        }
    }

    /// The command has ended with this status. Returns what the console carried out before.
    pub(crate) fn ended(&mut self, by: ProcessId, status: i32) -> Option<Asked> {
        let request = self.grant.enter(by).ok()?;
        let State::Begun { outer, wanted } = request.state else { return None };
        request.state = State::None;
        if wanted {
            request.last = status;
            request.state = State::Ended(status);
        }
        // One that was started anew may wait to write.
        self.ready.insert(by);
        outer
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
pub(crate) mod tests;
