//! Which packages are linked into a board, as cargo tells it.
//!
//! `cargo tree` knows which packages a program is linked with, for its target and with its features; what only runs while it is
//! built (build scripts, macros) is no part of it. `cargo metadata` knows what the packages are.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package, by name and version; a lock file has no two of the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What there is to know of a package.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as an SPDX expression, as far as it says one.
    pub license: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where its sources are.
    pub repository: Option<String>,
    /// The registry that it comes from; `None` for one that lies in a folder.
    pub source: Option<String>,
    /// Its Cargo.toml.
    pub manifest_path: PathBuf,
    /// SHA-256 of what the registry gave, in hexadecimal digits.
    #[serde(skip)]
    pub checksum: Option<String>,
}

/// Packages and what each is linked with.
#[derive(Debug, Default)]
pub struct Linked {
    /// The packages.
    pub packages: BTreeMap<Id, Package>,
    /// For each package the packages that it uses itself.
    pub uses: BTreeMap<Id, BTreeSet<Id>>,
}

/// A program: the Cargo.toml of its workspace, and its package.
pub struct Program {
    /// The Cargo.toml.
    pub manifest: PathBuf,
    /// The package's name.
    pub package: String,
}

impl Linked {
    /// Adds a program of the bare machine with all that is linked into it; returns its package.
    ///
    /// # Errors
    /// Cargo fails, or says something that is not understood.
    pub fn add(&mut self, program: &Program, target: &str) -> Result<Id> {
        let manifest = program.manifest.to_str().context("a path that is not UTF-8")?;
        let tree = cargo(&[
            "tree",
            "--locked",
            "--manifest-path",
            manifest,
            "--package",
            &program.package,
            "--target",
            target,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "depth",
            "--no-dedupe",
            "--format",
            " {p}",
        ])?;
        let all: Metadata = serde_json::from_str(&cargo(&[
            "metadata",
            "--locked",
            "--manifest-path",
            manifest,
            "--format-version",
            "1",
            "--filter-platform",
            target,
        ])?)?;
        let checksums = checksums(&all.workspace_root.join("Cargo.lock"))?;
        let mut above: Vec<Id> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let (depth, id) = parse(line).with_context(|| format!("cargo tree's line {line:?}"))?;
            ensure!(depth <= above.len(), "cargo tree's line {line:?} is too deep");
            above.truncate(depth);
            if let Some(user) = above.last() {
                self.uses.entry(user.clone()).or_default().insert(id.clone());
            }
            self.uses.entry(id.clone()).or_default();
            if !self.packages.contains_key(&id) {
                let known =
                    all.packages.iter().find(|package| package.name == id.name && package.version == id.version);
                let mut package = known.with_context(|| format!("cargo metadata does not know {id:?}"))?.clone();
                package.checksum = checksums.get(&id).cloned();
                self.packages.insert(id.clone(), package);
            }
            above.push(id);
        }
        above.into_iter().next().with_context(|| format!("cargo tree does not know the package {}", program.package))
    }
}

/// What `cargo metadata` prints, as far as it is of use here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

/// A line of `cargo tree`: `2 heapless v0.9.3`, with a path or a remark behind it.
fn parse(line: &str) -> Option<(usize, Id)> {
    let mut words = line.split(' ');
    let depth = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    Some((depth, Id { name, version }))
}

/// The checksums of a lock file.
fn checksums(path: &Path) -> Result<BTreeMap<Id, String>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lock: Lock = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let entry = |Locked { name, version, checksum }: Locked| Some((Id { name, version }, checksum?));
    Ok(lock.package.into_iter().filter_map(entry).collect())
}

/// What cargo prints.
fn cargo(arguments: &[&str]) -> Result<String> {
    let output = Command::new("cargo").args(arguments).output().context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("cargo {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("cargo {} did not print UTF-8", arguments[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_is_read_whatever_stands_behind_it() {
        let id = |name: &str, version: &str| Id { name: name.to_owned(), version: version.to_owned() };
        assert_eq!(parse("0 slopos-kernel v0.2.0 (/x/kernel)"), Some((0, id("slopos-kernel", "0.2.0"))));
        assert_eq!(parse("12 zerocopy v0.8.63"), Some((12, id("zerocopy", "0.8.63"))));
        assert_eq!(parse("zerocopy"), None);
    }
}
