//! What a clock of known speed gives to those that set other clocks by it.
//!
//! A host that is busy may stop the whole machine for milliseconds between any two instructions, or while a register is
//! read. So a moment counts only between two reads of the time-stamp counter: how far they are apart is how uncertain it
//! is, and of several measurements the one counts that is known best.

/// How many measurements are made at most.
const MEASUREMENTS_MAX: usize = 20;
/// A measurement is good enough if its uncertainty is less than one part in this many.
const GOOD_ENOUGH: u128 = 50;

/// Samples of other clocks at both ends of a known time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement<T> {
    /// The last sample before the start, and the first after it.
    pub start: [T; 2],
    /// The last sample before the end, and the first after it.
    pub end: [T; 2],
    /// Time from the start to the end, in nanoseconds.
    pub elapsed_ns: u64,
}

/// The two clocks that are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The time-stamp counter.
    pub time_stamp: u64,
    /// Ticks of the local APIC's timer, read after it.
    pub timer: u64,
}

impl Measurement<Sample> {
    /// Ticks of the time-stamp counter from the start to the end, each taken to be in the middle of its samples.
    pub fn time_stamp_ticks(&self) -> u64 {
        let middle = |[before, after]: [Sample; 2]| before.time_stamp / 2 + after.time_stamp / 2;
        middle(self.end).saturating_sub(middle(self.start))
    }

    /// Ticks of the local APIC's timer in that time. Only those of the earlier samples lie between two reads of the
    /// time-stamp counter: after the later one's the machine may have stood still for any time.
    pub fn timer_ticks(&self) -> u64 {
        self.end[0].timer.saturating_sub(self.start[0].timer)
    }

    /// By how many ticks of the time-stamp counter either count may be wrong.
    pub fn doubt(&self) -> u64 {
        let apart = |[before, after]: [Sample; 2]| after.time_stamp.saturating_sub(before.time_stamp);
        apart(self.start) + apart(self.end)
    }

    /// Ticks of the time-stamp counter that are certain to lie between the start and the end.
    fn certain(&self) -> u64 {
        self.end[0].time_stamp.saturating_sub(self.start[1].time_stamp)
    }

    fn is_good(&self) -> bool {
        u128::from(self.doubt()) * GOOD_ENOUGH < u128::from(self.certain())
    }

    fn is_better_than(&self, other: &Self) -> bool {
        let cross = |one: &Self, other: &Self| u128::from(one.doubt()) * u128::from(other.certain());
        cross(self, other) < cross(other, self)
    }
}

/// The measurement that is known best: the first good one, or of as many as are made the best.
pub fn best(mut measure: impl FnMut() -> Option<Measurement<Sample>>) -> Option<Measurement<Sample>> {
    let mut best: Option<Measurement<Sample>> = None;
    for _ in 0..MEASUREMENTS_MAX {
        let Some(now) = measure() else { continue };
        if now.is_good() {
            return Some(now);
        }
        if best.as_ref().is_none_or(|best| now.is_better_than(best)) {
            best = Some(now);
        }
    }
    best
}

