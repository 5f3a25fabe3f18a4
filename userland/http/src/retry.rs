//! When to ask again.

use core::time::Duration;

/// Whether a server that answers so may answer otherwise soon: the statuses that curl tries again for.
pub const fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 522 | 524)
}

/// How long to wait before a try: one second before the first repeat, then twice as long each time, ten minutes at
/// most.
pub const fn backoff(repeats: u32) -> Duration {
    let seconds = if repeats < 10 { 1 << repeats } else { 600 };
    Duration::from_secs(if seconds < 600 { seconds } else { 600 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_repeated_as_curl_does() {
        let transient = [408, 429, 500, 502, 503, 504];
        assert!((100..1_000).filter(|&status| is_transient(status)).take(6).eq(transient));
        assert!([200, 301, 400, 404, 501, 505].iter().all(|&status| !is_transient(status)));
        assert_eq!([0, 1, 2, 9, 10, u32::MAX].map(|repeats| backoff(repeats).as_secs()), [1, 2, 4, 512, 600, 600]);
    }
}
