//! The book's apps: a copy of the tree in which a document's listings are files, so that its commands build, flash and run
//! them.
//!
//! The comment before such a listing says which file it is, or which one it is put behind:
//!
//! ```text
//! <!-- scratch: userland/apps/banner/src/main.rs -->
//! <!-- scratch: boards/qemu_q35/board.toml; appended -->
//! ```
//!
//! The copy is kept in target/book, with an output folder of its own, so that only what changed is built again.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::files;
use crate::markdown::{Document, Kind};

/// Files of the copy, by their path in the tree.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Makes the copy, or brings it up to date; gives its folder.
///
/// Errors: a file cannot be read or written; a listing is no file, or is put behind one that is not there.
pub fn write(root: &Path, documents: &[Document]) -> Result<PathBuf> {
    let folder = output(root).join("book");
    let mut wanted = Files::new();
    for path in files::all(root)? {
        wanted.insert(path.clone(), std::fs::read(root.join(&path)).with_context(|| path.display().to_string())?);
    }
    for document in documents {
        add(&mut wanted, document)?;
    }
    std::fs::create_dir_all(folder.join("build"))?;
    for path in files::all(&folder)?.iter().filter(|path| !wanted.contains_key(*path)) {
        std::fs::remove_file(folder.join(path))?;
        // A folder without its manifest would be taken for an app.
        let emptied = folder.join(path.parent().unwrap_or(Path::new("")));
        let _not_empty_yet = std::fs::remove_dir(emptied);
    }
    for (path, bytes) in &wanted {
        let to = folder.join(path);
        // What is the same keeps its time, so that it is not built again.
        if std::fs::read(&to).is_ok_and(|found| found == *bytes) {
            continue;
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
        if let Ok(metadata) = std::fs::metadata(root.join(path)) {
            std::fs::set_permissions(&to, metadata.permissions())?;
        }
    }
    // What was installed for the tree serves the copy too.
    for installed in ["tools", "toolchain"] {
        let (from, to) = (root.join("build").join(installed), folder.join("build").join(installed));
        if from.exists() && !to.exists() {
            symlink(&from, &to)?;
        }
    }
    Ok(folder)
}

/// Cargo's output folder of the tree.
pub fn output(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Adds the listings of `document` that are files.
fn add(wanted: &mut Files, document: &Document) -> Result<()> {
    for block in document.blocks() {
        let Some(marker) = block.marker.filter(|marker| marker.kind == Kind::Scratch) else { continue };
        let place = document.place(block.line);
        match marker.text.split_once(';').map(|(path, word)| (path.trim(), word.trim())) {
            None => {
                wanted.insert(marker.text.trim().into(), block.text.into_bytes());
            }
            Some((path, "appended")) => {
                let file = wanted.get_mut(Path::new(path)).with_context(|| format!("{place}: there is no {path}"))?;
                file.push(b'\n');
                file.extend(block.text.into_bytes());
            }
            Some((_, word)) => bail!("{place}: the marker says {word:?}, which means nothing"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(marker: &str, text: &str) -> Document {
        Document { path: "a.md".into(), text: format!("<!-- scratch: {marker} -->\n```\n{text}\n```\n") }
    }

    #[test]
    fn listings_become_files_or_go_behind_one() {
        let mut wanted = Files::new();
        wanted.insert("board.toml".into(), b"a\n".to_vec());
        add(&mut wanted, &document("apps/new/main.rs", "fn main() {}")).unwrap();
        add(&mut wanted, &document("board.toml; appended", "b")).unwrap();
        assert_eq!(wanted[Path::new("apps/new/main.rs")], b"fn main() {}\n");
        assert_eq!(wanted[Path::new("board.toml")], b"a\n\nb\n");
        add(&mut wanted, &document("nowhere.toml; appended", "b")).unwrap_err();
        add(&mut wanted, &document("board.toml; nonsense", "b")).unwrap_err();
    }
}
