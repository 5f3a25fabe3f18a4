//! A process's sockets: what the manifest gives it, who may be talked to, and how much of it is in use.
//!
//! A [`SocketSet`] is one process's region of the network grant. All that exists because the process has a socket
//! lies in it: the TCP control blocks with their buffers, a connect that waits for an address, the records of
//! connections that are closing after the process let go, and what was denied.

mod bits;

use core::net::Ipv4Addr;

use heapless::Deque;
use slopos_abi::info::{GrantInfo, SocketInfo, SocketState};
use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::time::{Duration, Instant};

use crate::stack::Link;
use crate::tcp::{self, Endpoint, ResetReply, SocketFlags, State};
use crate::wire::ipv4::Subnet;

pub use bits::SOCKETS_MAX;
pub(crate) use bits::SocketBits;
pub use slopos_kernel::objects::SocketIndex;

/// Denied remotes that a process's set remembers, so that none of them is logged again and again.
pub const DENIALS_REMEMBERED: usize = 8;

/// How long a connection with something to send outlives a neighbour that does not answer: RFC 1122 4.2.3.5 asks for at
/// least 100 s before a connection is given up. TCP's own timers cannot tell, for what never left was never unanswered.
pub const UNREACHABLE_LIMIT: Duration = Duration::from_secs(120);

/// Whom a process may connect to: a line of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// An address of the network that is meant.
    pub address: Ipv4Addr,
    /// How many of its bits count, 0 (any address) to 32 (this one).
    pub prefix: u8,
    /// Lowest port.
    pub first_port: u16,
    /// Highest port.
    pub last_port: u16,
}

impl Remote {
    /// Every remote.
    pub const ANY: Remote = Remote { address: Ipv4Addr::UNSPECIFIED, prefix: 0, first_port: 1, last_port: u16::MAX };
    /// No remote: a range of ports that is empty.
    const NONE: Remote = Remote { first_port: u16::MAX, last_port: 0, ..Remote::ANY };

    const fn subnet(&self) -> Subnet {
        Subnet { address: self.address, prefix: self.prefix }
    }

    /// What lies in both. Of two networks one holds the other, or they share nothing.
    fn intersection(&self, other: &Remote) -> Remote {
        let (wide, narrow) = if self.prefix <= other.prefix { (self, other) } else { (other, self) };
        if !wide.subnet().contains(narrow.address) {
            return Remote::NONE;
        }
        Remote {
            first_port: self.first_port.max(other.first_port),
            last_port: self.last_port.min(other.last_port),
            ..*narrow
        }
    }

    /// Whether the authority to connect to this covers `remote`.
    pub const fn covers(&self, remote: Endpoint) -> bool {
        self.subnet().contains(remote.address) && self.first_port <= remote.port && remote.port <= self.last_port
    }
}

/// What a socket is to its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Free,
    /// Open, and no connect was asked for.
    Fresh,
    /// A connect waits for an address of our own.
    Waiting { remote: Endpoint, deadline: Instant },
    /// TCP has it.
    Started { remote: Endpoint },
    /// It failed for a reason outside TCP: no address in time, or the address was lost.
    Failed { remote: Endpoint, error: tcp::Error },
    /// The process let go; TCP still closes the connection.
    Orphan { remote: Endpoint, since: Instant },
}

/// One socket: a TCP control block with its buffers, and what the process wants of it.
pub struct Socket<'a> {
    pub(crate) tcp: tcp::Connection<'a>,
    pub(crate) phase: Phase,
    buffer_bytes: usize,
    /// The largest use since boot, in bytes.
    high_water: u64,
    /// Segments of its connections that were dropped since boot.
    pub(crate) drops: u64,
    /// Since when it has had something to send and no neighbour to hand it to.
    unreachable_since: Option<Instant>,
    /// Where it stands among the board's connections.
    pub(crate) link: Link,
}

impl<'a> Socket<'a> {
    /// A free socket with these two buffers, which are charged to the process that the set belongs to.
    pub fn new(receive: &'a mut [u8], send: &'a mut [u8]) -> Self {
        let buffer_bytes = receive.len() + send.len();
        Socket {
            tcp: tcp::Connection::new(receive, send),
            phase: Phase::Free,
            buffer_bytes,
            high_water: 0,
            drops: 0,
            unreachable_since: None,
            link: Link::default(),
        }
    }

