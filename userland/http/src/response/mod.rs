//! The response, from its first byte to its last (RFC 9112 sections 4 to 6, 8).
//!
//! [`receive`] reads from any stream into one buffer and hands what it finds to a [`Sink`]; a [`Reception`] does so read by
//! read, and a [`Receiver`] is given the bytes instead, as they come.

mod framing;
#[cfg(test)]
mod tests;

use core::fmt;
use core::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use libslop::io::Read;

use crate::method::Method;
use framing::Framing;
pub use framing::content_length;

use crate::chunked;

/// Most bytes of a response's head: 32 KiB of header fields, as servers and proxies at most let pass, and a status
/// line.
pub const HEAD: usize = 33 * 1024;

/// Most header fields. 100 is what servers and proxies at most let pass, and some add a few of their own.
const HEADERS: usize = 128;

/// Most interim responses (RFC 9110 section 15.2) before the final one: more would be a server that plays with us.
const INTERIM: usize = 64;

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The second number of the protocol's version: 0 or 1. A higher one counts as 1 (RFC 9110 section 2.5).
    pub minor_version: u8,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The words after it; may be empty.
    pub reason: &'a str,
    /// The header fields, in the server's order. A value may be folded: [`unfolded`] says how it reads.
    pub headers: &'a [Header<'a>],
}

/// The pieces of a field's value: a space belongs between two of them, where the server began a new line
/// (RFC 9112 section 5.2, obs-fold).
pub fn unfolded(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty())
}

/// Who takes a response.
pub trait Sink {
    /// Why it could not.
    type Error;

    /// Takes the head of the final response.
    ///
    /// # Errors
    /// End the exchange.
    fn head(&mut self, head: &Head<'_>) -> Result<(), Self::Error>;

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// End the exchange.
    fn body(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
}

/// What is wrong with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The server closed the connection before the response was complete.
    CutOff,
    /// This is not the head of an HTTP/1 response.
    Head(httparse::Error),
    /// The head is longer than [`HEAD`] bytes.
    LongHead,
    /// The head has too many fields.
    ManyFields,
    /// Too many interim responses, or one that nobody asked for.
    Interim,
    /// The Content-Length fields make no sense or contradict each other.
    Length,
    /// The chunked transfer coding is violated.
    Chunk,
    /// The line with a chunk's size is too long.
    LongChunkLine,
    /// The trailer section is too long.
    LongTrailers,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::CutOff => formatter.write_str("the response was cut off"),
            Broken::Head(error) => write!(formatter, "the response is not HTTP: {error}"),
            Broken::LongHead => write!(formatter, "the response's head is longer than {HEAD} bytes"),
            Broken::ManyFields => write!(formatter, "the response's head has more than {HEADERS} fields"),
            Broken::Interim => formatter.write_str("the server sends one interim response after another"),
            Broken::Length => formatter.write_str("the response's Content-Length makes no sense"),
            Broken::Chunk => formatter.write_str("the response's chunks are broken"),
            Broken::LongChunkLine => {
                write!(formatter, "the line with a chunk's size is longer than {} bytes", chunked::LINE)
            }
            Broken::LongTrailers => {
                write!(formatter, "the response's trailer fields are longer than {} bytes", chunked::TRAILERS)
            }
        }
    }
}

/// Why an exchange ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<R, S> {
    /// The response is broken.
    Broken(Broken),
    /// The stream failed.
    Stream(R),
    /// The sink failed.
    Sink(S),
}

impl<R, S> From<Broken> for Failure<R, S> {
    fn from(broken: Broken) -> Self {
        Failure::Broken(broken)
    }
}

/// How far an exchange came, whether it failed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The final response's status; 0 before there is one.
    pub status: u16,
    /// Bytes of the body so far.
    pub body_bytes: u64,
}

/// Receives one response to a request with this method.
///
/// `buffer` bounds a single read; it must hold at least [`HEAD`] bytes. `progress` is kept up to date.
///
/// # Errors
/// [`Failure`] says who failed.
///
/// # Panics
/// Where `buffer` is too short.
pub fn receive<R: Read, S: Sink>(
    stream: &mut R,
    method: Method<'_>,
    buffer: &mut [u8],
    sink: &mut S,
    progress: &mut Progress,
) -> Result<(), Failure<R::Error, S::Error>> {
    Reception::new(method, buffer).finish(stream, sink, progress)
}

