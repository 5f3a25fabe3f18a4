//! What the process may do with a connection: open, connect, read, write, close; and what the stack asks about it. None
//! of these waits.

use core::mem::size_of;

use slopos_abi::{Endpoint, Readiness, SocketFlags};
use slopos_kernel::time::Instant;

use crate::tcp::clock::TimestampClock;
use crate::tcp::close::{ORPHAN_FIN_WAIT, Release, after_our_end, release};
use crate::tcp::connection::Connection;
use crate::tcp::counters::Counters;
use crate::tcp::interface::{ConnectParameters, Traffic};
use crate::tcp::keep_alive::KeepAlive;
use crate::tcp::state::{Error, Life, State, Syn};
use crate::tcp::timers::Timer;

impl Connection<'_> {
    /// Whether nobody uses it and nothing is left to be done for it.
    pub fn is_free(&self) -> bool {
        !self.is_held && self.state() == State::Closed && self.reset.is_none()
    }

    /// What it has carried, and how.
    pub fn traffic(&self) -> Traffic {
        Traffic { received: self.receiver.received(), ..self.sender.traffic() }
    }

    /// A process takes it, which must be free; what it held before is gone.
    pub fn open(&mut self, flags: SocketFlags) {
        self.free();
        self.is_held = true;
        self.flags = flags;
        self.sender.set_nodelay(flags.nodelay);
    }

    /// Begins a connection. The SYN leaves with the next [`Connection::transmit`].
    ///
    /// # Errors
    /// [`Error::AlreadyConnected`] where it is not the first time, [`Error::NotConnected`] where no process has opened it.
    pub fn connect(&mut self, parameters: ConnectParameters, now: Instant) -> Result<(), Error> {
        if !self.is_held {
            return Err(Error::NotConnected);
        }
        if self.life != Life::Closed(None) {
            return Err(Error::AlreadyConnected);
        }
        self.life = Life::SynSent(Syn { is_due: true, was_sent: false });
        self.local = parameters.local;
        self.remote = parameters.remote;
        self.clock = TimestampClock::new(parameters.timestamp_offset);
        self.sender.open(parameters.initial_sequence, now);
        self.receiver.open(parameters.maximum_segment);
        self.keep_alive = KeepAlive::new(now);
        self.timers.start(Timer::Connect, parameters.deadline);
        Ok(())
    }

    /// Takes the connect back while the connection is being made, because our address is lost: it can be made from the
    /// next one. Until when it may take; `None` where nothing is being made, and then nothing has changed.
    pub fn undo_connect(&mut self) -> Option<Instant> {
        self.life.syn()?;
        let deadline = self.timers.deadline(Timer::Connect)?;
        let (flags, is_ended) = (self.flags, self.sender.is_ended());
        self.open(flags);
        if is_ended {
            self.sender.end();
        }
        Some(deadline)
    }

    /// How the connect went; `None` while that is not decided, or where there was none.
    pub fn connect_result(&self) -> Option<Result<(), Error>> {
        match self.life {
            Life::Closed(outcome) => {
                let outcome = outcome?;
                if outcome.was_established { Some(Ok(())) } else { outcome.error.map(Err) }
            }
            Life::SynSent(_) | Life::SynReceived(_) => None,
            _ => Some(Ok(())),
        }
    }

    /// Takes bytes that have arrived; 0 is the end of the stream, if there was room for any. What arrived before the
    /// connection failed is given first. What [`Connection::receive`] has delivered to a reader has been read.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while there is nothing, [`Error::NotConnected`] before a connect, and why the connection
    /// ended.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let Some(read) = self.receiver.read(out) else { return self.read_nothing() };
        if self.state().may_receive() {
            self.receiver.update_window();
        }
        Ok(read)
    }

    fn read_nothing(&self) -> Result<usize, Error> {
        match self.life {
            _ if self.receiver.has_ended() => Ok(0),
            Life::Closed(None) => Err(Error::NotConnected),
            Life::Closed(Some(outcome)) => outcome.error.map_or(Ok(0), Err),
            _ => Err(Error::WouldBlock),
        }
    }

    /// Takes as much of `data` as there is room for, at least one byte unless `data` is empty, and answers how much.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while there is no room or no connection yet, [`Error::NotConnected`] before a connect,
    /// [`Error::Closed`] after this side ended its stream, and why the connection ended.
    pub fn write(&mut self, data: &[u8], now: Instant) -> Result<usize, Error> {
        match self.life {
            Life::Closed(None) => return Err(Error::NotConnected),
            Life::Closed(Some(outcome)) => return Err(outcome.error.unwrap_or(Error::Closed)),
            _ if self.sender.is_ended() => return Err(Error::Closed),
            Life::SynSent(_) | Life::SynReceived(_) => return Err(Error::WouldBlock),
            _ => {}
        }
        let written = self.sender.write(data);
        if written == 0 && !data.is_empty() {
            return Err(Error::WouldBlock);
        }
        self.sender.update_persist(now, &mut self.timers);
        Ok(written)
    }

    /// Ends this side's stream, half-close: a FIN follows what has been written. Before the handshake is done, right
    /// behind it. The second time nothing happens, nor where there is no connection.
    pub fn close_write(&mut self) {
        if self.state() == State::Closed || self.sender.is_ended() {
            return;
        }
        self.sender.end();
        self.life = after_our_end(self.life);
        // A window that is closed now has been so since the peer last said something.
        self.sender.update_persist(self.keep_alive.heard_at(), &mut self.timers);
    }

    /// The process lets go. What was received is wiped at once; if any of it was unread, the peer learns by a reset
    /// that it is lost. Otherwise what was written still goes out, then the FIN, and the connection becomes free by
    /// itself.
    pub fn close(&mut self, now: Instant) {
        let is_unread = self.receiver.has_unread();
        self.receiver.discard();
        self.is_held = false;
        match release(self.state(), is_unread) {
            Release::Free => {
                self.free();
            }
            Release::Abort => {
                self.reset = Some(self.reset_reply());
                self.enter_closed(None);
            }
            Release::Finish => self.close_write(),
            Release::AwaitFin => self.timers.start(Timer::Linger, now + ORPHAN_FIN_WAIT),
            Release::GoOn => {}
        }
    }

    /// Ends the connection now. Its peer gets a reset where it would otherwise wait, by the next
    /// [`Connection::transmit`] or from [`Connection::free`]; what has arrived stays for the process to read. Answers
    /// whether there was a connection.
    pub fn abort(&mut self) -> bool {
        let error = match self.state() {
            State::Closed => return false,
            State::SynSent => Error::TimedOut,
            _ => Error::Reset,
        };
        self.abort_with(Some(error));
        true
    }

    /// Nothing on the way to the peer answers. A connection that is being made fails; one that is established lives
    /// on, for the neighbour may come back before the retransmissions are given up. Answers whether it failed.
    pub fn neighbour_failed(&mut self, counters: &mut Counters) -> bool {
        self.life.syn().is_some() && self.give_up(counters)
    }

    /// What a call would find.
    pub fn readiness(&self) -> Readiness {
        let outcome = self.life.outcome();
        let is_open = matches!(self.life, Life::Established | Life::CloseWait) && !self.sender.is_ended();
        Readiness::READABLE.when(self.receiver.is_readable() || outcome.is_some())
            | Readiness::WRITABLE.when(outcome.is_some() || (is_open && self.sender.has_room()))
            | Readiness::ERROR.when(outcome.is_some_and(|outcome| outcome.error.is_some()))
            | Readiness::HANGUP.when(self.receiver.has_ended() || outcome.is_some())
    }

    /// Whether a process holds it.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether [`Connection::transmit`] would give a segment now.
    pub fn wants_transmit(&self, now: Instant) -> bool {
        self.due(usize::MAX, now).is_some()
    }

    /// When [`Connection::poll`] must be called, if it must.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// Our end; all zeros before the connect.
    pub fn local(&self) -> Endpoint {
        self.local
    }

    /// The peer's end; also that of a connection which is over, as long as it is still owed a reset.
    pub fn remote(&self) -> Endpoint {
        self.reset.map_or(self.remote, |reset| reset.remote)
    }

    /// Whether a segment from `remote` to `local` is for this connection.
    pub fn matches(&self, local: Endpoint, remote: Endpoint) -> bool {
        self.remote == remote && self.local == local && self.state() != State::Closed
    }

    /// How many bytes of the grant are in use: all of its own, unless it is free, and what the rings hold.
    pub fn in_use_bytes(&self) -> usize {
        let own = if self.is_free() { 0 } else { size_of::<Self>() };
        own + self.receiver.held_bytes() + self.sender.held_bytes()
    }

    /// Since when the connection has been in TIME-WAIT with no process holding it.
    pub fn time_wait_since(&self) -> Option<Instant> {
        match self.life {
            Life::TimeWait { since } if !self.is_held => Some(since),
            _ => None,
        }
    }
}

#[cfg(test)]
impl<'a> Connection<'a> {
    /// The sending half, to look at.
    pub fn sender(&self) -> &crate::tcp::sender::Sender<'a> {
        &self.sender
    }

    /// The timers, to look at.
    pub fn timers(&self) -> &crate::tcp::timers::Timers {
        &self.timers
    }
}
