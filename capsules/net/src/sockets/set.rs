//! One process's sockets, and the accounts that are kept of them.

use core::ops::{Deref, DerefMut};

use slopos_abi::info::GrantInfo;
use slopos_abi::limits::SOCKETS_MAX;
use slopos_abi::{Endpoint, RemoteRange, SocketFlags};
use slopos_kernel::objects::SocketIndex;
use slopos_kernel::time::Instant;

use super::authority::Authority;
use super::bits::SocketBits;
use super::link::Link;
use super::socket::Socket;
use crate::deadline::Deadline;
use crate::tcp::ResetReply;

/// All sockets of the process are in use, and none can be recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// What `open` gave.
pub(crate) struct Opened {
    /// The socket.
    pub(crate) index: SocketIndex,
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
    authority: Authority<'a>,
    accounts: Accounts,
    /// The socket whose turn to send it is.
    next: usize,
    recycled: u64,
}

/// What is known of all sockets of a set together.
struct Accounts {
    /// Those to which something has happened, which may therefore want to send something.
    touched: SocketBits,
    deadline: Deadline,
    in_use: u64,
    high_water: u64,
}

/// A socket of a set that may be changed; what changed is settled with the set's accounts when this is dropped.
pub(crate) struct SocketGuard<'s, 'a> {
    socket: &'s mut Socket<'a>,
    accounts: &'s mut Accounts,
    index: SocketIndex,
    /// Bytes that it used when it was entered.
    used: u64,
}

impl SocketGuard<'_, '_> {
    /// Which one of the set it is.
    pub(crate) const fn index(&self) -> SocketIndex {
        self.index
    }
}

impl<'a> Deref for SocketGuard<'_, 'a> {
    type Target = Socket<'a>;

    #[inline]
    fn deref(&self) -> &Socket<'a> {
        self.socket
    }
}

impl<'a> DerefMut for SocketGuard<'_, 'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Socket<'a> {
        self.socket
    }
}

impl Drop for SocketGuard<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        let accounts = &mut *self.accounts;
        accounts.in_use = accounts.in_use.saturating_sub(self.used).saturating_add(self.socket.note_use());
        accounts.high_water = accounts.high_water.max(accounts.in_use);
        accounts.deadline.note(self.socket.next_deadline());
        accounts.touched.insert(self.index);
    }
}

impl<'a> SocketSet<'a> {
    /// The sockets that the manifest gives the process `name`, and the remotes that it may connect to.
    ///
    /// Of more than [`SOCKETS_MAX`] sockets the rest stays unused.
    pub fn new(name: &'static str, sockets: &'a mut [Socket<'a>], authority: &'a [RemoteRange]) -> Self {
        let usable = sockets.len().min(SOCKETS_MAX);
        SocketSet {
            name,
            sockets: sockets.get_mut(..usable).unwrap_or_default(),
            authority: Authority::new(authority),
            accounts: Accounts { touched: SocketBits::EMPTY, deadline: Deadline::NONE, in_use: 0, high_water: 0 },
            next: 0,
            recycled: 0,
        }
    }

    /// The process's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whom the process may connect to.
    pub(crate) fn authority(&self) -> &Authority<'a> {
        &self.authority
    }

