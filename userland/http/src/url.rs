//! URLs of the one form that is known here: `http://A.B.C.D[:port][/path][?query]` (RFC 3986, RFC 9110 section 4.2.1).

use core::fmt;
use core::net::Ipv4Addr;

use libslop::text::{cut, decimal, same_word};

/// A URL taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// All of it, as it was given.
    pub text: &'a str,
    /// The address of the server.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Path and query, without a fragment; empty or with the query first where the URL has no path.
    target: &'a str,
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with `http://`.
    Scheme,
    /// It begins with `https://`. There is no TLS here.
    Tls,
    /// What follows is not an IPv4 address, and not a name either.
    Address,
    /// What follows is a name. There is no DNS here.
    Name,
    /// What follows is `localhost`, which is the board itself.
    Localhost,
    /// The port is not a number from 1 to 65535.
    Port,
    /// It contains a space, a control character or something beyond ASCII; these have to be percent-encoded.
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            UrlError::Scheme => "the URL does not begin with http://",
            UrlError::Tls => {
                "the URL begins with https://, and there is no TLS here: ask for http://, through a proxy on the host \
                 where the server speaks TLS alone"
            }
            UrlError::Address => "the URL's host is not an IPv4 address",
            UrlError::Name => {
                "the URL's host is a name, and names cannot be resolved here: write its IPv4 address, as \
                 `getent ahostsv4 NAME` tells it"
            }
            UrlError::Localhost => "this is the board itself, where nothing listens: the host that runs it is 10.0.2.2",
            UrlError::Port => "the URL's port is not a number from 1 to 65535",
            UrlError::Character => "the URL has a character that must be percent-encoded",
        })
    }
}

impl<'a> Url<'a> {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &'a str) -> Result<Url<'a>, UrlError> {
        const SCHEME: &str = "http://";
        const TLS: &str = "https://";
        let begins_with =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|own| same_word(own.as_bytes(), scheme.as_bytes()));
        if !begins_with(SCHEME) {
            return Err(if begins_with(TLS) { UrlError::Tls } else { UrlError::Scheme });
        }
        // What goes into the request must not be able to end a line of it.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        let (rest, _fragment) = cut(rest, b'#').unwrap_or((rest, ""));
        let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (host, port) = cut(authority, b':').unwrap_or((authority, ""));
        Ok(Url {
            text,
            address: address(host).ok_or_else(|| wrong_host(host))?,
            port: if port.is_empty() { 80 } else { number(port).ok_or(UrlError::Port)? },
            target,
        })
    }

    /// Whether its server is the machine itself.
    pub fn is_loopback(&self) -> bool {
        self.address.is_loopback() || self.address.is_unspecified()
    }

    /// Whether the target names a folder: its path ends with a slash, and no query follows.
    pub fn is_folder(&self) -> bool {
        self.target.is_empty() || self.target.ends_with('/') && !self.target.contains('?')
    }

    /// The request target, beginning with a slash.
    pub fn target(&self) -> impl fmt::Display {
        Target(self.target)
    }
}

struct Target<'a>(&'a str);

impl fmt::Display for Target<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.starts_with('/') {
            formatter.write_str("/")?;
        }
        formatter.write_str(self.0)
    }
}

/// An IPv4 address: four numbers up to 255 with points between them, and no zeros in front. `Ipv4Addr` takes the same, with a
/// kibibyte of code.
fn address(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut rest = text;
    for (at, octet) in octets.iter_mut().enumerate() {
        let (digits, behind) = if at < 3 { cut(rest, b'.')? } else { (rest, "") };
        *octet = u8::try_from(decimal(digits.as_bytes())?).ok()?;
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        rest = behind;
    }
    Some(Ipv4Addr::from(octets))
}

/// What a host that is no address is.
fn wrong_host(host: &str) -> UrlError {
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        && host.bytes().any(|byte| byte.is_ascii_alphabetic());
    if same_word(host.as_bytes(), b"localhost") {
        UrlError::Localhost
    } else if is_name {
        UrlError::Name
    } else {
        UrlError::Address
    }
}

