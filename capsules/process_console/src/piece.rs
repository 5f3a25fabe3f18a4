//! Collects what a key writes: the editor writes character by character, and each piece of output may have a frame of its
//! own on the way to the terminal.

use core::fmt::{Result, Write};
use heapless::String;

/// Bytes that are collected: what it takes to show a row anew.
const BYTES: usize = 256;

/// A writer in front of `out`. What it holds is written when it is dropped.
pub(crate) struct Piece<'o, W: Write> {
    out: &'o mut W,
    text: String<BYTES>,
}

impl<'o, W: Write> Piece<'o, W> {
    /// One that holds nothing.
    pub(crate) fn new(out: &'o mut W) -> Self {
        Piece { out, text: String::new() }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            // Bytes that a slow terminal does not take are lost until the next redraw.
            let _ = self.out.write_str(&self.text);
            self.text.clear();
        }
    }
}

impl<W: Write> Write for Piece<'_, W> {
    fn write_str(&mut self, text: &str) -> Result {
        if self.text.push_str(text).is_err() {
            self.flush();
            if self.text.push_str(text).is_err() {
                return self.out.write_str(text);
            }
        }
        Ok(())
    }
}

impl<W: Write> Drop for Piece<'_, W> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Keeps each piece apart.
    struct Pieces(Vec<std::string::String>);

    impl Write for Pieces {
        fn write_str(&mut self, text: &str) -> Result {
            self.0.push(text.into());
            Ok(())
        }
    }

    #[test]
    fn what_is_written_in_characters_goes_out_in_few_pieces_and_in_order() {
        let mut pieces = Pieces(Vec::new());
        let text = "abc".repeat(BYTES / 2);
        let mut piece = Piece::new(&mut pieces);
        text.chars().for_each(|character| piece.write_char(character).unwrap());
        piece.write_str(&text).unwrap();
        drop(piece);
        assert_eq!(pieces.0.concat(), text.repeat(2));
        assert_eq!(pieces.0.len(), 3);
        drop(Piece::new(&mut pieces));
        assert_eq!(pieces.0.len(), 3, "nothing is no piece");
    }
}
