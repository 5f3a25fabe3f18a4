//! The commands that print much: a piece at a time, as the line takes it.

use crate::board::Board;
use crate::machine::now;
use crate::serial::Terminal;
use core::fmt::Write;
use slopos_abi::info::GrantInfo;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_net::stack::SocketReport;
use slopos_process_console::{self as process_console, DeviceState, LINE_ROOM, Window};
use slopos_virtio::net::{Condition, Net};

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `help`
    Help,
    /// `ps`
    Processes,
    /// `net`
    Network,
    /// `grants`
    Grants,
}

/// A report, and how far it has come: a section is a process, or all of a report that is not about processes.
pub struct Report {
    kind: Kind,
    section: u8,
    line: usize,
}

impl Report {
    /// A report that has not begun.
    pub fn new(kind: Kind) -> Report {
        Report { kind, section: 0, line: 0 }
    }
}

impl Board {
    /// Prints what the console has room for. The process console is told when the report is complete.
    pub fn continue_report(&mut self) {
        while let Some(Report { kind, section, line }) = self.report {
            let room = self.capsules.console.say_room();
            if room < LINE_ROOM {
                return;
            }
            let mut text: heapless::String<LINE_ROOM> = heapless::String::new();
            let mut window = Window::new(&mut text, line);
            let exists = self.section(kind, section, &mut window);
            let written = window.finish();
            self.capsules.console.say(text.as_bytes());
            self.report = match exists {
                None => {
                    self.process_console.finished(0);
                    None
                }
                Some(()) if written == 0 => Some(Report { kind, section: section.saturating_add(1), line: 0 }),
                Some(()) => Some(Report { kind, section, line: line + written }),
            };
        }
    }

    /// Whether a report could go on at once.
    pub fn report_can_go_on(&self) -> bool {
        self.report.is_some() && self.capsules.console.say_room() >= LINE_ROOM
    }

    /// Writes a section of a report; `None` where it has no such section. The window is an error to write to once it is
    /// full, and has kept what fits.
    // Apart, so that what formatting takes of the stack is not part of the frame of the board's loop.
    #[inline(never)]
    fn section(&mut self, kind: Kind, section: u8, out: &mut impl Write) -> Option<()> {
        let id = ProcessId::new(section);
        // A window that is full ends the section: it is written again from where it ended.
        let _ = match kind {
            Kind::Help if section == 0 => {
                let tests = if cfg!(selftest) { process_console::SELF_TEST_HELP } else { "" };
                write!(out, "{}{tests}", process_console::HELP)
            }
            Kind::Network if section == 0 => {
                let now = now();
                let device = self.network.as_mut().map_or(DeviceState::None, |device| device_state(device, now));
                process_console::network(&self.capsules.stack.info(now), device, out)
            }
            Kind::Help | Kind::Network => return None,
            Kind::Processes => {
                let process = self.kernel.process(id)?;
                process_console::process(process, section == 0, out)
            }
            Kind::Grants => {
                let process = self.kernel.process(id)?;
                let (stack, authority) = (&mut *self.capsules.stack, &self.console_authority);
                let info = GrantInfo { denials: process.denials, ..stack.grant_info(id, authority) };
                let mut shown = process_console::grant(process.configuration.name, &info, out);
                for socket in stack.sockets(id, authority) {
                    shown = shown.and_then(|()| show_socket(&socket, out));
                }
                shown
            }
        };
        Some(())
    }

    /// Whether all that was printed is out, or the port interrupts for the rest.
    #[cfg(selftest)]
    pub fn output_moves(&self) -> bool {
        self.serial.interrupts_for_room() || !self.capsules.console.has_output() && self.serial.holds_nothing()
    }

    /// Where the process console writes.
    pub fn terminal(&mut self) -> Terminal<'_> {
        Terminal(&mut self.capsules.console)
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

/// A line of `grants` for one socket.
fn show_socket(socket: &SocketReport, out: &mut impl Write) -> core::fmt::Result {
    write!(out, "    socket {} {:?}", socket.index.0, socket.state)?;
    if let Some(local) = socket.local {
        write!(out, " {}:{}", local.address, local.port)?;
    }
    if let Some(remote) = socket.remote {
        write!(out, " -> {}:{}", remote.address, remote.port)?;
    }
    let orphaned = if socket.orphaned { " orphaned" } else { "" };
    writeln!(out, " in_use={}{orphaned}", socket.in_use)
}
