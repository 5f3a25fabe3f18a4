//! One socket: what it is to its process, and the connection that it has.

use slopos_abi::info::{SocketInfo, SocketState};
use slopos_abi::{Endpoint, Readiness, SocketFlags};
use slopos_kernel::objects::SocketId;
use slopos_kernel::readers::Readers;
use slopos_kernel::time::{Duration, Instant};

use super::link::Link;
use crate::tcp::{self, ConnectParameters, Received, ResetReply};
use crate::wire::tcp::{ParseError, Unverified};

/// How long a connection with something to send outlives a neighbour that does not answer: RFC 1122 4.2.3.5 asks for at
/// least 100 s before a connection is given up. TCP's own timers cannot tell, for what never left was never unanswered.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(120);

/// What a socket is to its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Free,
    /// Open, and no connect was asked for.
    Open,
    /// A connect waits for an address of our own.
    Waiting { remote: Endpoint, deadline: Instant },
    /// It has a connection, be it one that is being made, one that is over and has something left to tell, or an orphan:
    /// one that is still closing after the process let go. The connection knows whether a process holds it.
    Connected {
        /// When it was begun or, of an orphan, when the process let go.
        since: Instant,
    },
    /// Its connect or its connection failed for a reason outside TCP.
    Failed { remote: Endpoint, error: tcp::Error },
}

/// How far a connect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not decided; the process becomes ready when it is.
    Pending,
    /// Decided, and it stays so.
    Done(Result<(), tcp::Error>),
}

/// What a connect finds that is called on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectState {
    /// The process has no such socket open.
    NotOpen,
    /// It is the first one.
    First,
    /// It was asked for before, and waits for an address of our own or for a free port until this time.
    Waiting(Instant),
    /// It was begun before.
    Begun,
    /// It was asked for before, with another remote.
    OtherRemote,
}

/// What time brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Polled {
    /// Something happened that a call of the process may wait for.
    pub(crate) ready: bool,
    /// So much stayed unanswered that the neighbour on the way to this remote should be asked whether it is there.
    pub(crate) doubted: Option<Endpoint>,
}

/// A socket with its connection and the connection's buffers, all of it memory of one process's grant.
pub struct Socket<'a> {
    tcp: tcp::Connection<'a>,
    state: State,
    /// As all memory of the board, less than 2^32; so are the next two.
    buffer_bytes: u32,
    /// The largest use since boot, in bytes.
    high_water: u32,
    /// Segments of its connections that were dropped since boot.
    drops: u32,
    /// Since when it has had something to send and no neighbour to hand it to.
    unreachable_since: Option<Instant>,
    /// Where it stands among the board's connections.
    pub(super) link: Link,
}

impl<'a> Socket<'a> {
    /// A free socket with these two buffers, which are charged to the process that the set belongs to.
    pub fn new(receive: &'a mut [u8], send: &'a mut [u8]) -> Self {
        let buffer_bytes = u32::try_from(receive.len() + send.len()).unwrap_or(u32::MAX);
        Socket {
            tcp: tcp::Connection::new(receive, send),
            state: State::Free,
            buffer_bytes,
            high_water: 0,
            drops: 0,
            unreachable_since: None,
            link: Link::default(),
        }
    }

    /// Whether it can be opened.
    pub(crate) fn is_free(&self) -> bool {
        self.state == State::Free
    }

    /// Whether a process has it open.
    pub(crate) fn is_held(&self) -> bool {
        !self.is_free() && !self.is_orphan()
    }

    /// Whether the process let go of it before its connection was closed.
    pub(crate) fn is_orphan(&self) -> bool {
        matches!(self.state, State::Connected { .. }) && !self.tcp.is_held()
    }

    /// What an orphan is to give its place to a new socket by: TIME-WAIT records first, and of either the oldest.
    pub(super) fn age(&self) -> Option<(bool, Instant)> {
        let State::Connected { since } = self.state else { return None };
        if self.tcp.is_held() {
            return None;
        }
        let time_wait_since = self.tcp.time_wait_since();
        Some((time_wait_since.is_none(), time_wait_since.unwrap_or(since)))
    }

