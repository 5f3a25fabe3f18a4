//! What a connection is asked, and what it answers.

use slopos_abi::Endpoint;
use slopos_kernel::time::{Duration, Instant};

use crate::tcp::counters::Dropped;
use crate::wire::tcp::SequenceNumber;

/// What a connection starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectParameters {
    /// Our end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
    /// Our first sequence number, not to be guessed by outsiders (RFC 6528).
    pub initial_sequence: SequenceNumber,
    /// What the clock of the timestamps option is ahead of the time since boot, in milliseconds: random, so that the
    /// option does not tell how long the machine has been running (RFC 7323 section 7.1).
    pub timestamp_offset: u32,
    /// The largest payload that we can receive in one segment, options not subtracted, in bytes: the MTU less 40.
    pub maximum_segment: u16,
    /// When to give up if the peer has not answered.
    pub deadline: Instant,
}

/// What a connection has carried, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The smoothed round-trip time (SRTT of RFC 6298), once it was measured.
    pub round_trip: Option<Duration>,
    /// cwnd, in bytes.
    pub congestion_window: u32,
    /// Segments that were sent again, the SYN included.
    pub retransmissions: u32,
    /// Bytes of our stream that the peer has acknowledged.
    pub sent: u64,
    /// Bytes of the peer's stream that have arrived in order.
    pub received: u64,
}

/// What a segment has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Something happened that a blocked call may wait for.
    pub ready: bool,
    /// The segment, or its data, was dropped for this reason, which is counted.
    pub dropped: Option<Dropped>,
    /// The peer offers a window scale that is not allowed (RFC 7323 section 2.3), which is counted.
    pub excessive_scale: bool,
}

/// What time has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Something happened that a blocked call may wait for.
    pub ready: bool,
    /// So much stays unanswered that the way to the peer may be broken: the neighbour on it should be asked whether it is
    /// still there (RFC 1122 section 4.2.3.5).
    pub negative_advice: bool,
}
