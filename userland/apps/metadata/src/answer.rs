//! What a metadata server's answer means, and whether to ask again.

use core::fmt;

use libslop::abi::Errno;
use slopos_http::response::{Broken, Failure, Head, Sink};
use slopos_http::retry::is_transient;

/// Most bytes of a token. Amazon's have 56.
pub const TOKEN: usize = 512;

/// Why a body cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It has more bytes than there is room for.
    Long(usize),
    /// It ends with the connection, so nobody can tell whether it is all there.
    NoEnd,
}

/// Keeps the body of an answer with the status 200. What others say is for people, and thrown away.
#[derive(Debug)]
pub struct Body<'b> {
    room: &'b mut [u8],
    length: usize,
    keep: bool,
}

impl<'b> Body<'b> {
    /// Keeps at most as many bytes as fit in here.
    pub const fn new(room: &'b mut [u8]) -> Body<'b> {
        Body { room, length: 0, keep: false }
    }

    /// What was kept.
    pub fn into_bytes(self) -> &'b [u8] {
        self.room.get(..self.length).unwrap_or_default()
    }
}

impl Sink for Body<'_> {
    type Error = Unfit;

    fn head(&mut self, head: &Head<'_>) -> Result<(), Unfit> {
        self.keep = head.status == 200;
        let has_end = ["content-length", "transfer-encoding"].iter().any(|name| head.fields(name).next().is_some());
        if self.keep && !has_end { Err(Unfit::NoEnd) } else { Ok(()) }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Unfit> {
        if !self.keep {
            return Ok(());
        }
        let most = self.room.len();
        let end = self.length + piece.len();
        self.room.get_mut(self.length..end).ok_or(Unfit::Long(most))?.copy_from_slice(piece);
        self.length = end;
        Ok(())
    }
}

/// Why there is no user data to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The exchange failed.
    Exchange(Failure<libslop::Error, Unfit>),
    /// The server answered with this status.
    Status(u16),
    /// What it gave as a token is none.
    Token,
}

impl Trouble {
    /// Whether another try may go better: the server is not there yet, or says so itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Trouble::Exchange(Failure::Stream(error)) => matches!(
                error.errno(),
                Errno::TimedOut | Errno::ConnectionRefused | Errno::ConnectionReset | Errno::BrokenPipe
            ),
            Trouble::Exchange(Failure::Broken(broken)) => *broken == Broken::CutOff,
            Trouble::Status(status) => is_transient(*status),
            Trouble::Exchange(Failure::Sink(_)) | Trouble::Token => false,
        }
    }

    /// The exit status: webget's for the same case.
    pub fn exit_status(&self) -> i32 {
        match self {
            Trouble::Exchange(Failure::Stream(error)) => match error.errno() {
                Errno::Access => 77,
                Errno::TimedOut => 28,
                Errno::ConnectionRefused => 7,
                Errno::ConnectionReset | Errno::BrokenPipe => 56,
                _ => 1,
            },
            Trouble::Exchange(Failure::Broken(_) | Failure::Sink(_)) | Trouble::Token => 56,
            Trouble::Status(300..400) => 47,
            Trouble::Status(_) => 22,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Exchange(Failure::Stream(error)) => write!(formatter, "{error}"),
            Trouble::Exchange(Failure::Broken(broken)) => write!(formatter, "{broken}"),
            Trouble::Exchange(Failure::Sink(Unfit::Long(most))) => {
                write!(formatter, "the answer has more than {most} bytes")
            }
            Trouble::Exchange(Failure::Sink(Unfit::NoEnd)) => {
                formatter.write_str("the answer does not say where it ends, so it may not be all there")
            }
            Trouble::Status(status @ 300..400) => write!(formatter, "status {status}: redirects are not followed"),
            Trouble::Status(status) => write!(formatter, "status {status}"),
            Trouble::Token => formatter.write_str("what the server gave is no token"),
        }
    }
}

/// The token in the answer to a request for one; `None` where the server has no tokens, and is asked without.
///
/// # Errors
/// It is neither.
pub fn token(status: u16, body: &[u8]) -> Result<Option<&str>, Trouble> {
    match status {
        200 => {
            let token = core::str::from_utf8(body).map_err(|_| Trouble::Token)?.trim_ascii();
            let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            if fits { Ok(Some(token)) } else { Err(Trouble::Token) }
        }
        403..=405 => Ok(None),
        other => Err(Trouble::Status(other)),
    }
}