/// A measurement that ends when `over` says so of the samples at its ends, in so many looks at most. The time of it is left
/// at 0: one of the two clocks is the one of known speed.
pub fn until(
    looks: u32,
    mut sample: impl FnMut() -> Sample,
    over: impl Fn(Sample, Sample) -> bool,
) -> Option<Measurement<Sample>> {
    let start = [sample(), sample()];
    let mut last = start[1];
    (0..looks).find_map(|_| {
        let end = [last, sample()];
        last = end[1];
        over(start[0], end[0]).then_some(Measurement { start, end, elapsed_ns: 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counter's frequency in hertz, and that of the local APIC's timer.
    const HERTZ: u64 = 3_000_000_000;
    const TIMER_HERTZ: u64 = 62_500_000;
    const SPAN_NS: u64 = 1_000_000;

    /// A machine whose host is busy: it stands still now and then, before what it reads is taken or after.
    struct Busy {
        ns: u64,
        random: u64,
        /// It stands still at one of so many reads.
        one_in: u64,
    }

    impl Busy {
        fn next(&mut self) -> u64 {
            // Numerical Recipes' generator; its upper bits are random enough here.
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.random >> 33
        }

        /// What is read takes so long.
        fn read(&mut self, ns: u64, hertz: u64) -> u64 {
            let stands_still = |busy: &mut Busy| {
                if busy.next().is_multiple_of(busy.one_in) {
                    busy.ns += busy.next() % 20_000_000;
                }
            };
            self.ns += ns / 2;
            stands_still(self);
            let value = (u128::from(self.ns) * u128::from(hertz) / 1_000_000_000) as u64;
            stands_still(self);
            self.ns += ns / 2;
            value
        }

        fn sample(&mut self) -> Sample {
            Sample { time_stamp: self.read(20, HERTZ), timer: self.read(800, TIMER_HERTZ) }
        }
    }

    fn busy(seed: u64, one_in: u64) -> Busy {
        Busy { ns: 0, random: seed, one_in }
    }

    /// A measurement by the timer itself, as under emulation, or by the time-stamp counter.
    fn measure(busy: &mut Busy, by_timer: bool) -> Option<Measurement<Sample>> {
        let over = |start: Sample, now: Sample| match by_timer {
            true => now.timer.saturating_sub(start.timer) * 1_000_000_000 / TIMER_HERTZ >= SPAN_NS,
            false => now.time_stamp.saturating_sub(start.time_stamp) * 1_000_000_000 / HERTZ >= SPAN_NS,
        };
        until(1_000_000, || busy.sample(), over)
    }

    #[test]
    fn the_counts_of_a_machine_that_stands_still_now_and_then_are_wrong_by_their_doubt_at_most() {
        for seed in 0..20_000 {
            for by_timer in [true, false] {
                let span = measure(&mut busy(seed, 1 + seed % 300), by_timer).expect("the clocks run");
                // What the timer counted, in ticks of the time-stamp counter; the timer itself counts in steps of 48.
                let by_timer = span.timer_ticks() * (HERTZ / TIMER_HERTZ);
                let apart = by_timer.abs_diff(span.time_stamp_ticks());
                assert!(apart <= span.doubt() + 2 * 48, "seed {seed}: {apart} apart, {} in doubt", span.doubt());
            }
        }
    }

    #[test]
    fn the_best_of_several_is_right_though_the_machine_stands_still_often() {
        for seed in 0..2_000 {
            let mut busy = busy(seed, 60);
            let span = best(|| measure(&mut busy, true)).expect("the clocks run");
            let hertz = u128::from(span.time_stamp_ticks()) * u128::from(TIMER_HERTZ) / u128::from(span.timer_ticks());
            let wrong = (hertz as u64).abs_diff(HERTZ);
            assert!(wrong < HERTZ / 50, "seed {seed}: {hertz} Hz");
        }
    }

    #[test]
    fn a_short_measurement_without_doubt_is_no_better_than_a_long_one_with_little() {
        let at = |time_stamp: u64| Sample { time_stamp, timer: time_stamp / 48 };
        let between =
            |start: [u64; 2], end: [u64; 2]| Measurement { start: start.map(at), end: end.map(at), elapsed_ns: 0 };
        let short = between([0, 10], [10, 20]);
        let long = between([0, 3_000], [3_000_000, 3_063_000]);
        let longer = between([0, 3_000], [3_000_000, 3_060_000]);
        assert!(!short.is_good() && !long.is_good() && !longer.is_good());
        let mut all = [short, long, longer, long].into_iter().cycle();
        assert_eq!(best(|| all.next()), Some(longer));
        let good = between([0, 3_000], [3_000_000, 3_003_000]);
        let mut all = [None, Some(short), Some(good), Some(long)].into_iter().cycle();
        assert_eq!(best(|| all.next().flatten()), Some(good));
        assert_eq!(best(|| None), None);
    }

    #[test]
    fn a_clock_that_stands_still_ends_nothing() {
        let mut looks = 0;
        let still = until(
            10,
            || {
                looks += 1;
                Sample::default()
            },
            |start, now| now.timer > start.timer,
        );
        assert_eq!((still, looks), (None, 12));
    }
}
