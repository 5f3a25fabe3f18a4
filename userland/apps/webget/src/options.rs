//! The command line: options, then URLs.

use core::fmt;
use core::time::Duration;

use getargs::{Opt, Options};
use libslop::time::parse_seconds;
use slopos_http::request::Method;

/// What to tell somebody whose command line makes no sense.
pub const USAGE: &str =
    "usage: webget [-I] [-o null] [--sha256] [--raw] [--count N] [--timeout SECONDS] http://A.B.C.D[:PORT][/PATH]...";

/// What happens to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is printed.
    Print,
    /// It is thrown away.
    Discard,
    /// Its SHA-256 and its length are printed.
    Digest,
}

/// What the options ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// GET, or HEAD with `-I`.
    pub method: Method,
    /// `--sha256` wins over `-o null`.
    pub output: Output,
    /// Heads and bodies are printed as they are, control characters and all.
    pub raw: bool,
    /// How often each URL is requested; at least 1.
    pub count: u32,
    /// Longest time for a connect, and between two pieces of a response. None leaves both to TCP.
    pub timeout: Option<Duration>,
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageError<'a> {
    /// There is no such option, or it lacks its value, or it has one that it must not have.
    Option(getargs::Error<&'a str>),
    /// There is no such option.
    Unknown(Opt<&'a str>),
    /// The value of this option makes no sense.
    Value(&'static str, &'a str),
    /// There is no URL.
    NoUrl,
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Option(error) => write!(formatter, "{error}"),
            UsageError::Unknown(option) => write!(formatter, "unknown option {option}"),
            UsageError::Value(option, value) => write!(formatter, "{option} cannot be {value:?}"),
            UsageError::NoUrl => formatter.write_str("no URL"),
        }
    }
}

/// Reads the options and returns them with the URLs, of which there is at least one.
///
/// # Errors
/// [`UsageError`] says what is wrong; the first mistake counts.
pub fn parse<'a, I>(arguments: I) -> Result<(Settings, impl Iterator<Item = &'a str>), UsageError<'a>>
where
    I: Iterator<Item = &'a str>,
{
    let mut settings = Settings { method: Method::Get, output: Output::Print, raw: false, count: 1, timeout: None };
    let mut options = Options::new(arguments);
    while let Some(option) = options.next_opt().map_err(UsageError::Option)? {
        let mut value = || options.value().map_err(UsageError::Option);
        match option {
            Opt::Short('I') | Opt::Long("head") => settings.method = Method::Head,
            Opt::Short('o') | Opt::Long("output") => match value()? {
                "null" if settings.output == Output::Digest => {}
                "null" => settings.output = Output::Discard,
                other => return Err(UsageError::Value("-o", other)),
            },
            Opt::Long("sha256") => settings.output = Output::Digest,
            Opt::Long("raw") => settings.raw = true,
            Opt::Short('n') | Opt::Long("count") => {
                let value = value()?;
                settings.count =
                    value.parse().ok().filter(|&count| count > 0).ok_or(UsageError::Value("--count", value))?;
            }
            Opt::Long("timeout") => {
                let value = value()?;
                settings.timeout = Some(parse_seconds(value).ok_or(UsageError::Value("--timeout", value))?);
            }
            unknown => return Err(UsageError::Unknown(unknown)),
        }
    }
    let mut urls = options.into_positionals().peekable();
    if urls.peek().is_none() {
        return Err(UsageError::NoUrl);
    }
    Ok((settings, urls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &'static str) -> Result<(Settings, Vec<&'static str>), UsageError<'static>> {
        parse(line.split_whitespace()).map(|(settings, urls)| (settings, urls.collect()))
    }

    fn refused(line: &'static str) -> String {
        parsed(line).expect_err(line).to_string()
    }

    #[test]
    fn without_options_a_body_is_got_once_and_printed() {
        let (settings, urls) = parsed("http://10.0.2.2/ http://10.0.2.3/").unwrap();
        let expected = Settings { method: Method::Get, output: Output::Print, raw: false, count: 1, timeout: None };
        assert_eq!(settings, expected);
        assert_eq!(urls, ["http://10.0.2.2/", "http://10.0.2.3/"]);
    }

    #[test]
    fn options_combine_in_any_order() {
        for line in [
            "--sha256 --count 3 -I --timeout 2.5 --raw -o null u",
            "-o null --raw --timeout=2.50 -I --count=3 --sha256 u",
            "-Ionull -n3 --sha256 --timeout 2.500 --raw u",
        ] {
            let (settings, urls) = parsed(line).unwrap();
            let timeout = Some(Duration::from_millis(2_500));
            let expected = Settings { method: Method::Head, output: Output::Digest, raw: true, count: 3, timeout };
            assert_eq!(settings, expected);
            assert_eq!(urls, ["u"]);
        }
        assert_eq!(parsed("-o null u").unwrap().0.output, Output::Discard);
    }

    #[test]
    fn two_dashes_end_the_options() {
        assert_eq!(parsed("-I -- -o").unwrap().1, ["-o"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refused(""), "no URL");
        assert_eq!(refused("--sha256"), "no URL");
        assert_eq!(refused("--nonsense u"), "unknown option --nonsense");
        assert_eq!(refused("-x u"), "unknown option -x");
        assert_eq!(refused("-o file u"), "-o cannot be \"file\"");
        assert!(refused("--count").contains("--count"));
        assert!(refused("--sha256=yes u").contains("--sha256"));
        assert!(refused("--raw=yes u").contains("--raw"));
        for count in ["0", "-1", "many", "4294967296", ""] {
            let line: &'static str = format!("--count={count} u").leak();
            assert_eq!(refused(line), format!("--count cannot be {count:?}"));
        }
        for timeout in ["0", "0.000", "-1", "1.", ".5", "1.2345", "1e3", "+1", "1000000", ""] {
            let line: &'static str = format!("--timeout={timeout} u").leak();
            assert_eq!(refused(line), format!("--timeout cannot be {timeout:?}"));
        }
    }
}
