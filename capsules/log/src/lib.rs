//! A ring of log frames, between the places that log and the port that takes its time.
//!
//! Writing never waits. A frame is begun, filled in pieces and ended; if it does not fit, it is dropped whole and
//! counted. After the first lost frame all others are dropped too, until the board has written one that says how many
//! were lost. So every gap is reported at its place.
//!
//! The first frame of a log is not one of `defmt`'s: it is [`LOG_BEGINNING`] and the kernel's build id as text, ended by a
//! zero byte like any other. So who reads a log knows which kernel's texts belong to it.
//!
//! Where the log has no port of its own, it goes in pieces ([`Piece`]) between the console's text ([`Text`]).
//!
//! On a board whose log is text, a frame is a line ([`lines`]).
//!
//! All bytes zero is an empty ring, so it may lie in memory that starts as zeros.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod lines;
mod piece;
mod text;

pub use piece::Piece;
pub use text::Text;

use heapless::Deque;
use slopos_abi::LOG_BEGINNING;

/// The ring, of `N` bytes.
pub struct LogRing<const N: usize> {
    bytes: Deque<u8, N>,
    /// Bytes at the end of the ring that belong to the unfinished frame.
    unfinished: usize,
    /// The unfinished frame is being dropped.
    dropping: bool,
    /// Frames that were dropped and not yet reported.
    lost: u32,
    /// The frame that reports lost ones is being written.
    reporting: bool,
}

impl<const N: usize> Default for LogRing<N> {
    fn default() -> Self {
        LogRing::new()
    }
}

impl<const N: usize> LogRing<N> {
    /// An empty ring.
    pub const fn new() -> Self {
        LogRing { bytes: Deque::new(), unfinished: 0, dropping: false, lost: 0, reporting: false }
    }

    /// Begins a frame. An unfinished one is dropped.
    pub fn begin(&mut self) {
        self.drop_unfinished();
        self.dropping = self.lost > 0 && !self.reporting;
    }

    /// Adds to the frame that was begun.
    pub fn push(&mut self, piece: &[u8]) {
        if self.dropping {
            return;
        }
        if piece.len() > N - self.bytes.len() {
            self.dropping = true;
            return;
        }
        self.bytes.extend(piece.iter().copied());
        self.unfinished += piece.len();
    }

    /// Writes a log's first frame, for the kernel with this build id, with what ends a frame.
    pub fn announce(&mut self, build_id: &[u8], end: &[u8]) {
        self.begin();
        self.push(LOG_BEGINNING.as_bytes());
        for byte in build_id {
            self.push(&[byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
        }
        self.push(end);
        self.end();
    }

    /// Ends the frame. Returns whether it is in the ring; if not, it is lost and counted.
    pub fn end(&mut self) -> bool {
        let kept = !self.dropping;
        if kept {
            self.unfinished = 0;
        } else {
            self.drop_unfinished();
            self.lost = self.lost.saturating_add(1);
        }
        self.dropping = false;
        kept
    }

    /// Drops the unfinished frame; it does not count as lost.
    pub fn discard(&mut self) {
        self.drop_unfinished();
        self.dropping = false;
    }

    fn drop_unfinished(&mut self) {
        for _ in 0..core::mem::take(&mut self.unfinished) {
            self.bytes.pop_back();
        }
    }

    /// The number of lost frames, if there are any and a quarter of the ring is free again. The caller then writes a
    /// frame that reports it, and calls [`LogRing::loss_reported`].
    pub fn begin_loss_report(&mut self) -> Option<u32> {
        if self.lost == 0 || N - self.bytes.len() < N / 4 {
            return None;
        }
        self.reporting = true;
        Some(self.lost)
    }

    /// The frame that reports `lost` frames has been written.
    pub fn loss_reported(&mut self, lost: u32) {
        self.reporting = false;
        self.lost = self.lost.saturating_sub(lost);
    }

    /// Bytes of ended frames that wait for the port.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.unfinished
    }

    /// Bytes that there is room for; none while a loss is not yet reported, for what is written then is lost too.
    pub fn room(&self) -> usize {
        if self.lost > 0 { 0 } else { N - self.bytes.len() }
    }

    /// Whether nothing waits for the port, and nothing was lost.
    pub fn is_quiet(&self) -> bool {
        self.bytes.is_empty() && self.lost == 0
    }

    /// Whether nothing waits for the port.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next bytes of ended frames, as many as lie together.
    pub fn front(&self) -> &[u8] {
        let (first, _) = self.bytes.as_slices();
        first.get(..self.len().min(first.len())).unwrap_or_default()
    }

    /// Removes `count` bytes, which the port has taken.
    pub fn remove(&mut self, count: usize) {
        for _ in 0..count.min(self.len()) {
            self.bytes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_begins_with_the_build_id() {
        let mut ring = LogRing::<64>::new();
        ring.announce(&[0x00, 0x9a, 0xff], &[0]);
        frame(&mut ring, &[b"ab", b"\0"]);
        assert_eq!(drain(&mut ring), b"SlopOS log, build 009aff\0ab\0");
    }

    fn frame<const N: usize>(ring: &mut LogRing<N>, pieces: &[&[u8]]) -> bool {
        ring.begin();
        pieces.iter().for_each(|piece| ring.push(piece));
        ring.end()
    }

    fn drain<const N: usize>(ring: &mut LogRing<N>) -> Vec<u8> {
        let mut out = Vec::new();
        while !ring.is_empty() {
            let count = ring.front().len().min(3);
            out.extend_from_slice(&ring.front()[..count]);
            ring.remove(count);
        }
        out
    }

    #[test]
    fn frames_leave_in_order_and_wrap_around() {
        let mut ring = LogRing::<10>::new();
        for round in 0..40 {
            assert!(frame(&mut ring, &[&[round], &[round + 1, 0]]));
            assert!(frame(&mut ring, &[&[round + 2, 0]]));
            assert_eq!(drain(&mut ring), [round, round + 1, 0, round + 2, 0]);
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_as_a_whole_frame() {
        let mut ring = LogRing::<8>::new();
        assert!(frame(&mut ring, &[b"abc"]));
        assert!(!frame(&mut ring, &[b"de", b"fghi", b"j"]));
        assert_eq!(drain(&mut ring), b"abc");
    }

    #[test]
    fn after_a_loss_nothing_is_taken_until_it_is_told_how_much_is_missing() {
        let mut ring = LogRing::<8>::new();
        assert!(frame(&mut ring, &[b"abcdefg"]));
        assert!(!frame(&mut ring, &[b"hi"]));
        assert!(!frame(&mut ring, &[b"j"]), "it would fit, but the gap is before it");
        assert_eq!(ring.begin_loss_report(), None, "there is no room to tell");
        assert_eq!(drain(&mut ring), b"abcdefg");
        assert_eq!(ring.room(), 0, "the gap comes first");
        assert_eq!(ring.begin_loss_report(), Some(2));
        assert!(frame(&mut ring, &[b"2 lost"]));
        ring.loss_reported(2);
        assert_eq!(ring.room(), 2);
        assert!(frame(&mut ring, &[b"k"]));
        assert_eq!(drain(&mut ring), b"2 lostk");
        assert_eq!(ring.begin_loss_report(), None);
    }

    #[test]
    fn a_frame_that_is_not_ended_is_not_sent_and_does_not_stay() {
        let mut ring = LogRing::<8>::new();
        ring.begin();
        ring.push(b"half");
        assert!(ring.is_empty() && ring.front().is_empty());
        assert!(frame(&mut ring, &[b"whole"]));
        assert_eq!(drain(&mut ring), b"whole");
    }
}
