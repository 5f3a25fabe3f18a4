//! Carries out the console's commands.

use crate::board::Board;
use crate::machine::now;
use crate::panic::leave;
use crate::serial::Terminal;
use core::fmt::Write;
use slopos_abi::info::GrantInfo;
use slopos_kernel::process::ProcessId;
use slopos_kernel::scheduler::{Process, StartError};
use slopos_kernel::time::Instant;
use slopos_net::stack::Connection;
use slopos_process_console::{self as monitor, Command, DeviceState, ParseError, STATUS_UNKNOWN};
use slopos_virtio::net::{Condition, Net};

/// Status of a built-in command that was used wrongly.
const STATUS_USAGE: i32 = 2;
/// Status of a command that could not do what it should.
const STATUS_FAILED: i32 = 1;

impl Board {
    /// Carries out one command. Afterwards the monitor is told its status, or waits for it.
    pub fn carry_out(&mut self, line: &str) {
        match Command::parse(line) {
            Ok(Command::Exit) => self.exit(),
            Ok(Command::Sleep(span)) => self.monitor.sleep_until(now() + span),
            Ok(Command::Start { name, arguments, background }) => self.start(name, &arguments, background),
            Ok(Command::Empty) => self.monitor.finished(self.monitor.status()),
            Ok(command) => {
                let status = self.report(&command);
                self.monitor.finished(status);
            }
            Err(error) => {
                let mut terminal = self.terminal();
                // Where nobody reads the line there is nobody to tell.
                let _ = match error {
                    ParseError::Quote => writeln!(terminal, "quotes do not match in: {line}"),
                    ParseError::TooManyArguments => writeln!(terminal, "too many arguments"),
                    ParseError::Usage(usage) => writeln!(terminal, "usage: {usage}"),
                };
                self.monitor.finished(STATUS_USAGE);
            }
        }
    }

    /// The commands that end at once.
    fn report(&mut self, command: &Command<'_>) -> i32 {
        let mut terminal = Terminal { console: &mut self.capsules.console, serial: &mut self.serial };
        let written = match command {
            Command::Help => {
                let tests = if cfg!(selftest) { monitor::SELF_TEST_HELP } else { "" };
                write!(terminal, "{}{tests}", monitor::HELP)
            }
            Command::Processes => monitor::processes(&self.kernel, &mut terminal),
            Command::Network => {
                let now = now();
                let device = self.network.as_mut().map_or(DeviceState::None, |device| device_state(device, now));
                monitor::network(&self.capsules.stack.info(now), device, &mut terminal)
            }
            Command::Grants => self.grants(),
            Command::Kill(name) => return self.kill_by_name(name),
            Command::Empty | Command::Exit | Command::Sleep(_) | Command::Start { .. } => Ok(()),
        };
        if written.is_ok() { 0 } else { STATUS_FAILED }
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
            Ok(()) => self.monitor.run_in_foreground(id),
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

    /// What each process holds of the network, and each connection that is not free.
    fn grants(&mut self) -> core::fmt::Result {
        let mut terminal = Terminal { console: &mut self.capsules.console, serial: &mut self.serial };
        let stack = &mut *self.capsules.stack;
        for (id, process) in self.kernel.processes() {
            let info = GrantInfo { denials: process.denials, ..stack.grant_info(id) };
            monitor::grant(process.configuration.name, &info, &mut terminal)?;
            let mut shown = Ok(());
            stack.each_connection(id, &self.token, |connection| {
                shown = shown.and_then(|()| show_connection(&connection, &mut terminal));
            });
            shown?;
        }
        Ok(())
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
        self.capsules.console.clear_input();
        if let Some(ending) = monitor::ending(status) {
            self.say(format_args!("{name}: {ending}"));
        }
        self.monitor.finished(status);
    }

    fn exit(&mut self) -> ! {
        self.leave_network();
        // The board is left even where nobody reads the line.
        let _: bool = self.serial.flush(&mut self.capsules.console);
        leave(self.monitor.exit_code())
    }

    fn terminal(&mut self) -> Terminal<'_> {
        Terminal { console: &mut self.capsules.console, serial: &mut self.serial }
    }

    fn say(&mut self, text: core::fmt::Arguments<'_>) {
        // Where nobody reads the line there is nobody to tell.
        let _ = writeln!(self.terminal(), "{text}");
    }
}

/// How the network device is, for `net`.
fn device_state(device: &mut Net, now: Instant) -> DeviceState {
    device.reclaim();
    let seconds = |us: u64| us.div_ceil(1_000_000);
    match device.condition(now.as_micros()) {
        Condition::Working => DeviceState::Working { receiving: device.receiving(), sending: device.transmitting() },
        Condition::Resetting => DeviceState::Resetting,
        Condition::Gone { next_try_us } => DeviceState::Gone { next_try_seconds: seconds(next_try_us) },
        Condition::Failed { next_try_us } => DeviceState::Failed { next_try_seconds: seconds(next_try_us) },
    }
}

/// A line of `grants` for one connection.
fn show_connection(connection: &Connection, out: &mut impl Write) -> core::fmt::Result {
    write!(out, "    socket {} {:?}", connection.socket.0, connection.state)?;
    if let Some(local) = connection.local {
        write!(out, " {}:{}", local.address, local.port)?;
    }
    if let Some(remote) = connection.remote {
        write!(out, " -> {}:{}", remote.address, remote.port)?;
    }
    let orphaned = if connection.orphaned { " orphaned" } else { "" };
    writeln!(out, " in_use={}{orphaned}", connection.in_use)
}
