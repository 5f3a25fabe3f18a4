//! The command line: options and URLs, in any order. Options are spelled as curl spells them.

use core::fmt;
use core::time::Duration;

use getargs::{Arg, Opt, Options};
use libslop::time::parse_seconds;
use slopos_http::range::Range;
use slopos_http::request::{Field, Method};

use crate::near::nearest;

/// What to tell somebody whose command line makes no sense.
pub const USAGE: &str =
    "usage: webget [-I] [-o null] [--sha256] [--raw] [--count N] [--timeout SECONDS] http://A.B.C.D[:PORT][/PATH]...
webget --help lists all options";

/// What `--help` prints.
pub const HELP: &str = "\
usage: webget [OPTION]... http://A.B.C.D[:PORT][/PATH]...

what is asked
  -I, --head             the head alone
  -X, --request METHOD   this method
  -H, --header FIELD     one more field: 'Name: value'; 'Name:' leaves one out
  -d, --data DATA        POST with this body, or @REGION: what that one holds
  -T, --upload-file REGION   PUT what a flash region holds; in chunks with
                         -H Transfer-Encoding:chunked
  -r, --range RANGE      a part: 0-499, 500- or -500
  -L, --location         follows redirects, to addresses only
      --max-redirs N     at most so many (10)
  -n, --count N          each URL N times
what becomes of it
  -o, --output null      throws bodies away
  -o, --output REGION    writes the body into a flash region
  -C, --continue-at -    with -o REGION: goes on where it stopped (or --resume)
  -C, --continue-at N    leaves out the first N bytes, which are there already
  -f, --fail             of a status of 400 or more no body
      --sha256           a digest instead of the body
      --raw              control characters as they are
  -i, --include          the head belongs to the output
  -s, --silent           nothing but the output; -S, --show-error: and errors
  -v, --verbose          times, rate and retransmissions
      --progress         how far it is, each second
how long
      --timeout SECONDS  for a connect, and any silence after it
  -m, --max-time SECONDS for all of a transfer
      --retry N          tries again: time-outs, 408, 429, 500, 502, 503, 504

exit status: 0 good, 1 system, 2 command line, 7 refused, 22 status of 400 or
more, 23 region too small, 26 nothing to upload, 28 timed out, 33 wrong range,
47 redirect, 55 upload broke off, 56 broken response, 77 not in the manifest

  webget http://10.0.2.2:8000/
  webget -L --retry 3 -o store http://10.0.2.2:8000/image
  webget -T store http://10.0.2.2:8000/upload/";

/// What happens to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is printed.
    Print,
    /// It is thrown away.
    Discard,
    /// Its SHA-256 and its length are printed.
    Digest,
    /// It is kept in a flash region, and nothing else.
    Keep,
}

/// Most header fields that can be given, and most pieces of data.
const MOST: usize = 16;

/// A list of at most `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<T> {
    items: [T; MOST],
    count: usize,
}

impl<T: Copy> List<T> {
    /// One with nothing in it but `filler`, which does not count.
    const fn empty(filler: T) -> List<T> {
        List { items: [filler; MOST], count: 0 }
    }

    /// Adds one, and says whether there was room.
    fn push(&mut self, item: T) -> bool {
        let Some(room) = self.items.get_mut(self.count) else { return false };
        *room = item;
        self.count += 1;
        true
    }

    /// What is in it.
    pub fn as_slice(&self) -> &[T] {
        &self.items[..self.count]
    }

    /// The same, without the list.
    pub fn into_items(self) -> impl Iterator<Item = T> {
        self.items.into_iter().take(self.count)
    }
}

/// A list of words with nothing in it, and one of fields.
const NO_WORDS: List<&str> = List::empty("");
const NO_FIELDS: List<Field<'_>> = List::empty(Field { name: "", value: None });

