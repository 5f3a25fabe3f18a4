//! How a connection ends (RFC 9293 sections 3.6 and 3.10.4): which state follows when either side has ended its stream,
//! and what the process's close means in each.

use slopos_kernel::time::Duration;

use crate::tcp::state::{Life, State};

/// How long an orphan waits for the peer's FIN once its own is acknowledged. RFC 9293 knows no limit, but without one
/// a peer that never closes would hold the socket for ever.
pub const ORPHAN_FIN_WAIT: Duration = Duration::from_secs(60);
/// 2 MSL, as everybody has it (RFC 9293 would have four minutes).
pub const TIME_WAIT: Duration = Duration::from_secs(60);

/// The state after this side has ended its stream. Before the handshake is done it stays what it is, and the FIN
/// follows the handshake.
pub fn after_our_end(life: Life) -> Life {
    match life {
        Life::Established => Life::FinWait1,
        Life::CloseWait => Life::LastAck,
        other => other,
    }
}

/// The state after our FIN was acknowledged, or the peer's was received, or both by one segment.
pub fn after_fins(state: State, acknowledged: bool, received: bool) -> State {
    let state = match state {
        State::FinWait1 if acknowledged => State::FinWait2,
        State::Closing if acknowledged => State::TimeWait,
        State::LastAck if acknowledged => State::Closed,
        other => other,
    };
    match state {
        State::Established if received => State::CloseWait,
        State::FinWait1 if received => State::Closing,
        State::FinWait2 if received => State::TimeWait,
        other => other,
    }
}

/// What becomes of a connection that its process closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nobody need be told: it is free at once.
    Free,
    /// The peer must be told by a reset.
    Abort,
    /// What was written goes out, then the FIN.
    Finish,
    /// That has been done; only the peer's FIN is missing, and is waited for so long and no longer.
    AwaitFin,
    /// It goes on by itself.
    GoOn,
}

/// What close means in this state. Where something that has arrived is `unread`, the peer learns by a reset that it is
/// lost (RFC 1122 section 4.2.2.13).
pub fn release(state: State, unread: bool) -> Release {
    match state {
        State::Closed | State::SynSent => Release::Free,
        State::SynReceived => Release::Abort,
        State::TimeWait => Release::GoOn,
        _ if unread => Release::Abort,
        State::Established | State::CloseWait => Release::Finish,
        State::FinWait2 => Release::AwaitFin,
        State::FinWait1 | State::Closing | State::LastAck => Release::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_may_both_acknowledge_our_fin_and_bring_the_peers() {
        for (acknowledged, received, expected) in [
            (false, false, State::FinWait1),
            (true, false, State::FinWait2),
            (false, true, State::Closing),
            (true, true, State::TimeWait),
        ] {
            assert_eq!(after_fins(State::FinWait1, acknowledged, received), expected);
        }
        assert_eq!(after_fins(State::Closing, true, false), State::TimeWait);
        assert_eq!(after_fins(State::LastAck, true, false), State::Closed);
        assert_eq!(after_fins(State::CloseWait, false, false), State::CloseWait);
    }
}
