//! The process console: the monitor on the serial line, with line editing, the script of the kernel command line, and
//! commands.
//!
//! It turns bytes into commands; the board carries them out and reports their status ([`ProcessConsole::finished`]).
//! A command line is a list of commands separated by `;`. Words are separated by spaces; double quotes keep spaces
//! and semicolons in a word. A command may have 8 KiB. It is lent to the board, not copied.
//!
//! | command | what it does | status |
//! |---|---|---|
//! | `APP [ARGUMENT...]` | runs a process and waits for it | its own; 110 if it was killed |
//! | `start APP [ARGUMENT...]` | runs a process in the background | 0 |
//! | `stop APP` | ends a process in order, as if it had exited | 0, or 1 if it does not run |
//! | `restart APP [ARGUMENT...]` | stops a process if it runs, then starts it | 0 |
//! | `kill APP` | ends a process at once | 0, or 1 if it does not run |
//! | `log LEVEL` | sets the level of the log | 0, or 2 if that is not a level |
//! | `sleep SECONDS` | waits | 0, or 2 if that is not a number |
//! | `exit` | leaves QEMU with `16 + status of the last command` | |
//!
//! The others print something and have the status 0: see [`ReportKind`]. An unknown command has status 111. All words are
//! in [`slopos_abi::CommandName`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

mod command;
mod completion;
mod editor;
mod history;
mod line;
mod loader_words;
mod network_report;
mod piece;
pub mod report;
pub mod requests;
mod row;
mod script;
mod sequence;
mod window;

pub use command::{Command, How, ParseError, ReportKind, Way, Words};
pub use line::{Key, LINE_MAX};
pub use loader_words::{leave_out, left_out};
pub use script::split_script;
pub use window::{LINE_ROOM, Window};

use core::fmt::Write;
use core::ops::{Deref, Range};
use editor::{Editor, Typed};
use history::History;
use line::Line;
use piece::Piece;
use requests::{Asked, RequestLine, Requests};
use slopos_abi::{STATUS_KILLED, STATUS_MAX};
use slopos_kernel::process::{Configuration, ProcessId};
use slopos_kernel::time::{Duration, Instant};

/// How long the script waits for the network before it starts without it.
pub const NETWORK_TIMEOUT: Duration = Duration::from_secs(120);
/// Status of an unknown command.
pub const STATUS_UNKNOWN: i32 = STATUS_MAX;
/// The debug-exit code for status 0; the code is `16 + status`.
pub const EXIT_BASE: u8 = 16;

const PROMPT: &str = "slopos> ";
/// Clears a terminal's screen and moves the cursor to its corner (ECMA-48 sections 8.3.39 and 8.3.21).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The memory for typed lines. Its initial value is all zeros, so it may lie in memory that starts as zeros; it is much
/// too large for a stack.
pub struct Memory {
    /// The line that is being typed, and the complete one that is being carried out.
    lines: [Line; 2],
    history: History,
}

impl Memory {
    /// No line has been typed.
    #[expect(clippy::new_without_default, reason = "a default would pass over the stack")]
    pub const fn new() -> Memory {
        Memory { lines: [Line::new(), Line::new()], history: History::new() }
    }
}

/// A command that is to be carried out, on loan: it has to go back to [`ProcessConsole::give_back`].
#[derive(Debug)]
pub enum Begun<'a> {
    /// A command of the script.
    Script(&'a str),
    /// A command of the typed line.
    Typed(&'a mut Line, Range<usize>),
    /// The command that a process asked for.
    Asked(&'a mut RequestLine, ProcessId),
}

impl Deref for Begun<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Begun::Script(text) => text.trim(),
            Begun::Typed(line, range) => line.get(range.clone()).unwrap_or_default().trim(),
            Begun::Asked(line, _) => line,
        }
    }
}

/// What the process console is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The script waits for the network.
    AwaitingNetwork,
    /// The next command may begin.
    Idle,
    /// A command is being carried out.
    Busy,
    /// `sleep` until then.
    Sleeping(Instant),
    /// A process runs that was started from here.
    Foreground(ProcessId),
}

/// What the board has to do about a byte from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Done,
    /// The byte is for the process in the foreground.
    ForProcess(u8),
    /// Control-C: kill the process in the foreground.
    Interrupt(ProcessId),
    /// Print the choices for the word that is typed: [`ProcessConsole::list_choices`]. No input is accepted before
    /// [`ProcessConsole::choices_listed`].
    ListChoices,
}

