//! The command line: options, then where the metadata server is.

use core::fmt;
use core::time::Duration;

use getargs::{Opt, Options};
use libslop::time::parse_seconds;
use slopos_http::{Url, UrlError};

/// What to tell somebody whose command line makes no sense.
pub const USAGE: &str = "usage: metadata [--format ec2|openstack] [--retry N] [--timeout SECONDS] [--max-time SECONDS] \
                         [http://A.B.C.D[:PORT]/]";

/// Where the clouds have it.
pub const SERVER: &str = "http://169.254.169.254/";

/// The form of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Amazon's: a token (IMDSv2) where the server gives one, then `/latest/user-data`.
    Ec2,
    /// OpenStack's: `/openstack/latest/user_data`.
    OpenStack,
}

impl Format {
    /// As the option has it.
    pub const fn word(self) -> &'static str {
        match self {
            Format::Ec2 => "ec2",
            Format::OpenStack => "openstack",
        }
    }

    /// The path of the user data, behind the server's slash.
    pub const fn user_data(self) -> &'static str {
        match self {
            Format::Ec2 => "latest/user-data",
            Format::OpenStack => "openstack/latest/user_data",
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The form of the metadata.
    pub format: Format,
    /// How often to try again; as often as time allows without a number.
    pub retries: Option<u32>,
    /// The longest time for a connect, and for any silence after it.
    pub silence: Duration,
    /// The longest time for all of it, up to the first command.
    pub time: Duration,
    /// Where the server is. The path is a folder's.
    pub url: Url<'a>,
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageError<'a> {
    /// An option lacks its value, or has one that it must not have.
    Words(getargs::Error<&'a str>),
    /// An option that is none.
    Unknown(Opt<&'a str>),
    /// An option, and its value that makes no sense.
    Value(&'static str, &'a str),
    /// There is more than one URL.
    Urls,
    /// This URL makes no sense.
    Url(&'a str, UrlError),
    /// This URL does not end with a slash, or has a query.
    NoFolder(&'a str),
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Urls => formatter.write_str("at most one URL is wanted"),
            UsageError::Url(url, error) => write!(formatter, "{url}: {error}"),
            UsageError::NoFolder(url) => write!(formatter, "{url}: the server's URL ends with a slash"),
            UsageError::Unknown(option) => write!(formatter, "unknown option {option}"),
            UsageError::Value(option, value) => write!(formatter, "{option} cannot be {value:?}"),
            UsageError::Words(error) => write!(formatter, "{error}"),
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// [`UsageError`] says what is wrong; the first mistake counts.
pub fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Settings<'a>, UsageError<'a>> {
    let (mut format, mut retries) = (Format::Ec2, None);
    let (mut silence, mut time) = (Duration::from_secs(10), Duration::from_secs(120));
    let mut options = Options::new(arguments);
    while let Some(option) = options.next_opt().map_err(UsageError::Words)? {
        let mut value = || options.value().map_err(UsageError::Words);
        let seconds = |name, text| parse_seconds(text).ok_or(UsageError::Value(name, text));
        match option {
            Opt::Long("format") => {
                let value = value()?;
                let format_of = |word| [Format::Ec2, Format::OpenStack].into_iter().find(|known| known.word() == word);
                format = format_of(value).ok_or(UsageError::Value("--format", value))?;
            }
            Opt::Long("retry") => {
                let value = value()?;
                retries = Some(value.parse().map_err(|_| UsageError::Value("--retry", value))?);
            }
            Opt::Long("timeout") => silence = seconds("--timeout", value()?)?,
            Opt::Short('m') | Opt::Long("max-time") => time = seconds("--max-time", value()?)?,
            unknown => return Err(UsageError::Unknown(unknown)),
        }
    }
    let mut urls = options.into_positionals();
    let text = urls.next().unwrap_or(SERVER);
    let url = Url::parse(text).map_err(|error| UsageError::Url(text, error))?;
    if urls.next().is_some() {
        return Err(UsageError::Urls);
    }
    if !url.is_folder() {
        return Err(UsageError::NoFolder(text));
    }
    Ok(Settings { format, retries, silence, time, url })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &'static str) -> Result<Settings<'static>, String> {
        parse(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_it_asks_where_the_clouds_have_it() {
        let settings = read("").unwrap();
        assert_eq!((settings.url.address, settings.url.port), ([169, 254, 169, 254].into(), 80));
        assert_eq!((settings.format, settings.retries), (Format::Ec2, None));
        assert_eq!((settings.silence, settings.time), (Duration::from_secs(10), Duration::from_secs(120)));
    }

    #[test]
    fn each_option_can_be_written_either_way() {
        for line in [
            "--format openstack --retry 3 --timeout 0.5 -m 7 http://10.0.2.2:8000",
            "--format=openstack --retry=3 --timeout=0.5 --max-time=7 -- http://10.0.2.2:8000/",
        ] {
            let settings = read(line).unwrap();
            assert_eq!((settings.format, settings.retries), (Format::OpenStack, Some(3)));
            assert_eq!((settings.silence, settings.time), (Duration::from_millis(500), Duration::from_secs(7)));
            assert_eq!(settings.url.port, 8000);
        }
        assert_eq!(read("--retry 0").unwrap().retries, Some(0));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, said) in [
            ("--format azure", "--format cannot be \"azure\""),
            ("--retry -1", "--retry cannot be \"-1\""),
            ("--timeout 0", "--timeout cannot be \"0\""),
            ("-m x", "--max-time cannot be \"x\""),
            ("--nonsense", "unknown option --nonsense"),
            ("http://10.0.2.2/ http://10.0.2.2/", "at most one URL is wanted"),
            ("http://10.0.2.2/user-data", "http://10.0.2.2/user-data: the server's URL ends with a slash"),
            ("http://10.0.2.2/?a/", "ends with a slash"),
            ("http://metadata.google.internal/", "names cannot be resolved here"),
            ("https://10.0.2.2/", "there is no TLS here"),
        ] {
            let refused = read(line).expect_err(line);
            assert!(refused.contains(said), "{line}: {refused}");
        }
        assert!(read("--retry").expect_err("no value").contains("--retry"));
    }
}
