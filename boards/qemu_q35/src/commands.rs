//! Carries out the console's commands.

use crate::board::Board;
use crate::machine::now;
use crate::reports::{Kind, Report};
use core::fmt::Write;
use slopos_kernel::process::ProcessId;
use slopos_kernel::scheduler::{Process, StartError};
use slopos_process_console::{self as monitor, Command, ParseError, STATUS_UNKNOWN};

/// Status of a built-in command that was used wrongly.
const STATUS_USAGE: i32 = 2;
/// Status of a command that could not do what it should.
const STATUS_FAILED: i32 = 1;

impl Board {
    /// Carries out one command. Afterwards the monitor is told its status, or waits for it.
    pub fn carry_out(&mut self, line: &str) {
        match Command::parse(line) {
            Ok(Command::Exit) => self.begin_to_leave(now()),
            Ok(Command::Sleep(span)) => self.monitor.sleep_until(now() + span),
            Ok(Command::Start { name, arguments, background }) => self.start(name, &arguments, background),
            Ok(Command::Empty) => self.monitor.finished(self.monitor.status()),
            Ok(Command::Help) => self.report = Some(Report::new(Kind::Help)),
            Ok(Command::Processes) => self.report = Some(Report::new(Kind::Processes)),
            Ok(Command::Network) => self.report = Some(Report::new(Kind::Network)),
            Ok(Command::Grants) => self.report = Some(Report::new(Kind::Grants)),
            Ok(Command::Kill(name)) => {
                let status = self.kill_by_name(name);
                self.monitor.finished(status);
            }
            Err(error) => {
                let mut terminal = self.terminal();
                // The process console's text is cut where the line is slow, and never fails.
                let _ = match error {
                    ParseError::Quote => writeln!(terminal, "quotes do not match in: {line}"),
                    ParseError::TooManyArguments => writeln!(terminal, "too many arguments"),
                    ParseError::Usage(usage) => writeln!(terminal, "usage: {usage}"),
                };
                self.monitor.finished(STATUS_USAGE);
            }
        }
    }

    fn start(&mut self, name: &str, arguments: &[&str], background: bool) {
        #[cfg(selftest)]
        if let Some(status) = crate::selftest::command(self, name) {
            return self.monitor.finished(status);
        }
        let Some(id) = self.kernel.find(name) else {
            self.say(format_args!("{name}: no such command or process; help lists them"));
            return self.monitor.finished(STATUS_UNKNOWN);
        };
        match self.launch(id, arguments) {
            Ok(()) if background => self.monitor.finished(0),
            Ok(()) => {
                self.capsules.console.set_foreground(Some(id));
                self.monitor.run_in_foreground(id);
            }
            Err(error) => {
                let reason = match error {
                    StartError::Running => "runs already",
                    StartError::NoImage | StartError::Used => "has no usable image in the flash",
                    StartError::ArgumentsTooLong => "was given too long arguments",
                };
                self.say(format_args!("{name}: {reason}"));
                // What cannot run is as if it were not there.
                let status = if error == StartError::NoImage { STATUS_UNKNOWN } else { STATUS_FAILED };
                self.monitor.finished(status);
            }
        }
    }

    /// Starts a process, with a new image of its app where it has run before.
    pub fn launch(&mut self, id: ProcessId, arguments: &[&str]) -> Result<(), StartError> {
        let started = self.kernel.start(id, arguments.iter().copied(), now(), &mut self.cpu, &self.token);
        match &mut self.capsules.flash {
            Some(flash) if started == Err(StartError::Used) => {
                flash.load(&mut self.kernel, id, &mut self.cpu);
                self.kernel.start(id, arguments.iter().copied(), now(), &mut self.cpu, &self.token)
            }
            _ => started,
        }
    }

    fn kill_by_name(&mut self, name: &str) -> i32 {
        match self.kernel.find(name) {
            Some(id) if self.is_running(id) || self.will_restart(id) => {
                self.kill(id);
                0
            }
            _ => {
                self.say(format_args!("{name}: does not run"));
                STATUS_FAILED
            }
        }
    }

    fn is_running(&self, id: ProcessId) -> bool {
        self.kernel.process(id).is_some_and(Process::is_running)
    }

    fn will_restart(&self, id: ProcessId) -> bool {
        self.kernel.process(id).is_some_and(|process| process.restart_at().is_some())
    }

    /// Ends a process at once.
    pub fn kill(&mut self, id: ProcessId) {
        self.kernel.kill(id, &mut self.capsules, now(), &self.token);
    }

    /// Tells the monitor when the process in the foreground has ended.
    pub fn watch_foreground(&mut self) {
        let Some(id) = self.monitor.foreground().filter(|&id| !self.is_running(id)) else { return };
        let Some((name, status)) =
            self.kernel.process(id).map(|process| (process.configuration.name, process.status().unwrap_or(0)))
        else {
            return;
        };
        self.capsules.console.set_foreground(None);
        if let Some(ending) = monitor::ending(status) {
            self.say(format_args!("{name}: {ending}"));
        }
        self.monitor.finished(status);
    }

    fn say(&mut self, text: core::fmt::Arguments<'_>) {
        // As above.
        let _ = writeln!(self.terminal(), "{text}");
    }
}
