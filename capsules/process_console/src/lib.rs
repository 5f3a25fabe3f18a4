//! The interactive monitor on the serial line: line editing, the script of the kernel command line, and commands.
//!
//! It reads bytes and yields commands; the board carries them out and says how they ended ([`Console::finished`]).
//! A command line is a list of commands separated by `;`. Words are separated by spaces; double quotes keep spaces
//! and semicolons in a word.
//!
//! | command | what it does | status |
//! |---|---|---|
//! | `help` | lists the commands | 0 |
//! | `ps` | the processes: state, status, calls, ledger | 0 |
//! | `net` | address, gateway, lease and counters | 0 |
//! | `APP [ARGUMENT...]` | runs a process and waits for it | its own; 110 where it was killed |
//! | `grants` | what each process holds of the network, and its connections | 0 |
//! | `start APP [ARGUMENT...]` | runs a process in the background | 0 |
//! | `kill APP` | ends a process at once | 0, or 1 where it does not run |
//! | `sleep SECONDS` | waits | 0, or 2 where that is no number |
//! | `exit` | leaves QEMU with `16 + status of the last command` | |
//!
//! An unknown command has status 111.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

mod command;
mod editor;
mod report;
mod script;
mod window;

pub use command::{Command, ParseError};
pub use editor::Key;
pub use report::{DeviceState, HELP, SELF_TEST_HELP, grant, network, process};
pub use script::split_script;
pub use window::{LINE_ROOM, Window};

use core::fmt::Write;
use editor::Editor;
use heapless::String;
use slopos_abi::{STATUS_KILLED, STATUS_MAX};
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::{Duration, Instant};

/// Longest command line, in bytes.
pub const LINE_MAX: usize = 512;
/// How long the script waits for the network before it starts without it.
pub const NETWORK_PATIENCE: Duration = Duration::from_secs(120);
/// Status of a command that there is not.
pub const STATUS_UNKNOWN: i32 = STATUS_MAX;
/// What the debug-exit code begins at: `16 + status`.
const EXIT_BASE: u8 = 16;

const PROMPT: &str = "slopos> ";

/// One line of commands.
pub type Line = String<LINE_MAX>;

/// What the monitor is doing.
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

/// What a byte from the line asks of the board, beside what the monitor did itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Done,
    /// The byte is for the process in the foreground.
    ForProcess(u8),
    /// Control-C: kill the process in the foreground.
    Interrupt(ProcessId),
}

/// The monitor.
pub struct Console<'a> {
    script: Option<&'a str>,
    editor: Editor,
    /// What is left of the line that was typed.
    typed: Line,
    mode: Mode,
    status: i32,
    prompted: bool,
}

impl<'a> Console<'a> {
    /// A monitor that first carries out the script; an empty one is none.
    pub fn new(script: &'a str) -> Self {
        let script = Some(script).filter(|script| !script.trim().is_empty());
        let mode = if script.is_some() { Mode::AwaitingNetwork } else { Mode::Idle };
        Console { script, editor: Editor::new(), typed: Line::new(), mode, status: 0, prompted: false }
    }

    /// Says whether the network is up, or whether there is none to wait for; the script begins then.
    pub fn network_ready(&mut self, ready: bool, now: Instant) {
        if self.mode == Mode::AwaitingNetwork && (ready || now >= Instant::BOOT + NETWORK_PATIENCE) {
            self.mode = Mode::Idle;
        }
    }

    /// Whether a byte from the line can be taken now. Until then it stays with the port: a line that was typed ahead
    /// is not lost while the one before it is carried out.
    pub fn accepts_input(&self) -> bool {
        self.typed.is_empty() || self.foreground().is_some()
    }

    /// Takes a byte from the line and echoes it. To be called while [`Console::accepts_input`].
    pub fn input(&mut self, byte: u8, out: &mut impl Write) -> Input {
        match self.mode {
            Mode::Foreground(process) if byte == Key::INTERRUPT => Input::Interrupt(process),
            Mode::Foreground(_) => Input::ForProcess(byte),
            _ => {
                if let Some(line) = self.editor.key(byte, out) {
                    self.typed = line;
                    self.prompted = false;
                }
                Input::Done
            }
        }
    }

    /// The next command line to parse and carry out, if it is time for one. Writes the prompt where a person's turn is.
    pub fn next(&mut self, now: Instant, out: &mut impl Write) -> Option<Line> {
        if matches!(self.mode, Mode::Sleeping(until) if now >= until) {
            self.finished(0);
        }
        if self.mode != Mode::Idle {
            return None;
        }
        if let Some(script) = self.script {
            let (command, rest) = split_script(script);
            self.script = rest;
            return Some(self.begin(command));
        }
        if self.typed.is_empty() {
            if !self.prompted {
                self.prompted = true;
                // The writer is the serial line; what it cannot take is lost, as on any terminal.
                let _ = out.write_str(PROMPT);
                self.editor.redraw(out);
            }
            return None;
        }
        let line = core::mem::take(&mut self.typed);
        let (command, rest) = split_script(&line);
        self.typed = bounded(rest.unwrap_or(""));
        Some(self.begin(command))
    }

