//! How a connection begins: who may connect where, and from which port.

use defmt::warn;
use slopos_abi::Endpoint;
use slopos_kernel::objects::SocketId;
use slopos_kernel::time::Instant;

use super::Stack;
use crate::sockets::{ConnectState, Progress};
use crate::tcp::{self, ConnectParameters};
use crate::wire::ipv4::{self, is_host};
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
        let set = self.grant.enter(id.process).map_err(|_| ConnectError::NoSocket)?;
        let socket = set.view(id.index).ok_or(ConnectError::NoSocket)?;
        match socket.connect_state(remote) {
            ConnectState::NotOpen => return Err(ConnectError::NoSocket),
            ConnectState::OtherRemote => return Err(ConnectError::Invalid),
            ConnectState::Begun => {}
            // There may be a free port by now.
            ConnectState::Waiting(deadline) => self.begin(id, remote, deadline, now),
            ConnectState::First => {
                self.check_authority(id, remote, now)?;
                if !is_host(remote.address) || remote.port == 0 {
                    return Err(ConnectError::Invalid);
                }
                if let Some(mut socket) = self.held(id) {
                    socket.wait_to_connect(remote, deadline);
                }
                self.deadline.note(Some(deadline));
                self.output = true;
                self.begin(id, remote, deadline, now);
            }
        }
        Ok(self.view(id).map_or(Progress::Pending, |socket| socket.progress()))
    }

    /// Whether the process may connect to `remote`. A denial costs only this process's memory and budget.
    fn check_authority(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<(), ConnectError> {
        let set = self.grant.enter(id.process).map_err(|_| ConnectError::NoSocket)?;
        let name = set.name();
        if set.authority().permits(remote) {
            return Ok(());
        }
        self.counters.events.connects_denied += 1;
        if set.authority().deny(remote, name, now) {
            warn!("net: process {=str} may not connect to {}:{=u16}", name, remote.address, remote.port);
        }
        Err(ConnectError::Denied)
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

    /// Hands a connect that waits to TCP. Without an address of our own, or a free port, it goes on waiting.
    fn begin(&mut self, id: SocketId, remote: Endpoint, deadline: Instant, now: Instant) {
        let Some(lease) = self.network else { return };
        let nobody = remote.address == lease.address || lease.subnet().reserves(remote.address);
        let reachable = !nobody && Self::next_hop(&lease, remote.address).is_some();
        let local = |port| Endpoint::new(lease.address, port);
        let taken = |port| self.connections.find(&self.grant, local(port), remote).is_some();
        let Some(local) = self.random.port(lease.address, remote, taken).map(local) else { return };
        let parameters = ConnectParameters {
            local,
            remote,
            initial_sequence: SequenceNumber::new(self.random.initial_sequence(local, remote, now)),
            timestamp_offset: self.random.timestamp_offset(local, remote),
            maximum_segment: self.mtu - (ipv4::HEADER_BYTES + HEADER_BYTES) as u16,
            deadline,
        };
        self.senders.insert(id.process);
        let Ok(set) = self.grant.enter(id.process) else { return };
        let Some(mut socket) = set.enter(id.index) else { return };
        // Where nobody could ever answer there is no point in waiting until the deadline.
        let begun = if reachable { socket.connect(parameters, now) } else { Err(tcp::Error::TimedOut) };
        if let Err(error) = begun {
            socket.fail(error);
            self.ready.insert(id.process);
        }
        drop(socket);
        self.deadline.note(set.next_deadline());
        if begun.is_ok() {
            self.connections.insert(&mut self.grant, id, local.port);
        }
    }
}
