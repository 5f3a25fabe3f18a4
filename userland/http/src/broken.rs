//! What can be wrong with a response.

use core::fmt;

use crate::limits::{HEAD, HEADERS, LINE, TRAILERS};

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
                write!(formatter, "the line with a chunk's size is longer than {} bytes", LINE)
            }
            Broken::LongTrailers => {
                write!(formatter, "the response's trailer fields are longer than {} bytes", TRAILERS)
            }
        }
    }
}
