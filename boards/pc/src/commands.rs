//! Carries out the console's commands.

use crate::board::Board;
use crate::log;
use crate::machine::now;
use crate::progress::Report;
use core::fmt::Write;
use slopos_kernel::kernel::StartError;
use slopos_kernel::process::{Ending, Process, ProcessId, State};
use slopos_kernel::processor::ArgumentsTooLong;
use slopos_process_console::{Command, How, ParseError, ReportKind, STATUS_UNKNOWN, Words, ending};

/// Printed for a process whose app cannot be loaded; the log has the reason.
const NO_IMAGE: &str = "has no usable image in the flash";
/// Status of a built-in command that was used wrongly.
const STATUS_USAGE: i32 = 2;
/// Status of a command that could not do what it should.
const STATUS_FAILED: i32 = 1;

impl Board {
    /// Carries out one command. The process console gets its status at once, or waits for a process to end.
    pub fn carry_out(&mut self, line: &str) {
        match Command::parse(line) {
            Ok(Command::Leave(way)) => self.begin_shutdown(way, now()),
            Ok(Command::Sleep(span)) => self.process_console.sleep_until(now() + span),
            Ok(Command::Start { name, arguments, how }) => self.start(name, arguments, how),
            Ok(Command::Empty) => self.finished(self.process_console.status()),
            Ok(Command::Report(kind)) => self.report = Some(Report::new(kind)),
            Ok(Command::Log(level)) => {
                log::set_level(level);
                self.report = Some(Report::new(ReportKind::LogLevel));
            }
            Ok(Command::Stop(name)) => self.end_by_name(name, Board::stop),
            Ok(Command::Kill(name)) => self.end_by_name(name, Board::kill),
            Err(error) => {
                let mut terminal = self.terminal();
                // The process console's text is cut where the line is slow, and never fails.
                let _ = match error {
                    ParseError::Quote => writeln!(terminal, "quotes do not match in: {line}"),
                    ParseError::Usage(usage) => writeln!(terminal, "usage: {usage}"),
                };
                self.finished(STATUS_USAGE);
            }
        }
    }

    /// The command has ended with this status.
    pub fn finished(&mut self, status: i32) {
        self.process_console.finished(status, &mut self.capsules.requests);
        self.capsules.console.set_foreground(self.process_console.foreground());
    }

    fn start(&mut self, name: &str, arguments: Words<'_>, how: How) {
        #[cfg(selftest)]
        if let Some(status) = crate::selftest::command(self, name) {
            return self.finished(status);
        }
        let Some(id) = self.kernel.find(name) else {
            self.say(format_args!("{name}: no such command or process; help lists them"));
            return self.finished(STATUS_UNKNOWN);
        };
        if how == How::Again {
            self.stop(id);
        }
        match self.launch(id, arguments) {
            Ok(()) if how != How::Foreground => self.background_start = Some(id),
            Ok(()) => {
                self.capsules.console.set_foreground(Some(id));
                self.process_console.run_in_foreground(id);
            }
            Err(error) => {
                match error {
                    StartError::Running => self.say(format_args!("{name}: runs already")),
                    StartError::NoProcess => self.say(format_args!("{name}: {NO_IMAGE}")),
                    StartError::ArgumentsTooLong(ArgumentsTooLong { bytes, most }) => self.say(format_args!(
                        "{name}: its name and arguments take {bytes} bytes, and its stack has room for {most}"
                    )),
                }
                self.finished(STATUS_FAILED);
            }
        }
    }

    /// Starts a process. Its program is loaded first, while others run.
    pub fn launch<'a>(
        &mut self,
        id: ProcessId,
        arguments: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), StartError> {
        self.kernel.start(id, arguments, now(), &mut self.cpu, &self.console_authority)
    }

    /// Ends the process of that name, if it runs or waits for its restart.
    fn end_by_name(&mut self, name: &str, end: fn(&mut Board, ProcessId)) {
        let status = match self.kernel.find(name) {
            Some(id) if self.is_running(id) || self.will_restart(id) => {
                end(self, id);
                0
            }
            _ => {
                self.say(format_args!("{name}: does not run"));
                STATUS_FAILED
            }
        };
        self.finished(status);
    }

    fn is_running(&self, id: ProcessId) -> bool {
        self.kernel.process(id).is_some_and(Process::is_running)
    }

    fn will_restart(&self, id: ProcessId) -> bool {
        self.kernel.process(id).is_some_and(|process| process.restart_at().is_some())
    }

    /// Ends a process in order, as if it had exited.
    fn stop(&mut self, id: ProcessId) {
        self.kernel.stop(id, &mut self.capsules, now(), &self.console_authority);
    }

    /// Ends a process at once.
    pub fn kill(&mut self, id: ProcessId) {
        self.kernel.kill(id, &mut self.capsules, now(), &self.console_authority);
    }

    /// Reports to the process console when the process in the foreground has ended, or the one that was started in the
    /// background has begun.
    pub fn watch_foreground(&mut self) {
        let started = self.process_console.foreground().or(self.background_start);
        let Some((id, process)) = started.and_then(|id| Some((id, self.kernel.process(id)?))) else { return };
        if process.is_starting() || process.is_running() && self.background_start != Some(id) {
            return;
        }
        let (name, status, state) = (process.configuration.name, process.status().unwrap_or(0), process.state());
        // A program may pass on the status of another that was killed.
        let ended_itself = process.ending() == Some(Ending::Exited);
        let background = self.background_start.take().is_some();
        if state == State::NoImage {
            self.say(format_args!("{name}: {NO_IMAGE}"));
            // A process that cannot run is treated like an unknown name.
            return self.finished(STATUS_UNKNOWN);
        }
        if background {
            return self.finished(0);
        }
        if let Some(ending) = ending(status).filter(|_| !ended_itself) {
            self.say(format_args!("{name}: {ending}"));
        }
        self.finished(status);
    }

    pub fn say(&mut self, text: core::fmt::Arguments<'_>) {
        // As above.
        let _ = writeln!(self.terminal(), "{text}");
    }
}
