//! Commands with long output print it a piece at a time, as the line takes it.

use crate::board::Board;
use crate::machine::now;
use crate::progress::{Kind, Report};
use crate::serial::Terminal;
use core::fmt::Write;
use slopos_abi::info::GrantInfo;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_net::stack::SocketReport;
use slopos_process_console::{self as process_console, DeviceState, LINE_ROOM, Window};
use slopos_virtio::net::{Condition, Net};

impl Board {
    /// Prints as much as the console has room for. When the report is complete, the process console goes on.
    pub fn continue_report(&mut self) {
        while let Some(Report { kind, section, line }) = self.report {
            if self.terminal().room() < LINE_ROOM {
                return;
            }
            let mut text: heapless::String<LINE_ROOM> = heapless::String::new();
            let mut window = Window::new(&mut text, line);
            let exists = self.section(kind, section, &mut window);
            let written = window.finish();
            // There is room for it.
            let _ = self.terminal().write_str(&text);
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

    /// Whether a report waits and the console has room for more of it.
    pub fn report_can_go_on(&mut self) -> bool {
        self.report.is_some() && self.terminal().room() >= LINE_ROOM
    }

    /// Writes a section of a report; `None` if it has no such section. Once the window is full, writing to it fails,
    /// and it has kept what fits.
    // A function of its own, so that the locals of formatting are not part of the frame of the board's loop.
    #[inline(never)]
    fn section(&mut self, kind: Kind, section: u8, out: &mut impl Write) -> Option<()> {
        let id = ProcessId::new(section);
        // A full window ends the section here; the next call continues from the first line that did not fit.
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

    /// Whether all output is sent, or the port will interrupt for the rest.
    #[cfg(selftest)]
    pub fn output_moves(&self) -> bool {
        self.serial.interrupts_for_room() || !self.capsules.console.has_output() && self.serial.holds_nothing()
    }

    /// Where the process console writes.
    pub fn terminal(&mut self) -> Terminal<'_> {
        Terminal(&mut self.capsules.console)
    }
}

/// The state of the network device, for `net`.
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
