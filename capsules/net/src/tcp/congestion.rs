//! How much may be on its way: slow start (RFC 5681) and CUBIC (RFC 9438).
//!
//! All windows are in bytes. [`Congestion`] knows nothing of sequence numbers; what was lost is the business of
//! [`super::recovery`], which says when to shrink. An algorithm other than CUBIC would replace [`Cubic`].

use slopos_kernel::time::{Duration, Instant};

/// Segments that may leave before the first acknowledgement (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;
/// No window can be larger (RFC 7323 section 2.3), so no more can ever be on its way.
const LARGEST_WINDOW: u32 = 1 << 30;

/// The congestion state of one connection.
#[derive(Clone, Debug)]
pub struct Congestion {
    /// cwnd.
    window: u32,
    /// ssthresh: below it the window grows by slow start.
    threshold: u32,
    /// SMSS: the payload of a full segment, at least 1.
    segment: u32,
    cubic: Cubic,
}

impl Congestion {
    /// The state right after the handshake. Where the SYN had to be sent again, the network is taken for full
    /// (RFC 5681 section 3.1).
    pub fn new(segment: u32, handshake_was_repeated: bool) -> Self {
        let segment = segment.max(1);
        let window = if handshake_was_repeated { segment } else { initial_window(segment) };
        Congestion { window, threshold: LARGEST_WINDOW, segment, cubic: Cubic::new() }
    }

    /// cwnd: how many bytes may be on their way. After silence for longer than an RTO it is the initial window, for
    /// nothing is known about the network any more (RFC 5681 section 4.1).
    pub fn window(&self, silent_for: Duration, timeout: Duration) -> u32 {
        if silent_for > timeout { self.restart_window() } else { self.window }
    }

    /// cwnd, whether or not there was silence.
    pub const fn current(&self) -> u32 {
        self.window
    }

    /// Transmission begins again after silence for longer than an RTO.
    pub fn restart(&mut self) {
        self.window = self.restart_window();
        self.cubic.epoch = None;
    }

    fn restart_window(&self) -> u32 {
        self.window.min(initial_window(self.segment))
    }

    /// `bytes` were acknowledged while no loss is being repaired by fast recovery; `in_flight` is how much was on its
    /// way before. The window grows only where it was the limit.
    pub fn acknowledged(&mut self, bytes: u32, in_flight: u32, round_trip: Duration, now: Instant) {
        if self.window < self.threshold {
            // At most two segments for each acknowledgement, for delayed acknowledgements cover two (RFC 3465).
            if in_flight >= self.window / 2 {
                self.window += bytes.min(2 * self.segment);
            }
        } else {
            let limited = in_flight + 3 * self.segment >= self.window;
            self.window = self.cubic.acknowledged(self.window, self.segment, bytes, limited, round_trip, now);
        }
        self.window = self.window.min(LARGEST_WINDOW);
    }

    /// Acknowledgements tell of a loss: the window is reduced once for all that is lost in this round trip.
    pub fn loss(&mut self, in_flight: u32) {
        self.cubic.reduced(self.window);
        self.threshold = self.reduced(in_flight);
        self.window = self.threshold;
    }

    /// The retransmission timer ran out: start again from one segment. `again` tells that the same data was lost
    /// before, so the threshold has been lowered already (RFC 5681 section 3.1).
    pub fn timeout(&mut self, in_flight: u32, again: bool) {
        if !again {
            self.cubic.reduced(self.window);
            self.threshold = self.reduced(in_flight);
        }
        self.window = self.segment;
    }

    /// beta_cubic is 0.7 (RFC 9438 section 4.6).
    fn reduced(&self, in_flight: u32) -> u32 {
        (u64::from(in_flight) * 7 / 10).max(u64::from(2 * self.segment)) as u32
    }
}

fn initial_window(segment: u32) -> u32 {
    (INITIAL_SEGMENTS * segment).min((2 * segment).max(14_600))
}

/// CUBIC's congestion avoidance.
#[derive(Clone, Debug)]
struct Cubic {
    /// W_max: the window at which something was lost, and cwnd_prior.
    plateau: u32,
    prior: u32,
    epoch: Option<Epoch>,
}

/// Congestion avoidance since the last loss.
#[derive(Clone, Debug)]
struct Epoch {
    began_at: Instant,
    /// K: how long after the beginning the plateau is reached.
    plateau_after: Duration,
    /// W_est: the window that Reno would have, in 1/1024 byte.
    reno_window: u64,
    /// What of the growth did not make a whole byte, in 1/cwnd byte.
    credit: u64,
    last_acknowledged_at: Instant,
}

/// 40 s from the plateau every window has long grown or shrunk to its limit, and the cube still fits 64 bits.
const FARTHEST_MS: u64 = 40_000;