/// What a request carries.
#[expect(clippy::large_enum_variant, reason = "there is no box where nothing is allocated")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// Words of the command line, with `&` between them.
    Data(List<&'a str>),
    /// What a flash region holds.
    Region(&'a str),
}

/// What the options ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// GET unless told.
    pub method: Method<'a>,
    /// Whether the method was given by name.
    pub method_by_name: bool,
    /// The request's body.
    pub body: Body<'a>,
    /// The request's own fields.
    pub fields: List<Field<'a>>,
    /// What of the resource is wanted, where it is not all.
    pub range: Option<Range<'a>>,
    /// How many redirects are followed; `None` where none is, and that is no failure.
    pub redirects: Option<u32>,
    /// `--sha256` wins over `-o null`.
    pub output: Output,
    /// The flash region for the body.
    pub region: Option<&'a str>,
    /// Whether the region's download goes on where it stopped.
    pub resume: bool,
    /// How many bytes of the resource are there already, where the output goes on behind them.
    pub from: u64,
    /// Whether the body of a response with an error status is left out.
    pub fail: bool,
    /// Heads and bodies are printed as they are, control characters and all.
    pub raw: bool,
    /// Whether the head belongs to the output.
    pub include: bool,
    /// Whether nothing but the output is printed.
    pub silent: bool,
    /// Whether errors are all the same.
    pub show_error: bool,
    /// Whether times and rates are printed.
    pub verbose: bool,
    /// Whether it is printed how far a transfer is.
    pub progress: bool,
    /// How often each URL is requested; at least 1.
    pub count: u32,
    /// How often a transfer is tried again.
    pub retries: u32,
    /// Longest time for a connect, and between two pieces of a response. None leaves both to TCP.
    pub timeout: Option<Duration>,
    /// Longest time for a transfer.
    pub max_time: Option<Duration>,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Settings {
            method: Method::Get,
            method_by_name: false,
            body: Body::None,
            fields: NO_FIELDS,
            range: None,
            redirects: None,
            output: Output::Print,
            region: None,
            resume: false,
            from: 0,
            fail: false,
            raw: false,
            include: false,
            silent: false,
            show_error: false,
            verbose: false,
            progress: false,
            count: 1,
            retries: 0,
            timeout: None,
            max_time: None,
        }
    }
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageError<'a> {
    /// It lacks its value, or has one that it must not have.
    Option(getargs::Error<&'a str>),
    /// There is no such option.
    Unknown(Opt<&'a str>),
    /// The value of this option makes no sense.
    Value(&'static str, &'a str),
    /// These two do not go together.
    Conflict(&'static str, &'static str),
    /// There are more of these than fit.
    Many(&'static str),
    /// There is no URL.
    NoUrl,
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Option(error) => write!(formatter, "{error}"),
            UsageError::Unknown(option) => {
                write!(formatter, "unknown option {option}")?;
                let near = match option {
                    Opt::Long(name) => nearest(name, NAMES.iter().map(|(_, name, _)| *name)),
                    Opt::Short(_) => None,
                };
                near.map_or(Ok(()), |near| write!(formatter, "; did you mean --{near}?"))
            }
            UsageError::Value(option, value) => write!(formatter, "{option} cannot be \"{value}\""),
            UsageError::Conflict(one, other) => write!(formatter, "{one} and {other} do not go together"),
            UsageError::Many(option) => write!(formatter, "{option} can be given {MOST} times"),
            UsageError::NoUrl => formatter.write_str("no URL"),
        }
    }
}

/// An option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Continue,
    Count,
    Data,
    DataRaw,
    Fail,
    Head,
    Header,
    Help,
    Include,
    Location,
    MaxRedirects,
    MaxTime,
    Output,
    Progress,
    Range,
    Raw,
    Request,
    Resume,
    Retry,
    Sha256,
    ShowError,
    Silent,
    Timeout,
    Upload,
    Verbose,
    Version,
}

/// Each option with its letter, which may be a blank, and its name.
const NAMES: [(char, &str, Name); 27] = [
    ('C', "continue-at", Name::Continue),
    ('n', "count", Name::Count),
    ('d', "data", Name::Data),
    (' ', "data-binary", Name::Data),
    (' ', "data-raw", Name::DataRaw),
    ('f', "fail", Name::Fail),
    ('I', "head", Name::Head),
    ('H', "header", Name::Header),
    ('h', "help", Name::Help),
    ('i', "include", Name::Include),
    ('L', "location", Name::Location),
    (' ', "max-redirs", Name::MaxRedirects),
    ('m', "max-time", Name::MaxTime),
    ('o', "output", Name::Output),
    (' ', "progress", Name::Progress),
    ('r', "range", Name::Range),
    (' ', "raw", Name::Raw),
    ('X', "request", Name::Request),
    (' ', "resume", Name::Resume),
    (' ', "retry", Name::Retry),
    (' ', "sha256", Name::Sha256),
    ('S', "show-error", Name::ShowError),
    ('s', "silent", Name::Silent),
    (' ', "timeout", Name::Timeout),
    ('T', "upload-file", Name::Upload),
    ('v', "verbose", Name::Verbose),
    ('V', "version", Name::Version),
];