    /// Bytes of the grant that it takes, in use or not.
    fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.buffer_bytes) as u64
    }

    /// Bytes of the grant that are in use: all of the control block, and what the buffers hold.
    pub(crate) fn in_use(&self) -> u64 {
        if self.phase == Phase::Free {
            return 0;
        }
        (size_of::<Self>() - size_of::<tcp::Connection<'_>>() + self.tcp.in_use_bytes()) as u64
    }

    /// What the process is told about it.
    fn info(&self) -> SocketInfo {
        let (local, remote) = (self.tcp.local(), self.wanted().unwrap_or(Endpoint::UNSPECIFIED));
        let state = match (self.phase, self.tcp.state()) {
            (Phase::Free, _) => SocketState::Free,
            (_, State::Closed) => SocketState::Closed,
            (_, State::SynSent) => SocketState::SynSent,
            (_, State::SynReceived) => SocketState::SynReceived,
            (_, State::Established) => SocketState::Established,
            (_, State::FinWait1) => SocketState::FinWait1,
            (_, State::FinWait2) => SocketState::FinWait2,
            (_, State::CloseWait) => SocketState::CloseWait,
            (_, State::Closing) => SocketState::Closing,
            (_, State::LastAck) => SocketState::LastAck,
            (_, State::TimeWait) => SocketState::TimeWait,
        };
        SocketInfo {
            bytes: self.bytes(),
            in_use: self.in_use(),
            high_water: self.high_water,
            drops: self.drops,
            remote: remote.address.octets(),
            remote_port: remote.port,
            local_port: local.port,
            state: state as u32,
            reserved: 0,
        }
    }

    /// The peer, once it was asked for.
    pub(crate) fn wanted(&self) -> Option<Endpoint> {
        match self.phase {
            Phase::Waiting { remote, .. }
            | Phase::Started { remote }
            | Phase::Failed { remote, .. }
            | Phase::Orphan { remote, .. } => Some(remote),
            Phase::Free | Phase::Fresh => None,
        }
    }

    /// Whether a process has it open.
    pub(crate) fn is_held(&self) -> bool {
        !matches!(self.phase, Phase::Free | Phase::Orphan { .. })
    }

    /// Ends everything at once and wipes it; the reset to be sent, if the peer would otherwise wait.
    pub(crate) fn destroy(&mut self) -> Option<ResetReply> {
        self.phase = Phase::Free;
        self.unreachable_since = None;
        self.tcp.abort();
        self.tcp.free()
    }

    /// The process lets go.
    pub(crate) fn close(&mut self, now: Instant) -> Option<ResetReply> {
        let Phase::Started { remote } = self.phase else {
            return self.destroy();
        };
        self.tcp.close(now);
        self.phase = Phase::Orphan { remote, since: now };
        None
    }

    /// Our address is lost: the connection cannot go on. Nothing can be sent any more, so no reset either. One that is only
    /// being made waits for the next address, as long as its limit. Whether one was ended.
    pub(crate) fn lose_address(&mut self) -> bool {
        match self.phase {
            Phase::Orphan { .. } => {
                self.destroy();
                true
            }
            // One that is over already has told its process why, and may hold bytes that are still to be read.
            Phase::Started { remote } if self.tcp.state() != State::Closed => {
                if let Some(deadline) = self.tcp.undo_connect() {
                    self.phase = Phase::Waiting { remote, deadline };
                    self.unreachable_since = None;
                    return false;
                }
                let error = match self.tcp.connect_result() {
                    None => tcp::Error::TimedOut,
                    Some(Err(error)) => error,
                    Some(Ok(())) => tcp::Error::Reset,
                };
                self.destroy();
                self.phase = Phase::Failed { remote, error };
                true
            }
            _ => false,
        }
    }

    /// The system shuts down: the connection ends, and its peer is told while there still is an address to do it from.
    /// Whether there was one.
    pub(crate) fn shut_down(&mut self) -> bool {
        match self.phase {
            Phase::Started { .. } | Phase::Orphan { .. } => self.tcp.abort(),
            Phase::Waiting { remote, .. } => {
                self.phase = Phase::Failed { remote, error: tcp::Error::TimedOut };
                true
            }
            Phase::Free | Phase::Fresh | Phase::Failed { .. } => false,
        }
    }

    /// The other end of the connection that TCP has.
    pub(crate) fn remote(&self) -> Option<Endpoint> {
        match self.phase {
            Phase::Started { remote } | Phase::Orphan { remote, .. } => Some(remote),
            Phase::Free | Phase::Fresh | Phase::Waiting { .. } | Phase::Failed { .. } => None,
        }
    }

    /// A segment was handed to a neighbour.
    pub(crate) fn note_sent(&mut self) {
        self.unreachable_since = None;
    }

    /// The neighbour on the way to the peer does not answer. A connection in the making fails, any other one when this
    /// has gone on for [`UNREACHABLE_LIMIT`]. Whether it was given up.
    pub(crate) fn neighbour_failed(&mut self, now: Instant, counters: &mut tcp::Counters) -> bool {
        if self.tcp.neighbour_failed(counters) {
            return true;
        }
        if !self.tcp.wants_transmit(now) {
            return false;
        }
        let since = *self.unreachable_since.get_or_insert(now);
        if now.since(since) < UNREACHABLE_LIMIT {
            return false;
        }
        let phase = self.phase;
        // The reset has nowhere to go.
        self.destroy();
        if let Phase::Started { remote } = phase {
            self.phase = Phase::Failed { remote, error: tcp::Error::TimedOut };
        }
        true
    }

    /// When time alone would change something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { deadline, .. } => Some(deadline),
            Phase::Started { .. } | Phase::Orphan { .. } => self.tcp.next_deadline(),
            Phase::Free | Phase::Fresh | Phase::Failed { .. } => None,
        }
    }
}

