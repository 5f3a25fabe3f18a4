//! A request's body on its way, with an ear to the server: it may ask for the body first, refuse it half way, or answer
//! before it has all (RFC 9110 section 10.1.1, RFC 9112 section 9.5).

use core::time::Duration;

use libslop::abi::Readiness;
use libslop::io::{ErrorType, Read, Write};

use crate::response::{Failure, Progress, Reception, Sink};

/// How long a server has to ask for a body that waits for that. Then the body is sent all the same, for servers of old do
/// not ask.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// Room in front of a chunk for its size: eight digits and the end of the line.
const CHUNK_HEAD: usize = 10;
/// Room behind it.
const CHUNK_END: usize = 2;
/// What frames a chunk, in bytes: so much longer than whole sectors a buffer for pieces has to be.
pub const CHUNK_FRAME: usize = CHUNK_HEAD + CHUNK_END;

/// A stream that says what it is ready for.
pub trait Duplex: Read + Write {
    /// Waits until it is ready for one of these, and says for which. Where there is a limit and it passes, for nothing.
    ///
    /// # Errors
    /// Those of the stream, its own limits among them.
    fn ready(&mut self, interest: Readiness, limit: Option<Duration>) -> Result<Readiness, Self::Error>;
}

/// Where a body comes from.
pub trait Source {
    /// Why it could not be read.
    type Error;

    /// Puts the next bytes to the front of `room`, and says how many; 0 is the end.
    ///
    /// # Errors
    /// End the upload.
    fn read(&mut self, room: &mut [u8]) -> Result<usize, Self::Error>;
}

/// Why an upload ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<R, S, B> {
    /// What came back is no response, or could not be taken.
    Response(Failure<R, S>),
    /// The connection takes no more, and no response says why: with an error, or in order.
    Refused(Option<R>),
    /// The source failed.
    Source(B),
    /// The source ended before the length that was announced.
    Short,
}

impl<R, S, B> From<Failure<R, S>> for Fault<R, S, B> {
    fn from(failure: Failure<R, S>) -> Self {
        Fault::Response(failure)
    }
}

/// What came of an upload to `D` of what `B` has, the response going to `S`.
pub type Outcome<D, S, B> = Result<(), Fault<<D as ErrorType>::Error, <S as Sink>::Error, <B as Source>::Error>>;

/// A body on its way.
#[derive(Debug)]
pub struct Upload<'p> {
    /// Its length; `None` where it is sent in chunks.
    pub length: Option<u64>,
    /// Whether the head says `Expect: 100-continue`.
    pub expect: bool,
    /// Where its pieces lie: [`CHUNK_FRAME`] bytes more than the source gets for a read.
    pub piece: &'p mut [u8],
    /// Bytes of it that the stream took.
    pub sent: u64,
    /// Whether that was all of it.
    pub whole: bool,
}

