//! Parts of a resource: what is asked for (RFC 9110 section 14.2), and what a response says it is (section 14.4).

use core::fmt;

use libslop::text::{cut, decimal, same_word};

use crate::response::Head;

/// What is wanted of a resource, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range<'a> {
    /// From this byte on.
    From(u64),
    /// From the first to the last of these, both included.
    Between(u64, u64),
    /// So many at the end.
    Last(u64),
    /// Several ranges, as they were written. The answer has parts, which nobody here takes apart.
    Several(&'a str),
}

impl<'a> Range<'a> {
    /// Reads `A-`, `A-B`, `-N`, or several of these with commas between them.
    pub fn parse(text: &'a str) -> Option<Range<'a>> {
        if text.contains(',') {
            let each = text.split(',').all(|part| !part.contains(',') && Range::parse(part.trim_ascii()).is_some());
            return each.then_some(Range::Several(text));
        }
        match cut(text, b'-')? {
            ("", count) => decimal(count.as_bytes()).filter(|&count| count > 0).map(Range::Last),
            (first, "") => decimal(first.as_bytes()).map(Range::From),
            (first, last) => {
                let (first, last) = (decimal(first.as_bytes())?, decimal(last.as_bytes())?);
                (first <= last).then_some(Range::Between(first, last))
            }
        }
    }

    /// Whether a response may say that it is this part.
    pub fn fits(&self, part: Part) -> bool {
        let Part { first, last, total } = part;
        let whole = first <= last && total.is_none_or(|total| last < total);
        let at_end = |last| total.is_none_or(|total| last == total - 1);
        whole
            && match *self {
                Range::From(from) => first == from && at_end(last),
                // A resource may end earlier.
                Range::Between(from, to) => first == from && (last == to || last < to && at_end(last)),
                Range::Last(count) => at_end(last) && last - first < count && (last - first == count - 1 || first == 0),
                Range::Several(_) => true,
            }
    }
}

impl fmt::Display for Range<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::From(first) => write!(formatter, "{first}-"),
            Range::Between(first, last) => write!(formatter, "{first}-{last}"),
            Range::Last(count) => write!(formatter, "-{count}"),
            Range::Several(text) => formatter.write_str(text),
        }
    }
}

/// Which bytes of a resource a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first one's position.
    pub first: u64,
    /// The last one's.
    pub last: u64,
    /// How many the resource has, where the server knows.
    pub total: Option<u64>,
}

impl Part {
    /// Its length; `None` where that does not fit.
    pub fn length(&self) -> Option<u64> {
        self.last.checked_sub(self.first)?.checked_add(1)
    }
}

/// What a Content-Range field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// Which part this is.
    Part(Part),
    /// That the resource has so many bytes, and nothing of what was asked.
    Nothing(u64),
}

impl ContentRange {
    /// The one of a head; `None` where it has none, several, or one that makes no sense.
    pub fn of(head: &Head<'_>) -> Option<ContentRange> {
        ContentRange::parse(core::str::from_utf8(head.field("content-range")?).ok()?)
    }

    fn parse(text: &str) -> Option<ContentRange> {
        let (unit, rest) = cut(text.trim_ascii(), b' ')?;
        let (range, total) = cut(rest.trim_ascii(), b'/')?;
        if !same_word(unit.as_bytes(), b"bytes") {
            return None;
        }
        let number = |text: &str| decimal(text.as_bytes());
        if range == "*" {
            return number(total).map(ContentRange::Nothing);
        }
        let (first, last) = cut(range, b'-')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        Some(ContentRange::Part(Part { first: number(first)?, last: number(last)?, total }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part {
        match ContentRange::parse(text) {
            Some(ContentRange::Part(part)) => part,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn ranges_are_read_and_written_as_curl_does() {
        for text in ["0-", "5-9", "7-7", "-500", "0-1,5-9,-3", "18446744073709551615-"] {
            assert_eq!(Range::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "-", "5", "9-5", "a-b", "-0", "+1-2", "1-2-3", "1-2,", ",", "18446744073709551616-", "1 - 2"] {
            assert_eq!(Range::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_content_range_makes_sense_or_is_none() {
        assert_eq!(part("bytes 0-9/10"), Part { first: 0, last: 9, total: Some(10) });
        assert_eq!(part(" Bytes  5-9/* "), Part { first: 5, last: 9, total: None });
        assert_eq!(ContentRange::parse("bytes */10"), Some(ContentRange::Nothing(10)));
        for text in
            ["", "bytes", "bytes 0-9", "items 0-9/10", "bytes -9/10", "bytes 0-/10", "bytes */*", "bytes 0-9/-1"]
        {
            assert_eq!(ContentRange::parse(text), None, "{text:?}");
        }
        assert_eq!(part("bytes 5-9/10").length(), Some(5));
        assert_eq!(part("bytes 9-5/10").length(), None);
        assert_eq!(part("bytes 0-18446744073709551615/*").length(), None);
    }

    #[test]
    fn only_the_part_that_was_asked_for_fits() {
        for (asked, fitting, others) in [
            (
                "5-",
                &["bytes 5-9/10", "bytes 5-9/*"][..],
                &["bytes 4-9/10", "bytes 6-9/10", "bytes 5-8/10", "bytes 5-9/9"][..],
            ),
            (
                "2-4",
                &["bytes 2-4/10", "bytes 2-4/*", "bytes 2-3/4"],
                &["bytes 2-5/10", "bytes 3-4/10", "bytes 2-3/10", "bytes 4-2/10"],
            ),
            ("-3", &["bytes 7-9/10", "bytes 0-1/2"], &["bytes 6-9/10", "bytes 6-8/10", "bytes 8-9/10", "bytes 7-9/0"]),
        ] {
            let range = Range::parse(asked).expect(asked);
            for text in fitting {
                assert!(range.fits(part(text)), "{asked} and {text}");
            }
            for text in others {
                assert!(!range.fits(part(text)), "{asked} and {text}");
            }
        }
    }
}
