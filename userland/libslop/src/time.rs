//! Time since boot, and sleep.

use core::time::Duration;

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
}
