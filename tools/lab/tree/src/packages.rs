//! The packages of the workspace, as cargo tells them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// One package of the workspace.
pub struct Package {
    /// Its name in Cargo.toml.
    pub name: String,
    /// Its folder, relative to the tree's root.
    pub folder: PathBuf,
    /// What Cargo.toml says of it, or nothing.
    pub description: String,
    /// The root file of its library and of each of its programs; tests and build scripts are left out.
    pub targets: Vec<Target>,
    /// The packages of this workspace that it depends on, for its tests apart.
    pub needs: Vec<String>,
}

/// A library or a program.
pub struct Target {
    /// Its name, as rustdoc's folder has it.
    pub name: String,
    /// Whether it is a program.
    pub program: bool,
    /// Its root file, relative to the tree's root.
    pub file: PathBuf,
}

/// The packages of the workspace in `root`, in the order of their folders.
///
/// Errors: cargo does not run, or does not tell what is expected of it.
pub fn all(root: &Path) -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut packages: Vec<Package> =
        array(&metadata, "packages")?.iter().map(|package| read(root, package)).collect::<Result<_>>()?;
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    for package in &mut packages {
        package.needs.retain(|name| names.contains(name));
    }
    packages.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(packages)
}

/// The programs that run on this machine, below tools/: each with its package.
///
/// Errors: as [`all`].
pub fn tools(root: &Path) -> Result<Vec<(String, String)>> {
    let mut tools = Vec::new();
    // The client of the bench's Linux guest is none: it runs there, and has webget's command line.
    let packages = all(root)?.into_iter().filter(|package| package.name != "slopos-bench-guest");
    for package in packages.filter(|package| package.folder.starts_with("tools")) {
        for target in package.targets.into_iter().filter(|target| target.program) {
            tools.push((package.name.clone(), target.name));
        }
    }
    Ok(tools)
}

fn read(root: &Path, package: &Value) -> Result<Package> {
    let manifest = PathBuf::from(text(package, "manifest_path")?);
    let folder = manifest.parent().context("a manifest without a folder")?;
    let mut targets = Vec::new();
    for target in array(package, "targets")? {
        let kinds = array(target, "kind")?;
        let is = |kind: &str| kinds.iter().any(|found| found == kind);
        if is("lib") || is("bin") {
            let file = PathBuf::from(text(target, "src_path")?);
            let file = file.strip_prefix(root).context("a target outside the tree")?.to_owned();
            targets.push(Target { name: text(target, "name")?.to_owned(), program: is("bin"), file });
        }
    }
    let mut needs = Vec::new();
    for dependency in array(package, "dependencies")? {
        // `null` is an ordinary one; the others are `dev` and `build`.
        if dependency.get("kind").is_some_and(Value::is_null) {
            needs.push(text(dependency, "name")?.to_owned());
        }
    }
    Ok(Package {
        name: text(package, "name")?.to_owned(),
        folder: folder.strip_prefix(root).context("a package outside the tree")?.to_owned(),
        description: package.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        targets,
        needs,
    })
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    match value.get(key).and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => bail!("cargo metadata has no text `{key}`"),
    }
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    match value.get(key).and_then(Value::as_array) {
        Some(array) => Ok(array),
        None => bail!("cargo metadata has no list `{key}`"),
    }
}
