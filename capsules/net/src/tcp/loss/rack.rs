//! RACK (RFC 8985 section 6): a segment is lost when one that was sent later has arrived, and the round trip and a
//! reordering window have passed since. So the loss of a retransmission is found as well, and the order in which
//! segments arrive may differ from that in which they were sent by as much as the window.
//!
//! This is what RACK remembers besides the send times ([`records`](super::records)); the
//! [`scoreboard`](super::scoreboard) walks over those.

use slopos_kernel::time::{Duration, Instant};

use crate::tcp::loss::records::Record;
use crate::wire::tcp::Range;
use crate::wire::tcp::SequenceNumber;

/// The window is no shorter while one or two segments are reported and no reordering has been seen: where the round
/// trip is shorter than the noise of two machines' timers, a quarter of it says nothing.
const SHORTEST_WINDOW: Duration = Duration::from_millis(1);
/// Repairs that a widened window outlives (RFC 8985 section 6.2, step 4).
const PERSISTENCE: u8 = 16;
/// What is sent within this part of the round trip shares one time. The reordering window is four times as long.
const SEND_QUANTA: u64 = 16;

/// What is known when something arrives, or when a timer runs out.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    /// The time.
    pub now: Instant,
    /// How long ago, by the timestamps option, what is acknowledged was sent.
    pub echoed: Option<Duration>,
    /// RACK.min_RTT.
    pub shortest: Option<Duration>,
    /// SRTT.
    pub smoothed: Option<Duration>,
}

impl Evidence {
    /// What is sent within such a span shares one time.
    pub fn send_quantum(&self) -> Duration {
        self.smoothed.unwrap_or(Duration::ZERO).divided_by(SEND_QUANTA)
    }
}

/// The segment, of those that have arrived, that was sent last (RACK.segment).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// RACK.xmit_ts, or a little earlier.
    pub sent_at: Instant,
    /// RACK.end_seq.
    pub end: SequenceNumber,
    /// RACK.rtt: how long its acknowledgement took.
    pub round_trip: Duration,
    /// It went out for the first time.
    pub is_original: bool,
}

impl Latest {
    /// What part of `range`, which `record` is about, was surely sent before it (RACK_sent_after). The times of one
    /// pass are the same, so they do not order what goes out again and what is new; but what goes out for the first
    /// time goes in the order of the stream.
    pub fn sent_after(&self, range: Range, record: &Record) -> Range {
        let end = if self.is_original && record.is_original {
            range.end.earlier(self.end)
        } else if record.sent_at < self.sent_at {
            range.end
        } else {
            range.start
        };
        Range { start: range.start, end }
    }

    /// When what was sent before it, at `sent_at`, is lost unless it arrives within `window` more.
    pub fn deadline(&self, sent_at: Instant, window: Duration) -> Instant {
        sent_at.min(self.sent_at) + self.round_trip + window
    }
}

/// RACK's variables (RFC 8985 section 5.3).
#[derive(Clone, Debug)]
pub struct Rack {
    latest: Option<Latest>,
    /// RACK.reo_wnd.
    window: Duration,
    /// RACK.fack before the acknowledgement that is being taken in, and with it.
    highest: SequenceNumber,
    highest_now: SequenceNumber,
    /// RACK.dsack_round.
    duplicate_round: Option<SequenceNumber>,
    /// RACK.reo_wnd_mult: the window in quarters of the shortest round trip.
    quarters: u8,
    /// RACK.reo_wnd_persist.
    persistence: u8,
    is_reordering_seen: bool,
    /// Retransmissions that no duplicate report has been set off against.
    repeated: u8,
}

impl Rack {
    /// Nothing has arrived.
    pub const fn new(start: SequenceNumber) -> Self {
        Rack {
            latest: None,
            window: Duration::ZERO,
            highest: start,
            highest_now: start,
            duplicate_round: None,
            quarters: 1,
            persistence: 0,
            is_reordering_seen: false,
            repeated: 0,
        }
    }

    /// The latest segment that has arrived.
    pub const fn latest(&self) -> Option<Latest> {
        self.latest
    }

    /// Whether anything has arrived behind what was sent after it.
    #[cfg(test)]
    pub const fn is_reordering_seen(&self) -> bool {
        self.is_reordering_seen
    }

    /// Steps 2 and 3: what ends at `end`, a part of `record`, has arrived; `acknowledged` tells that it is covered by
    /// the acknowledgement, not by a report.
    pub fn delivered(&mut self, end: SequenceNumber, record: &Record, acknowledged: bool, evidence: &Evidence) {
        self.highest_now = self.highest_now.later(end);
        if record.is_original && end.is_before(self.highest) {
            self.is_reordering_seen = true;
        }
        let Some(sent_at) = record.since() else { return };
        let round_trip = evidence.now.since(sent_at);
        if !record.is_original && is_of_an_earlier_transmission(round_trip, acknowledged, evidence) {
            return;
        }
        let is_later = self.latest.is_none_or(|latest| {
            let in_order = latest.is_original && record.is_original;
            if in_order { end.is_after(latest.end) } else { sent_at > latest.sent_at }
        });
        if is_later {
            self.latest = Some(Latest { sent_at, end, round_trip, is_original: record.is_original });
        }
    }

