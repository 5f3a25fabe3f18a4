//! A TOML table that must be understood to the last key.

use crate::error::Fault;
use crate::size;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table of the manifest, with the keys that it may have.
pub(crate) struct Table<'t> {
    /// What the table is called in messages: `[board]`, `[[process]]`.
    title: &'static str,
    entries: &'t DeTable<'t>,
    /// Byte offset of the table's head.
    pub at: usize,
}

/// A value of the manifest together with the byte offset at which it is written.
pub(crate) struct Located<T> {
    /// Byte offset into the manifest's text.
    pub at: usize,
    /// What is written there.
    pub value: T,
}

impl<'t> Table<'t> {
    /// The table in `value`, which may have these keys and no other.
    pub fn new(title: &'static str, value: &'t Spanned<DeValue<'t>>, known: &[&str]) -> Result<Table<'t>, Fault> {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Table(entries) => Table::of_entries(title, entries, at, known),
            other => Err(Fault::new(at, format!("{title} has to be a table, not {}", a(other.type_str())))),
        }
    }

    /// The table with these entries, which may have these keys and no other.
    pub fn of_entries(
        title: &'static str,
        entries: &'t DeTable<'t>,
        at: usize,
        known: &[&str],
    ) -> Result<Table<'t>, Fault> {
        // A table lists its entries by name; the first unknown one in the file is the one to report.
        let unknown = entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            Some(key) => {
                let meant = suggest(key.get_ref(), known.iter().copied());
                Err(Fault::new(key.span().start, format!("{title} has no key `{}`{meant}", key.get_ref())))
            }
            None => Ok(Table { title, entries, at }),
        }
    }

    /// The value of `key`, if it is there.
    pub fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries.get(key)
    }

    /// The value of `key`, which has to be there.
    fn require(&self, key: &str) -> Result<&'t Spanned<DeValue<'t>>, Fault> {
        self.get(key).ok_or_else(|| Fault::new(self.at, format!("{} lacks the key `{key}`", self.title)))
    }

    /// A text that has to be there.
    pub fn text(&self, key: &str) -> Result<Located<&'t str>, Fault> {
        text(key, self.require(key)?)
    }

    /// A size in bytes that has to be there.
    pub fn size(&self, key: &str) -> Result<Located<u64>, Fault> {
        let value = self.require(key)?;
        let at = value.span().start;
        if let DeValue::Integer(number) = value.get_ref() {
            let number = number.as_str();
            return Err(Fault::new(
                at,
                format!("`{key}` needs a unit; did you mean \"{number} B\" or \"{number} KiB\"?"),
            ));
        }
        let text = text(key, value)?;
        let bytes = size::parse(text.value).map_err(|why| Fault::new(at, format!("`{key}`: {why}")))?;
        Ok(Located { at, value: bytes })
    }

    /// A whole number from `least` to `most` that has to be there.
    pub fn number(&self, key: &str, least: u64, most: u64) -> Result<Located<u64>, Fault> {
        let value = self.require(key)?;
        let at = value.span().start;
        let wrong = |found: &str| Fault::new(at, format!("`{key}` is {found}; it has to be {least} to {most}"));
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(wrong(&a(value.get_ref().type_str())));
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(count) if (least..=most).contains(&count) => Ok(Located { at, value: count }),
            _ => Err(wrong(number.as_str())),
        }
    }

    /// `true` or `false`; `default` where the key is missing.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, Fault> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.get_ref().as_bool().ok_or_else(|| {
                Fault::new(value.span().start, format!("`{key}` has to be true or false, without quotes"))
            }),
        }
    }

    /// One of a few words; the first where the key is missing.
    pub fn choice<T: Copy, const N: usize>(
        &self,
        key: &str,
        known: &[T; N],
        word: fn(T) -> &'static str,
    ) -> Result<T, Fault> {
        if self.get(key).is_none() {
            return Ok(known[0]);
        }
        let given = self.text(key)?;
        known.iter().copied().find(|&choice| word(choice) == given.value).ok_or_else(|| {
            let words: Vec<String> = known.iter().map(|&choice| format!("\"{}\"", word(choice))).collect();
            let (last, first) = words.split_last().expect("there is a first");
            let meant = suggest(given.value, known.iter().map(|&choice| word(choice)));
            Fault::new(given.at, format!("`{key}` is {} or {last}, not \"{}\"{meant}", first.join(", "), given.value))
        })
    }

    /// A list of texts; empty where the key is missing.
    pub fn texts(&self, key: &str) -> Result<Vec<Located<&'t str>>, Fault> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(items) = value.get_ref() else {
            let found = a(value.get_ref().type_str());
            return Err(Fault::new(value.span().start, format!("`{key}` has to be a list of texts, not {found}")));
        };
        items.iter().map(|item| text(key, item)).collect()
    }

    /// The tables written as `[[key]]`; none where the key is missing.
    pub fn tables(&self, key: &str) -> Result<impl Iterator<Item = &'t Spanned<DeValue<'t>>> + use<'t>, Fault> {
        match self.get(key) {
            None => Ok([].iter()),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => Ok(items.iter()),
                _ => Err(Fault::new(value.span().start, format!("write [[{key}]], for there may be several"))),
            },
        }
    }
}

/// The text in `value`.
fn text<'t>(key: &str, value: &'t Spanned<DeValue<'t>>) -> Result<Located<&'t str>, Fault> {
    let at = value.span().start;
    match value.get_ref() {
        DeValue::String(text) => Ok(Located { at, value: text.as_ref() }),
        other => Err(Fault::new(at, format!("`{key}` has to be a text in quotes, not {}", a(other.type_str())))),
    }
}

/// The kind of value with its article.
fn a(kind: &str) -> String {
    match kind.as_bytes().first() {
        Some(b'a' | b'e' | b'i' | b'o' | b'u') => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// The name that was probably meant, as the end of a message; nothing where none is near.
pub fn suggest<'n>(written: &str, known: impl Iterator<Item = &'n str>) -> String {
    // A third of the letters may be wrong: more, and the suggestion would be a guess.
    let near = |name: &str| strsim::damerau_levenshtein(written, name);
    match known.map(|name| (near(name), name)).min() {
        Some((distance, name)) if distance <= written.len().max(3) / 3 => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}
