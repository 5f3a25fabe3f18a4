//! The command line: how many connections, how many bytes each is to bring, and from where.

use core::fmt;

use slopos_http::{Url, UrlError};

/// What to tell somebody whose command line makes no sense.
pub const USAGE: &str = "usage: spread SOCKETS BYTES http://A.B.C.D[:PORT][/PATH]";

/// Most connections: what a descriptor table has beside the console's three.
pub const SOCKETS: usize = libslop::abi::limits::SOCKETS_MAX;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// Connections, 1 to [`SOCKETS`].
    pub sockets: usize,
    /// Bytes of each body. A body of another length is an error, so that no figure is of less than was asked for.
    pub bytes: u64,
    /// What each connection requests.
    pub url: Url<'a>,
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageError<'a> {
    /// There are not three arguments.
    Count,
    /// This is not a number of connections that fit.
    Sockets(&'a str),
    /// This is not a number of bytes.
    Bytes(&'a str),
    /// This is not a URL.
    Url(UrlError),
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Count => formatter.write_str("there have to be three arguments"),
            UsageError::Sockets(text) => write!(formatter, "SOCKETS is a number from 1 to {SOCKETS}, not {text:?}"),
            UsageError::Bytes(text) => write!(formatter, "BYTES is a number, not {text:?}"),
            UsageError::Url(error) => write!(formatter, "{error}"),
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// [`UsageError`] says what is wrong; the first mistake counts.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Settings<'a>, UsageError<'a>> {
    let mut next = || arguments.next().ok_or(UsageError::Count);
    let (sockets, bytes, url) = (next()?, next()?, next()?);
    if arguments.next().is_some() {
        return Err(UsageError::Count);
    }
    let fits = |count: &usize| (1..=SOCKETS).contains(count);
    Ok(Settings {
        sockets: sockets.parse().ok().filter(fits).ok_or(UsageError::Sockets(sockets))?,
        bytes: bytes.parse().map_err(|_| UsageError::Bytes(bytes))?,
        url: Url::parse(url).map_err(UsageError::Url)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &'static str) -> String {
        parse(line.split_whitespace()).expect_err(line).to_string()
    }

    #[test]
    fn three_arguments_are_taken() {
        for sockets in ["1", "29"] {
            let line = [sockets, "131072", "http://10.0.2.2:8000/x"];
            let settings = parse(line.into_iter()).unwrap();
            assert_eq!((settings.sockets.to_string().as_str(), settings.bytes), (sockets, 131_072));
            assert_eq!((settings.url.port, settings.url.target().to_string().as_str()), (8000, "/x"));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for line in ["", "1", "1 2", "1 2 http://10.0.2.2/ more"] {
            assert_eq!(refused(line), "there have to be three arguments", "{line:?}");
        }
        for sockets in ["0", "30", "-1", "x", "18446744073709551616"] {
            let line: &'static str = format!("{sockets} 1 http://10.0.2.2/").leak();
            assert_eq!(refused(line), format!("SOCKETS is a number from 1 to 29, not {sockets:?}"));
        }
        assert_eq!(refused("1 1k http://10.0.2.2/"), "BYTES is a number, not \"1k\"");
        assert_eq!(refused("1 1 ftp://10.0.2.2/"), UrlError::Scheme.to_string());
    }
}
