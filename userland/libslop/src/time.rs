//! Time since boot, and sleep.

use core::time::Duration;

use crate::text::{cut, decimal};
use crate::{Error, call};

/// Time since boot, in whole milliseconds, never running backwards.
///
/// # Errors
/// None that the kernel documents.
pub fn since_boot() -> Result<Duration, Error> {
    call::time_ms().map(Duration::from_millis)
}

/// Sleeps for at least that long; a part of a millisecond counts as a whole one.
///
/// # Errors
/// None that the kernel documents.
pub fn sleep(span: Duration) -> Result<(), Error> {
    call::sleep_ms(millis(span))
}

/// A span in milliseconds, rounded up, short of the value that means forever.
pub(crate) fn millis(span: Duration) -> u64 {
    let millis = span.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).min(u64::MAX - 1)
}

/// A span as a person writes it: seconds with up to three decimals, more than 0 and at most 999999.
pub fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, decimals) = cut(text, b'.').unwrap_or((text, "0"));
    let scale = match decimals.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return None,
    };
    let seconds = decimal(whole.as_bytes()).filter(|_| whole.len() <= 6)?;
    let millis = seconds * 1_000 + decimal(decimals.as_bytes())? * scale;
    (millis > 0).then_some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_never_gets_shorter_nor_endless() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_micros(1_001)), 2);
        assert_eq!(millis(Duration::MAX), u64::MAX - 1);
    }

    #[test]
    fn seconds_have_up_to_three_decimals_and_are_not_nothing() {
        for (text, millis) in [("2", 2_000), ("2.5", 2_500), ("0.001", 1), ("999999.999", 999_999_999)] {
            assert_eq!(parse_seconds(text), Some(Duration::from_millis(millis)), "{text:?}");
        }
        for text in ["", "0", "0.000", "-1", "1.", ".5", "1.2345", "1e3", "+1", "1000000"] {
            assert_eq!(parse_seconds(text), None, "{text:?}");
        }
    }
}
