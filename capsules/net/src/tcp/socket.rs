//! A connection as the process sees it: open, connect, read, write, close; and what the stack asks about it.

use core::mem::size_of;

use slopos_abi::{Endpoint, SocketFlags};
use slopos_kernel::time::Instant;

use super::control::{ConnectParameters, Control, Error, State, shift_for};
use super::ring::Ring;

/// A writer is woken when one part in so many of the send ring is free, not for each byte.
const WRITABLE_PART: usize = 4;

/// One connection: a control block and its two rings. The memory is part of one process's grant.
pub struct Socket<'a> {
    pub(super) receive_ring: Ring<'a>,
    pub(super) send_ring: Ring<'a>,
    pub(super) control: Control,
}

/// What a call on the socket would find; level-triggered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Readiness {
    /// A read gives bytes, the end of the stream or an error.
    pub readable: bool,
    /// A write takes bytes or gives an error.
    pub writable: bool,
    /// The connection has failed.
    pub error: bool,
    /// The peer has ended its stream, or there is no connection any more.
    pub hangup: bool,
}

impl<'a> Socket<'a> {
    /// A free slot with these two rings. Of either at most 2^30 bytes are used.
    pub fn new(receive: &'a mut [u8], send: &'a mut [u8]) -> Self {
        Socket { receive_ring: Ring::new(receive), send_ring: Ring::new(send), control: Control::free() }
    }

    /// Whether nobody uses the slot and nothing is left to be done for it.
    pub fn is_free(&self) -> bool {
        !self.control.owned && self.control.state == State::Closed && self.control.reset_due.is_none()
    }

    /// A process takes the slot, which must be free; what it held before is gone.
    pub fn open(&mut self, flags: SocketFlags) {
        self.release();
        self.control.owned = true;
        self.control.flags = flags;
    }

    /// Begins a connection. The SYN leaves with the next [`Socket::transmit`].
    ///
    /// # Errors
    /// [`Error::AlreadyConnected`] where it is not the first time, [`Error::NotConnected`] where the slot is not open.
    pub fn connect(&mut self, parameters: ConnectParameters, now: Instant) -> Result<(), Error> {
        let control = &mut self.control;
        if !control.owned {
            return Err(Error::NotConnected);
        }
        if control.connect_called {
            return Err(Error::AlreadyConnected);
        }
        control.connect_called = true;
        control.state = State::SynSent;
        control.local = parameters.local;
        control.remote = parameters.remote;
        control.timestamp_offset = parameters.timestamp_offset;
        control.send.initial = parameters.initial_sequence;
        control.send.unacknowledged = parameters.initial_sequence;
        control.send.next = parameters.initial_sequence + 1;
        control.send.highest = control.send.next;
        control.send.syn_due = true;
        control.receive.maximum_segment = parameters.maximum_segment;
        control.receive.shift = shift_for(self.receive_ring.capacity());
        control.timers.connect = Some(parameters.deadline);
        control.last_received_at = now;
        control.last_sent_at = now;
        Ok(())
    }

    /// How the connect went; `None` while that is not decided, or where there was none.
    pub fn connect_result(&self) -> Option<Result<(), Error>> {
        if self.control.was_established { Some(Ok(())) } else { self.control.error.map(Err) }
    }

