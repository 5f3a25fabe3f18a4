//! One of several exchanges that go on at the same time: what was sent of the request, what came of the response.

use core::convert::Infallible;

use libslop::Error;
use slopos_http::request::Method;
use slopos_http::response::{Broken, Failure, Head, Progress, Receiver, Sink};

/// Longest head that is taken, in bytes. There is such a piece for each connection, so it is small; a server's head
/// without cookies and the like has a quarter of it.
pub const HEAD: usize = 1024;

/// Why an exchange ended early. Nothing that is thrown away can fail to be.
pub type Trouble = Failure<Error, Infallible>;

/// What becomes of the bodies.
struct Discard;

impl Sink for Discard {
    type Error = Infallible;

    fn head(&mut self, _: &Head<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A response on its way, its head kept until that is complete.
#[derive(Debug)]
pub struct Exchange {
    /// Bytes of the request that are sent.
    pub sent: usize,
    receiver: Receiver,
    progress: Progress,
    head: [u8; HEAD],
    kept: usize,
}

impl Exchange {
    /// One that has not begun.
    pub const NEW: Exchange = Exchange {
        sent: 0,
        receiver: Receiver::new(Method::Get),
        progress: Progress { status: 0, body_bytes: 0 },
        head: [0; HEAD],
        kept: 0,
    };

    /// How far it came.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Reads once, by `read`, and says whether the response is complete. `buffer` is where the bytes of a body go.
    ///
    /// # Errors
    /// Those of `read`, with the exchange as it was; or the response is broken, also by a head of more than [`HEAD`]
    /// bytes.
    pub fn advance(
        &mut self,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<bool, Trouble> {
        let progress = &mut self.progress;
        if self.receiver.has_head() {
            let count = read(buffer).map_err(Failure::Stream)?;
            if count == 0 {
                self.receiver.end_of_stream()?;
                return Ok(true);
            }
            self.receiver.take::<Error, _>(&mut buffer[..count], &mut Discard, progress)?;
        } else {
            let count = read(&mut self.head[self.kept..]).map_err(Failure::Stream)?;
            if count == 0 {
                return Err(Broken::CutOff.into());
            }
            let filled = self.kept + count;
            let used = self.receiver.take::<Error, _>(&mut self.head[..filled], &mut Discard, progress)?;
            self.head.copy_within(used..filled, 0);
            self.kept = filled - used;
            if self.kept == HEAD {
                return Err(Broken::LongHead.into());
            }
        }
        Ok(self.receiver.is_complete())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libslop::abi::Errno;

    /// Takes a response in pieces of this size, and returns its status and its body's length.
    fn taken(response: &[u8], size: usize) -> Result<Progress, Trouble> {
        let mut exchange = Exchange::NEW;
        let (mut buffer, mut rest) = ([0; 4096], response);
        loop {
            let complete = exchange.advance(&mut buffer, |room| {
                let count = rest.len().min(size).min(room.len());
                room[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                Ok(count)
            })?;
            if complete {
                return Ok(exchange.progress());
            }
        }
    }

    #[test]
    fn a_response_is_taken_in_pieces_of_any_size() {
        let mut response = b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".to_vec();
        response.extend([b'x'; 5000]);
        for size in 1..response.len() + 1 {
            assert_eq!(taken(&response, size), Ok(Progress { status: 200, body_bytes: 5000 }), "pieces of {size}");
        }
        let open = b"HTTP/1.0 404 No\r\n\r\nhello";
        assert_eq!(taken(open, 7), Ok(Progress { status: 404, body_bytes: 5 }));
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_an_error() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        for length in 0..response.len() {
            assert_eq!(taken(&response[..length], 8), Err(Broken::CutOff.into()), "{length} bytes");
        }
        let mut long = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        long.extend([b'x'; HEAD]);
        assert_eq!(taken(&long, 100), Err(Broken::LongHead.into()));
    }

    #[test]
    fn a_read_that_fails_changes_nothing() {
        let mut exchange = Exchange::NEW;
        let again = Error::from(Errno::Again);
        assert_eq!(exchange.advance(&mut [0; 16], |_| Err(again)), Err(Failure::Stream(again)));
        assert_eq!((exchange.kept, exchange.progress()), (0, Progress::default()));
    }
}
