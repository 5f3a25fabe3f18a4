//! What a guest says on its console, and when: the first byte of a response, and webget's lines.

use anyhow::{Context, Result, anyhow};
use slopos_lab::report::value;
use std::time::{Duration, Instant};

/// What webget's last line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Done {
    /// The status of the last response.
    pub status: u16,
    /// Responses received whole.
    pub count: u32,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Time from before the first connect to the last byte, by the guest's clock, to a millisecond.
    pub seconds: f64,
}

impl Done {
    /// Reads the line behind `webget: done `.
    fn parse(words: &str) -> Option<Done> {
        let figure = |name| value(words, name);
        Some(Done {
            status: figure("status")?.parse().ok()?,
            count: figure("count")?.parse().ok()?,
            bytes: figure("bytes")?.parse().ok()?,
            seconds: figure("seconds")?.parse().ok()?,
        })
    }
}

/// Listens to a console. It believes no clock but the host's.
#[derive(Debug, Default)]
pub struct Listener {
    line: Vec<u8>,
    /// When the status line of the first response was there.
    pub first_byte: Option<Instant>,
    begun: Option<Instant>,
    done: Option<(Instant, Done)>,
}

impl Listener {
    /// Takes what came.
    pub fn hear(&mut self, bytes: &[u8], now: Instant) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(now),
                b'\r' => {}
                byte => self.line.push(byte),
            }
        }
    }

    fn end_line(&mut self, now: Instant) {
        let line = std::mem::take(&mut self.line);
        if self.first_byte.is_none() && line.starts_with(b"HTTP/1.") {
            self.first_byte = Some(now);
        }
        // Anything else, a binary body for instance, is none of ours.
        let Some(words) = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("webget: ")) else {
            return;
        };
        if words.starts_with("GET ") || words.starts_with("PUT ") {
            self.begun = Some(now);
        } else if let Some(done) = words.strip_prefix("done ").and_then(Done::parse) {
            self.done = Some((now, done));
        }
    }

    /// What webget did, and how long it took by the host's clock.
    ///
    /// # Errors
    /// It did not say.
    pub fn result(&self) -> Result<(Done, Duration)> {
        let begun = self.begun.context("the guest's client did not start")?;
        let (ended, done) = self.done.context("the guest's client did not end")?;
        Ok((done, ended.saturating_duration_since(begun)))
    }

    /// The time from `start` to the first byte of a response.
    ///
    /// # Errors
    /// None came.
    pub fn boot(&self, start: Instant) -> Result<Duration> {
        let at = self.first_byte.ok_or_else(|| anyhow!("no response came"))?;
        Ok(at.saturating_duration_since(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_in_whatever_pieces_they_come() {
        let text = "boot\r\nwebget: GET http://10.0.2.2/\nHTTP/1.1 200 OK\nServer: x\n\nHTTP/1.1 200 OK\n\
                    webget: done status=200 count=2 bytes=2048 seconds=0.250\nguest: status 0\n";
        for size in 1..text.len() {
            let begin = Instant::now();
            let mut console = Listener::default();
            let mut now = begin;
            for piece in text.as_bytes().chunks(size) {
                now += Duration::from_millis(1);
                console.hear(piece, now);
            }
            let (done, host) = console.result().expect("done");
            assert_eq!(done, Done { status: 200, count: 2, bytes: 2048, seconds: 0.25 });
            let boot = console.boot(begin).expect("a first byte");
            let head = text.find("OK\n").expect("the status line") + 2;
            assert_eq!(boot.as_millis() as usize, head / size + 1, "pieces of {size}");
            assert!(host < now - begin);
        }
    }

    #[test]
    fn a_guest_that_says_too_little_is_told() {
        let now = Instant::now();
        let mut console = Listener::default();
        console.hear(b"webget: done status=200 count=1 bytes=1 seconds=1.0\n", now);
        assert!(console.result().is_err(), "never began");
        console.hear(b"webget: GET x\n", now);
        assert!(console.result().is_ok());
        assert!(console.boot(now).is_err());
        let mut console = Listener::default();
        console.hear(b"webget: GET x\nwebget: done status=200 count=1\n\xff\xfe\n", now);
        assert!(console.result().is_err(), "no figures");
    }
}