impl Name {
    fn of(option: Opt<&str>) -> Option<Name> {
        let is = |&&(letter, name, _): &&(char, &str, Name)| match option {
            Opt::Short(short) => short == letter && short != ' ',
            Opt::Long(long) => long == name,
        };
        NAMES.iter().find(is).map(|&(.., name)| name)
    }

    /// Whether the next word is its value.
    const fn has_value(self) -> bool {
        use Name::*;
        matches!(
            self,
            Continue
                | Count
                | Data
                | DataRaw
                | Header
                | MaxRedirects
                | MaxTime
                | Output
                | Range
                | Request
                | Retry
                | Timeout
                | Upload
        )
    }
}

/// What is to be done.
#[expect(clippy::large_enum_variant, reason = "there is no box where nothing is allocated")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a, I> {
    /// To fetch from these URLs, of which there is at least one.
    Fetch(Settings<'a>, I),
    /// To print [`HELP`].
    Help,
    /// To print the version.
    Version,
}

/// Reads the options and the URLs.
///
/// # Errors
/// [`UsageError`] says what is wrong; the first mistake counts.
pub fn parse<'a, I>(arguments: I) -> Result<Command<'a, impl Iterator<Item = &'a str>>, UsageError<'a>>
where
    I: Iterator<Item = &'a str> + Clone,
{
    let mut reader = Reader {
        settings: Settings::default(),
        head: false,
        data: NO_WORDS,
        upload: false,
        max_redirects: 10,
        follow: false,
    };
    let mut options = Options::new(arguments.clone());
    let mut urls = 0;
    while let Some(argument) = options.next_arg().map_err(UsageError::Option)? {
        let option = match argument {
            Arg::Short(letter) => Opt::Short(letter),
            Arg::Long(name) => Opt::Long(name),
            Arg::Positional(_) => {
                urls += 1;
                continue;
            }
        };
        let name = Name::of(option).ok_or(UsageError::Unknown(option))?;
        match name {
            Name::Help => return Ok(Command::Help),
            Name::Version => return Ok(Command::Version),
            name if name.has_value() => reader.value(name, options.value().map_err(UsageError::Option)?)?,
            name => reader.flag(name),
        }
    }
    let settings = reader.finish(urls)?;
    let mut options = Options::new(arguments);
    // What is wrong was found above, so nothing is lost where this ends early.
    let urls = core::iter::from_fn(move || {
        loop {
            let option = match options.next_arg().ok()?? {
                Arg::Positional(url) => return Some(url),
                Arg::Short(letter) => Opt::Short(letter),
                Arg::Long(name) => Opt::Long(name),
            };
            if Name::of(option)?.has_value() {
                options.value().ok()?;
            }
        }
    });
    Ok(Command::Fetch(settings, urls))
}

/// The settings so far, and what decides the rest of them at the end.
struct Reader<'a> {
    settings: Settings<'a>,
    head: bool,
    data: List<&'a str>,
    /// Whether there is `-T`.
    upload: bool,
    follow: bool,
    max_redirects: u32,
}

impl<'a> Reader<'a> {
    /// Takes an option without a value.
    fn flag(&mut self, name: Name) {
        let settings = &mut self.settings;
        match name {
            Name::Fail => settings.fail = true,
            Name::Head => self.head = true,
            Name::Include => settings.include = true,
            Name::Location => self.follow = true,
            Name::Progress => settings.progress = true,
            Name::Raw => settings.raw = true,
            Name::Resume => settings.resume = true,
            Name::Sha256 => settings.output = Output::Digest,
            Name::ShowError => settings.show_error = true,
            Name::Silent => settings.silent = true,
            // What is left without a value: --verbose.
            _ => settings.verbose = true,
        }
    }