    /// Something was sent again because it was taken for lost.
    pub fn repeated(&mut self) {
        self.repeated = self.repeated.saturating_add(1);
    }

    /// The first half of step 4: `duplicate` tells that the peer reports to have got something twice. In each round
    /// trip that sees this the window grows by a quarter of the shortest one. What the network has doubled by itself
    /// does not count: there are no more of these than retransmissions.
    pub fn adapt(&mut self, duplicate: bool, unacknowledged: SequenceNumber, next: SequenceNumber) {
        if self.duplicate_round.is_some_and(|round| !unacknowledged.is_before(round)) {
            self.duplicate_round = None;
        }
        if !duplicate || self.repeated == 0 {
            return;
        }
        self.repeated -= 1;
        if self.duplicate_round.is_none() {
            self.duplicate_round = Some(next);
            self.quarters = self.quarters.saturating_add(1);
            self.persistence = PERSISTENCE;
        }
    }

    /// A repair has ended; after so many without a duplicate report the window is as it was in the beginning.
    pub fn repair_ended(&mut self) {
        self.persistence = self.persistence.saturating_sub(1);
        if self.persistence == 0 {
            self.quarters = 1;
        }
    }

    /// The acknowledgement has been taken in. Answers RACK.reo_wnd, the second half of step 4: none where a loss is
    /// evident by RFC 6675's count or is being repaired, as long as nothing was ever reordered.
    pub fn settle(&mut self, is_evident: bool, evidence: &Evidence) -> Duration {
        self.highest = self.highest_now;
        self.window = if is_evident && !self.is_reordering_seen {
            Duration::ZERO
        } else {
            let quarter = evidence.shortest.unwrap_or(Duration::ZERO).divided_by(4);
            let most = evidence.smoothed.unwrap_or(Duration::ZERO);
            quarter.times(u64::from(self.quarters)).min(most).max(SHORTEST_WINDOW)
        };
        self.window
    }

    /// Whether, when the retransmission timer runs out, what was sent at `sent_at` is lost (section 6.3).
    pub fn is_overdue(&self, sent_at: Instant, now: Instant) -> bool {
        self.latest.is_none_or(|latest| sent_at + latest.round_trip + self.window <= now)
    }
}

