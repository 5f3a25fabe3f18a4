//! The argument block: what the kernel hands to a process when it starts.

use core::str::Utf8Error;

/// The process's name and its arguments. Iterating gives the arguments, without the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    name: &'static str,
    rest: &'static str,
}

impl Arguments {
    /// Reads an argument block: strings, each ended by a NUL, the first one being the process's name.
    ///
    /// # Errors
    /// Where the block is not UTF-8.
    pub fn parse(block: &'static [u8]) -> Result<Arguments, Utf8Error> {
        let (name, rest) = cut(core::str::from_utf8(block)?);
        Ok(Arguments { name, rest })
    }

    /// The process's name; empty where the block is empty.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl Iterator for Arguments {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        if self.rest.is_empty() {
            return None;
        }
        let (argument, rest) = cut(self.rest);
        self.rest = rest;
        Some(argument)
    }
}

/// The text before the first NUL and the text after it.
fn cut(text: &'static str) -> (&'static str, &'static str) {
    crate::text::cut(text, b'\0').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_first_and_empty_arguments_count() {
        let mut arguments = Arguments::parse(b"webget\0-o\0null\0\0http://10.0.2.2/\0").unwrap();
        assert_eq!(arguments.name(), "webget");
        assert_eq!(arguments.next(), Some("-o"));
        assert_eq!(arguments.next(), Some("null"));
        assert_eq!(arguments.next(), Some(""));
        assert_eq!(arguments.next(), Some("http://10.0.2.2/"));
        assert_eq!(arguments.next(), None);
        assert_eq!(arguments.next(), None);
    }

    #[test]
    fn a_name_alone_has_no_arguments() {
        let mut arguments = Arguments::parse(b"syscalls\0").unwrap();
        assert_eq!((arguments.name(), arguments.next()), ("syscalls", None));
        let mut nothing = Arguments::parse(b"").unwrap();
        assert_eq!((nothing.name(), nothing.next()), ("", None));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(Arguments::parse(b"app\0\xff\0").is_err());
    }
}
