//! The log in pieces, for a serial port that the console has too.
//!
//! A piece is an escape sequence that terminals leave out, with some bytes of the log as text in it: see
//! [`LOG_PIECE_BEGIN`]. Where a frame ends does not matter to a piece, and a frame may be in several.

use crate::LogRing;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slopos_abi::{LOG_PIECE_BEGIN, LOG_PIECE_END, LOG_PIECE_MAX};

/// Room for the longest piece: each three bytes of the log are four characters.
const ROOM: usize = LOG_PIECE_BEGIN.len() + LOG_PIECE_MAX.div_ceil(3) * 4 + LOG_PIECE_END.len();

/// The piece that is being sent, if there is one. All bytes zero is none.
pub struct Piece {
    text: [u8; ROOM],
    length: usize,
    sent: usize,
}

impl Default for Piece {
    fn default() -> Self {
        Piece::new()
    }
}

impl Piece {
    /// None.
    pub const fn new() -> Self {
        Piece { text: [0; ROOM], length: 0, sent: 0 }
    }

    /// Makes a piece of what waits in the ring, and takes that out of it. Does nothing while a piece is not wholly sent.
    pub fn begin<const N: usize>(&mut self, ring: &mut LogRing<N>) {
        let front = ring.front();
        let taken = front.get(..LOG_PIECE_MAX).unwrap_or(front);
        if !self.is_sent() || taken.is_empty() {
            return;
        }
        let count = taken.len();
        let mut length = 0;
        let begin = LOG_PIECE_BEGIN.as_bytes();
        if let Some((before, after)) = self.text.split_at_mut_checked(begin.len()) {
            before.copy_from_slice(begin);
            // The longest piece fits.
            length = begin.len() + STANDARD.encode_slice(taken, after).unwrap_or_default();
        }
        let end = LOG_PIECE_END.as_bytes();
        if let Some(after) = self.text.get_mut(length..length + end.len()) {
            after.copy_from_slice(end);
            length += end.len();
        }
        (self.length, self.sent) = (length, 0);
        ring.remove(count);
    }

    /// What of the piece is not yet sent.
    pub fn rest(&self) -> &[u8] {
        self.text.get(self.sent..self.length).unwrap_or_default()
    }

    /// The port has taken `count` bytes.
    pub fn remove(&mut self, count: usize) {
        self.sent = self.length.min(self.sent + count);
    }

    /// Whether there is no piece, or all of it was sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(log: &[u8]) -> String {
        let mut ring = LogRing::<256>::new();
        ring.begin();
        ring.push(log);
        ring.end();
        let mut piece = Piece::new();
        let mut sent = Vec::new();
        while !ring.is_empty() {
            piece.begin(&mut ring);
            while !piece.is_sent() {
                let rest = piece.rest();
                sent.extend_from_slice(&rest[..rest.len().min(7)]);
                piece.remove(7);
                // Nothing happens to it meanwhile.
                piece.begin(&mut ring);
            }
        }
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn a_piece_is_text_in_an_escape_sequence() {
        assert_eq!(piece(b"SlopOS\0"), "\x1b_SlopOS;U2xvcE9TAA==\x1b\\");
        assert_eq!(piece(&[0xff, 0xfe, 0x00]), "\x1b_SlopOS;//4A\x1b\\");
        assert_eq!(piece(b""), "");
    }

    #[test]
    fn a_long_log_is_in_several_pieces() {
        let log: Vec<u8> = (0..200).collect();
        let sent = piece(&log);
        let pieces = sent.split_terminator("\x1b\\").map(|piece| piece.strip_prefix("\x1b_SlopOS;").unwrap());
        let decoded: Vec<_> = pieces.map(|piece| STANDARD.decode(piece).unwrap()).collect();
        assert_eq!(decoded.iter().map(Vec::len).collect::<Vec<_>>(), [96, 96, 8]);
        assert_eq!(decoded.concat(), log);
    }
}