/// The user data in the answer to the request for it; `None` where there is none.
///
/// # Errors
/// It is another answer.
pub fn user_data(status: u16, body: &[u8]) -> Result<Option<&[u8]>, Trouble> {
    match status {
        200 => Ok(Some(body).filter(|body| !body.is_empty())),
        404 => Ok(None),
        other => Err(Trouble::Status(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slopos_http::request::Method;
    use slopos_http::response::{HEAD, Progress, receive};

    /// What is kept of a response, and its status.
    fn kept(mut response: &[u8], room: usize) -> Result<(u16, Vec<u8>), Trouble> {
        let (mut buffer, mut room) = (vec![0; HEAD], vec![0; room]);
        let (mut body, mut progress) = (Body::new(&mut room), Progress::default());
        receive(&mut response, Method::Get, &mut buffer, &mut body, &mut progress).map_err(
            |failure| match failure {
                Failure::Broken(broken) => Trouble::Exchange(Failure::Broken(broken)),
                Failure::Sink(unfit) => Trouble::Exchange(Failure::Sink(unfit)),
                Failure::Stream(never) => match never {},
            },
        )?;
        Ok((progress.status, body.into_bytes().to_vec()))
    }

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(kept(plain, 4), Ok((200, b"body".to_vec())));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
        assert_eq!(kept(chunked, 9), Ok((200, b"body".to_vec())));
        assert_eq!(kept(plain, 3), Err(Trouble::Exchange(Failure::Sink(Unfit::Long(3)))));
        let cut = Trouble::Exchange(Failure::Broken(Broken::CutOff));
        assert_eq!(kept(&plain[..plain.len() - 1], 4), Err(cut));
        let no_end = Trouble::Exchange(Failure::Sink(Unfit::NoEnd));
        assert_eq!(kept(b"HTTP/1.0 200 OK\r\n\r\nbody", 4), Err(no_end));
        assert_eq!(kept(b"HTTP/1.0 404 No\r\n\r\nbody", 0), Ok((404, vec![])));
        assert!(cut.is_transient() && !no_end.is_transient());
    }

    #[test]
    fn a_server_without_tokens_is_asked_without() {
        assert_eq!(token(200, b"AQAE+/=\n"), Ok(Some("AQAE+/=")));
        for status in [403, 404, 405] {
            assert_eq!(token(status, b""), Ok(None));
        }
        for wrong in [&b""[..], b"\n", b"a b", b"a\r\nX: b", b"\xff", "ä".as_bytes()] {
            assert_eq!(token(200, wrong), Err(Trouble::Token), "{wrong:?}");
        }
        for status in [201, 204, 301, 307, 400, 401, 500, 503] {
            assert_eq!(token(status, b"x"), Err(Trouble::Status(status)));
        }
    }

    #[test]
    fn only_a_plain_answer_is_user_data() {
        assert_eq!(user_data(200, b"#slopos"), Ok(Some(&b"#slopos"[..])));
        assert_eq!((user_data(200, b""), user_data(404, b"x")), (Ok(None), Ok(None)));
        for status in [201, 206, 301, 302, 401, 403, 500] {
            assert_eq!(user_data(status, b"#slopos"), Err(Trouble::Status(status)));
        }
    }

    #[test]
    fn what_may_go_better_is_tried_again() {
        let stream = |errno: Errno| Trouble::Exchange(Failure::Stream(errno.into()));
        for (trouble, transient, status) in [
            (stream(Errno::ConnectionRefused), true, 7),
            (stream(Errno::TimedOut), true, 28),
            (stream(Errno::ConnectionReset), true, 56),
            (stream(Errno::Access), false, 77),
            (stream(Errno::TooManyOpen), false, 1),
            (Trouble::Status(503), true, 22),
            (Trouble::Status(401), false, 22),
            (Trouble::Status(302), false, 47),
            (Trouble::Token, false, 56),
        ] {
            assert_eq!((trouble.is_transient(), trouble.exit_status()), (transient, status), "{trouble}");
        }
        assert_eq!(Trouble::Status(302).to_string(), "status 302: redirects are not followed");
    }
}
