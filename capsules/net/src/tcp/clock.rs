//! The timestamps option (RFC 7323): our clock, and what is known of the peer's.

use slopos_kernel::time::{Duration, Instant};

use crate::wire::tcp::Segment;
use crate::wire::tcp::SequenceNumber;
use crate::wire::tcp::options::{TIMESTAMPS_BYTES, Timestamps};

/// A timestamp this old says nothing any more, for the peer's clock may have gone round half its circle (RFC 7323
/// section 5.5).
const TIMESTAMP_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3_600);
/// An echo that seems older is not one of ours.
const OLDEST_ECHO_MS: u32 = 600_000;

/// What the peer's clock showed last.
#[derive(Clone, Copy, Debug)]
struct Recent {
    /// TS.Recent.
    value: u32,
    /// When that was received.
    at: Instant,
}

/// What a segment's timestamp says about the segment (PAWS, RFC 7323 section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It may be new.
    Fresh,
    /// It is older than one that was received before.
    Old,
    /// It has none, though both sides agreed to send them.
    Missing,
}

/// The clocks of one connection.
#[derive(Clone, Debug, Default)]
pub struct TimestampClock {
    /// What ours is ahead of the time since boot, in milliseconds.
    offset: u32,
    /// The peer's, where both sides agreed to the option.
    recent: Option<Recent>,
}

impl TimestampClock {
    /// Our clock is this many milliseconds ahead of the time since boot. Nothing is agreed upon.
    pub const fn new(offset: u32) -> Self {
        TimestampClock { offset, recent: None }
    }

    /// The peer's SYN has this option, or none.
    pub fn negotiate(&mut self, offered: Option<Timestamps>, now: Instant) {
        self.recent = offered.map(|seen| Recent { value: seen.value, at: now });
    }

    /// Whether both sides send the option.
    pub const fn is_agreed(&self) -> bool {
        self.recent.is_some()
    }

    /// What the option takes of each segment, in bytes.
    pub const fn bytes(&self) -> usize {
        if self.is_agreed() { TIMESTAMPS_BYTES } else { 0 }
    }

    /// Our clock, in milliseconds.
    fn reading(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }

    /// The option of a SYN that offers it: there may be nothing to echo yet.
    pub fn offer(&self, now: Instant) -> Timestamps {
        Timestamps { value: self.reading(now), echo: self.recent.map_or(0, |recent| recent.value) }
    }

    /// The option of any other segment.
    pub fn option(&self, now: Instant) -> Option<Timestamps> {
        self.recent.map(|recent| Timestamps { value: self.reading(now), echo: recent.value })
    }

    /// How old this segment is.
    pub fn age(&self, segment: &Segment<'_>, now: Instant) -> Age {
        match (self.recent, segment.options.timestamps) {
            (None, _) => Age::Fresh,
            (Some(_), None) => Age::Missing,
            (Some(recent), Some(seen)) => {
                let is_earlier = (seen.value.wrapping_sub(recent.value) as i32) < 0;
                if is_earlier && now.since(recent.at) <= TIMESTAMP_LIFETIME { Age::Old } else { Age::Fresh }
            }
        }
    }

    /// Keeps the peer's reading to echo it: that of the segment which the next acknowledgement is about (RFC 7323
    /// section 4.3). `acknowledged` is Last.ACK.sent.
    pub fn note(&mut self, segment: &Segment<'_>, acknowledged: SequenceNumber, now: Instant) {
        if let (Some(recent), Some(seen)) = (&mut self.recent, segment.options.timestamps)
            && !segment.sequence.is_after(acknowledged)
        {
            *recent = Recent { value: seen.value, at: now };
        }
    }

    /// How long ago we sent what this segment acknowledges, by its echo; at least a millisecond.
    pub fn echoed(&self, segment: &Segment<'_>, now: Instant) -> Option<Duration> {
        self.recent?;
        let echo = segment.options.timestamps?.echo;
        let elapsed = self.reading(now).wrapping_sub(echo);
        (elapsed < OLDEST_ECHO_MS).then(|| Duration::from_millis(u64::from(elapsed.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::Flags;
    use crate::wire::tcp::options::Options;

    #[test]
    fn an_echo_of_ten_minutes_ago_is_no_measurement() {
        let mut clock = TimestampClock::new(77_000);
        let mut segment = Segment {
            source_port: 80,
            destination_port: 50_000,
            sequence: SequenceNumber::new(0),
            acknowledgement: SequenceNumber::new(0),
            flags: Flags::ACK,
            window: 0,
            options: Options { timestamps: Some(Timestamps { value: 501, echo: 77_000 }), ..Options::default() },
            payload: &[],
        };
        assert_eq!(clock.echoed(&segment, Instant::BOOT), None, "where it was not agreed upon it means nothing");
        clock.negotiate(segment.options.timestamps, Instant::BOOT);
        let echoed = |milliseconds: u64| clock.echoed(&segment, Instant::from_millis(milliseconds));
        assert_eq!(echoed(0), Some(Duration::from_millis(1)), "less than a tick");
        assert_eq!(echoed(599_999), Some(Duration::from_millis(599_999)));
        assert_eq!(echoed(600_000), None);
        segment.options.timestamps = None;
        assert_eq!(clock.echoed(&segment, Instant::BOOT), None);
    }
}
