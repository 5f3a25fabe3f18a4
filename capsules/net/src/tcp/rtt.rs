//! The retransmission timeout (RFC 6298): round-trip times are measured, smoothed, and doubled away from on loss.

use slopos_kernel::time::{Duration, Instant};

use crate::wire::tcp::SequenceNumber;

/// Before anything is measured (RFC 6298 section 2.1).
const INITIAL: Duration = Duration::from_secs(1);
/// Where the handshake had to be repeated and nothing is measured (RFC 6298 section 5.7).
const AFTER_LOST_SYN: Duration = Duration::from_secs(3);
/// RFC 6298 says 1 s; like Linux we go lower, for delayed acknowledgements come within 40 ms nearly everywhere.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);
/// Doubling 200 ms nine times passes a minute, so more does not matter.
const MOST_DOUBLINGS: u8 = 10;
/// The shortest round trip counts for so long; then the path may have become another one (as Linux has it).
const SHORTEST_LASTS: Duration = Duration::from_secs(300);

/// Round-trip estimate of one connection.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    /// SRTT and RTTVAR in microseconds, of which 32 bits are an hour; nothing is measured yet without.
    estimate: Option<(u32, u32)>,
    /// RTO without back-off.
    base: Duration,
    doublings: u8,
    /// The end of a segment that was sent once, and when: the one that is being timed.
    timed: Option<(SequenceNumber, Instant)>,
    /// The shortest sample of late, and when it was taken.
    shortest: Option<(Duration, Instant)>,
    /// How many segments were sent again.
    retransmissions: u32,
}

impl RoundTrip {
    /// Nothing measured.
    pub const fn new() -> Self {
        RoundTrip { estimate: None, base: INITIAL, doublings: 0, timed: None, shortest: None, retransmissions: 0 }
    }

    /// RTO: how long to wait for an acknowledgement, 200 ms to 60 s.
    pub fn timeout(&self) -> Duration {
        self.base.times(1 << self.doublings).min(LONGEST)
    }

    /// SRTT.
    pub fn smoothed(&self) -> Option<Duration> {
        self.estimate.map(|(smoothed, _)| Duration::from_micros(smoothed.into()))
    }

    /// How many segments were sent again.
    pub const fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    /// RACK.min_RTT: the shortest round trip of the last five minutes (RFC 8985 section 6.2, step 1). Samples by timestamps
    /// are left out, because their clock ticks in milliseconds.
    pub fn shortest(&self) -> Option<Duration> {
        self.shortest.map(|(sample, _)| sample)
    }

    /// The timer ran out: wait twice as long the next time, and time nothing that is sent twice (Karn's algorithm).
    pub fn back_off(&mut self) {
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        self.timed = None;
    }

    /// Something up to `end` goes out for the first time; it is timed unless something else is.
    pub fn sent(&mut self, end: SequenceNumber, now: Instant) {
        if self.timed.is_none() {
            self.timed = Some((end, now));
        }
    }

    /// Something is sent again, so the acknowledgement of what is being timed would say nothing.
    pub fn retransmitted(&mut self) {
        self.retransmissions = self.retransmissions.saturating_add(1);
        self.timed = None;
    }

    /// Everything before `acknowledgement` has arrived. `echoed` is how long ago, by the timestamps option, the
    /// segment that this acknowledges was sent; it serves where Karn's algorithm leaves nothing else.
    pub fn acknowledged(&mut self, acknowledgement: SequenceNumber, echoed: Option<Duration>, now: Instant) {
        match self.timed {
            Some((end, sent_at)) if !end.is_after(acknowledgement) => {
                self.timed = None;
                let sample = now.since(sent_at);
                if self.shortest.is_none_or(|(shortest, at)| sample <= shortest || now.since(at) > SHORTEST_LASTS) {
                    self.shortest = Some((sample, now));
                }
                self.measured(sample);
            }
            Some(_) => {}
            None => {
                if let Some(sample) = echoed {
                    self.measured(sample);
                }
            }
        }
    }

    /// The handshake is done after its SYN was sent more than once.
    pub fn handshake_was_repeated(&mut self) {
        self.doublings = 0;
        if self.estimate.is_none() {
            self.base = AFTER_LOST_SYN;
        }
    }