    /// Takes bytes that have arrived; 0 is the end of the stream, if there was room for any. What arrived before the
    /// connection failed is given first. A read that would block may be the one that [`Socket::receive`] delivers to;
    /// then `out` is the same buffer again, and begins with what was delivered.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while there is nothing, [`Error::NotConnected`] before a connect, and why the connection
    /// ended.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let delivered = core::mem::take(&mut self.control.receive.delivered) as usize;
        if delivered == 0 && self.receive_ring.is_empty() {
            return self.read_nothing();
        }
        let read = delivered + self.receive_ring.read(out.get_mut(delivered..).unwrap_or_default());
        if self.receive_ring.is_empty() && self.control.assembler.is_empty() {
            self.receive_ring.rewind();
        }
        self.update_window();
        Ok(read)
    }

    fn read_nothing(&self) -> Result<usize, Error> {
        let control = &self.control;
        match control.error {
            _ if control.receive.fin_received => Ok(0),
            Some(error) => Err(error),
            None if !control.connect_called => Err(Error::NotConnected),
            None if control.state == State::Closed => Ok(0),
            None => Err(Error::WouldBlock),
        }
    }

    /// Announces the room that reading has made, once it is worth a segment: half the buffer or two full segments
    /// (RFC 9293 section 3.8.6.2.2).
    fn update_window(&mut self) {
        if !self.control.state.may_receive() {
            return;
        }
        let edge = self.control.receive.next + self.receive_ring.free() as u32;
        let gained = edge.bytes_after(self.control.receive.advertised);
        let full_segments = 2 * u32::from(self.control.receive.maximum_segment);
        if gained >= full_segments.min(self.receive_ring.capacity() as u32 / 2).max(1) {
            self.control.debt.now = true;
        }
    }

    /// Takes as much of `data` as there is room for, at least one byte unless `data` is empty, and answers how much.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while there is no room or no connection yet, [`Error::NotConnected`] before a connect,
    /// [`Error::Closed`] after this side ended its stream, and why the connection ended.
    pub fn write(&mut self, data: &[u8], now: Instant) -> Result<usize, Error> {
        let control = &self.control;
        if let Some(error) = control.error {
            return Err(error);
        }
        match control.state {
            _ if !control.connect_called => return Err(Error::NotConnected),
            _ if control.send.fin_queued => return Err(Error::Closed),
            State::SynSent | State::SynReceived => return Err(Error::WouldBlock),
            State::Established | State::CloseWait => {}
            _ => return Err(Error::Closed),
        }
        let written = self.send_ring.append(data);
        if written == 0 && !data.is_empty() {
            return Err(Error::WouldBlock);
        }
        self.update_persist(now);
        Ok(written)
    }

    /// Room in the send ring that makes the socket writable, in bytes.
    pub(super) fn writable_room(&self) -> usize {
        (self.send_ring.capacity() / WRITABLE_PART).max(1)
    }

    /// What a call would find.
    pub fn readiness(&self) -> Readiness {
        let control = &self.control;
        let error = control.error.is_some();
        let ended = control.connect_called && control.state == State::Closed;
        let open = matches!(control.state, State::Established | State::CloseWait) && !control.send.fin_queued;
        Readiness {
            readable: !self.receive_ring.is_empty()
                || control.receive.delivered > 0
                || control.receive.fin_received
                || ended,
            writable: ended || (open && self.send_ring.free() >= self.writable_room()),
            error,
            hangup: control.receive.fin_received || ended,
        }
    }

    /// Whether something happened, since this was asked last, that a blocked call may have waited for.
    pub fn take_event(&mut self) -> bool {
        core::mem::take(&mut self.control.event)
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.control.state
    }

    /// Our end; all zeros before the connect.
    pub fn local(&self) -> Endpoint {
        self.control.local
    }

    /// The peer's end; all zeros before the connect.
    pub fn remote(&self) -> Endpoint {
        self.control.remote
    }

    /// Whether a segment from `remote` to `local` is for this connection.
    pub fn matches(&self, local: Endpoint, remote: Endpoint) -> bool {
        self.control.state != State::Closed && self.control.remote == remote && self.control.local == local
    }

    /// How many bytes of the grant are in use: the control block, unless the slot is free, and what the rings hold.
    pub fn in_use_bytes(&self) -> usize {
        let control = if self.is_free() { 0 } else { size_of::<Control>() };
        control + self.receive_ring.length() + self.control.assembler.bytes() as usize + self.send_ring.length()
    }

    /// Since when the connection has been in TIME-WAIT with no process holding it.
    pub fn time_wait_since(&self) -> Option<Instant> {
        (!self.control.owned && self.control.state == State::TimeWait).then_some(self.control.time_wait_since)
    }
}
