//! Where a connection is in its life (RFC 9293 section 3.3.2), and what a call on it may fail with.

use slopos_kernel::time::Instant;

/// The states of RFC 9293. There is no LISTEN: this is a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub enum State {
    /// No connection.
    #[default]
    Closed,
    /// SYN sent, nothing heard.
    SynSent,
    /// Both sides have sent a SYN at the same time.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We have no more to send; the FIN, or data before it, is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer has no more to send; we may.
    CloseWait,
    /// Both sides have sent a FIN at the same time; ours is not acknowledged.
    Closing,
    /// The peer closed first, and our FIN is not acknowledged.
    LastAck,
    /// All is done; what is still in the network dies out (60 s).
    TimeWait,
}

impl State {
    /// The state, in the word of RFC 9293 section 3.3.2.
    pub const fn word(self) -> &'static str {
        match self {
            State::Closed => "CLOSED",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
        }
    }

    /// Whether both sides know each other's sequence numbers.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, State::Closed | State::SynSent | State::SynReceived)
    }

    /// Whether data of the peer is expected.
    pub const fn may_receive(self) -> bool {
        matches!(self, State::Established | State::FinWait1 | State::FinWait2)
    }

    /// Whether the peer is told by a reset when the connection is aborted (RFC 9293 section 3.10.5).
    pub const fn is_reset_by_abort(self) -> bool {
        matches!(self, State::SynReceived | State::Established | State::CloseWait | State::FinWait1 | State::FinWait2)
    }
}

/// Why a call did not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Error {
    /// Not now: wait until [`super::Received::ready`] or [`super::Polled::ready`] tells that something happened, and try
    /// again.
    WouldBlock,
    /// There was no connect before.
    NotConnected,
    /// There was a connect already; a socket connects once.
    AlreadyConnected,
    /// The peer answered the SYN with a reset: nothing listens there.
    Refused,
    /// The peer ended the connection by a reset; what it had not acknowledged may be lost.
    Reset,
    /// The peer does not answer, or not in time.
    TimedOut,
    /// This side has ended its stream; nothing more can be written.
    Closed,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The handshake was finished.
    pub was_established: bool,
    /// What went wrong, where it did not end in order.
    pub error: Option<Error>,
}

/// Our SYN on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syn {
    /// It must go out (again).
    pub is_due: bool,
    /// It has gone out before.
    pub was_sent: bool,
}

/// A connection's state, each with the data that only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// No connection: never asked for, or over.
    Closed(Option<Outcome>),
    /// See [`State::SynSent`].
    SynSent(Syn),
    /// See [`State::SynReceived`].
    SynReceived(Syn),
    /// See [`State::Established`].
    Established,
    /// See [`State::FinWait1`].
    FinWait1,
    /// See [`State::FinWait2`].
    FinWait2,
    /// See [`State::CloseWait`].
    CloseWait,
    /// See [`State::Closing`].
    Closing,
    /// See [`State::LastAck`].
    LastAck,
    /// See [`State::TimeWait`].
    TimeWait {
        /// When the last FIN came.
        since: Instant,
    },
}

impl Life {
    /// The state without its data.
    pub const fn state(&self) -> State {
        match self {
            Life::Closed(_) => State::Closed,
            Life::SynSent(_) => State::SynSent,
            Life::SynReceived(_) => State::SynReceived,
            Life::Established => State::Established,
            Life::FinWait1 => State::FinWait1,
            Life::FinWait2 => State::FinWait2,
            Life::CloseWait => State::CloseWait,
            Life::Closing => State::Closing,
            Life::LastAck => State::LastAck,
            Life::TimeWait { .. } => State::TimeWait,
        }
    }

    /// Our SYN, while it is not acknowledged.
    pub const fn syn(&mut self) -> Option<&mut Syn> {
        match self {
            Life::SynSent(syn) | Life::SynReceived(syn) => Some(syn),
            _ => None,
        }
    }

    /// The end, in the state CLOSED after there was a connection.
    pub const fn outcome(&self) -> Option<Outcome> {
        match self {
            Life::Closed(outcome) => *outcome,
            _ => None,
        }
    }
}