impl Cubic {
    const fn new() -> Self {
        Cubic { plateau: 0, prior: 0, epoch: None }
    }

    /// The window is about to be reduced from `window`. Fast convergence leaves room for newcomers (section 4.7).
    fn reduced(&mut self, window: u32) {
        self.prior = window;
        self.plateau = if window < self.plateau { (u64::from(window) * 17 / 20) as u32 } else { window };
        self.epoch = None;
    }

    /// The window after an acknowledgement of `bytes`.
    fn acknowledged(
        &mut self,
        window: u32,
        segment: u32,
        bytes: u32,
        limited: bool,
        round_trip: Duration,
        now: Instant,
    ) -> u32 {
        // Slow start may end without a loss or beyond the plateau: then the present window is the plateau.
        let plateau = self.plateau.max(window);
        let prior = self.prior.max(window);
        let epoch = self.epoch.get_or_insert_with(|| {
            self.plateau = plateau;
            Epoch {
                began_at: now,
                plateau_after: plateau_after(plateau - window, segment),
                reno_window: u64::from(window) << 10,
                credit: 0,
                last_acknowledged_at: now,
            }
        });
        let waited = now.since(epoch.last_acknowledged_at);
        epoch.last_acknowledged_at = now;
        if !limited {
            // Time in which the application was the limit does not count (section 5.8).
            epoch.began_at += waited;
            return window;
        }
        // alpha_cubic is 9/17, which makes W_est as aggressive as Reno, until the old window is reached; then 1.
        let grown = ((u64::from(segment) * u64::from(bytes)) << 10) / u64::from(window.max(1));
        epoch.reno_window += if epoch.reno_window >> 10 >= u64::from(prior) { grown } else { grown * 9 / 17 };
        let elapsed = now.since(epoch.began_at);
        let reno_window = (epoch.reno_window >> 10).min(u64::from(LARGEST_WINDOW)) as u32;
        if cubic_window(self.plateau, segment, elapsed, epoch.plateau_after) < u64::from(reno_window) {
            return reno_window.max(window);
        }
        let target = cubic_window(self.plateau, segment, elapsed + round_trip, epoch.plateau_after)
            .min(u64::from(window) * 3 / 2);
        epoch.credit += target.saturating_sub(u64::from(window)) * u64::from(bytes);
        let growth = epoch.credit / u64::from(window.max(1));
        epoch.credit %= u64::from(window.max(1));
        window.saturating_add(growth.min(u64::from(LARGEST_WINDOW)) as u32)
    }
}

/// K = cbrt((W_max - cwnd) / C) in segments and seconds, with C = 0.4 (section 4.2).
fn plateau_after(missing: u32, segment: u32) -> Duration {
    let missing = u64::from(missing.min(LARGEST_WINDOW));
    Duration::from_millis(cube_root(missing * 10_000_000_000 / (4 * u64::from(segment.max(1)))))
}

/// W_cubic(t) = C (t - K)^3 + W_max, in bytes (section 4.2).
fn cubic_window(plateau: u32, segment: u32, elapsed: Duration, plateau_after: Duration) -> u64 {
    let before = (plateau_after - elapsed).as_millis().min(FARTHEST_MS);
    let behind = (elapsed - plateau_after).as_millis().min(FARTHEST_MS);
    let cube = |distance: u64| distance.pow(3) * 4 * u64::from(segment) / 10_000_000_000;
    (u64::from(plateau) + cube(behind)).saturating_sub(cube(before))
}