/// Whether what arrived was rather the original than the retransmission that was sent `round_trip` ago. The echo of a
/// report is that of another segment, namely the last one in order (RFC 7323 section 4.3), so it tells only about what
/// is acknowledged.
fn is_of_an_earlier_transmission(round_trip: Duration, acknowledged: bool, evidence: &Evidence) -> bool {
    let is_too_early = evidence.shortest.is_some_and(|shortest| round_trip < shortest);
    // The clock of the option ticks in milliseconds.
    let tick = Duration::from_millis(1);
    let echoes_earlier = evidence.echoed.is_some_and(|echoed| echoed > round_trip + tick);
    is_too_early || (acknowledged && echoes_earlier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SequenceNumber = SequenceNumber::new(u32::MAX - 1_000);

    fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    fn record(sent_at: u64, is_original: bool) -> Record {
        Record::at(Some(at(sent_at)), at(sent_at), START + 9_000, is_original)
    }

    /// At `now`, on a path of 40 ms.
    fn evidence(now: u64) -> Evidence {
        let round_trip = Some(Duration::from_millis(40));
        Evidence { now: at(now), echoed: None, shortest: round_trip, smoothed: round_trip }
    }

    fn latest(rack: &Rack) -> (u64, i32, u64) {
        let latest = rack.latest().unwrap();
        (latest.sent_at.as_millis(), latest.end.offset_from(START), latest.round_trip.as_millis())
    }

    #[test]
    fn what_shares_a_time_is_ordered_only_if_it_went_out_for_the_first_time() {
        let mut rack = Rack::new(START);
        rack.delivered(START + 5_000, &record(100, true), false, &evidence(140));
        let latest = rack.latest().unwrap();
        let range = Range { start: START + 4_000, end: START + 6_000 };
        let length = |record: &Record| latest.sent_after(range, record).length();
        assert_eq!(length(&record(100, true)), 1_000, "as far as it lies before it in the stream");
        assert_eq!((length(&record(100, false)), length(&record(99, false))), (0, 2_000));
        assert_eq!(latest.deadline(at(90), Duration::from_millis(10)), at(140));
    }

    #[test]
    fn of_what_was_sent_in_one_go_the_first_time_counts_when_it_arrives() {
        let mut rack = Rack::new(START);
        let run = Record::at(Some(at(98)), at(100), START + 9_000, true);
        rack.delivered(START + 5_000, &run, false, &evidence(140));
        let latest = rack.latest().unwrap();
        assert!(latest.sent_at <= at(98) && latest.round_trip >= Duration::from_millis(42), "{latest:?}");
        let before = Range { start: START, end: START + 1_000 };
        assert_eq!(latest.sent_after(before, &record(99, false)).length(), 0);
        assert_eq!(latest.sent_after(before, &run), before);
        assert_eq!(latest.deadline(run.sent_at, Duration::ZERO), at(140), "not later than it arrived");
    }

    #[test]
    fn the_latest_is_the_one_that_was_sent_last_and_of_one_time_the_last_in_the_stream() {
        let mut rack = Rack::new(START);
        rack.delivered(START + 2_000, &record(100, true), false, &evidence(140));
        rack.delivered(START + 1_000, &record(100, true), false, &evidence(150));
        assert_eq!(latest(&rack), (100, 2_000, 40));
        rack.delivered(START + 500, &record(101, false), false, &evidence(160));
        assert_eq!(latest(&rack), (101, 500, 59));
        rack.delivered(START + 700, &record(101, false), false, &evidence(170));
        assert_eq!(latest(&rack), (101, 500, 59), "of retransmissions at one time the first that arrives");
    }

    #[test]
    fn a_retransmission_that_seems_to_arrive_at_once_tells_nothing() {
        let mut rack = Rack::new(START);
        rack.delivered(START + 1_000, &record(100, false), true, &evidence(130));
        assert_eq!(rack.latest(), None, "30 ms are no round trip");
        let echo = |echoed| Evidence { echoed: Some(Duration::from_millis(echoed)), ..evidence(150) };
        rack.delivered(START + 1_000, &record(100, false), true, &echo(120));
        assert_eq!(rack.latest(), None, "the echo is that of the original");
        let mut exact = Rack::new(START);
        exact.delivered(START + 1_000, &record(100, false), true, &echo(51));
        assert_eq!(latest(&exact), (100, 1_000, 50), "the clock of the option may be a tick ahead");
        rack.delivered(START + 1_000, &record(100, false), true, &echo(50));
        assert_eq!(latest(&rack), (100, 1_000, 50));
    }

    #[test]
    fn what_was_merged_tells_nothing_when_it_arrives() {
        let mut rack = Rack::new(START);
        rack.delivered(START + 1_000, &Record::at(None, at(100), START + 9_000, true), true, &evidence(150));
        assert_eq!(rack.latest(), None);
    }

    #[test]
    fn reordering_is_an_original_that_arrives_behind_a_later_one() {
        for (is_original, expected) in [(true, true), (false, false)] {
            let mut rack = Rack::new(START);
            rack.delivered(START + 2_000, &record(100, true), false, &evidence(140));
            rack.delivered(START + 1_000, &record(100, true), false, &evidence(140));
            assert!(!rack.is_reordering_seen(), "one acknowledgement tells of them in no order");
            rack.settle(false, &evidence(140));
            rack.delivered(START + 500, &record(100, is_original), true, &evidence(150));
            assert_eq!(rack.is_reordering_seen(), expected);
        }
    }

    #[test]
    fn the_window_is_a_quarter_of_the_shortest_round_trip_or_none_until_reordering_is_seen() {
        let mut rack = Rack::new(START);
        assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(10));
        assert_eq!(rack.settle(true, &evidence(0)), Duration::ZERO);
        rack.is_reordering_seen = true;
        assert_eq!(rack.settle(true, &evidence(0)), Duration::from_millis(10));
    }

    #[test]
    fn what_leaves_within_a_sixteenth_of_the_round_trip_shares_a_record() {
        let smoothed = Some(Duration::from_millis(160));
        assert_eq!(Evidence { smoothed, ..evidence(0) }.send_quantum(), Duration::from_millis(10));
        assert_eq!(Evidence { smoothed: None, ..evidence(0) }.send_quantum(), Duration::ZERO);
    }

    #[test]
    fn one_repetition_explains_one_duplicate() {
        let mut rack = Rack::new(START);
        rack.repeated();
        rack.adapt(true, START, START + 1_000);
        assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(20));
        rack.adapt(true, START + 1_000, START + 2_000);
        assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(20), "the second was not of our making");
    }

    #[test]
    fn duplicate_reports_widen_the_window_once_in_a_round_up_to_the_round_trip() {
        let mut rack = Rack::new(START);
        rack.adapt(true, START, START + 1_000);
        assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(10), "nothing was sent twice by us");
        for _ in 0..20 {
            rack.repeated();
        }
        for expected in [20, 30, 40, 40] {
            rack.adapt(true, START, START + 1_000);
            rack.adapt(true, START + 999, START + 2_000);
            assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(expected));
            rack.adapt(false, START + 1_000, START + 2_000);
        }
        for _ in 0..15 {
            rack.repair_ended();
        }
        assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(40));
        rack.repair_ended();
        assert_eq!(rack.settle(false, &evidence(0)), Duration::from_millis(10));
    }
}