    /// Takes in a sample (RFC 6298 sections 2.2 and 2.3).
    fn measured(&mut self, sample: Duration) {
        let (smoothed, variation) = match self.estimate {
            None => (sample, sample.divided_by(2)),
            Some((smoothed, variation)) => {
                let [smoothed, variation] = [smoothed, variation].map(|micros| Duration::from_micros(micros.into()));
                let difference = if sample > smoothed { sample - smoothed } else { smoothed - sample };
                ((smoothed.times(7) + sample).divided_by(8), (variation.times(3) + difference).divided_by(4))
            }
        };
        let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        self.estimate = Some((micros(smoothed), micros(variation)));
        self.base = (smoothed + variation.times(4)).clamp(SHORTEST, LONGEST);
        self.doublings = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: SequenceNumber = SequenceNumber::new(100);

    fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    fn measured(samples: &[u64]) -> RoundTrip {
        let mut round_trip = RoundTrip::new();
        for sample in samples {
            round_trip.sent(END, at(0));
            round_trip.acknowledged(END, None, at(*sample));
        }
        round_trip
    }

    #[test]
    fn the_first_timeout_is_a_second() {
        assert_eq!(RoundTrip::new().timeout(), Duration::from_secs(1));
    }

    #[test]
    fn the_first_sample_makes_three_times_itself() {
        let round_trip = measured(&[500]);
        assert_eq!(round_trip.smoothed(), Some(Duration::from_millis(500)));
        assert_eq!(round_trip.timeout(), Duration::from_millis(1_500));
    }

    #[test]
    fn later_samples_are_smoothed() {
        let round_trip = measured(&[800, 400]);
        assert_eq!(round_trip.smoothed(), Some(Duration::from_millis(750)));
        assert_eq!(round_trip.timeout(), Duration::from_millis(750 + 4 * 400));
        let round_trip = measured(&[400, 800]);
        assert_eq!(round_trip.smoothed(), Some(Duration::from_millis(450)));
        assert_eq!(round_trip.timeout(), Duration::from_millis(450 + 4 * 250));
    }

    #[test]
    fn the_timeout_stays_within_its_bounds() {
        assert_eq!(measured(&[1]).timeout(), SHORTEST);
        assert_eq!(measured(&[90_000]).timeout(), LONGEST);
    }

    #[test]
    fn the_shortest_sample_counts_for_five_minutes() {
        let mut round_trip = RoundTrip::new();
        let mut sample = |sent_at: u64, took: u64| {
            round_trip.sent(END, at(sent_at));
            round_trip.acknowledged(END, Some(Duration::from_millis(1)), at(sent_at + took));
            round_trip.shortest()
        };
        assert_eq!(sample(0, 50), Some(Duration::from_millis(50)));
        assert_eq!(sample(1_000, 40), Some(Duration::from_millis(40)));
        assert_eq!(sample(300_900, 60), Some(Duration::from_millis(40)));
        assert_eq!(sample(300_980, 60), Some(Duration::from_millis(40)), "to the end of the last minute");
        assert_eq!(sample(301_100, 60), Some(Duration::from_millis(60)));
    }

    #[test]
    fn each_loss_doubles_up_to_a_minute_and_a_sample_ends_it() {
        let mut round_trip = measured(&[500]);
        round_trip.back_off();
        assert_eq!(round_trip.timeout(), Duration::from_secs(3));
        for _ in 0..200 {
            round_trip.back_off();
        }
        assert_eq!(round_trip.timeout(), LONGEST);
        round_trip.sent(END, at(0));
        round_trip.acknowledged(END, None, at(500));
        assert!(round_trip.timeout() < Duration::from_secs(2));
    }

    #[test]
    fn what_was_sent_twice_is_not_measured() {
        let mut round_trip = RoundTrip::new();
        round_trip.sent(END, at(0));
        round_trip.retransmitted();
        round_trip.acknowledged(END, None, at(7_000));
        assert_eq!(round_trip.smoothed(), None);
        round_trip.acknowledged(END, Some(Duration::from_millis(30)), at(7_000));
        assert_eq!(round_trip.smoothed(), Some(Duration::from_millis(30)));
    }

    #[test]
    fn an_acknowledgement_of_less_leaves_the_timing_going() {
        let mut round_trip = RoundTrip::new();
        round_trip.sent(END, at(0));
        round_trip.acknowledged(END - 1, Some(Duration::from_millis(1)), at(10));
        round_trip.sent(END + 50, at(15));
        round_trip.acknowledged(END, None, at(20));
        assert_eq!(round_trip.smoothed(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_repeated_handshake_starts_from_three_seconds() {
        let mut round_trip = RoundTrip::new();
        round_trip.back_off();
        round_trip.handshake_was_repeated();
        assert_eq!(round_trip.timeout(), Duration::from_secs(3));
    }
}
