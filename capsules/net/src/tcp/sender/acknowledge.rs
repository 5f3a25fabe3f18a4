//! What a segment acknowledges: the ring gets room, round trips are measured, losses are found.

use slopos_kernel::time::Duration;

use crate::tcp::loss::{Evidence, Phase};
use crate::tcp::sender::{Fin, Sender};
use crate::tcp::tick::Tick;
use crate::tcp::timers::Timer;
use crate::wire::tcp::Range;
use crate::wire::tcp::Segment;

impl Sender<'_> {
    /// Takes in the acknowledgement of a segment that has passed all checks (RFC 9293 section 3.10.7.4, fifth check).
    /// What it acknowledges was sent `echoed` ago, if the timestamps option tells. Answers whether a blocked call may wait
    /// for that: there is room for a writer, or the whole stream is acknowledged.
    pub fn acknowledge(
        &mut self,
        segment: &Segment<'_>,
        echoed: impl FnOnce() -> Option<Duration>,
        tick: &mut Tick<'_>,
    ) -> bool {
        let mut is_ready = false;
        let outstanding = self.outstanding();
        let unacknowledged = self.unacknowledged;
        let advanced = segment.acknowledgement.bytes_after(unacknowledged);
        let is_awaited = outstanding > 0 || advanced > 0;
        let echoed = if is_awaited { echoed() } else { None };
        let evidence = self.evidence(echoed, tick.now);
        let is_duplicate_reported = self.is_duplicate_reported(segment);
        let reported = self.take_reports(segment, &evidence, tick);
        let window_changed = self.window.update(segment, unacknowledged);
        let says_nothing_new = advanced == 0
            && segment.options.sack.is_empty()
            && segment.payload.is_empty()
            && !segment.flags.fin()
            && !window_changed;
        if self.tail.acknowledged(segment, says_nothing_new) {
            tick.counters.fast_retransmits += 1;
            self.congestion.loss(outstanding);
        }
        if self.window.size() == 0 {
            // It answers, so it is there; it has only taken back its window (RFC 9293 section 3.8.6.1).
            self.retransmissions = 0;
        }
        if advanced > 0 {
            is_ready = self.advance(advanced, segment, &evidence, tick);
        } else if outstanding > 0 && segment.acknowledgement == unacknowledged {
            // With SACK a duplicate is one that reports something (RFC 6675 section 2); else see RFC 5681 section 2.
            let is_duplicate = if self.selective {
                reported > 0
            } else {
                segment.payload.is_empty() && !segment.flags.fin() && !window_changed
            };
            if is_duplicate {
                tick.counters.duplicate_acknowledgements += 1;
                self.scoreboard.duplicate(self.segment_size(), outstanding);
            }
        }
        if is_awaited || is_duplicate_reported {
            self.scoreboard.adapt(is_duplicate_reported, self.unacknowledged, self.next);
            // By now the round trip may have been measured once more (RFC 8985 section 6.2, step 1).
            let evidence = self.evidence(echoed, tick.now);
            self.find_lost(&evidence, tick);
        }
        if advanced > 0 || reported > 0 {
            self.schedule_tail_probe(tick);
        }
        is_ready
    }

    /// Looks for losses and begins their repair.
    pub(super) fn find_lost(&mut self, evidence: &Evidence, tick: &mut Tick<'_>) {
        let (now, segment_size) = (tick.now, self.segment_size());
        let findings = self.scoreboard.find_lost(self.unacknowledged, segment_size, evidence);
        tick.timers.set(Timer::Reordering, findings.deadline);
        if self.outstanding() > 0 && self.scoreboard.is_loss_evident(self.unacknowledged) {
            tick.counters.fast_retransmits += 1;
            self.congestion.loss(self.outstanding());
            self.scoreboard.begin_fast(self.unacknowledged, self.next, segment_size, now);
            tick.timers.start(Timer::Retransmission, now + self.round_trip.timeout());
            self.tail.forget();
        } else if findings.is_repair_lost {
            // The loss of a retransmission is one more indication of congestion (RFC 5681 section 4.3).
            tick.counters.repairs_lost += 1;
            self.congestion.loss(self.congestion.window(Duration::ZERO, self.round_trip.timeout()));
            tick.timers.start(Timer::Retransmission, now + self.round_trip.timeout());
        }
        if let Some(deadline) = findings.deadline {
            // Its finding is to come first, for it costs less than a timeout.
            tick.timers.put_off(Timer::Retransmission, deadline);
        }
    }

    /// Sets the timer of the tail-loss probe anew. There is nothing to probe for where a loss is known already.
    pub(super) fn schedule_tail_probe(&mut self, tick: &mut Tick<'_>) {
        let outstanding = self.outstanding();
        let is_wanted = self.selective
            && outstanding > 0
            && self.scoreboard.phase() == Phase::Open
            && self.scoreboard.is_nothing_reported();
        let is_alone = outstanding <= self.segment_size();
        self.tail.schedule(is_wanted, is_alone, self.round_trip.smoothed(), tick);
    }

    /// Whether the first SACK block tells that something has arrived twice (RFC 2883 section 4), other than by the
    /// tail-loss probe, which is known to be sent in vain now and then.
    fn is_duplicate_reported(&self, segment: &Segment<'_>) -> bool {
        let mut blocks = segment.options.sack.iter();
        let Some(first) = blocks.next().filter(|first| self.selective && first.length() > 0) else { return false };
        let oldest = self.unacknowledged - self.window.largest();
        let is_acknowledged = !first.end.is_after(segment.acknowledgement) && !first.start.is_before(oldest);
        let is_within = |outer: &Range| !first.start.is_before(outer.start) && !first.end.is_after(outer.end);
        (is_acknowledged || blocks.next().is_some_and(is_within)) && !self.tail.is_repetition(first)
    }

    /// Takes in the SACK blocks; answers how many bytes they newly report.
    fn take_reports(&mut self, segment: &Segment<'_>, evidence: &Evidence, tick: &mut Tick<'_>) -> u32 {
        if !self.selective {
            return 0;
        }
        let settled = self.unacknowledged.later(segment.acknowledgement);
        let mut reported = 0;
        for block in &segment.options.sack {
            // At or before what is acknowledged: a duplicate is reported (RFC 2883), or an old segment came late.
            if !block.end.is_after(settled) {
                continue;
            }
            match self.scoreboard.report(*block, self.unacknowledged, self.next, evidence) {
                Some(bytes) => reported += bytes,
                None => tick.counters.sack_blocks_ignored += 1,
            }
        }
        reported
    }

    /// SND.UNA moves on by `advanced`, which may cover the FIN. Answers as [`Sender::acknowledge`] does.
    fn advance(&mut self, advanced: u32, segment: &Segment<'_>, evidence: &Evidence, tick: &mut Tick<'_>) -> bool {
        let now = tick.now;
        let bytes = (advanced as usize).min(self.ring.length());
        self.ring.consume(bytes);
        self.acknowledged_bytes += bytes as u64;
        self.ring.rewind();
        if advanced as usize > bytes {
            // Nothing but the FIN lies behind the bytes.
            self.fin = Fin::Acknowledged;
        }
        let in_flight = self.in_flight();
        self.unacknowledged = segment.acknowledgement;
        self.next = self.next.later(segment.acknowledgement);
        self.retransmissions = 0;
        self.round_trip.acknowledged(segment.acknowledgement, evidence.echoed, now);
        let phase = self.scoreboard.phase();
        self.scoreboard.acknowledged(segment.acknowledgement, advanced, self.segment_size(), evidence);
        if phase != Phase::Fast {
            let round_trip = self.round_trip.smoothed().unwrap_or(Duration::ZERO);
            // After a timeout much of what is acknowledged may have been there before, so an acknowledgement counts
            // for one segment (RFC 3465 section 2.3).
            let counted = if phase == Phase::Timeout { advanced.min(self.segment_size()) } else { advanced };
            self.congestion.acknowledged(counted, in_flight, round_trip, now);
        }
        let timeout = (self.outstanding() > 0).then(|| now + self.round_trip.timeout());
        tick.timers.set(Timer::Retransmission, timeout);
        self.has_room() || self.is_fin_acknowledged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::counters::Counters;
    use crate::tcp::due::Due;
    use crate::tcp::timers::Timers;
    use crate::wire::tcp::{Flags, Options, SequenceNumber};
    use slopos_kernel::time::Instant;

    const INITIAL: SequenceNumber = SequenceNumber::new(u32::MAX - 100);
    const SEND_NEXT: SequenceNumber = SequenceNumber::new(u32::MAX - 99);

    /// An acknowledgement of so much, with these blocks, counted from the first byte.
    fn segment(acknowledged: u32, blocks: &[(i32, i32)], sack_permitted: bool) -> Segment<'static> {
        let position = |offset: i32| SEND_NEXT + offset as u32;
        let sack = blocks.iter().map(|(start, end)| Range { start: position(*start), end: position(*end) }).collect();
        Segment {
            source_port: 80,
            destination_port: 50_000,
            sequence: SequenceNumber::new(0),
            acknowledgement: SEND_NEXT + acknowledged,
            flags: Flags::ACK,
            window: u16::MAX,
            options: Options { maximum_segment: Some(1_460), sack, sack_permitted, ..Options::default() },
            payload: &[],
        }
    }

    /// Ten segments were sent, of which two are acknowledged.
    fn two_of_ten(storage: &mut [u8], selective: bool) -> Sender<'_> {
        let (mut timers, mut counters) = (Timers::default(), Counters::default());
        let tick = &mut Tick { now: Instant::BOOT, timers: &mut timers, counters: &mut counters };
        let mut sender = Sender::new(storage);
        sender.open(INITIAL, tick.now);
        sender.negotiate(&segment(0, &[], selective).options, 1_460, 0);
        sender.establish(&segment(0, &[], selective), None, tick);
        assert_eq!(sender.write(&[7; 14_600]), 14_600);
        while let Some(Due::Data(span, why)) = sender.schedule(1_460, tick.now) {
            sender.sent(&span, why, tick);
        }
        assert_eq!(sender.outstanding(), 14_600);
        sender.acknowledge(&segment(2_920, &[], selective), || None, tick);
        sender
    }

    /// Whether these blocks report a duplicate.
    fn is_duplicate(sender: &Sender<'_>, blocks: &[(i32, i32)]) -> bool {
        sender.is_duplicate_reported(&segment(2_920, blocks, false))
    }

    #[test]
    fn a_duplicate_is_a_first_block_that_is_acknowledged_or_lies_within_the_second() {
        // RFC 2883 section 4.
        let mut storage = [0; 20_000];
        let sender = two_of_ten(&mut storage, true);
        for blocks in [
            &[(0, 1_460)][..],
            &[(1_460, 2_920)],
            &[(1, 2), (5_840, 7_300)],
            &[(4_380, 5_840), (4_380, 7_300)],
            &[(5_840, 7_300), (4_380, 7_300)],
            &[(4_380, 7_300), (4_380, 7_300)],
            &[(2_920 - 65_535, 0)],
        ] {
            assert!(is_duplicate(&sender, blocks), "{blocks:?}");
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
            assert!(!is_duplicate(&sender, blocks), "{blocks:?}");
        }
        assert!(!is_duplicate(&two_of_ten(&mut [0; 20_000], false), &[(0, 1_460)]), "without SACK it means nothing");
    }

    #[test]
    fn the_repetition_that_a_probe_made_is_no_duplicate() {
        // RFC 8985 section 7.4.2: the probe's own judgement deals with it.
        let mut storage = [0; 20_000];
        let mut sender = two_of_ten(&mut storage, true);
        for (end, is_repeated, expected) in [(1_460, true, false), (1_460, false, true), (2_920, true, true)] {
            sender.tail.probed(SEND_NEXT + end, is_repeated);
            assert_eq!(is_duplicate(&sender, &[(0, 1_460)]), expected, "{end} {is_repeated}");
        }
    }
}
