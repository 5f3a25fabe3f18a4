//! A reader that is as slow as a serial line.

use std::io::{Read, Result};
use std::time::{Duration, Instant};

/// How often bytes are taken.
const TICK: Duration = Duration::from_millis(10);

/// Reads no more than so many bytes a second from another reader.
pub struct Paced<R> {
    inner: R,
    /// Bytes a tick; everything at once where there is no limit.
    per_tick: Option<usize>,
    next: Instant,
}

impl<R: Read> Paced<R> {
    /// Reads `inner` at this rate, at least 100 bytes a second; without one as fast as it can.
    pub fn new(inner: R, bytes_per_second: Option<u32>) -> Paced<R> {
        let per_tick = bytes_per_second.map(|rate| (rate as usize / 100).max(1));
        Paced { inner, per_tick, next: Instant::now() }
    }

    /// The reader.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(per_tick) = self.per_tick else { return self.inner.read(buffer) };
        if let Some(early) = self.next.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let most = buffer.len().min(per_tick);
        let count = self.inner.read(&mut buffer[..most])?;
        // What came late is not made up for: a line that was idle is no faster afterwards.
        self.next = self.next.max(Instant::now() - TICK) + TICK * count as u32 / per_tick as u32;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_reader_takes_its_time_and_loses_nothing() {
        let bytes: Vec<u8> = (0..=255).collect();
        let start = Instant::now();
        let mut read = Vec::new();
        Paced::new(&bytes[..], Some(2_000)).read_to_end(&mut read).expect("a slice can be read");
        assert_eq!(read, bytes);
        assert!(start.elapsed() >= Duration::from_millis(110), "{:?}", start.elapsed());
    }
}