/// One response as it is read from a stream.
#[derive(Debug)]
pub struct Reception<'b> {
    receiver: Receiver,
    buffer: &'b mut [u8],
    /// Bytes in front of the buffer that were read and not yet taken: the beginning of a head.
    kept: usize,
    /// Whether any byte came.
    heard: bool,
}

impl<'b> Reception<'b> {
    /// For the response to a request with this method. `buffer` bounds a single read.
    ///
    /// # Panics
    /// Where `buffer` has fewer than [`HEAD`] bytes.
    pub fn new(method: Method<'_>, buffer: &'b mut [u8]) -> Reception<'b> {
        assert!(buffer.len() >= HEAD);
        Reception { receiver: Receiver::new(method), buffer, kept: 0, heard: false }
    }

    /// How far the response is.
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Whether any byte of a response came.
    pub const fn was_heard(&self) -> bool {
        self.heard
    }

    /// Reads once, and says whether that was the end of the stream.
    ///
    /// # Errors
    /// [`Failure`] says who failed.
    pub fn read<R: Read, S: Sink>(
        &mut self,
        stream: &mut R,
        sink: &mut S,
        progress: &mut Progress,
    ) -> Result<bool, Failure<R::Error, S::Error>> {
        let count = stream.read(&mut self.buffer[self.kept..]).map_err(Failure::Stream)?;
        if count == 0 {
            return Ok(true);
        }
        self.heard = true;
        let filled = self.kept + count;
        let used = self.receiver.take(&mut self.buffer[..filled], sink, progress)?;
        self.buffer.copy_within(used..filled, 0);
        self.kept = filled - used;
        Ok(false)
    }

    /// Reads until the response is complete.
    ///
    /// # Errors
    /// [`Failure`] says who failed.
    pub fn finish<R: Read, S: Sink>(
        &mut self,
        stream: &mut R,
        sink: &mut S,
        progress: &mut Progress,
    ) -> Result<(), Failure<R::Error, S::Error>> {
        while !self.receiver.is_complete() {
            if self.read(stream, sink, progress)? {
                self.receiver.end_of_stream()?;
                self.receiver.persistent = false;
                break;
            }
        }
        Ok(())
    }
}

/// One response, taken in whatever pieces it comes: for a caller that reads several at a time and cannot wait for one.
#[derive(Debug)]
pub struct Receiver {
    /// Whether the request was HEAD, whose response has no body.
    head_only: bool,
    /// Interim responses so far.
    interim: usize,
    /// Where the body ends; `None` before the final head.
    framing: Option<Framing>,
    /// Whether the head lets another request follow, and nothing came behind the body.
    persistent: bool,
}

impl Receiver {
    /// For the response to a request with this method.
    pub const fn new(method: Method<'_>) -> Receiver {
        Receiver { head_only: matches!(method, Method::Head), interim: 0, framing: None, persistent: false }
    }

    /// How many interim responses came.
    pub const fn interim(&self) -> usize {
        self.interim
    }

    /// Whether another request may follow on the same connection (RFC 9112 section 9.3): the response is complete, has an
    /// end of its own, and the server has neither said that it closes nor sent more than it should.
    pub fn is_persistent(&self) -> bool {
        self.persistent && self.is_complete()
    }

    /// Whether it has the whole head. From then on [`Receiver::take`] takes all that it is given.
    pub const fn has_head(&self) -> bool {
        self.framing.is_some()
    }

    /// Whether the response is complete.
    pub fn is_complete(&self) -> bool {
        match &self.framing {
            None => false,
            Some(Framing::Length(left)) => *left == 0,
            Some(Framing::Chunked(decoder)) => decoder.is_done(),
            Some(Framing::UntilClose) => false,
        }
    }

    /// Takes bytes, and returns how many of them. Of a head that is not complete it takes none: the rest has to be
    /// given again, with more after it. What lies beyond the end of the body is taken and thrown away. A version of
    /// HTTP/1 that is not known is overwritten with the highest that is.
    ///
    /// # Errors
    /// [`Failure::Broken`], also where a head has [`HEAD`] bytes and no end; [`Failure::Sink`].
    pub fn take<E, S: Sink>(
        &mut self,
        bytes: &mut [u8],
        sink: &mut S,
        progress: &mut Progress,
    ) -> Result<usize, Failure<E, S::Error>> {
        let mut used = 0;
        // A head is parsed from its beginning with each piece that comes. It is short, and mostly comes in one.
        while self.framing.is_none() {
            match self.head(&mut bytes[used..], sink, progress)? {
                0 => return Ok(used),
                length => used += length,
            }
        }
        let beyond = self.body(&bytes[used..], sink, progress)?;
        self.persistent &= beyond == 0;
        Ok(bytes.len())
    }

