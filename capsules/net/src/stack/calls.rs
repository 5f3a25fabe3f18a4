//! What processes ask for, by way of the kernel's system calls. Each call is about one socket of one process, and
//! reaches nothing of another's.

use defmt::warn;
use slopos_abi::info::{GrantInfo, SocketInfo};
use slopos_kernel::capability::ReadGrants;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;

use super::Stack;
use crate::socket::{Phase, Remote, Socket, SocketIndex, SocketSet};
use crate::tcp::{self, Endpoint, Readiness, SocketFlags, State};
use crate::wire::ipv4::is_host;

/// Why `socket` gave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum SocketError {
    /// The manifest grants this process no network. Nothing at run time changes that.
    NotAuthorised,
    /// All sockets of the process's grant are in use, and none is a connection that is only closing. Close one and
    /// try again.
    GrantExhausted,
}

/// Why a connect was not even begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ConnectError {
    /// The manifest does not let the process connect there. Nothing at run time changes that.
    Denied,
    /// The remote cannot be a host's address and port, or the socket was connected to another one. Open a new socket.
    Invalid,
    /// The process has no such socket open. The kernel's descriptor table should not have let this through.
    NoSocket,
}

/// How far a connect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not decided; the process becomes ready when it is.
    Pending,
    /// Decided, and it stays so.
    Done(Result<(), tcp::Error>),
}

/// A socket in use, as the process console shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Which of the process's sockets.
    pub socket: SocketIndex,
    /// TCP's state.
    pub state: State,
    /// Our end, once there is one.
    pub local: Option<Endpoint>,
    /// The peer's end, once it was asked for.
    pub remote: Option<Endpoint>,
    /// Bytes of the process's grant that it holds: its control block, and what waits in its two buffers.
    pub in_use: u64,
    /// Whether the process has let go of it.
    pub orphaned: bool,
}

