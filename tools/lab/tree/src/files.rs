//! The files of the tree, as they are in a clean checkout: without what is built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The tree's root, which is four folders above this file.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    root.canonicalize().unwrap_or(root)
}

/// Folders that git does not keep: what is built, wherever it lies, and git's own.
const LEFT_OUT: [&str; 4] = ["target", "build", ".git", "node_modules"];

/// The path of each file below `root`, relative to it, in the order of their names.
///
/// Errors: a folder cannot be read.
pub fn all(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                    folders.push(path);
                }
            } else if kind.is_file() && entry.file_name() != ".git" {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The files of `all` that end in `.EXTENSION`.
///
/// Errors: as [`all`].
pub fn with_extension(root: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = all(root)?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    Ok(files)
}

/// `path` without its `.` and `..`, as far as they can be taken out without looking at the disk.
pub fn normalise(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if result.file_name().is_some() => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}
