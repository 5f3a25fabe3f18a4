//! The process console: the monitor on the serial line, with line editing, the script of the kernel command line, and
//! commands.
//!
//! It turns bytes into commands; the board carries them out and reports their status ([`ProcessConsole::finished`]).
//! A command line is a list of commands separated by `;`. Words are separated by spaces; double quotes keep spaces
//! and semicolons in a word. A command may have 8 KiB. It is lent to the board, not copied.
//!
//! | command | what it does | status |
//! |---|---|---|
//! | `help` | lists the commands | 0 |
//! | `ps` | the processes: state, status, calls, ledger | 0 |
//! | `net` | address, gateway, lease and counters | 0 |
//! | `APP [ARGUMENT...]` | runs a process and waits for it | its own; 110 if it was killed |
//! | `grants` | what each process holds of the network, and its connections | 0 |
//! | `start APP [ARGUMENT...]` | runs a process in the background | 0 |
//! | `kill APP` | ends a process at once | 0, or 1 if it does not run |
//! | `sleep SECONDS` | waits | 0, or 2 if that is not a number |
//! | `exit` | leaves QEMU with `16 + status of the last command` | |
//!
//! An unknown command has status 111.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

mod command;
mod editor;
mod history;
mod line;
mod loader_words;
mod report;
mod script;
mod sequence;
mod window;

pub use command::{Command, ParseError, Words};
pub use line::{Key, LINE_MAX};
pub use loader_words::leave_out;
pub use report::{DeviceState, HELP, SELF_TEST_HELP, grant, network, process};
pub use script::split_script;
pub use window::{LINE_ROOM, Window};

use core::fmt::Write;
use core::ops::{Deref, Range};
use editor::Editor;
use history::History;
use line::Line;
use slopos_abi::{STATUS_KILLED, STATUS_MAX};
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::{Duration, Instant};

/// How long the script waits for the network before it starts without it.
pub const NETWORK_TIMEOUT: Duration = Duration::from_secs(120);
/// Status of an unknown command.
pub const STATUS_UNKNOWN: i32 = STATUS_MAX;
/// The debug-exit code for status 0; the code is `16 + status`.
pub const EXIT_BASE: u8 = 16;

const PROMPT: &str = "slopos> ";

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
}

impl Deref for Begun<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Begun::Script(text) => text.trim(),
            Begun::Typed(line, range) => line.get(range.clone()).unwrap_or_default().trim(),
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
}

/// The process console.
pub struct ProcessConsole<'a> {
    script: Option<&'a str>,
    editor: Editor<'a>,
    /// The typed line; `None` while a part of it is on loan.
    typed: Option<&'a mut Line>,
    /// How many bytes of it have been carried out.
    dealt_with: usize,
    mode: Mode,
    status: i32,
    prompted: bool,
}

impl<'a> ProcessConsole<'a> {
    /// A process console that first carries out the script, unless that is empty.
    pub fn new(script: &'a str, memory: &'a mut Memory) -> Self {
        let Memory { lines: [line, typed], history } = memory;
        let script = Some(script).filter(|script| !script.trim().is_empty());
        let mode = if script.is_some() { Mode::AwaitingNetwork } else { Mode::Idle };
        let editor = Editor::new(line, history);
        ProcessConsole { script, editor, typed: Some(typed), dealt_with: 0, mode, status: 0, prompted: false }
    }

    /// To be called in each pass. The script begins when `ready` says that the network is up or missing, or after
    /// [`NETWORK_TIMEOUT`].
    pub fn network_ready(&mut self, ready: bool, now: Instant) {
        if self.mode == Mode::AwaitingNetwork && (ready || now >= Instant::BOOT + NETWORK_TIMEOUT) {
            self.mode = Mode::Idle;
        }
    }

