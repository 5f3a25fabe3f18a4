//! Keeps the beginning and the end of a stream that may never end.

use std::collections::VecDeque;

/// Pieces of a stream, without the middle if they are too many.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// The most bytes of the beginning, and of the end.
    most: usize,
    first: Vec<T>,
    first_bytes: usize,
    last: VecDeque<(T, usize)>,
    last_bytes: usize,
    left_out: u64,
}

impl<T> Kept<T> {
    /// An empty one, which never keeps more than twice `most` bytes and a piece.
    pub(crate) fn new(most: usize) -> Kept<T> {
        let (first, last) = (Vec::new(), VecDeque::new());
        Kept { most, first, first_bytes: 0, last, last_bytes: 0, left_out: 0 }
    }

    /// Takes in the next piece, of so many bytes.
    pub(crate) fn push(&mut self, piece: T, bytes: usize) {
        if self.last.is_empty() && self.left_out == 0 && self.first_bytes + bytes <= self.most {
            self.first_bytes += bytes;
            self.first.push(piece);
            return;
        }
        self.last_bytes += bytes;
        self.last.push_back((piece, bytes));
        while self.last_bytes > self.most && self.last.len() > 1 {
            let Some((_, bytes)) = self.last.pop_front() else { break };
            self.last_bytes -= bytes;
            self.left_out += bytes as u64;
        }
    }

    /// All kept pieces; `gap` makes the piece between them from the number of bytes that were left out.
    pub(crate) fn finish(self, gap: impl FnOnce(u64) -> T) -> Vec<T> {
        let mut all = self.first;
        if self.left_out > 0 {
            all.push(gap(self.left_out));
        }
        all.extend(self.last.into_iter().map(|(piece, _)| piece));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_is_kept_whole() {
        let mut kept = Kept::new(10);
        for number in 0..4 {
            kept.push(number, 4);
        }
        assert_eq!(kept.finish(|left_out| panic!("{left_out} bytes are left out")), [0, 1, 2, 3]);
    }

    #[test]
    fn of_an_endless_stream_the_beginning_and_the_end_are_kept() {
        let mut kept = Kept::new(10);
        for number in 0..1_000_000 {
            kept.push(number, 4);
            assert!(kept.last.len() <= 2);
        }
        assert_eq!(kept.finish(|left_out| -(left_out as i64)), [0, 1, -3_999_984, 999_998, 999_999]);
    }

    #[test]
    fn a_piece_that_is_too_large_is_kept_while_it_is_the_last() {
        let mut kept = Kept::new(10);
        kept.push("a", 100);
        assert_eq!(kept.last.len(), 1);
        kept.push("b", 1);
        assert_eq!(kept.finish(|_| "gap"), ["gap", "b"]);
    }
}