/// All sockets of the process are in use, and none can be recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// What `open` gave.
pub(crate) struct Opened {
    /// The socket.
    pub(crate) socket: SocketIndex,
    /// Whether another connection was ended early for it.
    pub(crate) recycled: bool,
    /// What that one's peer is told.
    pub(crate) reset: Option<ResetReply>,
}

/// One process's sockets: its region of the network grant.
pub struct SocketSet<'a> {
    /// The process, for the log.
    name: &'static str,
    sockets: &'a mut [Socket<'a>],
    authority: &'a [Remote],
    /// What the process has narrowed its authority to.
    limit: Remote,
    /// The socket whose turn to send it is.
    pub(crate) next: usize,
    /// Those to which something has happened, which may therefore want to send something.
    pub(crate) touched: SocketBits,
    /// No timer of theirs runs out before this; it may be earlier than the first one that does.
    deadline: Option<Instant>,
    in_use: u64,
    high_water: u64,
    denials: u64,
    recycled: u64,
    denied: Deque<Endpoint, DENIALS_REMEMBERED>,
    /// Budget of the line that names a denied remote.
    denial_log: LogBudget,
}

impl<'a> SocketSet<'a> {
    /// The sockets that the manifest gives the process `name`, and the remotes that it may connect to.
    ///
    /// Of more than [`SOCKETS_MAX`] sockets the rest stays unused.
    pub fn new(name: &'static str, sockets: &'a mut [Socket<'a>], authority: &'a [Remote]) -> Self {
        let usable = sockets.len().min(SOCKETS_MAX);
        SocketSet {
            name,
            sockets: sockets.get_mut(..usable).unwrap_or_default(),
            authority,
            limit: Remote::ANY,
            next: 0,
            touched: SocketBits::EMPTY,
            deadline: None,
            in_use: 0,
            high_water: 0,
            denials: 0,
            recycled: 0,
            denied: Deque::new(),
            denial_log: LogBudget::new(),
        }
    }

    /// The process's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Each socket with its index.
    pub(crate) fn each(&self) -> impl Iterator<Item = (SocketIndex, &Socket<'a>)> {
        (0..=u16::MAX).map(SocketIndex).zip(self.sockets.iter())
    }

    /// The socket of this index, to look at.
    pub(crate) fn get(&self, socket: SocketIndex) -> Option<&Socket<'a>> {
        self.sockets.get(usize::from(socket.0))
    }