/// The process console.
pub struct ProcessConsole<'a> {
    script: Option<&'a str>,
    /// What a person is greeted with before the first prompt, unless there is a script.
    greeting: &'a str,
    editor: Editor<'a>,
    /// The typed line; `None` while a part of it is on loan.
    typed: Option<&'a mut Line>,
    /// How many bytes of it have been carried out.
    dealt_with: usize,
    mode: Mode,
    /// Whose command is being carried out, if a process asked for it.
    asked: Option<Asked>,
    status: i32,
    prompted: bool,
    /// The choices for the word that is typed are being printed.
    listing: bool,
}

impl<'a> ProcessConsole<'a> {
    /// A process console that first carries out the script, unless that is empty: then it greets whoever reads, with a text
    /// that ends its line. Tab completes the names of these processes.
    pub fn new(script: &'a str, greeting: &'a str, memory: &'a mut Memory, processes: &'a [Configuration]) -> Self {
        let Memory { lines: [line, typed], history } = memory;
        let script = Some(script).filter(|script| !script.trim().is_empty());
        let (mode, greeting) = if script.is_some() { (Mode::AwaitingNetwork, "") } else { (Mode::Idle, greeting) };
        ProcessConsole {
            script,
            greeting,
            editor: Editor::new(line, history, processes),
            typed: Some(typed),
            dealt_with: 0,
            mode,
            asked: None,
            status: 0,
            prompted: false,
            listing: false,
        }
    }

    /// To be called in each pass. The script begins when `ready` says that the network is up or missing, or after
    /// [`NETWORK_TIMEOUT`].
    pub fn network_ready(&mut self, ready: bool, now: Instant) {
        if self.mode == Mode::AwaitingNetwork && (ready || now >= Instant::BOOT + NETWORK_TIMEOUT) {
            self.mode = Mode::Idle;
        }
    }

    /// Whether a byte from the line can be taken now. Until then it stays in the port, so a line that was typed ahead is
    /// not lost while the one before it is carried out, and its echo does not mix with what that one prints.
    pub fn accepts_input(&self) -> bool {
        let is_quiet = match self.mode {
            Mode::Foreground(_) => return true,
            Mode::Busy => false,
            // What is typed belongs behind the prompt.
            Mode::Idle => self.prompted,
            Mode::AwaitingNetwork | Mode::Sleeping(_) => true,
        };
        is_quiet && !self.listing && self.typed.is_some() && self.rest().is_empty()
    }

    /// The part of the typed line that has not been carried out.
    fn rest(&self) -> &str {
        self.typed.as_ref().and_then(|typed| typed.get(self.dealt_with..)).unwrap_or_default()
    }

    /// Takes a byte from the line and echoes it. To be called while [`ProcessConsole::accepts_input`].
    pub fn input(&mut self, byte: u8, out: &mut impl Write) -> Input {
        match self.mode {
            Mode::Foreground(process) if byte == Key::INTERRUPT => Input::Interrupt(process),
            Mode::Foreground(_) => {
                self.editor.watch(byte);
                Input::ForProcess(byte)
            }
            _ => self.edit(byte, &mut Piece::new(out)),
        }
    }

    // A function of its own, so that a pass without a key does not pay for it.
    #[inline(never)]
    fn edit(&mut self, byte: u8, out: &mut impl Write) -> Input {
        match self.editor.key(byte, out) {
            Typed::Nothing => {}
            Typed::Line => {
                if let Some(typed) = &mut self.typed {
                    self.editor.take_line(typed);
                }
                self.dealt_with = 0;
                self.prompted = false;
            }
            Typed::Choices => {
                self.listing = true;
                return Input::ListChoices;
            }
            Typed::Clear => {
                write(out, CLEAR);
                if self.prompted {
                    write(out, PROMPT);
                }
                self.editor.redraw(out);
            }
        }
        Input::Done
    }

