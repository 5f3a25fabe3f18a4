//! The table `[flash]`: whose programs the board runs.

use crate::error::{Fault, line_of};
use crate::key::PublicKey;
use crate::table::{Located, Table, suggest};
use serde::{Deserialize, Serialize};
use slopos_abi::flash::AppVersion;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// Whose programs the board runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// The keys, one of which has to have signed a program; at least one.
    pub keys: Vec<Key>,
    /// What happens to a program that nobody has signed.
    pub unsigned: Unsigned,
}

/// A key of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its file as the manifest writes it; `None` for the development key of a manifest that names none.
    pub file: Option<String>,
    /// The manifest's line; 0 where it names no keys.
    pub line: usize,
    /// The key.
    pub public: PublicKey,
}

/// What happens to a program that nobody has signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsigned {
    /// It is refused.
    #[default]
    Refuse,
    /// It runs, and the log warns.
    Warn,
}

impl Unsigned {
    /// The word in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Unsigned::Refuse => "refuse",
            Unsigned::Warn => "warn",
        }
    }
}

impl Flash {
    /// Whether it trusts the key whose private half everybody has.
    pub fn is_development(&self) -> bool {
        self.keys.iter().any(|key| key.public.is_development())
    }
}

/// The table, where there is one; keys are looked for in this folder.
pub(crate) fn flash(value: Option<&Spanned<DeValue<'_>>>, text: &str, folder: &Path) -> Result<Flash, Fault> {
    let development = || vec![Key { file: None, line: 0, public: PublicKey::development() }];
    let Some(value) = value else { return Ok(Flash { keys: development(), unsigned: Unsigned::default() }) };
    let table = Table::new("[flash]", value, &["keys", "unsigned"])?;
    let mut keys: Vec<Key> = Vec::new();
    for file in table.texts("keys")? {
        let public = read(&file, folder)?;
        let line = line_of(text, file.at);
        if let Some(other) = keys.iter().find(|other| other.public == public) {
            let message = format!("`keys`: {} is the key of line {} again", file.value, other.line);
            return Err(Fault::new(file.at, message));
        }
        keys.push(Key { file: Some(file.value.to_owned()), line, public });
    }
    if keys.is_empty() {
        if let Some(value) = table.get("keys") {
            let message = "`keys` is empty, so that no program could run; without it the development key is used";
            return Err(Fault::new(value.span().start, message));
        }
        keys = development();
    }
    Ok(Flash { keys, unsigned: unsigned(&table)? })
}

