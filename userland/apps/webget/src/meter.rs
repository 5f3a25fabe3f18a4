//! How far a transfer is, each second, on a line that is written over.

use core::time::Duration;

use libslop::eprint;

use crate::clock::now;

/// How often the line is written.
const EVERY: Duration = Duration::from_secs(1);

/// Counts bytes.
#[derive(Debug)]
pub struct Meter {
    /// How many there will be, where that is known.
    total: Option<u64>,
    done: u64,
    start: Duration,
    next: Duration,
    shown: bool,
}

impl Meter {
    /// One of a transfer that begins now.
    pub fn new(total: Option<u64>, now: Duration) -> Meter {
        Meter { total, done: 0, start: now, next: now + EVERY, shown: false }
    }

    /// Counts bytes, and writes the line where it is time to.
    pub fn add(&mut self, count: u64) {
        self.done += count;
        let now = now();
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        self.shown = true;
        self.write(now);
    }

    /// Writes the line over the one before.
    fn write(&self, now: Duration) {
        let rate = rate(self.done, now - self.start);
        match self.total.filter(|&total| total >= self.done && total > 0) {
            None => eprint!("\rwebget: {} bytes, {rate} B/s ", self.done),
            Some(total) => {
                let (part, left) = (self.done.saturating_mul(100) / total, (total - self.done) / rate.max(1));
                eprint!("\rwebget: {} of {total} bytes, {part} %, {rate} B/s, {left} s left ", self.done);
            }
        }
    }
}

impl Drop for Meter {
    /// Writes how far the transfer came, and ends the line.
    fn drop(&mut self) {
        if self.shown {
            self.write(now());
            libslop::eprintln!();
        }
    }
}

/// Bytes in a second.
pub fn rate(bytes: u64, took: Duration) -> u64 {
    bytes.saturating_mul(1_000) / (took.as_millis() as u64).max(1)
}
