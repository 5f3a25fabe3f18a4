//! The window beside the formulas of RFC 9438 in floating point, and the bounds within which it grows at all.

use super::*;

const SEGMENT: u32 = 1_000;

fn at(milliseconds: u64) -> Instant {
    Instant::from_millis(milliseconds)
}

/// Congestion avoidance by RFC 9438 sections 4.1 to 4.4, in segments and seconds.
struct Reference {
    window: f64,
    plateau: f64,
    prior: f64,
    estimate: f64,
    /// K.
    plateau_after: f64,
    began: f64,
    acknowledged: f64,
}

impl Reference {
    /// It begins with this window, where the last loss left `plateau` and was seen with a window of `prior`.
    fn new(window: f64, plateau: f64, prior: f64, now: f64) -> Self {
        let (plateau, prior) = (plateau.max(window), prior.max(window));
        let plateau_after = ((plateau - window) / 0.4).cbrt();
        Reference { window, plateau, prior, estimate: window, plateau_after, began: now, acknowledged: now }
    }

    fn acknowledge(&mut self, segments: f64, limited: bool, round_trip: f64, now: f64) {
        let waited = now - core::mem::replace(&mut self.acknowledged, now);
        if !limited {
            self.began += waited;
            return;
        }
        let cubic = |elapsed: f64| self.plateau + 0.4 * (elapsed - self.plateau_after).powi(3);
        let alpha = if self.estimate >= self.prior { 1.0 } else { 9.0 / 17.0 };
        self.estimate += alpha * segments / self.window;
        let elapsed = now - self.began;
        if cubic(elapsed) < self.estimate {
            self.window = self.window.max(self.estimate);
        } else {
            let target = cubic(elapsed + round_trip).clamp(self.window, 1.5 * self.window);
            self.window += (target - self.window) * segments / self.window;
        }
    }
}

/// A path on which each acknowledgement covers `covered` segments; the application fills the window in the first half
/// of each second, or always.
struct Path {
    segment: u32,
    round_trip_ms: u64,
    covered: u32,
    always: bool,
}

/// Lets both grow for so long from the window and the plateaus that `congestion` has, and compares them each time.
fn compare(congestion: &mut Congestion, path: &Path, begin_ms: u64, end_ms: u64) {
    let segments = |bytes: u32| f64::from(bytes) / f64::from(path.segment);
    let mut reference = Reference::new(
        segments(congestion.window),
        segments(congestion.cubic.plateau),
        segments(congestion.cubic.prior),
        begin_ms as f64 / 1e3,
    );
    let round_trip = Duration::from_millis(path.round_trip_ms);
    for time in (begin_ms..end_ms).step_by(path.round_trip_ms as usize) {
        for _ in 0..(congestion.window / (path.covered * path.segment)).max(1) {
            let limited = path.always || time % 1_000 < 500;
            let in_flight = if limited { congestion.window } else { congestion.window / 2 };
            congestion.acknowledged(path.covered * path.segment, in_flight, round_trip, at(time));
            reference.acknowledge(f64::from(path.covered), limited, path.round_trip_ms as f64 / 1e3, time as f64 / 1e3);
            let (window, expected) = (segments(congestion.window), reference.window);
            assert!((window - expected).abs() < 0.002 * expected, "at {time} ms: {window} instead of {expected}");
        }
    }
}

/// A window of so many segments was lost once.
fn after_a_loss(segment: u32, segments: u32) -> Congestion {
    let mut congestion = Congestion::new(segment, false);
    congestion.window = segments * segment;
    congestion.loss(segments * segment);
    congestion
}

#[test]
fn the_window_grows_as_rfc_9438_has_it() {
    for (segment, segments, round_trip_ms, covered, end_ms) in [
        (1_460, 300, 100, 1, 20_000),
        (1_460, 300, 100, 2, 20_000),
        (536, 2_000, 250, 2, 30_000),
        (8_960, 100, 40, 1, 12_000),
        (1_000, 20, 10, 1, 6_000),
        (1_460, 40, 1, 2, 400),
    ] {
        let mut congestion = after_a_loss(segment, segments);
        compare(&mut congestion, &Path { segment, round_trip_ms, covered, always: true }, 1_000, 1_000 + end_ms);
    }
}

#[test]
fn time_in_which_the_application_sends_too_little_does_not_count() {
    // RFC 9438 section 5.8.
    let mut congestion = after_a_loss(SEGMENT, 300);
    let path = Path { segment: SEGMENT, round_trip_ms: 50, covered: 1, always: false };
    compare(&mut congestion, &path, 1_000, 15_000);
}

#[test]
fn beyond_the_plateau_the_present_window_is_the_plateau() {
    // Slow start ends by the threshold of a loss that came with more on its way than the window.
    let mut congestion = Congestion::new(SEGMENT, false);
    congestion.timeout(40 * SEGMENT, false);
    assert_eq!((congestion.cubic.plateau, congestion.threshold), (10 * SEGMENT, 28 * SEGMENT));
    congestion.window = 28 * SEGMENT;
    compare(&mut congestion, &Path { segment: SEGMENT, round_trip_ms: 100, covered: 1, always: true }, 1_000, 9_000);
}