    /// TCP's state.
    pub(crate) fn tcp_state(&self) -> tcp::State {
        self.tcp.state()
    }

    /// What its connection has carried, and how.
    pub(crate) fn traffic(&self) -> tcp::Traffic {
        self.tcp.traffic()
    }

    /// Our end; none before the connection is begun.
    pub(crate) fn local(&self) -> Option<Endpoint> {
        Some(self.tcp.local()).filter(|local| local.port != 0)
    }

    /// The peer, once it was asked for.
    pub(crate) fn remote(&self) -> Option<Endpoint> {
        match self.state {
            State::Waiting { remote, .. } | State::Failed { remote, .. } => Some(remote),
            State::Connected { .. } => Some(self.tcp.remote()),
            State::Free | State::Open => None,
        }
    }

    /// The peer of the connection that it has.
    pub(crate) fn peer(&self) -> Option<Endpoint> {
        matches!(self.state, State::Connected { .. }).then(|| self.tcp.remote())
    }

    /// Whether a segment between these two ends is for its connection.
    pub(crate) fn matches(&self, local: Endpoint, remote: Endpoint) -> bool {
        self.state != State::Free && self.tcp.matches(local, remote)
    }

    /// Takes a free socket into use.
    pub(super) fn open(&mut self, flags: SocketFlags) {
        self.tcp.open(flags);
        self.state = State::Open;
    }

    /// What a connect to `remote` finds.
    pub(crate) fn connect_state(&self, remote: Endpoint) -> ConnectState {
        if !self.is_held() {
            return ConnectState::NotOpen;
        }
        if self.remote().is_some_and(|earlier| earlier != remote) {
            return ConnectState::OtherRemote;
        }
        match self.state {
            State::Free | State::Open => ConnectState::First,
            State::Waiting { deadline, .. } => ConnectState::Waiting(deadline),
            State::Connected { .. } | State::Failed { .. } => ConnectState::Begun,
        }
    }

    /// Remembers a connect until it can be begun, which may take until `deadline`.
    pub(crate) fn wait_to_connect(&mut self, remote: Endpoint, deadline: Instant) {
        self.state = State::Waiting { remote, deadline };
    }

    /// The connect that waits, and until when.
    pub(crate) fn waiting_connect(&self) -> Option<(Endpoint, Instant)> {
        match self.state {
            State::Waiting { remote, deadline } => Some((remote, deadline)),
            _ => None,
        }
    }

    /// Begins the connection. Its SYN leaves with the next [`Socket::transmit`].
    ///
    /// # Errors
    /// As [`tcp::Connection::connect`].
    pub(crate) fn connect(&mut self, parameters: ConnectParameters, now: Instant) -> Result<(), tcp::Error> {
        self.tcp.connect(parameters, now)?;
        self.state = State::Connected { since: now };
        Ok(())
    }

    /// How far the connect is.
    pub(crate) fn progress(&self) -> Progress {
        let decided = match self.state {
            State::Failed { error, .. } => Some(Err(error)),
            State::Connected { .. } => self.tcp.connect_result(),
            _ => None,
        };
        decided.map_or(Progress::Pending, Progress::Done)
    }

