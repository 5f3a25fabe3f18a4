//! A word of the command line, as getargs takes it apart.
//!
//! getargs knows `&str` itself, but cuts it in a way that can panic and then prints it with escapes: the tables of
//! characters for that would be a twentieth of the program.

use core::fmt;

use getargs::Argument;
use libslop::text::cut;

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a>(pub &'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl Argument for Word<'_> {
    type ShortOpt = char;

    fn ends_opts(self) -> bool {
        self.0 == "--"
    }

    fn parse_long_opt(self) -> Option<(Self, Option<Self>)> {
        let option = self.0.strip_prefix("--").filter(|option| !option.is_empty())?;
        Some(cut(option, b'=').map_or((Word(option), None), |(name, value)| (Word(name), Some(Word(value)))))
    }

    fn parse_short_cluster(self) -> Option<Self> {
        self.0.strip_prefix('-').filter(|cluster| !cluster.is_empty()).map(Word)
    }

    fn consume_short_opt(self) -> (char, Option<Self>) {
        let mut letters = self.0.chars();
        // A cluster is not empty.
        let letter = letters.next().unwrap_or_default();
        (letter, Some(Word(letters.as_str())).filter(|rest| !rest.0.is_empty()))
    }

    fn consume_short_val(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_apart_as_getargs_does_with_its_own() {
        for text in
            ["", "-", "--", "---", "-a", "-abc", "-ä€", "--flag", "--flag=", "--flag=a=b", "--=x", "file", "a-b"]
        {
            let word = Word(text);
            assert_eq!(word.ends_opts(), text.ends_opts(), "{text:?}");
            let own = word.parse_long_opt().map(|(name, value)| (name.0, value.map(|value| value.0)));
            assert_eq!(own, text.parse_long_opt(), "{text:?}");
            let (mut cluster, mut expected) = (word.parse_short_cluster(), text.parse_short_cluster());
            while let (Some(own), Some(other)) = (cluster, expected) {
                assert_eq!(own.consume_short_val().0, other.consume_short_val(), "{text:?}");
                let (letter, rest) = own.consume_short_opt();
                let (expected_letter, expected_rest) = other.consume_short_opt();
                assert_eq!(letter, expected_letter, "{text:?}");
                (cluster, expected) = (rest, expected_rest);
            }
            assert_eq!(cluster.map(|cluster| cluster.0), expected, "{text:?}");
        }
    }
}
