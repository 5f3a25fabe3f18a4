//! Time as the kernel and the capsules count it: microseconds since boot, never running backwards.

use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};

/// A point in time, in microseconds since boot; the last one is 2^64 - 2 microseconds after it.
///
/// Held as one more than that, so that a timer which is off, an `Option<Instant>`, takes no more memory than one which
/// is on, and the first of several timers is found quickly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(NonZeroU64);

/// A span of time, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct Duration(u64);

impl Instant {
    /// The moment of boot.
    pub const BOOT: Instant = Instant(NonZeroU64::MIN);

    /// The instant that many microseconds after boot; the last one where there are too many.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(NonZeroU64::MIN.saturating_add(micros))
    }

    /// The instant that many milliseconds after boot.
    pub const fn from_millis(millis: u64) -> Self {
        Instant::from_micros(millis.saturating_mul(1_000))
    }

    /// Microseconds since boot.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// Whole milliseconds since boot.
    pub const fn as_millis(self) -> u64 {
        self.as_micros() / 1_000
    }

    /// How much later this is than `earlier`; zero where it is not later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Instant::BOOT
    }
}

impl core::fmt::Debug for Instant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Instant({})", self.as_micros())
    }
}

impl defmt::Format for Instant {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Instant({=u64})", self.as_micros());
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);

    /// A span of microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Duration(micros)
    }

    /// A span of milliseconds; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Duration(millis.saturating_mul(1_000))
    }

    /// A span of seconds; saturates.
    pub const fn from_secs(seconds: u64) -> Self {
        Duration(seconds.saturating_mul(1_000_000))
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span in whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The span in whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This span `factor` times; saturates.
    pub const fn times(self, factor: u64) -> Self {
        Duration(self.0.saturating_mul(factor))
    }

    /// This span divided by `divisor`; by 0 it is [`Duration::ZERO`].
    pub const fn divided_by(self, divisor: u64) -> Self {
        match self.0.checked_div(divisor) {
            Some(quotient) => Duration(quotient),
            None => Duration::ZERO,
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Duration;
    /// The difference; zero where it would be negative.
    fn sub(self, other: Duration) -> Duration {
        Duration(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::BOOT.since(Instant::from_millis(1)), Duration::ZERO);
        assert_eq!(Instant::from_micros(u64::MAX) + Duration::from_secs(1), Instant::from_micros(u64::MAX));
        assert_eq!(Duration::from_secs(u64::MAX).as_micros(), u64::MAX);
        assert_eq!(Duration::from_millis(1) - Duration::from_secs(1), Duration::ZERO);
        assert_eq!(Duration::from_secs(9).divided_by(0), Duration::ZERO);
    }

    #[test]
    fn whole_units_are_rounded_down() {
        let span = Duration::from_micros(61_999_999);
        assert_eq!((span.as_secs(), span.as_millis(), span.as_micros()), (61, 61_999, 61_999_999));
        assert_eq!((Instant::BOOT + span).as_millis(), 61_999);
        assert_eq!(span - Duration::from_secs(61), Duration::from_micros(999_999));
        assert_eq!(span + Duration::from_micros(1), Duration::from_secs(62));
        assert_eq!(
            (Duration::from_secs(62).divided_by(4), Duration::from_millis(3).times(5)),
            (Duration::from_millis(15_500), Duration::from_millis(15))
        );
        let mut later = Instant::from_millis(3);
        later += Duration::from_millis(4);
        assert_eq!(later.since(Instant::from_millis(1)), Duration::from_millis(6));
    }

    #[test]
    fn a_timer_that_is_off_takes_no_more_memory_than_one_that_is_on() {
        assert_eq!(size_of::<Option<Instant>>(), size_of::<u64>());
        assert_eq!(Instant::from_micros(7).as_micros(), 7);
        assert_eq!(Instant::BOOT.as_micros(), 0);
        assert!(Instant::BOOT < Instant::from_micros(1));
    }
}