    /// Whom the process may connect to, to change.
    pub(crate) fn authority_mut(&mut self) -> &mut Authority<'a> {
        &mut self.authority
    }

    /// Each socket with its index.
    pub(crate) fn each(&self) -> impl Iterator<Item = (SocketIndex, &Socket<'a>)> {
        (0..=u16::MAX).map(SocketIndex).zip(self.sockets.iter())
    }

    /// The socket of this index, to look at.
    pub(crate) fn view(&self, index: SocketIndex) -> Option<&Socket<'a>> {
        self.sockets.get(usize::from(index.0))
    }

    /// The socket of this index, to change.
    #[inline]
    pub(crate) fn enter(&mut self, index: SocketIndex) -> Option<SocketGuard<'_, 'a>> {
        let socket = self.sockets.get_mut(usize::from(index.0))?;
        let used = socket.in_use();
        Some(SocketGuard { socket, accounts: &mut self.accounts, index, used })
    }

    /// The socket of this index that the process has open, to change.
    #[inline]
    pub(crate) fn enter_held(&mut self, index: SocketIndex) -> Option<SocketGuard<'_, 'a>> {
        self.view(index).filter(|socket| socket.is_held())?;
        self.enter(index)
    }

    /// The indices of all sockets, to enter one after the other.
    pub(crate) fn indices(&self) -> impl Iterator<Item = SocketIndex> + use<> {
        (0..=u16::MAX).map(SocketIndex).take(self.sockets.len())
    }

    /// When time alone may change something. Cheap, and sometimes too early.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.accounts.deadline.get()
    }

    /// Whether a timer of a socket may have run out by `now`.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.accounts.deadline.is_due(now)
    }

    /// The first socket from `first` on of which a timer has run out by `now`, to change.
    pub(crate) fn next_due(&mut self, first: usize, now: Instant) -> Option<SocketGuard<'_, 'a>> {
        let is_due = |socket: &Socket<'_>| socket.next_deadline().is_some_and(|deadline| deadline <= now);
        let (index, _) = self.each().skip(first).find(|(_, socket)| is_due(socket))?;
        self.enter(index)
    }

    /// Looks up when the next timer runs out. To be called when those that ran out by `now` have been dealt with.
    pub(crate) fn find_deadline(&mut self, now: Instant) {
        let mut deadline = Deadline::NONE;
        for socket in self.sockets.iter() {
            deadline.note_after(socket.next_deadline(), now);
        }
        self.accounts.deadline = deadline;
    }

    /// The next socket in turn that has something to send, and whereto; none of those that have `passed`.
    pub(crate) fn next_sender(&mut self, passed: SocketBits, now: Instant) -> Option<(SocketIndex, Endpoint)> {
        while let Some(index) = self.accounts.touched.without(passed).next_from(self.next) {
            if let Some(remote) = self.view(index).and_then(|socket| socket.wants_transmit(now)) {
                return Some((index, remote));
            }
            // It will not before something happens to it.
            self.accounts.touched.remove(index);
        }
        None
    }

    /// This socket has sent something: the turn is the next one's.
    pub(crate) fn end_turn(&mut self, index: SocketIndex) {
        self.next = usize::from(index.0) + 1;
    }

    /// Notes where a socket, if there is such a one, stands among the board's connections.
    pub(super) fn set_link(&mut self, index: SocketIndex, link: Link) {
        if let Some(socket) = self.sockets.get_mut(usize::from(index.0)) {
            socket.link = link;
        }
    }

    /// Opens a free socket, recycling the oldest TIME-WAIT record or else the oldest orphan where none is free.
    ///
    /// # Errors
    /// [`Exhausted`], which is counted as a denial.
    pub(crate) fn open(&mut self, flags: SocketFlags) -> Result<Opened, Exhausted> {
        let free = self.each().find(|(_, socket)| socket.is_free()).map(|(index, _)| index);
        let Some(index) = free.or_else(|| self.oldest_orphan()) else {
            self.authority.deny_socket();
            return Err(Exhausted);
        };
        let recycled = free.is_none();
        self.recycled += u64::from(recycled);
        let mut socket = self.enter(index).ok_or(Exhausted)?;
        let reset = if recycled { socket.abort() } else { None };
        socket.open(flags);
        Ok(Opened { index, recycled, reset })
    }

    fn oldest_orphan(&self) -> Option<SocketIndex> {
        let orphans = self.each().filter_map(|(index, socket)| Some((socket.age()?, index)));
        orphans.min().map(|(_, index)| index)
    }

    /// What the process is told about its grant.
    pub(crate) fn info(&self) -> GrantInfo {
        GrantInfo {
            bytes: size_of::<Self>() as u64 + self.sockets.iter().map(Socket::bytes).sum::<u64>(),
            in_use: self.accounts.in_use,
            high_water: self.accounts.high_water,
            denials: self.authority.denials(),
            sockets: self.sockets.len() as u32,
            sockets_in_use: self.sockets.iter().filter(|socket| !socket.is_free()).count() as u32,
            recycled: self.recycled,
            drops: self.sockets.iter().map(Socket::drops).sum(),
        }
    }
}
