//! The command line: options, then one URL.

use core::fmt;
use core::time::Duration;

use getargs::{Opt, Options};
use libslop::time::parse_seconds;

/// What to tell somebody whose command line makes no sense.
pub const USAGE: &str = "usage: monitor [--every SECONDS] [--count N] http://A.B.C.D[:PORT][/PATH]";

/// The time from one look to the next where none is asked for.
const EVERY: Duration = Duration::from_secs(10);

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The time from the beginning of one look to that of the next.
    pub every: Duration,
    /// How often to look; forever without a number.
    pub count: Option<u32>,
    /// Where to look.
    pub url: &'a str,
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
    /// There is not exactly one URL.
    Urls,
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Option(error) => write!(formatter, "{error}"),
            UsageError::Unknown(option) => write!(formatter, "unknown option {option}"),
            UsageError::Value(option, value) => write!(formatter, "{option} cannot be {value:?}"),
            UsageError::Urls => formatter.write_str("exactly one URL is wanted"),
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// [`UsageError`] says what is wrong; the first mistake counts.
pub fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Settings<'a>, UsageError<'a>> {
    let (mut every, mut count) = (EVERY, None);
    let mut options = Options::new(arguments);
    while let Some(option) = options.next_opt().map_err(UsageError::Option)? {
        let mut value = || options.value().map_err(UsageError::Option);
        match option {
            Opt::Long("every") => {
                let value = value()?;
                every = parse_seconds(value).ok_or(UsageError::Value("--every", value))?;
            }
            Opt::Short('n') | Opt::Long("count") => {
                let value = value()?;
                let number = value.parse().ok().filter(|&number| number > 0);
                count = Some(number.ok_or(UsageError::Value("--count", value))?);
            }
            unknown => return Err(UsageError::Unknown(unknown)),
        }
    }
    let mut urls = options.into_positionals();
    match (urls.next(), urls.next()) {
        (Some(url), None) => Ok(Settings { every, count, url }),
        _ => Err(UsageError::Urls),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &'static str) -> String {
        parse(line.split_whitespace()).expect_err(line).to_string()
    }

    #[test]
    fn without_options_it_looks_every_ten_seconds_for_ever() {
        let settings = parse(["http://10.0.2.2/"].into_iter()).unwrap();
        assert_eq!(settings, Settings { every: Duration::from_secs(10), count: None, url: "http://10.0.2.2/" });
    }

    #[test]
    fn both_options_can_be_written_either_way() {
        for line in ["--every 0.5 --count 3 u", "--count=3 --every=0.500 u", "-n3 --every=0.5 -- u"] {
            let settings = parse(line.split_whitespace()).unwrap();
            assert_eq!(settings, Settings { every: Duration::from_millis(500), count: Some(3), url: "u" });
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refused(""), "exactly one URL is wanted");
        assert_eq!(refused("u v"), "exactly one URL is wanted");
        assert_eq!(refused("--every 0 u"), "--every cannot be \"0\"");
        assert_eq!(refused("--count 0 u"), "--count cannot be \"0\"");
        assert_eq!(refused("--nonsense u"), "unknown option --nonsense");
        assert!(refused("--every").contains("--every"));
    }
}
