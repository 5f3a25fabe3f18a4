//! Which sources a board was built from.

use anyhow::{Context, Result, bail};
use std::env;
use std::path::Path;
use std::process::Command;

/// The state of the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The commit, or what SLOPOS_REVISION says; `unversioned` where there is neither.
    pub revision: String,
    /// Whether files differ from the commit's: what was built is not what the revision names.
    pub dirty: bool,
}

impl Source {
    /// Looks at the tree in `root`.
    ///
    /// # Errors
    /// There is a repository, and git cannot read it.
    pub fn of(root: &Path) -> Result<Source> {
        // As the board's build script reads it.
        if let Ok(revision) = env::var("SLOPOS_REVISION") {
            return Ok(Source { revision, dirty: false });
        }
        // A folder further up may be a repository of somebody else's.
        if !root.join(".git").exists() {
            return Ok(Source { revision: "unversioned".to_owned(), dirty: false });
        }
        let revision = git(root, &["rev-parse", "HEAD"])?;
        let changes = git(root, &["status", "--porcelain", "--untracked-files=normal"])?;
        Ok(Source { revision: revision.trim().to_owned(), dirty: !changes.is_empty() })
    }
}

/// What git says about the tree.
fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    // Looking must not write to the repository.
    let output = Command::new("git").current_dir(root).env("GIT_OPTIONAL_LOCKS", "0").args(arguments).output();
    let output = output.context("git cannot be run; set SLOPOS_REVISION to what the sources are")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("git's answer is not UTF-8")
}
