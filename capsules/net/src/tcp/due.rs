//! What is due to be sent, decided without changing anything, so that asking is free.

use crate::tcp::reset::ResetReply;
use crate::wire::tcp::{Range, SequenceNumber};

/// A stretch of the stream to send, the FIN counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: SequenceNumber,
    /// How many bytes.
    pub length: usize,
    /// The FIN follows them.
    pub fin: bool,
}

impl Span {
    /// Nothing, at this place: a segment without payload.
    pub const fn empty(start: SequenceNumber) -> Self {
        Span { start, length: 0, fin: false }
    }

    /// What it takes of the sequence space.
    pub fn range(&self) -> Range {
        Range { start: self.start, end: self.start + self.length as u32 + u32::from(self.fin) }
    }
}

/// What a stretch is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was never sent.
    New,
    /// It is lost.
    Retransmission,
    /// Once more, to find out whether the end of what is on its way is lost (RFC 8985 section 7).
    TailProbe,
    /// Once more, during the repair of another loss (RFC 6675 section 4, NextSeg rule 4).
    Rescue,
}

/// The next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A reset that was promised.
    Reset(ResetReply),
    /// Our SYN, with an acknowledgement if the peer's has arrived.
    Syn,
    /// Bytes of the send ring, or the FIN, or both.
    Data(Span, Why),
    /// One byte beyond a closed window, or the FIN.
    WindowProbe,
    /// A question whether the peer is still there.
    KeepAlive,
    /// An acknowledgement alone.
    Acknowledgement,
}