impl<'p> Upload<'p> {
    /// One that has not begun.
    pub const fn new(length: Option<u64>, expect: bool, piece: &'p mut [u8]) -> Upload<'p> {
        Upload { length, expect, piece, sent: 0, whole: false }
    }

    /// Sends the body, and takes what the server says meanwhile. It stops where the final response has a status of 300 or
    /// more: the server does not want the rest. What is left of the response is for [`Reception::finish`].
    ///
    /// # Errors
    /// [`Fault`] says what happened; `sent` how far the body came.
    pub fn send<D: Duplex, B: Source, S: Sink>(
        &mut self,
        stream: &mut D,
        source: &mut B,
        reception: &mut Reception<'_>,
        sink: &mut S,
        progress: &mut Progress,
    ) -> Outcome<D, S, B> {
        if self.expect {
            let ready = stream.ready(Readiness::READABLE, Some(ASKED_WITHIN)).map_err(Failure::Stream)?;
            if ready != Readiness::NONE {
                Self::listen(stream, reception, sink, progress)?;
            }
        }
        let mut pieces = Pieces { left: self.length, ended: self.length == Some(0), start: 0, end: 0, data: 0 };
        let mut listening = true;
        loop {
            if reception.receiver().has_head() && progress.status >= 300 {
                return Ok(());
            }
            if pieces.start == pieces.end {
                self.sent += core::mem::take(&mut pieces.data);
                if pieces.ended {
                    self.whole = true;
                    return Ok(());
                }
                pieces.fill(source, self.piece)?;
            }
            let interest = if listening { Readiness::READABLE | Readiness::WRITABLE } else { Readiness::WRITABLE };
            let ready = stream.ready(interest, None).map_err(Failure::Stream)?;
            if listening && ready.contains(Readiness::READABLE) {
                listening = Self::listen(stream, reception, sink, progress)?;
                continue;
            }
            match stream.write(&self.piece[pieces.start..pieces.end]) {
                Ok(count) => pieces.start += count,
                Err(error) => {
                    // What the server said before it closed may say why.
                    let answered = reception.finish(stream, sink, progress).is_ok() && progress.status >= 300;
                    return if answered { Ok(()) } else { Err(Fault::Refused(Some(error))) };
                }
            }
        }
    }

    /// Reads once, and says whether more may come: a server that has answered may end its direction and still read.
    fn listen<D: Duplex, S: Sink, B>(
        stream: &mut D,
        reception: &mut Reception<'_>,
        sink: &mut S,
        progress: &mut Progress,
    ) -> Result<bool, Fault<D::Error, S::Error, B>> {
        match reception.read(stream, sink, progress) {
            Ok(false) => Ok(true),
            Ok(true) if reception.receiver().end_of_stream().is_ok() => Ok(false),
            Ok(true) => Err(Fault::Refused(None)),
            Err(Failure::Stream(error)) => Err(Fault::Refused(Some(error))),
            Err(other) => Err(other.into()),
        }
    }
}

/// The piece that is being sent, and what follows it.
struct Pieces {
    /// Bytes that are still to come from the source; `None` in chunks.
    left: Option<u64>,
    /// Whether nothing follows the present piece.
    ended: bool,
    /// What of the buffer is still to be sent.
    start: usize,
    end: usize,
    /// Bytes of the body in the present piece.
    data: u64,
}

impl Pieces {
    /// Takes the next piece from the source.
    fn fill<R, S, B: Source>(&mut self, source: &mut B, piece: &mut [u8]) -> Result<(), Fault<R, S, B::Error>> {
        let most = piece.len() - CHUNK_FRAME;
        let count = source.read(&mut piece[CHUNK_HEAD..CHUNK_HEAD + most]).map_err(Fault::Source)?;
        (self.start, self.end) = (CHUNK_HEAD, CHUNK_HEAD + count);
        match &mut self.left {
            Some(left) => {
                // A source that has more than it said is cut.
                let taken = (count as u64).min(*left);
                if taken == 0 {
                    return Err(Fault::Short);
                }
                self.end = CHUNK_HEAD + taken as usize;
                *left -= taken;
                self.ended = *left == 0;
                self.data = taken;
            }
            None => {
                self.frame(count, piece);
                self.ended = count == 0;
                self.data = count as u64;
            }
        }
        Ok(())
    }

