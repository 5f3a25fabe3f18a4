//! What processes ask for, by way of the kernel's system calls. Each call is about one socket of one process, and
//! reaches nothing of another's. How a connect begins is in `connect.rs`.

use slopos_abi::info::{GrantInfo, SocketInfo};
use slopos_abi::{Endpoint, Readiness, RemoteRange, SocketFlags};
use slopos_kernel::capability::ReadGrants;
use slopos_kernel::objects::{SocketId, SocketIndex};
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Instant;

use super::Stack;
use super::replies::Replies;
use crate::counters::Events;
use crate::dhcp::client::Lease;
use crate::neighbour::cache::Cache;
use crate::sockets::{Socket, SocketGuard};
use crate::tcp::{self, ResetReply, State};

/// Why `socket` gave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum SocketError {
    /// The manifest grants this process no network. Nothing at run time changes that.
    NotAuthorised,
    /// All sockets of the process's grant are in use, and none is a connection that is only closing. Close one and
    /// try again.
    GrantExhausted,
}

/// A socket in use, as the process console shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketReport {
    /// Which of the process's sockets.
    pub index: SocketIndex,
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
    /// What its connection has carried, and how.
    pub traffic: tcp::Traffic,
}

impl<'a> Stack<'a> {
    /// Opens a socket for a process.
    ///
    /// Where none is free, the process's oldest TIME-WAIT record, or else its oldest orphan, is ended for it.
    ///
    /// # Errors
    /// See [`SocketError`]. Either is counted.
    pub fn socket(&mut self, process: ProcessId, flags: SocketFlags) -> Result<SocketId, SocketError> {
        let Ok(set) = self.grant.enter(process) else {
            self.counters.events.sockets_denied += 1;
            return Err(SocketError::NotAuthorised);
        };
        let opened = set.open(flags).map_err(|_| SocketError::GrantExhausted)?;
        self.counters.events.recycled += u64::from(opened.recycled);
        self.queue_reset(process, opened.reset);
        Ok(SocketId { process, index: opened.index })
    }

