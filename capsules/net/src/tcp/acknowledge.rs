//! What a segment acknowledges: the send ring gets room, round trips are measured, losses are found.

use slopos_kernel::time::{Duration, Instant};

use super::counters::Counters;
use super::rack::Evidence;
use super::recovery::Phase;
use super::socket::Socket;
use crate::wire::tcp::{Range, Segment};

/// An echo that seems older is not one of ours.
const OLDEST_ECHO_MS: u32 = 600_000;

impl Socket<'_> {
    /// Takes in the acknowledgement of a segment that has passed all checks (RFC 9293 section 3.10.7.4, fifth check).
    pub(super) fn acknowledge(&mut self, segment: &Segment<'_>, now: Instant, counters: &mut Counters) {
        let segment_size = self.control.segment_size();
        let outstanding = self.control.outstanding();
        let unacknowledged = self.control.send.unacknowledged;
        let advanced = segment.acknowledgement.bytes_after(unacknowledged);
        let is_awaited = outstanding > 0 || advanced > 0;
        let echoed = if is_awaited { self.echoed(segment, now) } else { None };
        let evidence = self.evidence(echoed, now);
        let is_duplicate_reported = self.is_duplicate_reported(segment);
        let reported = self.take_reports(segment, &evidence, counters);
        let window_changed = self.update_send_window(segment);
        let says_nothing_new = advanced == 0
            && segment.options.sack.is_empty()
            && segment.payload.is_empty()
            && !segment.flags.fin()
            && !window_changed;
        if self.judge_tail_probe(segment, says_nothing_new) {
            counters.fast_retransmits += 1;
            self.control.congestion.loss(outstanding);
        }
        if self.control.send.window == 0 {
            // It answers, so it is there; it has only taken back its window (RFC 9293 section 3.8.6.1).
            self.control.retransmissions = 0;
        }
        if advanced > 0 {
            self.advance(advanced, segment, &evidence);
        } else if outstanding > 0 && segment.acknowledgement == unacknowledged {
            // With SACK a duplicate is one that reports something (RFC 6675 section 2); else see RFC 5681 section 2.
            let is_duplicate = if self.control.selective {
                reported > 0
            } else {
                segment.payload.is_empty() && !segment.flags.fin() && !window_changed
            };
            if is_duplicate {
                counters.duplicate_acknowledgements += 1;
                self.control.recovery.duplicate(segment_size, outstanding);
            }
        }
        if is_awaited || is_duplicate_reported {
            let control = &mut self.control;
            control.recovery.adapt(is_duplicate_reported, control.send.unacknowledged, control.send.next);
            // By now the round trip may have been measured once more (RFC 8985 section 6.2, step 1).
            let evidence = self.evidence(echoed, now);
            self.find_lost(&evidence, counters);
        }
        if advanced > 0 || reported > 0 {
            self.schedule_tail_probe(now);
        }
    }

    /// What the scoreboard goes by: the time, and what is known about the round trip.
    pub(super) fn evidence(&self, echoed: Option<Duration>, now: Instant) -> Evidence {
        let round_trip = &self.control.round_trip;
        Evidence { now, echoed, shortest: round_trip.shortest(), smoothed: round_trip.smoothed() }
    }

    /// Looks for losses and begins their repair.
    pub(super) fn find_lost(&mut self, evidence: &Evidence, counters: &mut Counters) {
        let control = &mut self.control;
        let now = evidence.now;
        let (unacknowledged, segment_size) = (control.send.unacknowledged, control.segment_size());
        let findings = control.recovery.find_lost(unacknowledged, segment_size, evidence);
        control.timers.reordering = findings.deadline;
        if control.outstanding() > 0 && control.recovery.is_loss_evident(unacknowledged) {
            counters.fast_retransmits += 1;
            control.congestion.loss(control.outstanding());
            control.recovery.begin_fast(unacknowledged, control.send.next, segment_size, now);
            control.timers.retransmit = Some(now + control.round_trip.timeout());
            control.tail_probe = None;
        } else if findings.is_repair_lost {
            // The loss of a retransmission is one more indication of congestion (RFC 5681 section 4.3).
            counters.repairs_lost += 1;
            control.congestion.loss(control.congestion.window(Duration::ZERO, control.round_trip.timeout()));
            control.timers.retransmit = Some(now + control.round_trip.timeout());
        }
        if let (Some(retransmit), Some(deadline)) = (&mut control.timers.retransmit, findings.deadline) {
            // Its finding is to come first, for it costs less than a timeout.
            *retransmit = deadline.max(*retransmit);
        }
    }

    /// Whether the first SACK block tells that something has arrived twice (RFC 2883 section 4), other than by the
    /// tail-loss probe, which is known to be sent in vain now and then.
    fn is_duplicate_reported(&self, segment: &Segment<'_>) -> bool {
        let control = &self.control;
        let mut blocks = segment.options.sack.iter();
        let Some(first) = blocks.next().filter(|first| control.selective && first.length() > 0) else { return false };
        let oldest = control.send.unacknowledged - control.send.largest_window;
        let is_acknowledged = !first.end.is_after(segment.acknowledgement) && !first.start.is_before(oldest);
        let is_within = |outer: &Range| !first.start.is_before(outer.start) && !first.end.is_after(outer.end);
        let is_probe = control.tail_probe.is_some_and(|probe| probe.is_repeated && probe.end == first.end);
        (is_acknowledged || blocks.next().is_some_and(is_within)) && !is_probe
    }

    /// Takes in the SACK blocks; answers how many bytes they newly report.
    fn take_reports(&mut self, segment: &Segment<'_>, evidence: &Evidence, counters: &mut Counters) -> u32 {
        let control = &mut self.control;
        if !control.selective {
            return 0;
        }
        let settled = control.send.unacknowledged.later(segment.acknowledgement);
        let mut reported = 0;
        for block in &segment.options.sack {
            // At or before what is acknowledged: a duplicate is reported (RFC 2883), or an old segment came late.
            if !block.end.is_after(settled) {
                continue;
            }
            match control.recovery.report(*block, control.send.unacknowledged, control.send.next, evidence) {
                Some(bytes) => reported += bytes,
                None => counters.sack_blocks_ignored += 1,
            }
        }
        reported
    }

    /// Takes over the peer's window unless the segment is older than the one that told it last. Answers whether it
    /// changed.
    fn update_send_window(&mut self, segment: &Segment<'_>) -> bool {
        let send = &mut self.control.send;
        // What acknowledges more than anything before it was sent later, wherever its data lies in the stream. RFC 9293
        // goes by the sequence number even then; but to move SND.UNA and keep SND.WND would move the window's edge
        // beyond what the peer has offered.
        let is_newest = segment.acknowledgement.is_after(send.unacknowledged);
        let is_old = segment.acknowledgement.is_before(send.unacknowledged)
            || segment.sequence.is_before(send.window_sequence)
            || (segment.sequence == send.window_sequence
                && segment.acknowledgement.is_before(send.window_acknowledgement));
        if is_old && !is_newest {
            return false;
        }
        let window = u32::from(segment.window) << send.shift;
        let changed = window != send.window;
        send.window = window;
        send.largest_window = send.largest_window.max(window);
        send.window_sequence = segment.sequence;
        send.window_acknowledgement = segment.acknowledgement;
        changed
    }

    /// SND.UNA moves on by `advanced`, which may cover the FIN.
    fn advance(&mut self, advanced: u32, segment: &Segment<'_>, evidence: &Evidence) {
        let now = evidence.now;
        let bytes = (advanced as usize).min(self.send_ring.length());
        self.send_ring.consume(bytes);
        self.send_ring.rewind();
        let has_room = self.send_ring.free() >= self.writable_room();
        let control = &mut self.control;
        // Nothing but the FIN lies behind the bytes.
        control.send.fin_acknowledged |= advanced as usize > bytes;
        let in_flight = control.in_flight();
        control.send.unacknowledged = segment.acknowledgement;
        control.send.next = control.send.next.later(segment.acknowledgement);
        control.retransmissions = 0;
        control.round_trip.acknowledged(segment.acknowledgement, evidence.echoed, now);
        let phase = control.recovery.phase();
        control.recovery.acknowledged(segment.acknowledgement, advanced, control.segment_size(), evidence);
        if phase != Phase::Fast {
            let round_trip = control.round_trip.smoothed().unwrap_or(Duration::ZERO);
            // After a timeout much of what is acknowledged may have been there before, so an acknowledgement counts
            // for one segment (RFC 3465 section 2.3).
            let counted = if phase == Phase::Timeout { advanced.min(control.segment_size()) } else { advanced };
            control.congestion.acknowledged(counted, in_flight, round_trip, now);
        }
        control.timers.retransmit = (control.outstanding() > 0).then(|| now + control.round_trip.timeout());
        control.event |= has_room || control.send.fin_acknowledged;
    }

    /// How long ago, by the timestamps option, we sent what this segment acknowledges; at least a millisecond.
    pub(super) fn echoed(&self, segment: &Segment<'_>, now: Instant) -> Option<Duration> {
        self.control.timestamps.as_ref()?;
        let echo = segment.options.timestamps?.echo;
        let elapsed = self.control.timestamp(now).wrapping_sub(echo);
        (elapsed < OLDEST_ECHO_MS).then(|| Duration::from_millis(u64::from(elapsed.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tail::TailProbe;
    use super::super::tests::{Connection, SEND_NEXT, TIMESTAMP_OFFSET, ack, at, established, pattern};
    use super::*;
    use crate::wire::tcp::{Flags, Segment, SequenceNumber};

    /// Ten segments were sent, of which two are acknowledged.
    fn two_of_ten(connection: Connection) -> Connection {
        let mut connection = connection;
        connection.write(&pattern(14_600), at(0));
        connection.sent(at(0));
        connection.receive(ack().acking(SEND_NEXT + 2_920), at(10));
        connection
    }

    /// Whether these blocks, counted from the first byte, report a duplicate.
    fn is_duplicate(connection: &Connection, blocks: &[(i32, i32)]) -> bool {
        let place = |offset: i32| SEND_NEXT + offset as u32;
        let segment = Segment {
            source_port: 80,
            destination_port: 50_000,
            sequence: SequenceNumber::new(0),
            acknowledgement: SEND_NEXT + 2_920,
            flags: Flags::ACK,
            window: 0,
            options: crate::wire::tcp::options::Options {
                sack: blocks.iter().map(|(start, end)| Range { start: place(*start), end: place(*end) }).collect(),
                ..Default::default()
            },
            payload: &[],
        };
        connection.socket.is_duplicate_reported(&segment)
    }

    #[test]
    fn a_duplicate_is_a_first_block_that_is_acknowledged_or_lies_within_the_second() {
        // RFC 2883 section 4.
        let connection = two_of_ten(established().selective());
        for blocks in [
            &[(0, 1_460)][..],
            &[(1_460, 2_920)],
            &[(1, 2), (5_840, 7_300)],
            &[(4_380, 5_840), (4_380, 7_300)],
            &[(5_840, 7_300), (4_380, 7_300)],
            &[(4_380, 7_300), (4_380, 7_300)],
            &[(2_920 - 65_535, 0)],
        ] {
            assert!(is_duplicate(&connection, blocks), "{blocks:?}");
        }
        for blocks in [
            &[][..],
            &[(4_380, 5_840)],
            &[(1_460, 2_921)],
            &[(4_380, 5_840), (7_300, 8_760)],
            &[(7_300, 8_760), (4_380, 5_840)],
            &[(4_380, 7_300), (5_840, 7_300)],
            &[(4_380, 7_300), (4_380, 5_840)],
            &[(2_919 - 65_535, 0)],
            &[(100, 100)],
        ] {
            assert!(!is_duplicate(&connection, blocks), "{blocks:?}");
        }
        assert!(!is_duplicate(&two_of_ten(established()), &[(0, 1_460)]), "without SACK it means nothing");
    }

    #[test]
    fn the_repetition_that_a_probe_made_is_no_duplicate() {
        // RFC 8985 section 7.4.2: the probe's own judgement deals with it.
        let mut connection = two_of_ten(established().selective());
        for (end, is_repeated, expected) in [(1_460, true, false), (1_460, false, true), (2_920, true, true)] {
            connection.socket.control.tail_probe = Some(TailProbe { end: SEND_NEXT + end, is_repeated });
            assert_eq!(is_duplicate(&connection, &[(0, 1_460)]), expected, "{end} {is_repeated}");
        }
    }

    #[test]
    fn an_echo_of_ten_minutes_ago_is_no_measurement() {
        let connection = established().timestamps();
        let bytes = ack().stamped(501, TIMESTAMP_OFFSET).bytes(super::super::tests::REMOTE, super::super::tests::LOCAL);
        let (from, to) = (super::super::tests::REMOTE.address, super::super::tests::LOCAL.address);
        let segment = Segment::parse(from, to, &bytes).unwrap();
        let echoed = |milliseconds: u64| connection.socket.echoed(&segment, at(milliseconds));
        assert_eq!(echoed(0), Some(Duration::from_millis(1)), "less than a tick");
        assert_eq!(echoed(599_999), Some(Duration::from_millis(599_999)));
        assert_eq!(echoed(600_000), None);
    }
}