#[test]
fn after_a_long_time_the_window_grows_by_half_in_a_round_trip_at_most() {
    // RFC 9438 section 4.2: the target is at most one and a half windows.
    let mut congestion = after_a_loss(SEGMENT, 100);
    congestion.acknowledged(SEGMENT, congestion.window, Duration::from_millis(100), at(0));
    let before = congestion.window;
    congestion.acknowledged(before, before, Duration::from_millis(100), at(60_000));
    assert_eq!(congestion.window, before * 3 / 2);
}

#[test]
fn a_loss_at_the_same_window_keeps_the_plateau_and_one_below_lowers_it() {
    // RFC 9438 section 4.7.
    for (window, plateau) in [(80_000, 80_000), (79_999, 67_999), (80_001, 80_001)] {
        let mut congestion = after_a_loss(SEGMENT, 80);
        congestion.window = window;
        congestion.loss(window);
        assert_eq!((congestion.cubic.plateau, congestion.cubic.prior), (plateau, window));
    }
}

#[test]
fn a_loss_begins_another_epoch() {
    for lose in [
        |congestion: &mut Congestion| congestion.loss(200_000),
        |congestion: &mut Congestion| {
            congestion.timeout(200_000, false);
            congestion.window = congestion.threshold;
        },
    ] {
        let mut congestion = after_a_loss(SEGMENT, 300);
        let path = Path { segment: SEGMENT, round_trip_ms: 100, covered: 1, always: true };
        compare(&mut congestion, &path, 0, 4_000);
        lose(&mut congestion);
        assert_eq!(congestion.window, 140_000);
        compare(&mut congestion, &path, 4_000, 9_000);
    }
}

#[test]
fn after_silence_another_epoch_begins() {
    let mut congestion = after_a_loss(SEGMENT, 300);
    let path = Path { segment: SEGMENT, round_trip_ms: 100, covered: 1, always: true };
    compare(&mut congestion, &path, 0, 4_000);
    congestion.restart();
    assert_eq!(congestion.window, 10 * SEGMENT);
    congestion.threshold = 10 * SEGMENT;
    compare(&mut congestion, &path, 4_000, 9_000);
}

#[test]
fn slow_start_takes_two_segments_for_an_acknowledgement_while_half_the_window_is_used() {
    let grown = |bytes: u32, in_flight: u32| {
        let mut congestion = Congestion::new(SEGMENT, false);
        congestion.acknowledged(bytes, in_flight, Duration::ZERO, at(0));
        congestion.window - 10 * SEGMENT
    };
    assert_eq!([1, 999, 2_000, 2_001, 9_000].map(|bytes| grown(bytes, 10_000)), [1, 999, 2_000, 2_000, 2_000]);
    assert_eq!((grown(1_000, 5_000), grown(1_000, 4_999)), (1_000, 0));
}

#[test]
fn at_the_threshold_slow_start_is_over() {
    let mut congestion = Congestion::new(SEGMENT, false);
    congestion.threshold = 10 * SEGMENT;
    congestion.acknowledged(SEGMENT, 10 * SEGMENT, Duration::from_millis(100), at(0));
    assert!(congestion.window < 11 * SEGMENT, "{}", congestion.window);
}

#[test]
fn in_congestion_avoidance_a_window_counts_as_used_but_for_three_segments() {
    let grown = |in_flight: u32| {
        let mut congestion = after_a_loss(SEGMENT, 100);
        for time in 0..100 {
            congestion.acknowledged(SEGMENT, in_flight, Duration::from_millis(100), at(time * 100));
        }
        congestion.window > 70 * SEGMENT
    };
    assert!(!grown(67 * SEGMENT - 1));
    let mut congestion = after_a_loss(SEGMENT, 100);
    congestion.acknowledged(SEGMENT, 67 * SEGMENT, Duration::from_millis(100), at(0));
    congestion.acknowledged(SEGMENT, 67 * SEGMENT, Duration::from_millis(100), at(1_000));
    assert!(congestion.window > 70 * SEGMENT);
}

#[test]
fn no_loss_leaves_less_than_two_segments() {
    let mut congestion = Congestion::new(SEGMENT, false);
    congestion.loss(2_856);
    assert_eq!(congestion.window, 2 * SEGMENT);
    congestion.loss(2_860);
    assert_eq!(congestion.window, 2_002);
}

#[test]
fn no_window_grows_beyond_the_largest() {
    let mut congestion = Congestion::new(SEGMENT, false);
    congestion.window = LARGEST_WINDOW - 1;
    congestion.acknowledged(SEGMENT, LARGEST_WINDOW, Duration::ZERO, at(0));
    assert_eq!(congestion.window, LARGEST_WINDOW);
}

#[test]
fn what_is_acknowledged_bit_by_bit_counts_as_much_as_in_one_go() {
    let grown = |bytes: u32, times: u32| {
        let mut congestion = after_a_loss(SEGMENT, 300);
        congestion.acknowledged(SEGMENT, congestion.window, Duration::from_millis(100), at(0));
        for _ in 0..times {
            congestion.acknowledged(bytes, congestion.window, Duration::from_millis(100), at(2_000));
        }
        congestion.window - 210 * SEGMENT
    };
    assert!(grown(10_000, 1) > 2_900);
    assert!(grown(10, 1_000) > 2_900, "{} {}", grown(10_000, 1), grown(10, 1_000));
}