/// A port: digits only, not 0.
fn number(text: &str) -> Option<u16> {
    u16::try_from(decimal(text.as_bytes())?).ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_apart(text: &str) -> (String, u16, String) {
        let url = Url::parse(text).expect(text);
        (url.address.to_string(), url.port, url.target().to_string())
    }

    #[test]
    fn the_parts_are_found() {
        for (text, address, port, target) in [
            ("http://10.0.2.2", "10.0.2.2", 80, "/"),
            ("http://10.0.2.2/", "10.0.2.2", 80, "/"),
            ("HTTP://10.0.2.2:8000/a/b?c=d:e", "10.0.2.2", 8000, "/a/b?c=d:e"),
            ("http://10.0.2.2:65535?q=/x", "10.0.2.2", 65535, "/?q=/x"),
            ("http://10.0.2.2:/x#part", "10.0.2.2", 80, "/x"),
            ("http://255.255.255.255#part", "255.255.255.255", 80, "/"),
        ] {
            assert_eq!(taken_apart(text), (address.into(), port, target.into()));
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("10.0.2.2", UrlError::Scheme),
            ("https://10.0.2.2/", UrlError::Tls),
            ("HTTPS://example.org/", UrlError::Tls),
            ("https:/10.0.2.2/", UrlError::Scheme),
            ("http:/10.0.2.2/", UrlError::Scheme),
            ("http:/é", UrlError::Scheme),
            ("http://", UrlError::Address),
            ("http:///path", UrlError::Address),
            ("http://example.org/", UrlError::Name),
            ("http://printer:631/", UrlError::Name),
            ("http://LocalHost:8000/", UrlError::Localhost),
            ("http://10.0.2/", UrlError::Address),
            ("http://10.0.2.256/", UrlError::Address),
            ("http://010.0.2.2/", UrlError::Address),
            ("http://user@10.0.2.2/", UrlError::Address),
            ("http://[::1]/", UrlError::Address),
            ("http://10.0.2.2:0/", UrlError::Port),
            ("http://10.0.2.2:65536/", UrlError::Port),
            ("http://10.0.2.2:+80/", UrlError::Port),
            ("http://10.0.2.2:80:80/", UrlError::Port),
            ("http://10.0.2.2:http/", UrlError::Port),
            ("http://10.0.2.2/a b", UrlError::Character),
            ("http://10.0.2.2/\r\nX: y", UrlError::Character),
            ("http://10.0.2.2/ä", UrlError::Character),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn addresses_are_those_of_the_standard_library() {
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "1.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "1..3.4",
            ".1.2.3",
            "1.2.3.",
            "",
            "01.2.3.4",
        ]
        .into_iter()
        .chain([
            "1.2.3.256",
            "1.2.3.00",
            "+1.2.3.4",
            "1.2.3.4 ",
            "a.b.c.d",
            "1.2.3.99999999999999999999",
            "0.00.0.0",
        ]) {
            assert_eq!(address(text), text.parse().ok(), "{text:?}");
        }
    }

    #[test]
    fn the_machine_itself_and_folders_are_known() {
        let url = |text| Url::parse(text).expect(text);
        for text in ["http://127.0.0.1/", "http://127.8.0.1:80", "http://0.0.0.0/"] {
            assert!(url(text).is_loopback(), "{text}");
        }
        assert!(!url("http://10.0.2.2/127.0.0.1").is_loopback());
        for (text, folder) in [
            ("http://10.0.2.2", true),
            ("http://10.0.2.2/", true),
            ("http://10.0.2.2/a/", true),
            ("http://10.0.2.2/a", false),
            ("http://10.0.2.2/a?b/", false),
            ("http://10.0.2.2?/", false),
        ] {
            assert_eq!(url(text).is_folder(), folder, "{text}");
        }
    }
}
