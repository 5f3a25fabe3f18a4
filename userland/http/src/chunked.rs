//! The chunked transfer coding, decoded piece by piece (RFC 9112 section 7.1).
//!
//! Lines end with CR LF, nothing else. Chunk extensions and trailer fields are skipped, as the RFC allows.
//!
//! What is skipped has a bound where it lies: each chunk's line one of its own, because a long body may have any number
//! of chunks and each of them an extension (section 7.1.1); the trailer section one for all of it.

use crate::broken::Broken;
use crate::limits::{LINE, TRAILERS};

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    /// In a size.
    Size(u64),
    /// After a size, in spaces before a possible extension.
    AfterSize(u64),
    /// In an extension.
    Extension(u64),
    /// After the CR that ends a size's line.
    SizeEnd(u64),
    /// In a chunk with this many bytes left, at least one.
    Data(u64),
    /// After a chunk's data.
    DataEnd,
    /// After the CR there.
    DataEndLf,
    /// At the beginning of a trailer line; an empty one ends the body.
    TrailerStart,
    /// In a trailer line.
    Trailer,
    /// After the CR of a trailer line.
    TrailerEnd,
    /// After the CR of the empty line.
    BodyEnd,
    /// After the body.
    Done,
}

/// A decoder of one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of the present chunk's line, or of the trailer section.
    taken: u32,
}

impl Decoder {
    /// A decoder at the beginning of a body.
    pub const fn new() -> Self {
        Decoder { state: State::SizeStart, taken: 0 }
    }