    /// Puts the frame of a chunk around the piece; an empty one ends the body (RFC 9112 section 7.1).
    fn frame(&mut self, count: usize, piece: &mut [u8]) {
        piece[self.end..self.end + CHUNK_END].copy_from_slice(b"\r\n");
        self.end += CHUNK_END;
        self.start -= 2;
        piece[self.start..self.start + 2].copy_from_slice(b"\r\n");
        let mut rest = count;
        loop {
            self.start -= 1;
            piece[self.start] = b"0123456789abcdef"[rest & 15];
            rest >>= 4;
            if rest == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Method;
    use crate::response::{Broken, HEAD, Head};
    use libslop::io::ErrorKind;
    use std::collections::VecDeque;

    /// What a server does when it has read so many bytes.
    enum Act {
        Say(&'static str),
        Close,
        Reset,
    }

    /// A server that acts by a script, and takes `window` bytes at a time.
    struct Server {
        script: VecDeque<(usize, Act)>,
        taken: Vec<u8>,
        window: usize,
        /// How often the client waited for an answer alone, in vain.
        waits: usize,
    }

    impl Server {
        fn new(script: impl IntoIterator<Item = (usize, Act)>) -> Server {
            Server { script: script.into_iter().collect(), taken: Vec::new(), window: 700, waits: 0 }
        }

        fn is_due(&self) -> bool {
            self.script.front().is_some_and(|(at, _)| *at <= self.taken.len())
        }
    }

    impl ErrorType for Server {
        type Error = ErrorKind;
    }

    impl Read for Server {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
            assert!(self.is_due(), "a read that would never end after {} bytes", self.taken.len());
            match self.script.pop_front() {
                Some((_, Act::Say(text))) => {
                    buffer[..text.len()].copy_from_slice(text.as_bytes());
                    Ok(text.len())
                }
                Some((at, Act::Close)) => {
                    self.script.push_front((at, Act::Close));
                    Ok(0)
                }
                _ => Err(ErrorKind::ConnectionReset),
            }
        }
    }

    impl Write for Server {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            if self.is_due() && matches!(self.script.front(), Some((_, Act::Reset))) {
                return Err(ErrorKind::BrokenPipe);
            }
            let next = self.script.front().map_or(usize::MAX, |(at, _)| at.saturating_sub(self.taken.len()).max(1));
            let count = bytes.len().min(self.window).min(next);
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    impl Duplex for Server {
        fn ready(&mut self, interest: Readiness, limit: Option<Duration>) -> Result<Readiness, ErrorKind> {
            if self.is_due() && interest.contains(Readiness::READABLE) {
                return Ok(Readiness::READABLE);
            }
            if interest.contains(Readiness::WRITABLE) {
                return Ok(Readiness::WRITABLE);
            }
            assert!(limit.is_some(), "a wait that would never end");
            self.waits += 1;
            Ok(Readiness::NONE)
        }
    }

    struct Bytes(Vec<u8>, usize);

    impl Source for Bytes {
        type Error = &'static str;

        fn read(&mut self, room: &mut [u8]) -> Result<usize, Self::Error> {
            let count = room.len().min(self.0.len() - self.1);
            room[..count].copy_from_slice(&self.0[self.1..][..count]);
            self.1 += count;
            Ok(count)
        }
    }

    struct Nothing;

    impl Sink for Nothing {
        type Error = &'static str;

        fn head(&mut self, _: &Head<'_>) -> Result<(), Self::Error> {
            Ok(())
        }

        fn body(&mut self, _: &[u8]) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    type Tried = Result<(u64, bool, u16), Fault<ErrorKind, &'static str, &'static str>>;

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
    }

    fn sent(server: &mut Server, content: Vec<u8>, length: Option<u64>, expect: bool) -> Tried {
        let mut piece = [0; 512 + CHUNK_FRAME];
        let mut buffer = vec![0; HEAD];
        let mut reception = Reception::new(Method::Put, &mut buffer);
        let mut progress = Progress::default();
        let mut upload = Upload::new(length, expect, &mut piece);
        upload.send(server, &mut Bytes(content, 0), &mut reception, &mut Nothing, &mut progress)?;
        reception.finish(server, &mut Nothing, &mut progress)?;
        Ok((upload.sent, upload.whole, progress.status))
    }

    const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    const FULL: &str = "HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull";
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

    #[test]
    fn a_body_arrives_as_it_is_whatever_its_length() {
        for length in [0, 1, 511, 512, 513, 10_000] {
            let mut server = Server::new([(length, Act::Say(CREATED))]);
            assert_eq!(sent(&mut server, body(length), Some(length as u64), false), Ok((length as u64, true, 201)));
            assert_eq!(server.taken, body(length));
        }
    }

    #[test]
    fn chunks_come_apart_again() {
        for length in [0_usize, 1, 15, 16, 512, 513, 5_000] {
            let frames = length.div_ceil(512).saturating_sub(1) * 7 + if length > 0 { 4 + hex(length) } else { 0 } + 5;
            let mut server = Server::new([(length + frames, Act::Say(CREATED))]);
            assert_eq!(sent(&mut server, body(length), None, false), Ok((length as u64, true, 201)), "{length}");
            let mut decoder = crate::chunked::Decoder::new();
            let (mut rest, mut whole) = (&server.taken[..], Vec::new());
            while !rest.is_empty() {
                let (used, piece) = decoder.decode(rest).expect("chunks");
                whole.extend_from_slice(piece);
                rest = &rest[used..];
            }
            assert!(decoder.is_done() && whole == body(length), "{length}");
        }
    }

    /// Digits of the last chunk's size.
    fn hex(length: usize) -> usize {
        format!("{:x}", (length - 1) % 512 + 1).len()
    }

    #[test]
    fn a_body_that_waits_goes_when_it_is_asked_for_and_also_when_nobody_asks() {
        let mut asked = Server::new([(0, Act::Say(CONTINUE)), (9, Act::Say(CREATED))]);
        assert_eq!(sent(&mut asked, body(9), Some(9), true), Ok((9, true, 201)));
        assert_eq!(asked.waits, 0);
        let mut silent = Server::new([(9, Act::Say(CREATED))]);
        assert_eq!(sent(&mut silent, body(9), Some(9), true), Ok((9, true, 201)));
        assert_eq!(silent.waits, 1);
        let mut refuses = Server::new([(0, Act::Say(FULL))]);
        assert_eq!(sent(&mut refuses, body(9), Some(9), true), Ok((0, false, 507)));
        assert!(refuses.taken.is_empty());
    }

    #[test]
    fn an_error_response_ends_the_upload_and_a_good_one_does_not() {
        let mut full = Server::new([(1_000, Act::Say(FULL)), (1_000, Act::Close)]);
        let (bytes, whole, status) = sent(&mut full, body(9_000), Some(9_000), false).expect("a response");
        assert!(bytes <= 1_024 && !whole && status == 507, "{bytes}");
        let mut hasty = Server::new([(1_000, Act::Say(CREATED)), (1_000, Act::Close)]);
        assert_eq!(sent(&mut hasty, body(9_000), Some(9_000), false), Ok((9_000, true, 201)));
    }

    #[test]
    fn what_a_server_said_before_it_reset_counts() {
        let mut server = Server::new([(1_000, Act::Say(FULL)), (1_000, Act::Reset)]);
        assert_eq!(sent(&mut server, body(9_000), Some(9_000), false).map(|sent| sent.2), Ok(507));
    }

    #[test]
    fn a_server_that_goes_away_is_noticed() {
        let mut closed = Server::new([(1_000, Act::Close)]);
        assert_eq!(sent(&mut closed, body(9_000), Some(9_000), false), Err(Fault::Refused(None)));
        let mut reset = Server::new([(1_000, Act::Reset)]);
        let reason = Some(ErrorKind::ConnectionReset);
        assert_eq!(sent(&mut reset, body(9_000), Some(9_000), false), Err(Fault::Refused(reason)));
        let mut waiting = Server::new([(0, Act::Close)]);
        assert_eq!(sent(&mut waiting, body(9_000), Some(9_000), true), Err(Fault::Refused(None)));
        let mut half = Server::new([(9, Act::Say("HTTP/1.1 201 Cre")), (9, Act::Close)]);
        let cut = Fault::Response(Failure::Broken(Broken::CutOff));
        assert_eq!(sent(&mut half, body(9), Some(9), false), Err(cut));
    }

    #[test]
    fn a_flood_of_interim_responses_ends() {
        let flood = (0..70).map(|_| (0, Act::Say(CONTINUE)));
        let interim = Fault::Response(Failure::Broken(Broken::Interim));
        assert_eq!(sent(&mut Server::new(flood), body(9_000), Some(9_000), false), Err(interim));
    }

    #[test]
    fn a_source_that_ends_early_is_an_error_and_one_that_has_more_is_cut() {
        assert_eq!(sent(&mut Server::new([]), body(700), Some(701), false), Err(Fault::Short));
        let mut server = Server::new([(700, Act::Say(CREATED))]);
        assert_eq!(sent(&mut server, body(2_000), Some(700), false), Ok((700, true, 201)));
        assert_eq!(server.taken, body(700));
    }
}