    /// A socket, to look at.
    pub(super) fn view(&self, id: SocketId) -> Option<&Socket<'a>> {
        self.grant.view(id.process).ok()?.view(id.index)
    }

    /// A socket that its process has open, to change. It may want to send something afterwards.
    pub(super) fn held(&mut self, id: SocketId) -> Option<SocketGuard<'_, 'a>> {
        self.senders.insert(id.process);
        self.grant.enter(id.process).ok()?.enter_held(id.index)
    }

    /// Makes sure that the stack is looked at when a timer runs out that a call has set.
    fn note_timers(&mut self, process: ProcessId) {
        self.deadline.note(self.grant.view(process).ok().and_then(|set| set.next_deadline()));
    }

    /// Takes received bytes; 0 is the end of the stream.
    ///
    /// # Errors
    /// [`tcp::Error::WouldBlock`] while nothing has arrived, [`tcp::Error::NotConnected`] before a connect, else why
    /// the connection ended.
    pub fn read(&mut self, id: SocketId, out: &mut [u8]) -> Result<usize, tcp::Error> {
        let read = self.held(id).ok_or(tcp::Error::NotConnected)?.read(out);
        self.note_timers(id.process);
        read
    }

    /// Gives bytes to be sent and returns how many there was room for.
    ///
    /// # Errors
    /// [`tcp::Error::WouldBlock`] while there is no room, [`tcp::Error::NotConnected`] before a connect, else why
    /// nothing can be sent any more.
    pub fn write(&mut self, id: SocketId, data: &[u8], now: Instant) -> Result<usize, tcp::Error> {
        let written = self.held(id).ok_or(tcp::Error::NotConnected)?.write(data, now);
        self.note_timers(id.process);
        self.output |= written.is_ok();
        written
    }

    /// Sends no more after what was written: half-close. Nothing happens where there is no connection.
    pub fn close_write(&mut self, id: SocketId) {
        if let Some(mut socket) = self.held(id) {
            socket.close_write();
        }
        self.note_timers(id.process);
        self.output = true;
    }

    /// The process lets go: what was received is wiped at once, what was written is still sent, and the socket becomes
    /// free when the connection is CLOSED.
    pub fn close(&mut self, id: SocketId, now: Instant) {
        let reset = self.held(id).and_then(|mut socket| socket.close(now));
        self.note_timers(id.process);
        self.output = true;
        self.queue_reset(id.process, reset);
    }

    /// Aborts all of a process's connections at once, orphans included: they are reset, and everything is wiped. What the
    /// process had given up is the next one's again.
    pub fn abort(&mut self, process: ProcessId) {
        let Ok(set) = self.grant.enter(process) else { return };
        set.authority_mut().restore();
        for index in set.indices() {
            let reset = set.enter(index).filter(|socket| !socket.is_free()).and_then(|mut socket| socket.abort());
            let Some(reset) = reset else { continue };
            self.output = true;
            let counts = &mut self.counters.events;
            owe_reset(&mut self.replies, &self.neighbours, self.network, counts, process, reset);
        }
        self.senders.insert(process);
    }

    /// What can be done with a socket without blocking. Of a connect that failed: everything, and the error.
    pub fn readiness(&self, id: SocketId) -> Readiness {
        self.view(id).filter(|socket| socket.is_held()).map(Socket::readiness).unwrap_or_default()
    }

    /// A process gives up all remotes that do not lie in this range as well. Nothing happens where it has no network.
    pub fn narrow_connect(&mut self, process: ProcessId, range: &RemoteRange) {
        if let Ok(set) = self.grant.enter(process) {
            set.authority_mut().narrow(range);
        }
    }

    /// A process has ended by itself and closed its sockets. What it had given up is the next one's again.
    pub fn exited(&mut self, process: ProcessId) {
        if let Ok(set) = self.grant.enter(process) {
            set.authority_mut().restore();
        }
    }

    /// What a process's grant holds; all zeros where it has none.
    pub fn grant_info(&self, process: ProcessId, _: &impl ReadGrants) -> GrantInfo {
        self.grant.view(process).map(|set| set.info()).unwrap_or_default()
    }

    /// What is to be said of one socket of a grant; `None` beyond the last.
    pub fn socket_info(&self, id: SocketId, _: &impl ReadGrants) -> Option<SocketInfo> {
        self.view(id).map(Socket::info)
    }

    /// Each socket of a process that is not free.
    pub fn sockets(&self, process: ProcessId, _: &impl ReadGrants) -> impl Iterator<Item = SocketReport> {
        let sockets = self.grant.view(process).into_iter().flat_map(|set| set.each());
        sockets.filter(|(_, socket)| !socket.is_free()).map(|(index, socket)| SocketReport {
            index,
            state: socket.tcp_state(),
            local: socket.local(),
            remote: socket.remote(),
            in_use: socket.in_use(),
            orphaned: socket.is_orphan(),
            traffic: socket.traffic(),
        })
    }

    fn queue_reset(&mut self, process: ProcessId, reset: Option<ResetReply>) {
        let Some(reset) = reset else { return };
        self.output = true;
        let counts = &mut self.counters.events;
        owe_reset(&mut self.replies, &self.neighbours, self.network, counts, process, reset);
    }
}

/// Owes the peer of a connection that this process aborted its reset. The peer's station must be known: a connection that
/// ends is no reason to ask for one.
fn owe_reset(
    replies: &mut Replies,
    neighbours: &Cache,
    lease: Option<Lease>,
    counts: &mut Events,
    process: ProcessId,
    reset: ResetReply,
) {
    let hop = lease.and_then(|lease| Stack::next_hop(&lease, reset.remote.address));
    match hop.and_then(|hop| neighbours.peek(hop)) {
        Some(station) => counts.replies_dropped += u64::from(replies.abort(process, station, reset).is_err()),
        None => counts.resets_unroutable += 1,
    }
}