    fn begin(&mut self, command: &str) -> Line {
        self.mode = Mode::Busy;
        bounded(command)
    }

    /// The command that [`Console::next`] gave has ended with this status.
    pub fn finished(&mut self, status: i32) {
        self.status = status;
        self.mode = Mode::Idle;
        self.prompted = false;
    }

    /// The command was `sleep`.
    pub fn sleep_until(&mut self, until: Instant) {
        self.mode = Mode::Sleeping(until);
    }

    /// The command started a process; its end is to be told by [`Console::finished`].
    pub fn run_in_foreground(&mut self, process: ProcessId) {
        self.mode = Mode::Foreground(process);
    }

    /// The process that was started from here and runs.
    pub fn foreground(&self) -> Option<ProcessId> {
        match self.mode {
            Mode::Foreground(process) => Some(process),
            _ => None,
        }
    }

    /// When [`Console::next`] must be called even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.mode {
            Mode::AwaitingNetwork => Some(Instant::BOOT + NETWORK_PATIENCE),
            Mode::Sleeping(until) => Some(until),
            _ => None,
        }
    }

    /// Whether [`Console::next`] has another command at once.
    pub fn has_more(&self) -> bool {
        self.mode == Mode::Idle && (self.script.is_some() || !self.typed.is_empty())
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

/// The text as a line; one that is too long becomes a command that does not exist.
fn bounded(text: &str) -> Line {
    Line::try_from(text.trim()).unwrap_or_else(|_| {
        defmt::warn!("console: a command of {=usize} bytes is longer than {=usize}", text.len(), LINE_MAX);
        Line::try_from("<too-long>").unwrap_or_default()
    })
}

/// The word for how a process ended, for the line that the monitor prints where it did not end by itself.
pub fn ending(status: i32) -> Option<&'static str> {
    (status == STATUS_KILLED).then_some("killed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn next(console: &mut Console<'_>, millis: u64) -> Option<String> {
        console.next(Instant::from_millis(millis), &mut String::new()).map(|line| line.as_str().into())
    }

    fn type_line(console: &mut Console<'_>, text: &str) -> String {
        let mut echo = String::new();
        for byte in text.bytes() {
            console.input(byte, &mut echo);
        }
        echo
    }

    #[test]
    fn the_script_waits_for_the_network_or_for_two_minutes() {
        let mut console = Console::new("webget http://10.0.2.2/; exit");
        console.network_ready(false, Instant::from_millis(119_999));
        assert_eq!(next(&mut console, 119_999), None);
        assert_eq!(console.next_deadline(), Some(Instant::from_millis(120_000)));
        console.network_ready(false, Instant::from_millis(120_000));
        assert_eq!(next(&mut console, 120_000).as_deref(), Some("webget http://10.0.2.2/"));
        let mut console = Console::new("exit");
        console.network_ready(true, Instant::from_millis(1));
        assert_eq!(next(&mut console, 1).as_deref(), Some("exit"));
    }

    #[test]
    fn commands_follow_each_other_when_the_one_before_has_ended() {
        let mut console = Console::new("a; b");
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
            let mut console = Console::new("");
            console.finished(status);
            assert_eq!(console.exit_code(), code);
        }
    }

    #[test]
    fn sleep_ends_by_itself_with_status_0() {
        let mut console = Console::new("");
        console.finished(5);
        console.sleep_until(Instant::from_millis(100));
        assert_eq!(next(&mut console, 99), None);
        assert_eq!(console.exit_code(), 21);
        assert_eq!(next(&mut console, 100), None);
        assert_eq!(console.exit_code(), 16);
    }

    #[test]
    fn typed_lines_are_split_like_scripts() {
        let mut console = Console::new("");
        type_line(&mut console, "ps; net\r");
        assert_eq!(next(&mut console, 0).as_deref(), Some("ps"));
        console.finished(0);
        assert_eq!(next(&mut console, 0).as_deref(), Some("net"));
        console.finished(0);
        assert_eq!(next(&mut console, 0), None);
    }

    #[test]
    fn what_is_typed_while_a_process_runs_is_the_process_s() {
        let mut console = Console::new("");
        let id = ProcessId::new(2);
        console.run_in_foreground(id);
        assert_eq!(console.input(b'x', &mut String::new()), Input::ForProcess(b'x'));
        assert_eq!(console.input(3, &mut String::new()), Input::Interrupt(id));
    }

    #[test]
    fn the_prompt_is_written_once() {
        let mut console = Console::new("");
        let mut out = String::new();
        console.next(Instant::BOOT, &mut out);
        console.next(Instant::BOOT, &mut out);
        assert_eq!(out, PROMPT);
    }

    #[test]
    fn a_command_that_is_too_long_is_an_unknown_one() {
        let long = "x".repeat(LINE_MAX + 1);
        let mut console = Console::new(&long);
        console.network_ready(true, Instant::BOOT);
        let line = next(&mut console, 0).unwrap();
        assert_eq!(
            Command::parse(&line),
            Ok(Command::Start { name: "<too-long>", arguments: heapless::Vec::new(), background: false })
        );
    }
}