    /// The connection that a read or a write is about.
    fn stream(&mut self) -> Result<&mut tcp::Connection<'a>, tcp::Error> {
        match self.state {
            State::Connected { .. } => Ok(&mut self.tcp),
            State::Waiting { .. } => Err(tcp::Error::WouldBlock),
            State::Failed { error, .. } => Err(error),
            State::Free | State::Open => Err(tcp::Error::NotConnected),
        }
    }

    /// Takes received bytes; 0 is the end of the stream.
    ///
    /// # Errors
    /// As [`tcp::Connection::read`], or why there is no connection.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize, tcp::Error> {
        self.stream()?.read(out)
    }

    /// Takes as much of `data` as there is room for.
    ///
    /// # Errors
    /// As [`tcp::Connection::write`], or why there is no connection.
    pub(crate) fn write(&mut self, data: &[u8], now: Instant) -> Result<usize, tcp::Error> {
        self.stream()?.write(data, now)
    }

    /// Sends no more after what was written. Nothing happens where there is no connection.
    pub(crate) fn close_write(&mut self) {
        if matches!(self.state, State::Connected { .. }) {
            self.tcp.close_write();
        }
    }

    /// What can be done without blocking. Of a connect that failed: everything, and the error.
    pub(crate) fn readiness(&self) -> Readiness {
        match self.state {
            State::Connected { .. } => self.tcp.readiness(),
            State::Failed { .. } => Readiness::READABLE | Readiness::WRITABLE | Readiness::ERROR | Readiness::HANGUP,
            _ => Readiness::NONE,
        }
    }

    /// Takes in a segment for its connection; what comes next in the stream goes straight to the reader of this socket, `id`,
    /// if one waits.
    ///
    /// # Errors
    /// As [`tcp::Connection::receive`].
    pub(crate) fn receive(
        &mut self,
        segment: Unverified<'_>,
        now: Instant,
        id: SocketId,
        readers: &mut impl Readers,
        counters: &mut tcp::Counters,
    ) -> Result<Received, ParseError> {
        let received = self.tcp.receive(segment, now, id, readers, counters)?;
        self.drops = self.drops.saturating_add(received.dropped.is_some().into());
        self.free_if_closed();
        Ok(received)
    }

    /// Where it has something to send to now.
    pub(super) fn wants_transmit(&self, now: Instant) -> Option<Endpoint> {
        self.peer().filter(|_| self.tcp.wants_transmit(now))
    }

    /// Writes the segment that is due to the start of `out`, for a neighbour that is known, and answers its length.
    pub(crate) fn transmit(&mut self, out: &mut [u8], now: Instant, counters: &mut tcp::Counters) -> Option<usize> {
        let length = self.tcp.transmit(out, now, counters)?;
        self.unreachable_since = None;
        self.free_if_closed();
        Some(length)
    }

    /// When time alone would change something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { deadline, .. } => Some(deadline),
            State::Connected { .. } => self.tcp.next_deadline(),
            State::Free | State::Open | State::Failed { .. } => None,
        }
    }

    /// Runs the timers that have run out.
    pub(crate) fn poll(&mut self, now: Instant, counters: &mut tcp::Counters) -> Polled {
        if matches!(self.state, State::Waiting { .. }) {
            self.fail(tcp::Error::TimedOut);
            return Polled { ready: true, doubted: None };
        }
        let polled = self.tcp.poll(now, counters);
        let doubted = if polled.negative_advice { self.peer() } else { None };
        self.free_if_closed();
        Polled { ready: polled.ready, doubted }
    }

    /// The neighbour on the way to the peer does not answer. A connection in the making fails, any other one when this
    /// has gone on for [`UNREACHABLE_LIMIT`]. Answers whether the process may have waited for that.
    pub(crate) fn neighbour_failed(&mut self, now: Instant, counters: &mut tcp::Counters) -> bool {
        if self.tcp.neighbour_failed(counters) {
            return true;
        }
        if self.tcp.wants_transmit(now) && now.since(*self.unreachable_since.get_or_insert(now)) >= UNREACHABLE_LIMIT {
            self.abort_with(tcp::Error::TimedOut);
            return true;
        }
        false
    }

    /// The process lets go: what was received is wiped at once, what was written is still sent, and the socket becomes
    /// free when the connection is CLOSED. Answers the reset that the peer gets, if that is already so.
    pub(crate) fn close(&mut self, now: Instant) -> Option<ResetReply> {
        if !matches!(self.state, State::Connected { .. }) {
            return self.abort();
        }
        self.tcp.close(now);
        self.state = State::Connected { since: now };
        self.free_if_closed();
        None
    }

    /// Ends everything at once, wipes it, and frees the socket. Answers the reset that is owed to the peer.
    pub(crate) fn abort(&mut self) -> Option<ResetReply> {
        self.state = State::Free;
        self.unreachable_since = None;
        self.tcp.abort();
        self.tcp.free()
    }

    /// Ends everything at once and wipes it, for a reason that the process is told; an orphan becomes free. Nothing can
    /// be sent to the peer.
    fn abort_with(&mut self, error: tcp::Error) {
        let told = self.peer().filter(|_| self.is_held());
        // The reset has nowhere to go.
        self.abort();
        if let Some(remote) = told {
            self.state = State::Failed { remote, error };
        }
    }

    /// A connect that was not begun fails.
    pub(crate) fn fail(&mut self, error: tcp::Error) {
        if let State::Waiting { remote, .. } = self.state {
            self.state = State::Failed { remote, error };
        }
    }

    /// Our address is lost, so the connection cannot go on, and nothing can be sent any more, no reset either. One that is
    /// only being made waits for the next address, as long as its limit. Answers whether one was ended.
    pub(crate) fn address_lost(&mut self) -> bool {
        let Some(remote) = self.peer() else { return false };
        if self.is_orphan() {
            // The reset has no address to leave from.
            self.abort();
            return true;
        }
        if self.tcp.state() == tcp::State::Closed {
            // It has told its process why, and may hold bytes that are still to be read.
            return false;
        }
        if let Some(deadline) = self.tcp.undo_connect() {
            self.state = State::Waiting { remote, deadline };
            self.unreachable_since = None;
            return false;
        }
        self.abort_with(match self.tcp.connect_result() {
            None => tcp::Error::TimedOut,
            Some(Err(error)) => error,
            Some(Ok(())) => tcp::Error::Reset,
        });
        true
    }

    /// The address is being given back: the connection ends now, and its peer gets a reset by the next
    /// [`Socket::transmit`], while there still is an address to send it from. What has arrived stays for the process to
    /// read. Answers whether there was a connection.
    pub(crate) fn address_leaves(&mut self) -> bool {
        match self.state {
            State::Connected { .. } => {
                let ended = self.tcp.abort();
                self.free_if_closed();
                ended
            }
            State::Waiting { .. } => {
                self.fail(tcp::Error::TimedOut);
                true
            }
            State::Free | State::Open | State::Failed { .. } => false,
        }
    }

    /// Frees the socket of an orphan whose connection is over, its last reset sent.
    fn free_if_closed(&mut self) {
        if self.is_orphan() && self.tcp.is_free() {
            self.state = State::Free;
            self.unreachable_since = None;
        }
    }

    /// Bytes of the grant that it takes, in use or not.
    pub(super) fn bytes(&self) -> u64 {
        size_of::<Self>() as u64 + u64::from(self.buffer_bytes)
    }

    /// Bytes of the grant that are in use: all of the control block, and what the buffers hold.
    pub(crate) fn in_use(&self) -> u64 {
        if self.is_free() {
            return 0;
        }
        (size_of::<Self>() - size_of::<tcp::Connection<'_>>() + self.tcp.in_use_bytes()) as u64
    }

    /// Takes note of its use for [`SocketInfo::high_water`], and answers it.
    #[inline]
    pub(super) fn note_use(&mut self) -> u64 {
        let in_use = self.in_use();
        self.high_water = self.high_water.max(in_use as u32);
        in_use
    }

    /// Segments of its connections that were dropped since boot.
    pub(super) fn drops(&self) -> u64 {
        self.drops.into()
    }

    /// What the process is told about it.
    pub(crate) fn info(&self) -> SocketInfo {
        let remote = self.remote().unwrap_or(Endpoint::UNSPECIFIED);
        let state = match self.tcp.state() {
            _ if self.is_free() => SocketState::Free,
            tcp::State::Closed => SocketState::Closed,
            tcp::State::SynSent => SocketState::SynSent,
            tcp::State::SynReceived => SocketState::SynReceived,
            tcp::State::Established => SocketState::Established,
            tcp::State::FinWait1 => SocketState::FinWait1,
            tcp::State::FinWait2 => SocketState::FinWait2,
            tcp::State::CloseWait => SocketState::CloseWait,
            tcp::State::Closing => SocketState::Closing,
            tcp::State::LastAck => SocketState::LastAck,
            tcp::State::TimeWait => SocketState::TimeWait,
        };
        SocketInfo {
            bytes: self.bytes(),
            in_use: self.in_use(),
            high_water: self.high_water.into(),
            drops: self.drops.into(),
            remote: remote.address.octets(),
            remote_port: remote.port,
            local_port: self.tcp.local().port,
            state: state as u32,
            reserved: 0,
        }
    }
}