    /// Whether the whole body has been decoded.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes the beginning of `input`: returns how many bytes of it are dealt with, and the piece of the body
    /// among them, which may be empty. To be called again with what is left, until nothing is left or the body is
    /// done.
    ///
    /// # Errors
    /// [`Broken::Chunk`] where the coding is violated.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<(usize, &'a [u8]), Broken> {
        let mut position = 0;
        while let Some(&byte) = input.get(position) {
            match self.state {
                State::Done => break,
                State::Data(left) => {
                    let rest = &input[position..];
                    let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    let left = left - count as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok((position + count, &rest[..count]));
                }
                state => self.state = self.step(state, byte)?,
            }
            position += 1;
        }
        Ok((position, &[]))
    }

    /// The state after a byte that is not data.
    fn step(&mut self, state: State, byte: u8) -> Result<State, Broken> {
        Ok(match (state, byte) {
            (State::SizeStart, _) => {
                self.taken = 0;
                self.in_line(State::Size(hexadecimal(0, byte)?))?
            }
            (State::Size(size) | State::AfterSize(size) | State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Size(size) | State::AfterSize(size), b';') => self.in_line(State::Extension(size))?,
            (State::Size(size) | State::AfterSize(size), b' ' | b'\t') => self.in_line(State::AfterSize(size))?,
            (State::Size(size), _) => self.in_line(State::Size(hexadecimal(size, byte)?))?,
            (State::Extension(size), byte) if byte != b'\n' => self.in_line(State::Extension(size))?,
            (State::SizeEnd(0), b'\n') => {
                self.taken = 0;
                State::TrailerStart
            }
            (State::SizeEnd(size), b'\n') => State::Data(size),
            (State::DataEnd, b'\r') => State::DataEndLf,
            (State::DataEndLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::BodyEnd,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::TrailerStart | State::Trailer, byte) if byte != b'\n' => self.in_trailers(State::Trailer)?,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::BodyEnd, b'\n') => State::Done,
            _ => return Err(Broken::Chunk),
        })
    }

    /// Counts a byte of a chunk's line, so that a server cannot keep us reading it forever.
    fn in_line(&mut self, next: State) -> Result<State, Broken> {
        self.taken += 1;
        if self.taken > LINE { Err(Broken::LongChunkLine) } else { Ok(next) }
    }

    /// The same for a byte of the trailer section.
    fn in_trailers(&mut self, next: State) -> Result<State, Broken> {
        self.taken += 1;
        if self.taken > TRAILERS { Err(Broken::LongTrailers) } else { Ok(next) }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

/// `size` with one more hexadecimal digit.
fn hexadecimal(size: u64, digit: u8) -> Result<u64, Broken> {
    let value = char::from(digit).to_digit(16).ok_or(Broken::Chunk)?;
    size.checked_mul(16).map(|size| size + u64::from(value)).ok_or(Broken::Chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes pieces as a stream would deliver them: the body, the bytes after it, and whether it is done.
    fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize, bool), Broken> {
        let mut decoder = Decoder::new();
        let (mut body, mut behind) = (Vec::new(), 0);
        for mut piece in pieces {
            while !piece.is_empty() && !decoder.is_done() {
                let (used, data) = decoder.decode(piece)?;
                assert!(used > 0 && used <= piece.len());
                body.extend_from_slice(data);
                piece = &piece[used..];
            }
            behind += piece.len();
        }
        Ok((body, behind, decoder.is_done()))
    }

    const BODY: &[u8] = b"5\r\nhello\r\n00000000000000000000A; name=\"v;\" \r\n, wide wor\r\n1 \t\r\nl\r\n2;x\r\nd!\r\n0;last\r\nA: b\r\nC: d\r\n\r\nrest";
    const TEXT: &[u8] = b"hello, wide world!";

    #[test]
    fn each_split_point_gives_the_same_body() {
        for first in 0..=BODY.len() {
            for second in first..=BODY.len() {
                let pieces = [&BODY[..first], &BODY[first..second], &BODY[second..]];
                assert_eq!(decoded(pieces), Ok((TEXT.to_vec(), 4, true)), "cut at {first} and {second}");
            }
        }
        assert_eq!(decoded(BODY.chunks(1)), Ok((TEXT.to_vec(), 4, true)));
    }

    #[test]
    fn a_body_that_stops_early_is_not_done() {
        for length in 0..BODY.len() - 4 {
            let (body, behind, done) = decoded([&BODY[..length]]).unwrap();
            assert!(TEXT.starts_with(&body) && behind == 0 && !done, "{length} bytes");
        }
    }

    #[test]
    fn an_empty_body_is_one_chunk() {
        assert_eq!(decoded([&b"0\r\n\r\n"[..]]), Ok((vec![], 0, true)));
    }

    #[test]
    fn violations_are_noticed() {
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b" 1\r\n",
            b"0x1\r\n",
            b"1\n",
            b"1 2\r\n",
            b"1\r\r",
            b"1;x\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\ra",
            b"10000000000000000\r\n",
            b"0\r\n\n",
            b"0\r\n\r\r",
            b"0\r\nA: b\n",
            b"0\r\nA: b\rC",
        ] {
            assert_eq!(decoded([bad]), Err(Broken::Chunk), "{:?}", str::from_utf8(bad));
        }
    }

    #[test]
    fn the_largest_size_is_read_and_what_does_not_fit_is_refused() {
        assert_eq!(decoded([&b"FFFFFFFFFFFFFFFF\r\nab"[..]]), Ok((b"ab".to_vec(), 0, false)));
        assert_eq!(decoded([&b"0000FFFFFFFFFFFFFFFF\r\nab"[..]]), Ok((b"ab".to_vec(), 0, false)));
        assert_eq!(decoded([&b"10000000000000000\r\nab"[..]]), Err(Broken::Chunk));
    }

    #[test]
    fn extensions_are_bounded_by_the_line_and_not_by_the_body() {
        // RFC 9112 section 7.1.1: a signature on each chunk, as object stores send it, and a large body of them.
        let chunk = format!("1;chunk-signature={}\r\nx\r\n", "a".repeat(64));
        let body = chunk.repeat(2_000) + "0;last\r\n\r\n";
        assert_eq!(decoded([body.as_bytes()]), Ok((vec![b'x'; 2_000], 0, true)));
        let longest = "x".repeat(LINE as usize - 2);
        let twice = format!("1;{longest}\r\na\r\n1;{longest}\r\nb\r\n0\r\n\r\n");
        assert_eq!(decoded([twice.as_bytes()]), Ok((b"ab".to_vec(), 0, true)));
        assert_eq!(decoded([format!("1;{longest}x").as_bytes()]), Err(Broken::LongChunkLine));
    }

    #[test]
    fn sizes_may_be_padded_in_front_and_behind_in_each_chunk() {
        for size in ["00000001", "1       ", "1\t\t\t\t", "0001   ;x = y"] {
            let body = format!("{size}\r\nx\r\n").repeat(3_000) + "0000\r\n\r\n";
            assert_eq!(decoded([body.as_bytes()]), Ok((vec![b'x'; 3_000], 0, true)), "{size:?}");
        }
        let endless = "0".repeat(LINE as usize + 1);
        assert_eq!(decoded([endless.as_bytes()]), Err(Broken::LongChunkLine));
        assert_eq!(decoded([format!("1{}", " ".repeat(LINE as usize)).as_bytes()]), Err(Broken::LongChunkLine));
    }

    #[test]
    fn trailer_fields_have_a_bound_of_their_own() {
        let field = "X: y\r\n";
        let most = TRAILERS as usize / "X: y".len();
        let body = |count: usize| format!("1;{}\r\na\r\n0\r\n{}\r\n", "e".repeat(8_000), field.repeat(count));
        assert_eq!(decoded([body(most).as_bytes()]), Ok((b"a".to_vec(), 0, true)));
        assert_eq!(decoded([body(most + 1).as_bytes()]), Err(Broken::LongTrailers));
    }
}
