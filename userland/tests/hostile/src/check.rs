//! Arguments of attacks, and checks that say what they saw when they fail.

use core::fmt;

use libslop::abi::Errno;
use libslop::{Arguments, Error, eprintln};
use slopos_http::Url;

/// Why an attack did not end as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The kernel answered what it must not. It was said.
    NotContained,
    /// The arguments make no sense.
    Usage,
}

/// What is left of the command line.
pub struct Words(Arguments);

impl Words {
    /// All of the arguments.
    pub fn new(arguments: Arguments) -> Words {
        Words(arguments)
    }

    /// The next word.
    pub fn next(&mut self) -> Option<&'static str> {
        self.0.next()
    }

    /// The next word, which there has to be.
    pub fn word(&mut self) -> Result<&'static str, Failed> {
        self.next().ok_or(Failed::Usage)
    }

    /// The next word as a number.
    pub fn number(&mut self) -> Result<u64, Failed> {
        number(self.word()?)
    }

    /// The next word as a URL.
    pub fn url(&mut self) -> Result<Url<'static>, Failed> {
        Url::parse(self.word()?).map_err(|_| Failed::Usage)
    }

    /// The words that are left, each with a space in front.
    pub fn rest(&self) -> impl fmt::Display {
        Rest(self.0)
    }
}

/// A number, hexadecimal after `0x`.
pub fn number(word: &str) -> Result<u64, Failed> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    number.map_err(|_| Failed::Usage)
}

struct Rest(Arguments);

impl fmt::Display for Rest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rest(mut arguments) = *self;
        arguments.try_for_each(|word| write!(formatter, " {word}"))
    }
}

/// Says what was not contained.
pub fn fails<T>(what: fmt::Arguments<'_>) -> Result<T, Failed> {
    eprintln!("hostile: NOT CONTAINED: {what}");
    Err(Failed::NotContained)
}

/// What should hold does.
pub fn holds(what: &str, condition: bool) -> Result<(), Failed> {
    if condition { Ok(()) } else { fails(format_args!("{what}")) }
}

/// Two values are the same.
pub fn equal<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { fails(format_args!("{what}: {found:x?} instead of {expected:x?}")) }
}

/// A call succeeds; its result.
pub fn succeeds<T>(what: &str, result: Result<T, Error>) -> Result<T, Failed> {
    result.or_else(|error| fails(format_args!("{what}: {}", error.errno().symbol())))
}

/// A call fails with this error.
pub fn refused<T: PartialEq + fmt::Debug>(what: &str, result: Result<T, Error>, errno: Errno) -> Result<(), Failed> {
    equal(what, result, Err(Error::from(errno)))
}

/// A call with these raw arguments fails with this error.
pub fn raw_refused(what: &str, number: u64, arguments: [u64; 4], errno: Errno) -> Result<(), Failed> {
    equal(what, hazard::call(number, arguments), errno.to_return())
}
