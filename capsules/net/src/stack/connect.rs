//! How a connection begins: who may connect where, and from which port.

use defmt::warn;
use slopos_abi::Endpoint;
use slopos_kernel::objects::SocketId;
use slopos_kernel::time::Instant;

use super::Stack;
use crate::sockets::{ConnectState, Progress};
use crate::tcp::{self, ConnectParameters};
use crate::wire::ipv4::{self, LINK_LOCAL, is_host};
use crate::wire::tcp::{HEADER_BYTES, SequenceNumber};

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

impl Stack<'_> {
    /// Connects a socket, or tells how far that is: the first call begins it, and each later one to the same remote
    /// answers the same way. Without an address of our own it waits for one. `deadline` is fixed by the first call.
    ///
    /// # Errors
    /// See [`ConnectError`]; whether the connection then succeeds is in [`Progress`].
    pub fn connect(
        &mut self,
        id: SocketId,
        remote: Endpoint,
        deadline: Instant,
        now: Instant,
    ) -> Result<Progress, ConnectError> {
        let set = self.grant.view(id.process).map_err(|_| ConnectError::NoSocket)?;
        let socket = set.view(id.index).ok_or(ConnectError::NoSocket)?;
        let deadline = match socket.connect_state(remote) {
            ConnectState::NotOpen => return Err(ConnectError::NoSocket),
            ConnectState::OtherRemote => return Err(ConnectError::Invalid),
            ConnectState::Begun => return Ok(socket.progress()),
            // There may be a free port by now.
            ConnectState::Waiting(deadline) => deadline,
            ConnectState::First if !set.authority().permits(remote) => return Err(self.deny(id, remote, now)),
            ConnectState::First if !is_host(remote.address) || remote.port == 0 => return Err(ConnectError::Invalid),
            ConnectState::First => deadline,
        };
        self.output = true;
        Ok(self.begin(id, remote, deadline, now))
    }

    /// The process may not connect to `remote`. That costs only its own memory and budget.
    fn deny(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> ConnectError {
        self.counters.events.connects_denied += 1;
        if let Ok(set) = self.grant.enter(id.process) {
            let name = set.name();
            if set.authority_mut().deny(remote, name, now) {
                warn!("net: process {=str} may not connect to {}:{=u16}", name, remote.address, remote.port);
            }
        }
        ConnectError::Denied
    }

    /// Begins the connects that waited for an address.
    pub(super) fn begin_waiting(&mut self, now: Instant) {
        for process in self.grant.processes() {
            let Ok(set) = self.grant.view(process) else { continue };
            for index in set.indices() {
                let id = SocketId { process, index };
                if let Some((remote, deadline)) = self.view(id).and_then(|socket| socket.waiting_connect()) {
                    self.begin(id, remote, deadline, now);
                }
            }
        }
    }

    /// Hands a connect to TCP, or lets it wait, and answers how far it is. The grant is entered once.
    fn begin(&mut self, id: SocketId, remote: Endpoint, deadline: Instant, now: Instant) -> Progress {
        let prospect = self.prospect(remote, deadline, now);
        let set = match prospect {
            Prospect::Good(parameters) => self.connections.insert(&mut self.grant, id, parameters.local.port),
            Prospect::Later | Prospect::None => self.grant.enter(id.process).ok(),
        };
        let Some(set) = set else { return Progress::Pending };
        let Some(mut socket) = set.enter(id.index) else { return Progress::Pending };
        socket.wait_to_connect(remote, deadline);
        let begun = match prospect {
            Prospect::Good(parameters) => socket.connect(parameters, now),
            Prospect::Later => Ok(()),
            // There is no point in waiting until the deadline.
            Prospect::None => Err(tcp::Error::TimedOut),
        };
        if let Err(error) = begun {
            socket.fail(error);
            self.ready.insert(id.process);
        }
        let progress = socket.progress();
        drop(socket);
        self.senders.insert(id.process);
        self.deadline.note(set.next_deadline());
        progress
    }

    /// Where a connection to `remote` would start from now.
    fn prospect(&mut self, remote: Endpoint, deadline: Instant, now: Instant) -> Prospect {
        let Some(lease) = self.network else { return Prospect::Later };
        let is_reserved = lease.subnet().reserves(remote.address) || LINK_LOCAL.reserves(remote.address);
        let is_nobody = remote.address == lease.address || is_reserved;
        if is_nobody || Self::next_hop(&lease, remote.address).is_none() {
            return Prospect::None;
        }
        let local = |port| Endpoint::new(lease.address, port);
        let is_taken = |port| self.connections.find(&self.grant, local(port), remote).is_some();
        let Some(local) = self.random.port(lease.address, remote, is_taken).map(local) else { return Prospect::Later };
        Prospect::Good(ConnectParameters {
            local,
            remote,
            initial_sequence: SequenceNumber::new(self.random.initial_sequence(local, remote, now)),
            timestamp_offset: self.random.timestamp_offset(local, remote),
            maximum_segment: self.mtu - (ipv4::HEADER_BYTES + HEADER_BYTES) as u16,
            deadline,
        })
    }
}

/// What is to be expected of a connect.
enum Prospect {
    /// TCP can begin.
    Good(ConnectParameters),
    /// There is no address of our own, or no free port.
    Later,
    /// Nobody could ever answer there.
    None,
}
