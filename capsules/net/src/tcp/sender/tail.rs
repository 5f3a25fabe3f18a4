//! The tail-loss probe (RFC 8985 section 7): when acknowledgements stay away, one segment more goes out long before the
//! retransmission timer would run out. Its acknowledgement tells by SACK what is lost, so that fast recovery repairs it
//! and the congestion window does not collapse.
//!
//! Everything on its way was sent two round trips before the probe, so once the probe is reported, RACK takes whatever
//! is still missing before it for lost (RFC 8985 section 7.4.1).

use slopos_kernel::time::Duration;

use crate::tcp::tick::Tick;
use crate::tcp::timers::Timer;
use crate::wire::tcp::Segment;
use crate::wire::tcp::{Range, SequenceNumber};

/// How long a peer may hold back the acknowledgement of a single segment (TLP.max_ack_delay; as Linux has it).
const LONGEST_DELAYED_ACKNOWLEDGEMENT: Duration = Duration::from_millis(200);
/// The probe waits so long at least: below this the noise of two machines' timers is larger than the round trip.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// How long the probe waits before a round trip was measured (RFC 8985 section 7.2).
const WAIT_UNMEASURED: Duration = Duration::from_secs(1);

/// A probe that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    /// TLP.end_seq: SND.NXT after it.
    end: SequenceNumber,
    /// TLP.is_retrans: it carried what had been sent before.
    is_repeated: bool,
}

/// The probing of one connection.
#[derive(Clone, Debug, Default)]
pub struct TailLoss {
    /// A probe must go out.
    is_due: bool,
    /// The one whose fate is not known.
    sent: Option<Probe>,
}

impl TailLoss {
    /// Whether a probe must go out.
    pub const fn is_due(&self) -> bool {
        self.is_due
    }

    /// Sets the timer anew after new data was sent or something was acknowledged; stops it where there is nothing to
    /// probe for, as `is_wanted` says, or a probe is on its way. `is_alone` tells that a single segment is.
    pub fn schedule(&mut self, is_wanted: bool, is_alone: bool, round_trip: Option<Duration>, tick: &mut Tick<'_>) {
        self.is_due = false;
        if !is_wanted || self.sent.is_some() {
            tick.timers.stop(Timer::TailProbe);
            return;
        }
        let wait = match round_trip {
            None => WAIT_UNMEASURED,
            Some(round_trip) => {
                let wait = round_trip.times(2).max(SHORTEST_WAIT);
                if is_alone { wait + LONGEST_DELAYED_ACKNOWLEDGEMENT } else { wait }
            }
        };
        let at = tick.now + wait;
        let retransmission = tick.timers.deadline(Timer::Retransmission);
        tick.timers.start(Timer::TailProbe, retransmission.map_or(at, |retransmission| at.min(retransmission)));
    }

    /// The timer has run out.
    pub const fn expired(&mut self) {
        self.is_due = true;
    }

    /// What was lost is known by other means: a probe that has not left is called off.
    pub const fn call_off(&mut self) {
        self.is_due = false;
    }

    /// The probe went out, and `end` is SND.NXT.
    pub const fn probed(&mut self, end: SequenceNumber, is_repeated: bool) {
        self.is_due = false;
        self.sent = Some(Probe { end, is_repeated });
    }

    /// A loss is being repaired: what becomes of the probe tells nothing more.
    pub const fn forget(&mut self) {
        self.sent = None;
    }

    /// Whether this block is about the repetition that the probe made.
    pub fn is_repetition(&self, block: &Range) -> bool {
        self.sent.is_some_and(|probe| probe.is_repeated && probe.end == block.end)
    }

    /// What an acknowledgement tells about the probe, before anything else is made of it (RFC 8985 section 7.4.2).
    /// `says_nothing_new` tells that it acknowledges nothing new and reports nothing. Answers whether the probe has
    /// made good the loss of the last segment, to which congestion control must then react.
    pub fn acknowledged(&mut self, segment: &Segment<'_>, says_nothing_new: bool) -> bool {
        let Some(probe) = self.sent.filter(|probe| !segment.acknowledgement.is_before(probe.end)) else {
            return false;
        };
        let arrived_twice = |block: &Range| block.end == probe.end && !block.end.is_after(segment.acknowledgement);
        if !probe.is_repeated || segment.options.sack.iter().any(arrived_twice) {
            self.sent = None;
            return false;
        }
        if segment.acknowledgement.is_after(probe.end) {
            self.sent = None;
            return true;
        }
        if says_nothing_new {
            // Both the last segment and its repetition have been acknowledged, so neither was lost.
            self.sent = None;
        }
        false
    }
}