    /// Whether a byte from the line can be taken now. Until then it stays in the port, so a line that was typed ahead is
    /// not lost while the one before it is carried out.
    pub fn accepts_input(&self) -> bool {
        self.foreground().is_some() || self.typed.is_some() && self.rest().is_empty()
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
            _ => {
                if self.editor.key(byte, out) {
                    if let Some(typed) = &mut self.typed {
                        self.editor.take_line(typed);
                    }
                    self.dealt_with = 0;
                    self.prompted = false;
                }
                Input::Done
            }
        }
    }

    /// The next command to carry out, if there is one. Writes the prompt if the next command has to be typed.
    pub fn next(&mut self, now: Instant, out: &mut impl Write) -> Option<Begun<'a>> {
        if matches!(self.mode, Mode::Sleeping(until) if now >= until) {
            self.finished(0);
        }
        if self.mode != Mode::Idle {
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
                // The writer is the serial line; bytes that it cannot take are lost, as on any terminal.
                let _ = out.write_str(PROMPT);
                self.editor.redraw(out);
            }
            return None;
        }
        let (command, rest) = split_script(self.rest());
        let range = self.dealt_with..self.dealt_with + command.len();
        let left = rest.map_or(0, str::len);
        let line = self.typed.take()?;
        self.dealt_with = line.len() - left;
        self.mode = Mode::Busy;
        Some(Begun::Typed(line, range))
    }

    /// Takes back the command that [`ProcessConsole::next`] lent. Until then no input is accepted.
    pub fn give_back(&mut self, command: Begun<'a>) {
        if let Begun::Typed(line, _) = command {
            self.typed = Some(line);
        }
    }

    /// The command has ended with this status.
    pub fn finished(&mut self, status: i32) {
        self.status = status;
        self.mode = Mode::Idle;
        self.prompted = false;
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
    pub fn has_more(&self) -> bool {
        self.mode == Mode::Idle && (self.script.is_some() || !self.rest().is_empty())
    }

    /// The status of the last command.
    pub fn status(&self) -> i32 {
        self.status
    }

    /// The code for the debug-exit device: 16 and the status of the last command.
    pub fn exit_code(&self) -> u8 {
        let status = if (0..=STATUS_MAX).contains(&self.status) { self.status } else { STATUS_MAX };
        EXIT_BASE + status as u8
    }
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
mod tests {
    use super::*;
    use std::string::String;

    fn console_with(script: &str) -> ProcessConsole<'_> {
        ProcessConsole::new(script, std::boxed::Box::leak(std::boxed::Box::new(Memory::new())))
    }

    fn next(console: &mut ProcessConsole<'_>, millis: u64) -> Option<String> {
        let command = console.next(Instant::from_millis(millis), &mut String::new())?;
        let text = String::from(&*command);
        console.give_back(command);
        Some(text)
    }

    fn type_line(console: &mut ProcessConsole<'_>, text: &str) -> String {
        let mut echo = String::new();
        for byte in text.bytes() {
            console.input(byte, &mut echo);
        }
        echo
    }

    #[test]
    fn the_script_waits_for_the_network_or_for_two_minutes() {
        let mut console = console_with("webget http://10.0.2.2/; exit");
        console.network_ready(false, Instant::from_millis(119_999));
        assert_eq!(next(&mut console, 119_999), None);
        assert_eq!(console.next_deadline(), Some(Instant::from_millis(120_000)));
        console.network_ready(false, Instant::from_millis(120_000));
        assert_eq!(next(&mut console, 120_000).as_deref(), Some("webget http://10.0.2.2/"));
        let mut console = console_with("exit");
        console.network_ready(true, Instant::from_millis(1));
        assert_eq!(next(&mut console, 1).as_deref(), Some("exit"));
    }

    #[test]
    fn commands_follow_each_other_when_the_one_before_has_ended() {
        let mut console = console_with("a; b");
        console.network_ready(true, Instant::BOOT);
        assert_eq!(next(&mut console, 0).as_deref(), Some("a"));
        assert_eq!(next(&mut console, 0), None, "nothing begins while a command is carried out");
        console.run_in_foreground(ProcessId::new(0));
        assert_eq!(next(&mut console, 1), None);
        console.finished(3);
        assert_eq!(next(&mut console, 2).as_deref(), Some("b"));
        assert_eq!(console.exit_code(), 19);
    }

    #[test]
    fn a_status_out_of_range_counts_as_111() {
        for (status, code) in [(0, 16), (22, 38), (111, 127), (112, 127), (200, 127), (-1, 127), (i32::MIN, 127)] {
            let mut console = console_with("");
            console.finished(status);
            assert_eq!(console.exit_code(), code);
        }
    }

    #[test]
    fn sleep_ends_by_itself_with_status_0() {
        let mut console = console_with("");
        console.finished(5);
        console.sleep_until(Instant::from_millis(100));
        assert_eq!(next(&mut console, 99), None);
        assert_eq!(console.exit_code(), 21);
        assert_eq!(next(&mut console, 100), None);
        assert_eq!(console.exit_code(), 16);
    }

    #[test]
    fn typed_lines_are_split_like_scripts() {
        let mut console = console_with("");
        type_line(&mut console, "ps; net\r");
        assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
        console.finished(0);
        assert_eq!(next(&mut console, 0).as_deref(), Some("net"));
        console.finished(0);
        assert_eq!(next(&mut console, 0), None);
    }

    #[test]
    fn semicolons_without_commands_leave_the_prompt() {
        for line in [";\r", ";;\r", " ; ; \r", "   \r", "\r"] {
            let mut console = console_with("");
            type_line(&mut console, line);
            while next(&mut console, 0).is_some_and(|command| command.is_empty()) {
                console.finished(0);
            }
            assert!(console.accepts_input() && !console.has_more(), "{line:?}");
        }
    }

    #[test]
    fn what_is_typed_while_a_process_runs_is_the_process_s() {
        let mut console = console_with("");
        let id = ProcessId::new(2);
        console.run_in_foreground(id);
        assert_eq!(console.input(b'x', &mut String::new()), Input::ForProcess(b'x'));
        assert_eq!(console.input(3, &mut String::new()), Input::Interrupt(id));
    }

    #[test]
    fn the_prompt_is_written_once() {
        let mut console = console_with("");
        let mut out = String::new();
        console.next(Instant::BOOT, &mut out);
        console.next(Instant::BOOT, &mut out);
        assert_eq!(out, PROMPT);
    }

    #[test]
    fn a_command_that_is_too_long_is_an_unknown_one() {
        let long = "x".repeat(LINE_MAX + 1) + "; b";
        let mut console = console_with(&long);
        console.network_ready(true, Instant::BOOT);
        let line = next(&mut console, 0).unwrap();
        assert!(matches!(Command::parse(&line), Ok(Command::Start { name: "<too-long>", .. })));
        console.finished(STATUS_UNKNOWN);
        assert_eq!(next(&mut console, 0).as_deref(), Some("b"));
    }

    #[test]
    fn a_command_of_8_kib_is_carried_out_whether_it_was_typed_or_is_in_the_script() {
        let command = format!("webget http://10.0.2.2/{}", "x".repeat(LINE_MAX - 23));
        assert_eq!(command.len(), 8 * 1024);
        let script = format!(" {command} ; exit");
        let mut console = console_with(&script);
        console.network_ready(true, Instant::BOOT);
        assert_eq!(next(&mut console, 0), Some(command.clone()));
        console.finished(0);
        assert_eq!(next(&mut console, 0).as_deref(), Some("exit"));
        console.finished(0);
        type_line(&mut console, &(command.clone() + "\r"));
        assert_eq!(next(&mut console, 0), Some(command));
    }

    #[test]
    fn nothing_can_be_typed_while_a_typed_command_is_on_loan() {
        let mut console = console_with("");
        type_line(&mut console, "a; b\r");
        let begun = console.next(Instant::BOOT, &mut String::new()).unwrap();
        assert_eq!(&*begun, "a");
        assert!(!console.accepts_input() && !console.has_more());
        console.give_back(begun);
        console.finished(0);
        assert!(!console.accepts_input() && console.has_more());
        assert_eq!(next(&mut console, 0).as_deref(), Some("b"));
        assert!(console.accepts_input());
    }

    #[test]
    fn a_report_whose_beginning_a_process_read_is_no_command_behind_its_end() {
        let mut console = console_with("");
        console.run_in_foreground(ProcessId::new(0));
        for byte in *b"\x1b]0;exit" {
            console.input(byte, &mut String::new());
        }
        console.finished(0);
        type_line(&mut console, "\rkill webget\r\x07ps\r");
        assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
    }
}