    /// Runs `work` on a socket, and then accounts for what it changed. `None` where there is no such socket.
    pub(crate) fn with<R>(&mut self, index: SocketIndex, work: impl FnOnce(&mut Socket<'a>) -> R) -> Option<R> {
        let socket = self.sockets.get_mut(usize::from(index.0))?;
        let before = socket.in_use();
        let result = work(socket);
        if matches!(socket.phase, Phase::Orphan { .. }) && socket.tcp.is_free() {
            socket.phase = Phase::Free;
        }
        let after = socket.in_use();
        socket.high_water = socket.high_water.max(after);
        self.in_use = self.in_use.saturating_sub(before).saturating_add(after);
        self.high_water = self.high_water.max(self.in_use);
        self.deadline = [self.deadline, socket.next_deadline()].into_iter().flatten().min();
        self.touched.insert(index);
        Some(result)
    }

    /// Runs `work` on each socket of which a timer has run out by `now`, as [`SocketSet::with`] does.
    pub(crate) fn with_due(&mut self, now: Instant, mut work: impl FnMut(&mut Socket<'a>)) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let mut first: Option<Instant> = None;
        for index in (0..SOCKETS_MAX as u16).map(SocketIndex) {
            let Some(socket) = self.get(index) else { break };
            let mut deadline = socket.next_deadline();
            if deadline.is_some_and(|deadline| deadline <= now) {
                deadline = self
                    .with(index, |socket| {
                        work(socket);
                        socket.next_deadline()
                    })
                    .flatten();
            }
            // What was due has been dealt with, or is a frame that waits to be sent; for that no time need pass.
            first = [first, deadline.filter(|&deadline| deadline > now)].into_iter().flatten().min();
        }
        self.deadline = first;
    }

    /// When time alone may change something. Cheap, and sometimes too early.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Notes where a socket stands among the board's connections. Whether there is such a socket.
    pub(crate) fn set_link(&mut self, index: SocketIndex, link: Link) -> bool {
        let socket = self.sockets.get_mut(usize::from(index.0));
        socket.map(|socket| socket.link = link).is_some()
    }

    /// Runs `work` on each socket in turn, as [`SocketSet::with`] does.
    pub(crate) fn with_each(&mut self, mut work: impl FnMut(SocketIndex, &mut Socket<'a>)) {
        for number in 0..=u16::MAX {
            let index = SocketIndex(number);
            if self.with(index, |socket| work(index, socket)).is_none() {
                return;
            }
        }
    }

    /// Opens a free socket, recycling the oldest TIME-WAIT record or else the oldest orphan where none is free.
    pub(crate) fn open(&mut self, flags: SocketFlags) -> Result<Opened, Exhausted> {
        let free = self.each().find(|(_, socket)| socket.phase == Phase::Free).map(|(index, _)| index);
        let (index, recycled) = match free {
            Some(index) => (index, false),
            None => (self.oldest_orphan().ok_or(Exhausted)?, true),
        };
        self.recycled += u64::from(recycled);
        let reset = self.with(index, |socket| {
            let reset = if recycled { socket.destroy() } else { None };
            socket.tcp.open(flags);
            socket.phase = Phase::Fresh;
            reset
        });
        Ok(Opened { socket: index, recycled, reset: reset.flatten() })
    }

    fn oldest_orphan(&self) -> Option<SocketIndex> {
        let orphans = self.each().filter_map(|(index, socket)| match socket.phase {
            Phase::Orphan { since, .. } => {
                let time_wait_since = socket.tcp.time_wait_since();
                Some((time_wait_since.is_none(), time_wait_since.unwrap_or(since), index))
            }
            _ => None,
        });
        orphans.min().map(|(_, _, index)| index)
    }

    /// Whether the process may connect to `remote`.
    pub(crate) fn permits(&self, remote: Endpoint) -> bool {
        self.limit.covers(remote) && self.authority.iter().any(|authority| authority.covers(remote))
    }

    /// The process gives up all remotes that do not lie in this range as well.
    pub(crate) fn narrow(&mut self, range: &Remote) {
        self.limit = self.limit.intersection(range);
    }

    /// The process has ended: the next one with this set begins with all that the manifest gives.
    pub(crate) fn lift_limit(&mut self) {
        self.limit = Remote::ANY;
    }

    /// What the process is told about one socket.
    pub(crate) fn socket_info(&self, socket: SocketIndex) -> Option<SocketInfo> {
        self.get(socket).map(Socket::info)
    }

    /// Counts a denial; whether it is worth a log line: it is not among the last that had one, and the budget allows it.
    pub(crate) fn deny(&mut self, remote: Endpoint, now: Instant) -> bool {
        self.denials += 1;
        if self.denied.iter().any(|denied| *denied == remote) || !self.denial_log.admit(self.name, now) {
            return false;
        }
        if self.denied.is_full() {
            self.denied.pop_front();
        }
        // There is room now.
        self.denied.push_back(remote).is_ok()
    }

    /// Counts a `socket` call that found no socket.
    pub(crate) fn deny_socket(&mut self) {
        self.denials += 1;
    }

    /// What the process is told about its grant.
    pub(crate) fn info(&self) -> GrantInfo {
        GrantInfo {
            bytes: size_of::<Self>() as u64 + self.sockets.iter().map(Socket::bytes).sum::<u64>(),
            in_use: self.in_use,
            high_water: self.high_water,
            denials: self.denials,
            sockets: self.sockets.len() as u32,
            sockets_in_use: self.sockets.iter().filter(|socket| socket.phase != Phase::Free).count() as u32,
            recycled: self.recycled,
            drops: self.sockets.iter().map(|socket| socket.drops).sum(),
        }
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