    /// Takes an option with its value.
    fn value(&mut self, name: Name, value: &'a str) -> Result<(), UsageError<'a>> {
        let settings = &mut self.settings;
        let seconds = |option| parse_seconds(value).ok_or(UsageError::Value(option, value));
        let number = |option| value.parse::<u32>().map_err(|_| UsageError::Value(option, value));
        match name {
            Name::Output => match (value, settings.output) {
                ("null", Output::Digest) => {}
                ("null", _) => settings.output = Output::Discard,
                _ => settings.region = Some(value),
            },
            Name::Count => {
                let wrong = UsageError::Value("--count", value);
                settings.count = number("--count").ok().filter(|&count| count > 0).ok_or(wrong)?;
            }
            Name::Retry => settings.retries = number("--retry")?,
            Name::MaxRedirects => self.max_redirects = number("--max-redirs")?,
            Name::Timeout => settings.timeout = Some(seconds("--timeout")?),
            Name::MaxTime => settings.max_time = Some(seconds("--max-time")?),
            Name::Request => {
                settings.method = Method::from_name(value).ok_or(UsageError::Value("-X", value))?;
                settings.method_by_name = true;
            }
            Name::Header => {
                // How long a body is, is not for a field to say, but for `chunked`.
                let framed = |field: &Field<'_>| {
                    field.is("content-length")
                        || field.is("transfer-encoding")
                            && field.value.is_some_and(|value| !value.eq_ignore_ascii_case("chunked"))
                };
                let field = Field::parse(value).filter(|field| !framed(field));
                if !settings.fields.push(field.ok_or(UsageError::Value("-H", value))?) {
                    return Err(UsageError::Many("-H"));
                }
            }
            Name::Range => settings.range = Some(Range::parse(value).ok_or(UsageError::Value("-r", value))?),
            // A region knows its own offset.
            Name::Continue if value == "-" => settings.resume = true,
            Name::Continue => settings.from = value.parse().map_err(|_| UsageError::Value("-C", value))?,
            Name::Upload => {
                if settings.body != Body::None {
                    return Err(UsageError::Conflict("-T", "another body"));
                }
                settings.body = Body::Region(value);
                self.upload = true;
            }
            Name::Data if value.starts_with('@') => {
                if settings.body != Body::None || self.data.count > 0 {
                    return Err(UsageError::Conflict("-d @REGION", "other data"));
                }
                settings.body = Body::Region(value.trim_start_matches('@'));
                self.push_data("")?;
            }
            // What is left with a value: --data with words, and --data-raw.
            _ => self.push_data(value)?,
        }
        Ok(())
    }

    fn push_data(&mut self, data: &'a str) -> Result<(), UsageError<'a>> {
        if self.data.push(data) { Ok(()) } else { Err(UsageError::Many("-d")) }
    }

    /// What the options come to together.
    fn finish(mut self, urls: u32) -> Result<Settings<'a>, UsageError<'a>> {
        let settings = &mut self.settings;
        let has_data = self.data.count > 0;
        match settings.body {
            Body::Region(_) if has_data && self.upload => return Err(UsageError::Conflict("-T", "-d")),
            Body::Region(_) if self.data.count > 1 => return Err(UsageError::Conflict("-d @REGION", "other data")),
            Body::None if has_data => settings.body = Body::Data(self.data),
            _ => {}
        }
        if self.head && settings.body != Body::None {
            return Err(UsageError::Conflict("-I", "a body"));
        }
        if !settings.method_by_name {
            settings.method = match settings.body {
                _ if has_data => Method::Post,
                Body::Region(_) => Method::Put,
                _ if self.head => Method::Head,
                _ => Method::Get,
            };
        }
        if self.follow {
            settings.redirects = Some(self.max_redirects);
        }
        if settings.region.is_some() {
            if urls > 1 || settings.count > 1 {
                return Err(UsageError::Conflict("-o REGION", "several requests"));
            }
            if settings.output != Output::Digest {
                settings.output = Output::Keep;
            }
        } else if settings.resume {
            return Err(UsageError::Conflict("-C", "an output that is no region"));
        }
        if settings.from > 0 && (settings.output != Output::Print || urls > 1 || settings.count > 1) {
            return Err(UsageError::Conflict("-C N", "a region, a digest or several requests"));
        }
        if (settings.resume || settings.from > 0) && settings.range.is_some() {
            return Err(UsageError::Conflict("-C", "-r"));
        }
        if settings.is_chunked() && settings.body == Body::None {
            return Err(UsageError::Conflict("Transfer-Encoding", "no body"));
        }
        if urls == 0 {
            return Err(UsageError::NoUrl);
        }
        Ok(self.settings)
    }
}

impl Settings<'_> {
    /// Whether the body goes in chunks: where a field says so, as with curl.
    pub fn is_chunked(&self) -> bool {
        let is = |field: &Field<'_>| {
            field.is("transfer-encoding") && field.value.is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        };
        self.fields.as_slice().iter().any(is)
    }
}

#[cfg(test)]
mod tests;
