//! The request (RFC 9112 section 3).

use core::fmt;

use libslop::Gather;
use libslop::io::Write;

use crate::Url;

/// Longest request that leaves in one piece, in bytes. One with a longer URL leaves in three: up to the URL's first
/// bytes, the rest of the URL, which is never copied whole, and what follows it.
const REQUEST: usize = 768;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The head and the body.
    Get,
    /// The head alone.
    Head,
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
        })
    }
}

/// Writes the request for a URL. `agent` is what the client calls itself, `webget/1.0` for instance.
///
/// # Errors
/// What the stream said.
pub fn send<W: Write>(stream: W, method: Method, url: &Url<'_>, agent: &str) -> Result<(), W::Error> {
    let mut gather = Gather::<W, REQUEST>::new(stream);
    gather.print(format_args!("{method} {} HTTP/1.1\r\nHost: {}", url.target(), url.address))?;
    if url.port != 80 {
        gather.print(format_args!(":{}", url.port))?;
    }
    gather.print(format_args!("\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"))?;
    gather.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: Method, url: &str) -> String {
        let mut bytes = [0; 1024];
        let mut rest = &mut bytes[..];
        send(&mut rest, method, &Url::parse(url).unwrap(), "webget/1.0").unwrap();
        let left = rest.len();
        String::from_utf8(bytes[..1024 - left].to_vec()).unwrap()
    }

    #[test]
    fn a_request_names_the_host_as_the_url_does() {
        assert_eq!(
            written(Method::Get, "http://10.0.2.2:8000/a?b#c"),
            "GET /a?b HTTP/1.1\r\nHost: 10.0.2.2:8000\r\nUser-Agent: webget/1.0\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        );
        assert!(written(Method::Head, "http://10.0.2.2").starts_with("HEAD / HTTP/1.1\r\nHost: 10.0.2.2\r\n"));
    }
}