/// The whole part of the cube root, three bits of the radicand at a time.
fn cube_root(mut radicand: u64) -> u64 {
    let mut root = 0u64;
    for shift in (0..=63).rev().step_by(3) {
        root *= 2;
        let step = 3 * root * (root + 1) + 1;
        if radicand >> shift >= step {
            radicand -= step << shift;
            root += 1;
        }
    }
    root
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u32 = 1_000;
    const ROUND_TRIP: Duration = Duration::from_millis(100);

    fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    /// Acknowledges a whole window, segment by segment, in each round trip up to `end_ms`.
    fn full_load(congestion: &mut Congestion, begin_ms: u64, end_ms: u64) {
        for time in (begin_ms..end_ms).step_by(ROUND_TRIP.as_millis() as usize) {
            let window = congestion.window;
            for _ in 0..window / SEGMENT {
                congestion.acknowledged(SEGMENT, window, ROUND_TRIP, at(time));
            }
        }
    }

    #[test]
    fn the_initial_window_is_that_of_rfc_6928() {
        assert_eq!(Congestion::new(1_460, false).window, 14_600);
        assert_eq!(Congestion::new(536, false).window, 5_360);
        assert_eq!(Congestion::new(9_000, false).window, 18_000);
        assert_eq!(Congestion::new(1_460, true).window, 1_460);
    }

    #[test]
    fn slow_start_doubles_each_round_trip() {
        let mut congestion = Congestion::new(SEGMENT, false);
        full_load(&mut congestion, 0, 300);
        assert_eq!(congestion.window, 80_000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut congestion = Congestion::new(SEGMENT, false);
        for _ in 0..100 {
            congestion.acknowledged(SEGMENT, 2 * SEGMENT, ROUND_TRIP, at(0));
        }
        assert_eq!(congestion.window, 10_000);
        congestion.loss(10_000);
        let before = congestion.window;
        for time in 0..100 {
            congestion.acknowledged(SEGMENT, 2 * SEGMENT, ROUND_TRIP, at(time * 1_000));
        }
        assert_eq!(congestion.window, before);
    }

    #[test]
    fn a_loss_leaves_seven_tenths() {
        let mut congestion = Congestion::new(SEGMENT, false);
        full_load(&mut congestion, 0, 300);
        congestion.loss(80_000);
        assert_eq!(congestion.window, 56_000);
    }

    #[test]
    fn a_timeout_starts_again_from_one_segment_and_lowers_the_threshold_once() {
        let mut congestion = Congestion::new(SEGMENT, false);
        congestion.timeout(10_000, false);
        assert_eq!((congestion.window, congestion.threshold), (1_000, 7_000));
        congestion.timeout(1_000, true);
        assert_eq!((congestion.window, congestion.threshold), (1_000, 7_000));
        full_load(&mut congestion, 0, 300);
        assert!(congestion.window >= 7_000);
    }

    #[test]
    fn cubic_is_back_at_the_plateau_after_its_time_and_then_goes_beyond() {
        let mut congestion = Congestion::new(SEGMENT, false);
        full_load(&mut congestion, 0, 500);
        let plateau = congestion.window;
        assert_eq!(plateau, 320_000);
        congestion.loss(plateau);
        // K = cbrt(96 segments / 0.4) = 6.2 s.
        full_load(&mut congestion, 1_000, 4_000);
        assert!(congestion.window > plateau * 8 / 10 && congestion.window < plateau, "{}", congestion.window);
        full_load(&mut congestion, 4_000, 7_500);
        assert!(congestion.window.abs_diff(plateau) < plateau / 50, "{}", congestion.window);
        full_load(&mut congestion, 7_500, 14_000);
        assert!(congestion.window > plateau * 12 / 10, "{}", congestion.window);
    }

    #[test]
    fn a_second_loss_below_the_plateau_lowers_it_for_newcomers() {
        let mut congestion = Congestion::new(SEGMENT, false);
        full_load(&mut congestion, 0, 300);
        congestion.loss(80_000);
        assert_eq!((congestion.cubic.plateau, congestion.window), (80_000, 56_000));
        congestion.loss(56_000);
        assert_eq!(congestion.cubic.plateau, 56_000 * 17 / 20);
        assert_eq!(congestion.cubic.prior, 56_000);
    }

    #[test]
    fn on_short_paths_it_is_no_slower_than_reno() {
        let mut congestion = Congestion::new(SEGMENT, false);
        congestion.loss(20_000);
        for round in 0..40 {
            let window = congestion.window;
            for _ in 0..window / SEGMENT {
                congestion.acknowledged(SEGMENT, window, Duration::from_millis(1), at(round));
            }
        }
        // Reno with alpha 9/17 adds about half a segment a round trip, and a whole one beyond the old window.
        assert!(congestion.window > 14_000 + 40 * SEGMENT / 2, "{}", congestion.window);
    }

    #[test]
    fn after_silence_the_initial_window_applies() {
        let mut congestion = Congestion::new(SEGMENT, false);
        full_load(&mut congestion, 0, 300);
        assert_eq!(congestion.window(Duration::from_millis(200), Duration::from_millis(200)), 80_000);
        assert_eq!(congestion.window(Duration::from_millis(201), Duration::from_millis(200)), 10_000);
        congestion.restart();
        assert_eq!(congestion.window, 10_000);
    }

    #[test]
    fn cube_roots_are_exact() {
        for root in (0..2_600_000u64).step_by(997) {
            assert_eq!(cube_root(root.pow(3)), root);
            assert_eq!(cube_root((root + 1).pow(3) - 1), root);
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        let mut congestion = Congestion::new(65_535, false);
        congestion.window = LARGEST_WINDOW;
        congestion.loss(u32::MAX);
        for time in [0, 1, u64::MAX / 1_000] {
            congestion.acknowledged(LARGEST_WINDOW, LARGEST_WINDOW, Duration::from_secs(u64::MAX), at(time));
        }
        assert!(congestion.window <= LARGEST_WINDOW);
    }
}
