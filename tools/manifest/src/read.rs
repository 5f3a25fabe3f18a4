//! From a file to a manifest, with each fault at its line.

use crate::{Error, Manifest, check};
use std::path::Path;

/// Reads the manifest at `path` and checks it.
///
/// # Errors
/// The first thing that is wrong with it; the message names the file, the line, the need and the limit.
pub fn load(path: impl AsRef<Path>) -> Result<Manifest, Error> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(|why| Error {
        path: path.to_owned(),
        line: 0,
        message: format!("cannot be read: {why}"),
    })?;
    parse(&text, path)
}

/// Checks the manifest `text`; `path` names it in messages, and its folder is where data files are looked for.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path) -> Result<Manifest, Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    check::manifest(text, folder).map_err(|fault| fault.locate(path, text))
}