    /// Writes the choices for the word that is typed.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn list_choices(&self, out: &mut impl Write) -> core::fmt::Result {
        self.editor.choices().list(out)
    }

    /// The choices are printed: the prompt comes again, with the line that is being typed.
    pub fn choices_listed(&mut self) {
        self.listing = false;
        self.prompted = false;
    }

    /// The next command to carry out, if there is one. Writes the prompt if the next command has to be typed. What
    /// processes ask for begins after that, so that keys had their turn since the last one.
    pub fn next(&mut self, now: Instant, out: &mut impl Write, requests: &mut Requests<'a>) -> Option<Begun<'a>> {
        if matches!(self.mode, Mode::Sleeping(until) if now >= until) {
            self.finished(0, requests);
        }
        if let Mode::Foreground(process) = self.mode
            && requests.next(Some(process)).is_some()
        {
            return self.begin_request(process, true, now, requests);
        }
        if self.mode != Mode::Idle || self.listing {
            return None;
        }
        if let Some(script) = self.script {
            let (command, rest) = split_script(script);
            self.script = rest;
            self.mode = Mode::Busy;
            return Some(Begun::Script(bounded(command)));
        }
        if self.rest().is_empty() {
            if !self.prompted {
                self.prompted = true;
                write(out, core::mem::take(&mut self.greeting));
                write(out, PROMPT);
                self.editor.redraw(out);
                return None;
            }
            let process = requests.next(None)?;
            // What it prints begins a line, and the prompt comes again behind it.
            write(out, "\n");
            return self.begin_request(process, false, now, requests);
        }
        let (command, rest) = split_script(self.rest());
        let range = self.dealt_with..self.dealt_with + command.len();
        let left = rest.map_or(0, str::len);
        let line = self.typed.take()?;
        self.dealt_with = line.len() - left;
        self.mode = Mode::Busy;
        Some(Begun::Typed(line, range))
    }

    /// Begins the command that a process asked for.
    fn begin_request(
        &mut self,
        process: ProcessId,
        foreground: bool,
        now: Instant,
        requests: &mut Requests<'a>,
    ) -> Option<Begun<'a>> {
        let (line, asked) = requests.begin(process, foreground, self.asked, now)?;
        self.asked = Some(asked);
        self.mode = Mode::Busy;
        Some(Begun::Asked(line, process))
    }

    /// Takes back the command that [`ProcessConsole::next`] lent. Until then no input is accepted.
    pub fn give_back(&mut self, command: Begun<'a>, requests: &mut Requests<'a>) {
        match command {
            Begun::Script(_) => {}
            Begun::Typed(line, _) => self.typed = Some(line),
            Begun::Asked(line, process) => requests.give_back(process, line),
        }
    }

    /// The command has ended with this status. If a process asked for it, that process gets the status, and what was
    /// carried out before goes on.
    pub fn finished(&mut self, status: i32, requests: &mut Requests<'a>) {
        self.prompted = false;
        self.mode = match self.asked {
            None => {
                self.status = status;
                Mode::Idle
            }
            Some(asked) => {
                self.asked = requests.ended(asked.by, status);
                if asked.foreground { Mode::Foreground(asked.by) } else { Mode::Idle }
            }
        };
    }

    /// The command was `sleep`: the next one begins at this time.
    pub fn sleep_until(&mut self, until: Instant) {
        self.mode = Mode::Sleeping(until);
    }

    /// The command started a process; the board calls [`ProcessConsole::finished`] when it ends.
    pub fn run_in_foreground(&mut self, process: ProcessId) {
        self.mode = Mode::Foreground(process);
    }

    /// The process in the foreground, if one runs.
    pub fn foreground(&self) -> Option<ProcessId> {
        match self.mode {
            Mode::Foreground(process) => Some(process),
            _ => None,
        }
    }

    /// When [`ProcessConsole::next`] must be called even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.mode {
            Mode::AwaitingNetwork => Some(Instant::BOOT + NETWORK_TIMEOUT),
            Mode::Sleeping(until) => Some(until),
            _ => None,
        }
    }

    /// Whether [`ProcessConsole::next`] has another command at once.
    pub fn has_more(&self, requests: &Requests<'_>) -> bool {
        match self.mode {
            Mode::Idle if self.listing => false,
            Mode::Idle => self.script.is_some() || !self.rest().is_empty() || requests.next(None).is_some(),
            Mode::Foreground(process) => requests.next(Some(process)).is_some(),
            Mode::AwaitingNetwork | Mode::Busy | Mode::Sleeping(_) => false,
        }
    }

    /// The status of the last command; where one is carried out for a process, of the last one of that process.
    pub fn status(&self) -> i32 {
        self.asked.map_or(self.status, |asked| asked.last)
    }

    /// The code for the debug-exit device: 16 and the status of the last command.
    pub fn exit_code(&self) -> u8 {
        let status = Some(self.status()).filter(|status| (0..=STATUS_MAX).contains(status)).unwrap_or(STATUS_MAX);
        EXIT_BASE + status as u8
    }
}

/// Writes to the serial line. Bytes that it cannot take are lost, as on any terminal.
fn write(out: &mut impl Write, text: &str) {
    let _ = out.write_str(text);
}

/// The command, or if it is too long, one that does not exist.
fn bounded(command: &str) -> &str {
    let length = command.trim().len();
    if length <= LINE_MAX {
        return command;
    }
    defmt::warn!("console: a command of {=usize} bytes is longer than {=usize}", length, LINE_MAX);
    "<too-long>"
}

/// How a process was ended, in the words that the process console prints if it did not end by itself.
pub fn ending(status: i32) -> Option<&'static str> {
    (status == STATUS_KILLED).then_some("killed")
}

#[cfg(test)]
mod tests;