/// The key in a file.
fn read(file: &Located<&str>, folder: &Path) -> Result<PublicKey, Fault> {
    let path = folder.join(file.value);
    let wrong = |why: String| Fault::new(file.at, format!("`keys`: {}: {why}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|why| wrong(format!("cannot be read: {why}")))?;
    PublicKey::from_pem(&text).map_err(wrong)
}

fn unsigned(table: &Table<'_>) -> Result<Unsigned, Fault> {
    if table.get("unsigned").is_none() {
        return Ok(Unsigned::default());
    }
    let given = table.text("unsigned")?;
    let known = [Unsigned::Refuse, Unsigned::Warn];
    known.into_iter().find(|choice| choice.word() == given.value).ok_or_else(|| {
        let meant = suggest(given.value, known.iter().map(|choice| choice.word()));
        Fault::new(given.at, format!("`unsigned` is \"refuse\" or \"warn\", not \"{}\"{meant}", given.value))
    })
}

/// The oldest version of its app that a process may run; 0.0.0 where the manifest does not say.
pub(crate) fn minimum_version(table: &Table<'_>) -> Result<AppVersion, Fault> {
    if table.get("minimum_version").is_none() {
        return Ok(AppVersion::default());
    }
    let given = table.text("minimum_version")?;
    // What follows the numbers does not count in an order, so that it would only seem to.
    AppVersion::parse(given.value).filter(|version| version.to_string() == given.value).ok_or_else(|| {
        let message = format!(
            "`minimum_version` is \"{}\"; it has to be MAJOR.MINOR.PATCH, \"1.4.0\" say, with numbers up to 255, 4095 \
             and 4095",
            given.value
        );
        Fault::new(given.at, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Expanded, Manifest, load};
    use std::fs;

    /// A key that is not the development key.
    const OURS: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

    /// A board whose manifest has this beside what it has to have, and two files of keys; with the text of its process.
    fn board(flash: &str, process: &str) -> Result<Manifest, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).expect("made");
        let development = include_str!("../../../boards/keys/development.pub");
        for (name, text) in [("ours.pub", OURS), ("development.pub", development), ("no_key.pub", "hello\n")] {
            fs::write(keys.join(name), text).expect("written");
        }
        let text = format!(
            "[board]\nname = \"b\"\nnetwork_budget = \"0 B\"\nmax_frame = 1514\nflash_size = \"64 KiB\"\n{flash}\n\
             [[process]]\nname = \"p\"\napp = \"a\"\nram = \"16 KiB\"\nstack = \"4 KiB\"\n{process}\n"
        );
        let path = folder.path().join("board.toml");
        fs::write(&path, text).expect("written");
        load(&path)
    }

    #[track_caller]
    fn refused(flash: &str, process: &str, line: usize, reason: &str) {
        let error = board(flash, process).expect_err("refused");
        assert!(error.line == line && error.message.contains(reason), "{error}");
    }

    #[test]
    fn a_manifest_without_keys_trusts_the_development_key() {
        for flash in ["", "[flash]", "[flash]\nunsigned = \"refuse\""] {
            let manifest = board(flash, "").expect("right");
            assert!(manifest.flash.is_development() && manifest.flash.unsigned == Unsigned::Refuse);
            assert_eq!(manifest.flash.keys.len(), 1);
            let expanded = Expanded::new(&manifest, "board.toml").to_string();
            assert!(expanded.contains(", the DEVELOPMENT KEY: everybody can sign with it\n"), "{expanded}");
            assert_eq!(manifest.processes[0].minimum_version, AppVersion::default());
        }
    }

    #[test]
    fn a_manifest_with_keys_trusts_these_alone() {
        let text = "[flash]\nkeys = [\"keys/ours.pub\"]\nunsigned = \"warn\"";
        let manifest = board(text, "minimum_version = \"1.20.3\"").expect("right");
        assert!(!manifest.flash.is_development() && manifest.flash.unsigned == Unsigned::Warn);
        let expanded = Expanded::new(&manifest, "board.toml");
        assert_eq!(Expanded::from_json(&expanded.to_json()), Ok(expanded.clone()));
        let shown = expanded.to_string();
        for line in
            ["21fe31dfa154a261 of keys/ours.pub, line 7\n", "unsigned        warn\n", "minimum_version 1.20.3\n"]
        {
            assert!(shown.contains(line), "{shown}");
        }
        assert_eq!(manifest.processes[0].minimum_version, AppVersion::new(0x0101_4003));
        // The development key may be one of several.
        let both = board("[flash]\nkeys = [\"keys/ours.pub\", \"keys/development.pub\"]", "").expect("right");
        assert!(both.flash.is_development() && both.flash.keys.len() == 2);
    }

    #[test]
    fn what_is_wrong_with_keys_is_told_at_its_line() {
        refused("[flash]\nkeys = []", "", 7, "`keys` is empty");
        refused(
            "[flash]\nkeys = [\n\"keys/ours.pub\",\n\"keys/nobody.pub\"]",
            "",
            9,
            "keys/nobody.pub: cannot be read",
        );
        refused("[flash]\nkeys = [\"keys/no_key.pub\"]", "", 7, "no_key.pub: it is no key as PEM text");
        refused("[flash]\nkeys = [\"keys/ours.pub\",\n\"keys/../keys/ours.pub\"]", "", 8, "is the key of line 7 again");
        refused("[flash]\nkeys = \"keys/ours.pub\"", "", 7, "has to be a list");
        refused("[flash]\nunsigned = \"warm\"", "", 7, "not \"warm\"; did you mean `warn`?");
        refused("[flash]\nkey = []", "", 7, "did you mean `keys`?");
        for version in ["1.2", "1.2.3-rc.1", "256.0.0", "01.2.3", "", "v1.2.3"] {
            refused("", &format!("minimum_version = \"{version}\""), 12, "it has to be MAJOR.MINOR.PATCH");
        }
    }
}
