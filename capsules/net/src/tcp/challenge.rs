//! Acknowledgements that anybody can ask for: challenges (RFC 5961) and answers to keep-alives (RFC 9293 section 3.8.4).
//! Each kind has a limit of its own, in each connection, so that it tells nobody anything about other connections, and
//! forgers who use up the one do not keep the peer from the other.

use slopos_kernel::time::Instant;

use super::counters::Counters;
use super::socket::Socket;
use crate::wire::tcp::SequenceNumber;

impl Socket<'_> {
    /// Whether the peer asks whether we are still here: by nothing, or an octet that means nothing, directly left of what
    /// comes next (RFC 9293 section 3.8.4), or by an octet beyond a closed window (section 3.8.6.1).
    pub(super) fn is_keep_alive(&self, sequence: SequenceNumber, length: usize, fin: bool) -> bool {
        let next = self.control.receive.next;
        let left = sequence + 1 == next && length <= 1;
        let probe = sequence == next && length == 1 && self.receive_ring.free() == 0;
        self.control.state.is_synchronized() && !fin && (left || probe)
    }

    /// Tells the peer where we are, at a limited rate.
    pub(super) fn challenge(&mut self, now: Instant, counters: &mut Counters) {
        let allowed = self.control.challenges.allow(now);
        self.acknowledge_if(allowed, counters);
    }

    /// Tells a peer that asks that we are still here, at a limited rate of its own.
    pub(super) fn answer_keep_alive(&mut self, now: Instant, counters: &mut Counters) {
        let allowed = self.control.keep_alive_answers.allow(now);
        self.acknowledge_if(allowed, counters);
    }

    fn acknowledge_if(&mut self, allowed: bool, counters: &mut Counters) {
        if allowed {
            counters.challenge_acknowledgements += 1;
            self.control.debt.now = true;
        } else {
            counters.challenges_suppressed += 1;
        }
    }
}
