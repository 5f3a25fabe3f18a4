//! How a connection ends: half-close, orderly release, reset, and giving the slot back.

use slopos_kernel::time::{Duration, Instant};

use super::control::{Control, Error, State};
use super::counters::Counters;
use super::reset::ResetReply;
use super::socket::Socket;

/// How long an orphan waits for the peer's FIN once its own is acknowledged. RFC 9293 knows no limit, but without one
/// a peer that never closes would hold the slot for ever.
pub(super) const ORPHAN_FIN_WAIT: Duration = Duration::from_secs(60);
/// 2 MSL, as everybody has it (RFC 9293 would have four minutes).
pub(super) const TIME_WAIT: Duration = Duration::from_secs(60);

impl Socket<'_> {
    /// Ends this side's stream: a FIN follows what has been written. Before the handshake is done, right behind it.
    /// The second time nothing happens, nor where there is no connection.
    pub fn shutdown_write(&mut self) {
        let control = &mut self.control;
        if control.state == State::Closed || control.send.fin_queued {
            return;
        }
        control.send.fin_queued = true;
        match control.state {
            State::Established => control.state = State::FinWait1,
            State::CloseWait => control.state = State::LastAck,
            _ => {}
        }
        // A window that is closed now has been so since the peer last said something.
        let since = control.last_received_at;
        self.update_persist(since);
    }

    /// The process lets go. What was received is wiped at once; if any of it was unread, the peer learns by a reset
    /// that it is lost (RFC 1122 section 4.2.2.13). Otherwise what was written still goes out, then the FIN, and the
    /// slot becomes free by itself.
    pub fn close(&mut self, now: Instant) {
        let unread = !self.receive_ring.is_empty() || !self.control.assembler.is_empty();
        self.receive_ring.wipe();
        self.control.assembler.clear();
        self.control.owned = false;
        match self.control.state {
            State::Closed | State::SynSent => self.release(),
            State::SynReceived => {
                self.control.reset_due = Some(self.control.reset_reply());
                self.end(None);
            }
            State::TimeWait => {}
            _ if unread => {
                self.control.reset_due = Some(self.control.reset_reply());
                self.end(None);
            }
            State::Established | State::CloseWait => self.shutdown_write(),
            State::FinWait2 => self.control.timers.linger = Some(now + ORPHAN_FIN_WAIT),
            State::FinWait1 | State::Closing | State::LastAck => {}
        }
    }

    /// Ends everything at once, wipes both rings and frees the slot. The reset for the peer, where it must get one
    /// (RFC 9293 section 3.10.5), is the caller's to send.
    pub fn abort(&mut self) -> Option<ResetReply> {
        let reply = if self.control.state.is_reset_by_abort() {
            Some(self.control.reset_reply())
        } else {
            self.control.reset_due
        };
        self.release();
        reply
    }

    /// The system shuts down: the connection ends now. Its peer gets a reset where it would otherwise wait, by the next
    /// [`Socket::transmit`]; what has arrived stays for the process to read. Answers whether there was a connection.
    pub fn shut_down(&mut self) -> bool {
        let error = match self.control.state {
            State::Closed => return false,
            State::SynSent => Error::TimedOut,
            _ => Error::Reset,
        };
        if self.control.state.is_reset_by_abort() {
            self.control.reset_due = Some(self.control.reset_reply());
        }
        self.end(Some(error));
        true
    }

    /// Our address is lost while the connection is being made: takes the connect back, so that it can be made from the
    /// next one. Until when it may take; `None` where nothing is being made, and then nothing has changed.
    pub fn take_connect_back(&mut self) -> Option<Instant> {
        let Control { state, flags, ref send, ref timers, .. } = self.control;
        let deadline = timers.connect.filter(|_| matches!(state, State::SynSent | State::SynReceived))?;
        let fin_queued = send.fin_queued;
        self.open(flags);
        self.control.send.fin_queued = fin_queued;
        Some(deadline)
    }

    /// Frees the slot for another use, whatever state the connection is in; for orphans and TIME-WAIT records when
    /// their process needs the slot. The peer of an orphan is answered with a reset when it speaks again.
    pub fn recycle(&mut self) {
        self.release();
    }

    /// Nothing on the way to the peer answers. A connection that is being made fails; one that is established lives
    /// on, for the neighbour may come back before the retransmissions are given up.
    pub fn neighbour_failed(&mut self, counters: &mut Counters) {
        if matches!(self.control.state, State::SynSent | State::SynReceived) {
            counters.timed_out += 1;
            self.end(Some(Error::TimedOut));
        }
    }

    /// The connection is over. What has arrived stays for the process to read; what was to be sent is wiped.
    pub(super) fn end(&mut self, error: Option<Error>) {
        self.send_ring.wipe();
        if self.control.owned {
            let old = core::mem::replace(&mut self.control, Control::free());
            self.control = Control {
                owned: true,
                flags: old.flags,
                connect_called: true,
                was_established: old.was_established,
                error: old.error.or(error),
                event: true,
                local: old.local,
                remote: old.remote,
                reset_due: old.reset_due,
                ..Control::free()
            };
            self.control.receive.fin_received = old.receive.fin_received;
            self.control.receive.delivered = old.receive.delivered;
        } else {
            let reset_due = self.control.reset_due;
            self.release();
            self.control.reset_due = reset_due;
        }
    }

    /// TIME-WAIT begins, or begins again.
    pub(super) fn enter_time_wait(&mut self, now: Instant) {
        let control = &mut self.control;
        control.state = State::TimeWait;
        control.time_wait_since = now;
        control.timers.stop_all();
        control.timers.linger = Some(now + TIME_WAIT);
        control.probe = None;
    }

    /// Wipes everything and makes the slot free.
    pub(super) fn release(&mut self) {
        self.receive_ring.wipe();
        self.send_ring.wipe();
        self.control = Control::free();
    }
}
