//! Small writes gathered into larger ones, so that a formatted line costs one system call and stays in one piece.

use core::fmt;

use embedded_io::{ErrorType, Write};

/// A writer that gathers up to `N` bytes before it passes them on.
///
/// What is still held is lost when it is dropped: call `flush` and look at its result.
pub struct Gather<W: Write, const N: usize> {
    writer: W,
    bytes: [u8; N],
    held: usize,
    /// The error behind a `fmt::Error`, which itself says nothing.
    error: Option<W::Error>,
}

impl<W: Write, const N: usize> Gather<W, N> {
    /// An empty one in front of `writer`.
    pub fn new(writer: W) -> Self {
        const { assert!(N > 0) };
        Gather { writer, bytes: [0; N], held: 0, error: None }
    }

    /// Formats text into it. Parts of the text may already be passed on when it fails.
    ///
    /// # Errors
    /// What the writer behind it said.
    ///
    /// # Panics
    /// Where an argument's own `fmt` fails although the writer does not, as `format!` does.
    pub fn print(&mut self, arguments: fmt::Arguments<'_>) -> Result<(), W::Error> {
        match fmt::Write::write_fmt(self, arguments) {
            Ok(()) => Ok(()),
            Err(fmt::Error) => Err(self.error.take().expect("an argument cannot be formatted")),
        }
    }
}

impl<W: Write, const N: usize> ErrorType for Gather<W, N> {
    type Error = W::Error;
}

impl<W: Write, const N: usize> Write for Gather<W, N> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, W::Error> {
        if self.held == 0 && bytes.len() >= N {
            return self.writer.write(bytes);
        }
        let room = &mut self.bytes[self.held..];
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.held += count;
        if self.held == N {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), W::Error> {
        let held = core::mem::take(&mut self.held);
        self.writer.write_all(&self.bytes[..held])?;
        self.writer.flush()
    }
}

impl<W: Write, const N: usize> fmt::Write for Gather<W, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_all(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;
    use embedded_io::ErrorKind;

    /// Takes three bytes at a time and fails after `left` bytes.
    struct Narrow {
        taken: Vec<u8>,
        writes: usize,
        left: usize,
    }

    impl ErrorType for &mut Narrow {
        type Error = ErrorKind;
    }

    impl Write for &mut Narrow {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            if self.left == 0 {
                return Err(ErrorKind::BrokenPipe);
            }
            let count = bytes.len().min(3).min(self.left);
            self.taken.extend_from_slice(&bytes[..count]);
            self.writes += 1;
            self.left -= count;
            Ok(count)
        }

        fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    fn narrow(left: usize) -> Narrow {
        Narrow { taken: Vec::new(), writes: 0, left }
    }

    #[test]
    fn pieces_leave_together_and_in_order() {
        let mut narrow = narrow(usize::MAX);
        let mut gather = Gather::<_, 8>::new(&mut narrow);
        gather.print(format_args!("{}-{}", 1, 2)).unwrap();
        gather.flush().unwrap();
        assert_eq!((narrow.taken.as_slice(), narrow.writes), (&b"1-2"[..], 1));
    }

    #[test]
    fn long_text_survives_partial_writes() {
        let mut narrow = narrow(usize::MAX);
        let mut gather = Gather::<_, 8>::new(&mut narrow);
        gather.print(format_args!("{}, {} and {}", "a long sentence", "another", "the end")).unwrap();
        gather.flush().unwrap();
        assert_eq!(narrow.taken, b"a long sentence, another and the end");
    }

    #[test]
    fn the_writers_error_comes_through() {
        let mut narrow = narrow(10);
        let mut gather = Gather::<_, 8>::new(&mut narrow);
        assert_eq!(gather.print(format_args!("{}", "more than ten bytes")), Err(ErrorKind::BrokenPipe));
        assert_eq!(narrow.taken, b"more than ");
    }
}