impl Stack<'_> {
    /// Opens a socket for a process.
    ///
    /// Where none is free, the process's oldest TIME-WAIT record, or else its oldest orphan, is ended for it.
    ///
    /// # Errors
    /// See [`SocketError`]. Either is counted.
    pub fn socket(&mut self, process: ProcessId, flags: SocketFlags) -> Result<SocketIndex, SocketError> {
        let Ok(opened) = self.grant.enter(process, |set| set.open(flags).inspect_err(|_| set.deny_socket())) else {
            self.counters.events.sockets_denied += 1;
            return Err(SocketError::NotAuthorised);
        };
        let opened = opened.map_err(|_| SocketError::GrantExhausted)?;
        self.counters.events.recycled += u64::from(opened.recycled);
        self.queue_reset(process, opened.reset);
        Ok(opened.socket)
    }

    /// Connects a socket, or tells how far that is: the first call begins it, and each later one to the same remote
    /// answers the same way. Without an address of our own it waits for one. `deadline` is fixed by the first call.
    ///
    /// # Errors
    /// See [`ConnectError`]; whether the connection then succeeds is in [`Progress`].
    pub fn connect(
        &mut self,
        process: ProcessId,
        socket: SocketIndex,
        remote: Endpoint,
        deadline: Instant,
        now: Instant,
    ) -> Result<Progress, ConnectError> {
        match self.phase(process, socket) {
            Phase::Free | Phase::Orphan { .. } => return Err(ConnectError::NoSocket),
            Phase::Waiting { remote: earlier, deadline } if earlier == remote => {
                // There may be a free port by now.
                self.begin(process, socket, remote, deadline, now);
                return Ok(self.progress(process, socket));
            }
            Phase::Started { remote: earlier } | Phase::Failed { remote: earlier, .. } if earlier == remote => {
                return Ok(self.progress(process, socket));
            }
            Phase::Waiting { .. } | Phase::Started { .. } | Phase::Failed { .. } => return Err(ConnectError::Invalid),
            Phase::Fresh => {}
        }
        // The socket is open, so the region exists; a denial costs only this process's memory and budget.
        let denied =
            self.grant.enter(process, |set| (!set.permits(remote)).then(|| (set.deny(remote, now), set.name())));
        if let Ok(Some((worth_a_line, name))) = denied {
            self.counters.events.connects_denied += 1;
            if worth_a_line {
                warn!("net: process {=str} may not connect to {}:{=u16}", name, remote.address, remote.port);
            }
            return Err(ConnectError::Denied);
        }
        if !is_host(remote.address) || remote.port == 0 {
            return Err(ConnectError::Invalid);
        }
        self.with(process, socket, |socket| socket.phase = Phase::Waiting { remote, deadline });
        self.note_deadline(Some(deadline));
        self.output = true;
        self.begin(process, socket, remote, deadline, now);
        Ok(self.progress(process, socket))
    }

    fn phase(&mut self, process: ProcessId, socket: SocketIndex) -> Phase {
        let phase = self.grant.enter(process, |set| set.get(socket).map(|socket| socket.phase));
        phase.ok().flatten().unwrap_or(Phase::Free)
    }

    fn progress(&mut self, process: ProcessId, socket: SocketIndex) -> Progress {
        let decided = self.with(process, socket, |socket| match socket.phase {
            Phase::Failed { error, .. } => Some(Err(error)),
            Phase::Started { .. } => socket.tcp.connect_result(),
            _ => None,
        });
        decided.flatten().map_or(Progress::Pending, Progress::Done)
    }

    /// Runs `work` on a socket that the process has open, and keeps the deadline right.
    fn with<R>(
        &mut self,
        process: ProcessId,
        socket: SocketIndex,
        work: impl FnOnce(&mut Socket<'_>) -> R,
    ) -> Option<R> {
        self.senders.insert(process);
        let done = self.grant.enter(process, |set| {
            if !set.get(socket).is_some_and(Socket::is_held) {
                return None;
            }
            Some((set.with(socket, work)?, set.next_deadline()))
        });
        let (result, deadline) = done.ok().flatten()?;
        self.note_deadline(deadline);
        Some(result)
    }

    /// Takes received bytes; 0 is the end of the stream.
    ///
    /// # Errors
    /// [`tcp::Error::WouldBlock`] while nothing has arrived, [`tcp::Error::NotConnected`] before a connect, else why
    /// the connection ended.
    pub fn read(&mut self, process: ProcessId, socket: SocketIndex, out: &mut [u8]) -> Result<usize, tcp::Error> {
        self.stream(process, socket, |stream| stream.read(out))
    }

    /// Gives bytes to be sent and returns how many there was room for.
    ///
    /// # Errors
    /// [`tcp::Error::WouldBlock`] while there is no room, [`tcp::Error::NotConnected`] before a connect, else why
    /// nothing can be sent any more.
    pub fn write(
        &mut self,
        process: ProcessId,
        socket: SocketIndex,
        data: &[u8],
        now: Instant,
    ) -> Result<usize, tcp::Error> {
        let written = self.stream(process, socket, |stream| stream.write(data, now));
        self.output |= written.is_ok();
        written
    }

    fn stream<R>(
        &mut self,
        process: ProcessId,
        socket: SocketIndex,
        work: impl FnOnce(&mut tcp::Connection<'_>) -> Result<R, tcp::Error>,
    ) -> Result<R, tcp::Error> {
        let done = self.with(process, socket, |socket| match socket.phase {
            Phase::Started { .. } => work(&mut socket.tcp),
            Phase::Waiting { .. } => Err(tcp::Error::WouldBlock),
            Phase::Failed { error, .. } => Err(error),
            Phase::Free | Phase::Fresh | Phase::Orphan { .. } => Err(tcp::Error::NotConnected),
        });
        done.unwrap_or(Err(tcp::Error::NotConnected))
    }

    /// Sends no more after what was written: half-close. Nothing happens where there is no connection.
    pub fn shutdown_write(&mut self, process: ProcessId, socket: SocketIndex) {
        self.with(process, socket, |socket| {
            if matches!(socket.phase, Phase::Started { .. }) {
                socket.tcp.close_write();
            }
        });
        self.output = true;
    }

    /// The process lets go: what was received is wiped at once, what was written is still sent, and the socket becomes
    /// free when the connection is CLOSED.
    pub fn close(&mut self, process: ProcessId, socket: SocketIndex, now: Instant) {
        self.output = true;
        let reset = self.with(process, socket, |socket| socket.close(now));
        self.queue_reset(process, reset.flatten());
    }

    /// Ends all of a process's sockets at once, orphans included: connections are reset, everything is wiped.
    pub fn kill(&mut self, process: ProcessId) {
        self.exited(process);
        self.senders.insert(process);
        for number in 0..=u16::MAX {
            let ended = self.grant.enter(process, |set| {
                set.with(
                    SocketIndex(number),
                    |socket| {
                        if socket.phase == Phase::Free { None } else { socket.destroy() }
                    },
                )
            });
            match ended {
                Ok(Some(reset)) => self.queue_reset(process, reset),
                // No region, or no more sockets.
                _ => return,
            }
        }
    }

    /// What can be done with a socket without blocking. Of a connect that failed: everything, and the error.
    pub fn readiness(&mut self, process: ProcessId, socket: SocketIndex) -> Readiness {
        let ready = self.with(process, socket, |socket| match socket.phase {
            Phase::Started { .. } => socket.tcp.readiness(),
            Phase::Failed { .. } => Readiness { readable: true, writable: true, error: true, hangup: true },
            _ => Readiness::default(),
        });
        ready.unwrap_or_default()
    }

    /// What a process is told about its own grant; all zeros where it has none.
    pub fn grant_info(&mut self, process: ProcessId) -> GrantInfo {
        self.grant.enter(process, |set| set.info()).unwrap_or_default()
    }

    /// What a process is told about one socket of its grant; `None` beyond the last.
    pub fn socket_info(&mut self, process: ProcessId, socket: SocketIndex) -> Option<SocketInfo> {
        self.grant.enter(process, |set| set.socket_info(socket)).ok().flatten()
    }

    /// A process gives up all remotes that do not lie in this range as well. Nothing happens where it has no network.
    pub fn narrow_connect(&mut self, process: ProcessId, range: &Remote) {
        // Without a region there is no authority that could be narrowed.
        let _: Result<(), _> = self.grant.enter(process, |set| set.narrow(range));
    }

    /// A process has ended by itself and closed its sockets. What it had given up is the next one's again.
    pub fn exited(&mut self, process: ProcessId) {
        let _: Result<(), _> = self.grant.enter(process, SocketSet::lift_limit);
    }

    /// Shows each socket of a process that is not free.
    pub fn each_connection(&mut self, process: ProcessId, _: &impl ReadGrants, mut show: impl FnMut(Connection)) {
        // A process without a region has no connections to show.
        let _: Result<(), _> = self.grant.enter(process, |set| {
            for (index, socket) in set.each().filter(|(_, socket)| socket.phase != Phase::Free) {
                let remote = socket.wanted();
                show(Connection {
                    socket: index,
                    state: socket.tcp.state(),
                    local: Some(socket.tcp.local()).filter(|local| local.port != 0),
                    remote,
                    in_use: socket.in_use(),
                    orphaned: matches!(socket.phase, Phase::Orphan { .. }),
                });
            }
        });
    }
}
