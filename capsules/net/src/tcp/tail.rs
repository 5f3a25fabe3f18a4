//! The tail-loss probe (RFC 8985 section 7): when acknowledgements stay away, one segment more goes out long before the
//! retransmission timer would run out. Its acknowledgement tells by SACK what is lost, so that fast recovery repairs it
//! and the congestion window does not collapse.
//!
//! Everything on its way was sent two round trips before the probe, so once the probe is reported, RACK takes whatever is
//! still missing before it for lost (RFC 8985 section 7.4.1).

use slopos_kernel::time::{Duration, Instant};

use super::control::Probe;
use super::counters::Counters;
use super::recovery::Phase;
use super::socket::Socket;
use super::transmit::segment_range;
use crate::wire::tcp::{Range, Segment, SequenceNumber};

/// How long a peer may hold back the acknowledgement of a single segment (TLP.max_ack_delay; as Linux has it).
const LONGEST_DELAYED_ACKNOWLEDGEMENT: Duration = Duration::from_millis(200);
/// The probe waits so long at least: below this the noise of two machines' timers is larger than the round trip.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// How long the probe waits before a round trip was measured (RFC 8985 section 7.2).
const WAIT_UNMEASURED: Duration = Duration::from_secs(1);

/// A probe that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailProbe {
    /// TLP.end_seq: SND.NXT after it.
    pub end: SequenceNumber,
    /// TLP.is_retrans: it carried what had been sent before.
    pub is_repeated: bool,
}

impl Socket<'_> {
    /// Sets the probe's timer anew after new data was sent or something was acknowledged; stops it where there is
    /// nothing to probe for, a loss is known already, or a probe is on its way.
    pub(super) fn schedule_tail_probe(&mut self, now: Instant) {
        let control = &mut self.control;
        if control.probe == Some(Probe::Tail) {
            control.probe = None;
        }
        let wanted = control.selective
            && control.outstanding() > 0
            && control.tail_probe.is_none()
            && control.recovery.phase() == Phase::Open
            && control.recovery.is_nothing_reported();
        if !wanted {
            control.timers.tail = None;
            return;
        }
        let wait = match control.round_trip.smoothed() {
            None => WAIT_UNMEASURED,
            Some(round_trip) => {
                let wait = round_trip.times(2).max(SHORTEST_WAIT);
                let alone = control.outstanding() <= control.segment_size();
                if alone { wait + LONGEST_DELAYED_ACKNOWLEDGEMENT } else { wait }
            }
        };
        let at = now + wait;
        control.timers.tail = Some(control.timers.retransmit.map_or(at, |retransmit| at.min(retransmit)));
    }

    /// The last segment goes out again.
    pub(super) fn send_tail_probe(
        &mut self,
        sequence: SequenceNumber,
        length: usize,
        fin: bool,
        out: &mut [u8],
        now: Instant,
        counters: &mut Counters,
    ) -> Option<usize> {
        let emitted = self.emit_data(sequence, length, fin, out, now)?;
        counters.tail_probes += 1;
        counters.retransmits += 1;
        counters.bytes_sent += length as u64;
        let grain = self.evidence(None, now).grain();
        let control = &mut self.control;
        control.recovery.probed(segment_range(sequence, length, fin), now, grain);
        control.probe = None;
        control.tail_probe = Some(TailProbe { end: control.send.next, is_repeated: true });
        control.round_trip.retransmitted();
        control.timers.retransmit = Some(now + control.round_trip.timeout());
        Some(emitted)
    }

    /// What an acknowledgement tells about the probe, before anything else is made of it (RFC 8985 section 7.4.2).
    /// `repeats` says that it acknowledges nothing new and reports nothing. Answers whether the probe has made good
    /// the loss of the last segment, to which congestion control must then react.
    pub(super) fn judge_tail_probe(&mut self, segment: &Segment<'_>, repeats: bool) -> bool {
        let control = &mut self.control;
        let Some(probe) = control.tail_probe.filter(|probe| !segment.acknowledgement.is_before(probe.end)) else {
            return false;
        };
        let arrived_twice = |block: &Range| block.end == probe.end && !block.end.is_after(segment.acknowledgement);
        if !probe.is_repeated || segment.options.sack.iter().any(arrived_twice) {
            control.tail_probe = None;
            return false;
        }
        if segment.acknowledgement.is_after(probe.end) {
            control.tail_probe = None;
            return true;
        }
        if repeats {
            // Both the last segment and its repetition have been acknowledged, so neither was lost.
            control.tail_probe = None;
        }
        false
    }
}
