//! Which lines look as if the kernel, or this tool, had written them.

use serde_json::Value;
use std::collections::BTreeSet;

/// Beginnings of lines that are not the console's, whatever the kernel's ELF holds: levels, this tool's and QEMU's prefixes,
/// and the lines that scripts look for, also those of a kernel with its own tests.
const ALWAYS: [&str; 10] =
    ["warning:", "error:", "qemu:", "run:", "panic:", "virtio-net:", "dhcp:", "arp:", "interrupt", "test:"];

/// The shortest text within a message by which a line is recognised as that message.
const PHRASE_MIN: usize = 6;

/// Recognises lines of a kernel's log by the texts in its ELF.
#[derive(Clone, Debug)]
pub struct Likeness {
    /// The first words of lines.
    words: BTreeSet<String>,
    /// Of each message that begins with a value, the longest text in it.
    phrases: BTreeSet<String>,
}

impl Default for Likeness {
    fn default() -> Likeness {
        Likeness { words: ALWAYS.map(str::to_owned).into(), phrases: BTreeSet::new() }
    }
}

impl Likeness {
    /// The likeness of a log with these messages, as `defmt` keeps them in the names of symbols.
    pub fn of_symbols<'a>(symbols: impl Iterator<Item = &'a str>) -> Likeness {
        let mut likeness = Likeness::default();
        for symbol in symbols {
            let Ok(Value::Object(fields)) = serde_json::from_str(symbol) else { continue };
            let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
            if matches!(
                text("tag"),
                "defmt_trace" | "defmt_debug" | "defmt_info" | "defmt_warn" | "defmt_error" | "defmt_println"
            ) {
                likeness.add(text("data"));
            }
        }
        likeness
    }

    /// Takes in a message, with braces around its values.
    fn add(&mut self, message: &str) {
        let word = first_word(message);
        let word = word.split('{').next().unwrap_or_default();
        if !word.is_empty() && !message.trim_start().starts_with('{') {
            self.words.insert(word.to_lowercase());
            return;
        }
        let pieces = message.split('{').map(|piece| piece.split_once('}').map_or(piece, |(_, text)| text).trim());
        if let Some(phrase) = pieces.max_by_key(|piece| piece.len()).filter(|phrase| phrase.len() >= PHRASE_MIN) {
            self.phrases.insert(phrase.to_lowercase());
        }
    }

    /// Whether a line could be taken for one of the log, which with `times` begins with a time and a level.
    pub fn fits(&self, line: &str, times: bool) -> bool {
        let line = line.to_lowercase();
        let word = first_word(&line);
        let timed = |word: &str| word.split('.').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let level = ["trace", "debug", "info", "warn", "error"].contains(&word);
        self.words
            .iter()
            .any(|known| word == known.as_str() || known.ends_with(':') && word.starts_with(known.as_str()))
            || self.phrases.iter().any(|phrase| line.contains(phrase.as_str()))
            || times && (timed(word) || level)
    }
}

/// The first word of a line. Characters before its first letter or digit do not count: they may be hard to see.
fn first_word(line: &str) -> &str {
    let start = line.find(|character: char| character.is_alphanumeric() || character == '{').unwrap_or(line.len());
    line[start..].split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness() -> Likeness {
        let message = |tag: &str, text: &str| format!(r#"{{"package":"p","tag":"{tag}","data":"{text}"}}"#);
        let symbols = [
            message("defmt_info", "dhcp: lease {=u8} gateway"),
            message("defmt_info", "Interrupt tests passed."),
            message("defmt_error", "process {=str}: killed by {=str}"),
            message("defmt_warn", "{=str}: {=u32} lines were left out"),
            message("defmt_derived", "Webget {=u8}"),
            message("defmt_prim", "{=u8}"),
            message("defmt_timestamp", "{=u64:us}"),
            "no JSON".to_owned(),
        ];
        Likeness::of_symbols(symbols.iter().map(String::as_str))
    }

    #[test]
    fn a_line_that_begins_as_one_of_the_kernels_does_is_like_it() {
        let likeness = likeness();
        for line in [
            "dhcp: lease 1.2.3.4",
            "  dhcp: anything",
            "DHCP: x",
            "\u{200b}dhcp: x",
            "> dhcp: x",
            "dhcp:x",
            "Interrupt tests passed.",
            "process webget: killed by #PF",
            "arp: 7 lines were left out",
            "warning: slow",
            "error: gone",
            "qemu: x",
            "run: stopped",
            "panic: x",
        ] {
            assert!(likeness.fits(line, false), "{line:?}");
        }
        for line in [
            "HTTP/1.1 200 OK",
            "webget: GET http://10.0.2.2/",
            "webget: done status=200",
            "dhcp",
            "processes run",
            "a line of a page",
            "<html>",
            "",
            "   ",
            "0.25 is a number",
        ] {
            assert!(!likeness.fits(line, false), "{line:?}");
        }
    }

    #[test]
    fn with_times_a_line_that_begins_with_one_is_like_it_too() {
        let likeness = likeness();
        assert!(likeness.fits("        0.25 info  up", true));
        assert!(likeness.fits("             error run: x", true));
        assert!(!likeness.fits("webget: GET http://10.0.2.2/", true));
    }
}
