//! Commands with long output print it a piece at a time, as the line takes it.

use crate::board::Board;
use crate::log;
use crate::machine::now;
use crate::progress::Report;
use crate::serial::Terminal;
use crate::statics::{COMMANDS, ENTROPY, PROCESSES, TRUST};
use crate::version::version;
use core::fmt::Write;
use slopos_abi::info::GrantInfo;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;
use slopos_net::dhcp::lease::Lease as LeaseTerms;
use slopos_net::neighbour::cache::NeighbourReport;
use slopos_net::stack::SocketReport;
use slopos_process_console::report::{self, Connection, DeviceState, Lease, LeaseDeadlines, Neighbour, Usage};
use slopos_process_console::requests::Figures;
use slopos_process_console::{LINE_ROOM, ReportKind, Window};
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
                    match kind {
                        ReportKind::Choices => self.process_console.choices_listed(),
                        _ => self.finished(0),
                    }
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
    fn section(&mut self, kind: ReportKind, section: u8, out: &mut impl Write) -> Option<()> {
        // A full window ends the section here; the next call continues from the first line that did not fit.
        let _ = match kind {
            ReportKind::Processes | ReportKind::Grants | ReportKind::Ledger | ReportKind::Sockets => {
                let id = ProcessId::new(section);
                let behind = kind == ReportKind::Processes && usize::from(section) == PROCESSES;
                match self.kernel.process(id) {
                    None if behind => self.below_processes(out),
                    process => {
                        process?;
                        self.process_section(kind, id, out)
                    }
                }
            }
            _ if section > 0 => return None,
            ReportKind::Help => report::help(cfg!(selftest), out),
            ReportKind::Version => report::version(&version(), out),
            ReportKind::Uptime => report::uptime(now().since(Instant::BOOT), out),
            ReportKind::LogLevel => report::log_level(log::level(), log::least_level(), out),
            ReportKind::Choices => self.process_console.list_choices(out),
            ReportKind::Network => {
                let now = now();
                let device = self.network.as_mut().map_or(DeviceState::None, |device| device_state(device, now));
                report::network(&self.capsules.stack.info(now), device, out)
            }
            ReportKind::Lease => report::lease(self.lease().as_ref(), out),
            ReportKind::Neighbours => self.show_neighbours(out),
        };
        Some(())
    }

    /// What a report says of one process.
    fn process_section(&mut self, kind: ReportKind, id: ProcessId, out: &mut impl Write) -> core::fmt::Result {
        let Some(process) = self.kernel.process(id) else { return Ok(()) };
        let (name, head) = (process.configuration.name, id.index() == 0);
        let (stack, authority) = (&mut *self.capsules.stack, &self.console_authority);
        match kind {
            ReportKind::Ledger => report::ledger(process, head, out),
            ReportKind::Sockets => {
                if head {
                    report::connection_head(out)?;
                }
                stack.sockets(id, authority).try_for_each(|socket| report::connection(name, &connection(&socket), out))
            }
            ReportKind::Grants => {
                let info = GrantInfo { denials: process.denials, ..stack.grant_info(id, authority) };
                report::grant(name, &info, out)?;
                stack.sockets(id, authority).try_for_each(|socket| show_socket(&socket, out))?;
                if ENTROPY && let Some(entropy) = self.capsules.entropy.capsule.figures(id, authority) {
                    show_entropy(&entropy, out)?;
                }
                match self.capsules.requests.figures(id, authority) {
                    Some(commands) if COMMANDS => show_commands(&commands, out),
                    _ => Ok(()),
                }
            }
            _ => {
                let memory = self.cpu.memory_use(id);
                let uptime = now().since(Instant::BOOT);
                let usage = Usage { uptime, ram: memory.ram, stack_high_water: memory.stack_high_water };
                report::process(process, usage, head, out)
            }
        }
    }

    /// What `ps` says below its table: of versions on trial, and of keys.
    fn below_processes(&self, out: &mut impl Write) -> core::fmt::Result {
        for (_, process) in self.kernel.processes() {
            let configuration = process.configuration;
            if let Some(state) = self.capsules.flash.storage.app_state(configuration.app) {
                report::trial(configuration.name, process.version(), state, out)?;
            }
        }
        if TRUST.development { report::development_key(out) } else { Ok(()) }
    }

    fn show_neighbours(&self, out: &mut impl Write) -> core::fmt::Result {
        let mut head = true;
        for neighbour in self.capsules.stack.neighbours(now()) {
            let NeighbourReport { address, mac, state, is_pinned } = neighbour;
            let shown = Neighbour { address, station: mac.map(|mac| mac.0), state, is_gateway: is_pinned };
            report::neighbour(Some(&shown), core::mem::take(&mut head), out)?;
        }
        report::neighbour(None, head, out)
    }

    /// The lease in use, and how far away its deadlines are.
    fn lease(&self) -> Option<Lease> {
        let (lease, state) = self.capsules.stack.lease()?;
        let now = now();
        let deadlines = lease.deadlines.map(|deadlines| LeaseDeadlines {
            renew: deadlines.renew.since(now),
            rebind: deadlines.rebind.since(now),
            expire: deadlines.expire.since(now),
        });
        let LeaseTerms { address, prefix, gateway, server, .. } = *lease;
        Some(Lease { address, prefix, gateway, server, state, deadlines })
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

/// A line of `grants` for a process's random bytes.
fn show_entropy(entropy: &slopos_entropy::Figures, out: &mut impl Write) -> core::fmt::Result {
    let slopos_entropy::Figures { size, held, delivered, failures } = entropy;
    writeln!(out, "    entropy bytes={size} held={held} delivered={delivered} failures={failures}")
}

/// A line of `grants` for what a process may have carried out.
fn show_commands(commands: &Figures, out: &mut impl Write) -> core::fmt::Result {
    write!(out, "    commands begun={} may run:", commands.begun)?;
    commands.allowed.iter().try_for_each(|word| write!(out, " {word}"))?;
    writeln!(out)
}

/// What `sockets` says of one.
fn connection(socket: &SocketReport) -> Connection {
    let SocketReport { state, remote, traffic, .. } = *socket;
    Connection {
        state: state.word(),
        remote,
        round_trip: traffic.round_trip,
        window: traffic.congestion_window,
        retransmissions: traffic.retransmissions,
        sent: traffic.sent,
        received: traffic.received,
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