    /// Parses a head, interim or final, and returns its length: 0 where it is not complete.
    fn head<E, S: Sink>(
        &mut self,
        bytes: &mut [u8],
        sink: &mut S,
        progress: &mut Progress,
    ) -> Result<usize, Failure<E, S::Error>> {
        take_as_known_version(bytes);
        // Filling them would cost more than most heads do.
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = parser().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
        match parsed.map_err(broken_head)? {
            Status::Complete(length) if length > HEAD => Err(Broken::LongHead.into()),
            Status::Complete(length) => {
                let head = head_of(&response)?;
                if head.status >= 200 {
                    progress.status = head.status;
                    let framing = Framing::of(self.head_only, &head)?;
                    self.persistent = framing::is_persistent(&head);
                    sink.head(&head).map_err(Failure::Sink)?;
                    self.framing = Some(framing);
                    return Ok(length);
                }
                self.interim += 1;
                // 101 answers a request to change the protocol, which nobody made.
                if self.interim > INTERIM || head.status == 101 {
                    return Err(Broken::Interim.into());
                }
                Ok(length)
            }
            Status::Partial if bytes.len() >= HEAD => Err(Broken::LongHead.into()),
            Status::Partial => Ok(0),
        }
    }

    /// Takes bytes of the body, and returns how many lie beyond it.
    fn body<E, S: Sink>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut S,
        progress: &mut Progress,
    ) -> Result<usize, Failure<E, S::Error>> {
        while !bytes.is_empty() && !self.is_complete() {
            let (used, piece) = match &mut self.framing {
                Some(Framing::Length(left)) => {
                    let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= count as u64;
                    (count, &bytes[..count])
                }
                Some(Framing::Chunked(decoder)) => decoder.decode(bytes)?,
                Some(Framing::UntilClose) | None => (bytes.len(), bytes),
            };
            if !piece.is_empty() {
                progress.body_bytes += piece.len() as u64;
                sink.body(piece).map_err(Failure::Sink)?;
            }
            bytes = &bytes[used..];
        }
        Ok(bytes.len())
    }

    /// The server has closed the connection: only a body without a length may end so, or what is complete.
    ///
    /// # Errors
    /// [`Broken::CutOff`].
    pub fn end_of_stream(&self) -> Result<(), Broken> {
        match self.framing {
            Some(Framing::UntilClose) => Ok(()),
            _ if self.is_complete() => Ok(()),
            _ => Err(Broken::CutOff),
        }
    }
}

/// The parser, as lenient as the RFC asks a client to be: folded fields (RFC 9112 section 5.2), blanks before a
/// field's colon (section 5.1), several blanks between the words of the status line (section 4).
fn parser() -> ParserConfig {
    let mut parser = ParserConfig::default();
    parser.allow_obsolete_multiline_headers_in_responses(true);
    parser.allow_spaces_after_header_name_in_responses(true);
    parser.allow_multiple_spaces_in_response_status_delimiters(true);
    parser
}

/// A version of HTTP/1 beyond 1.1 is read as if it were 1.1 (RFC 9110 section 2.5).
fn take_as_known_version(head: &mut [u8]) {
    // The parser passes over empty lines in front.
    let start = head.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
    if let Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9', ..]) = head.get_mut(start..) {
        *minor = b'1';
    }
}

fn broken_head(error: httparse::Error) -> Broken {
    match error {
        httparse::Error::TooManyHeaders => Broken::ManyFields,
        other => Broken::Head(other),
    }
}

/// The fields of a head that httparse found complete.
fn head_of<'a>(response: &'a httparse::Response<'_, 'a>) -> Result<Head<'a>, Broken> {
    let missing = Broken::Head(httparse::Error::Status);
    let status = response.code.filter(|&code| code >= 100).ok_or(missing)?;
    let minor_version = response.version.ok_or(missing)?;
    Ok(Head { minor_version, status, reason: response.reason.unwrap_or(""), headers: response.headers })
}
