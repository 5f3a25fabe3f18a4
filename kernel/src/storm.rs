//! Decides when a source of too many events is cut off, and when it is let through again.
//!
//! Interrupts that a device sends without end, or a line that no device claims, cost processes their time. More than
//! [`STORM_LIMIT`] events within [`STORM_WINDOW`] are a storm: the caller cuts the source off. It is let through again
//! after a pause, which doubles with each new storm.

use crate::time::{Duration, Instant};

/// The most events in a window that are not a storm.
pub const STORM_LIMIT: u32 = 2_000;
/// The span in which events are counted.
pub const STORM_WINDOW: Duration = Duration::from_millis(100);
/// How long a source is cut off at first.
pub const STORM_PAUSE: Duration = Duration::from_millis(100);
/// The longest that a source is cut off.
pub const STORM_PAUSE_MAX: Duration = Duration::from_secs(60);
/// After a calm of this length the next pause is the first one again.
const CALM: Duration = Duration::from_secs(10);

/// One source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    counted: u32,
    window: Instant,
    pause: Duration,
    cut_until: Option<Instant>,
}

impl Default for Storm {
    fn default() -> Self {
        Storm::new()
    }
}

impl Storm {
    /// A source that has been calm so far.
    pub const fn new() -> Storm {
        Storm { counted: 0, window: Instant::BOOT, pause: STORM_PAUSE, cut_until: None }
    }

    /// Counts events. Returns whether the source is to be cut off now.
    #[must_use]
    pub fn note(&mut self, events: u32, now: Instant) -> bool {
        if events == 0 || self.cut_until.is_some() {
            return false;
        }
        let past = now.since(self.window);
        if past >= STORM_WINDOW {
            if past >= CALM {
                self.pause = STORM_PAUSE;
            }
            self.window = now;
            self.counted = 0;
        }
        self.counted = self.counted.saturating_add(events);
        if self.counted <= STORM_LIMIT {
            return false;
        }
        self.cut_until = Some(now + self.pause);
        true
    }

    /// Whether the pause has just ended and the source is to be let through again. True once.
    #[must_use]
    pub fn pause_ends(&mut self, now: Instant) -> bool {
        if self.cut_until.is_none_or(|until| now < until) {
            return false;
        }
        self.cut_until = None;
        self.pause = (self.pause + self.pause).min(STORM_PAUSE_MAX);
        self.window = now;
        self.counted = 0;
        true
    }

    /// Until when the source is cut off; `None` while it is let through.
    pub fn cut_until(&self) -> Option<Instant> {
        self.cut_until
    }

    /// The length of the current or the next pause.
    pub fn pause(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_a_bearable_rate_is_never_cut_off() {
        let mut source = Storm::new();
        // One event each 50 us, for a minute: as many as the limit allows.
        let cut = (0..1_200_000).any(|turn| source.note(1, Instant::from_micros(turn * 50)));
        assert!(!cut);
    }

    #[test]
    fn a_storm_is_cut_off_and_looked_at_again_after_pauses_that_double() {
        let mut source = Storm::new();
        let mut now = Instant::from_millis(1);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let events = (1..).find(|_| source.note(1, now)).unwrap();
            assert_eq!(events, STORM_LIMIT + 1);
            let until = source.cut_until().unwrap();
            assert!(!source.note(1_000_000, now), "it is cut off already");
            pauses.push(until.since(now).as_millis());
            now = until;
            assert!(source.pause_ends(now) && !source.pause_ends(now));
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[11], 60_000);
    }

    #[test]
    fn a_look_that_finds_nothing_begins_no_window() {
        let mut source = Storm::new();
        assert!(!source.note(0, Instant::from_millis(100)));
        assert!(!source.note(STORM_LIMIT, Instant::from_millis(150)));
        assert!(source.note(1, Instant::from_millis(220)), "within one window of the first events");
    }

    #[test]
    fn a_source_that_was_calm_is_forgiven() {
        let mut source = Storm::new();
        assert!(source.note(STORM_LIMIT + 1, Instant::BOOT));
        assert!(!source.pause_ends(Instant::from_millis(99)));
        assert!(source.pause_ends(Instant::from_millis(100)));
        assert_eq!(source.pause(), Duration::from_millis(200));
        assert!(!source.note(1, Instant::from_millis(10_100)));
        assert_eq!(source.pause(), STORM_PAUSE);
    }
}
