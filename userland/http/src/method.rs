//! Methods of requests (RFC 9110 section 9).

use core::fmt;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// The head and the body.
    Get,
    /// The head alone.
    Head,
    /// To do something with the request's body.
    Post,
    /// To keep the request's body under the URL.
    Put,
    /// Whatever the server takes it for.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// The method of this name; `None` where it is no token (RFC 9110 section 5.6.2), or CONNECT, which asks for a tunnel.
    pub fn from_name(name: &'a str) -> Option<Method<'a>> {
        match name {
            "GET" => Some(Method::Get),
            "HEAD" => Some(Method::Head),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "CONNECT" => None,
            other => is_token(other).then_some(Method::Other(other)),
        }
    }

    /// Whether doing it twice is doing it once (RFC 9110 section 9.2.2), for sure.
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Put)
    }
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Other(name) => name,
        })
    }
}

/// Whether it may be a method's or a field's name (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}
