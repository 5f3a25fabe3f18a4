//! The same disk in QEMU's own format, by `qemu-img`.

use crate::boot::Parts;
use crate::raw;
use crate::run::run;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Makes a disk.
///
/// # Errors
/// As [`raw::make`]; or qemu-img is not installed.
pub fn make(parts: &Parts) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let (from, to) = (folder.path().join("raw"), folder.path().join("qcow2"));
    fs::write(&from, raw::make(parts)?)?;
    convert("raw", &from, "qcow2", &to)?;
    fs::read(&to).context("qemu-img wrote nothing")
}

/// What a guest sees of a disk in this format.
///
/// # Errors
/// It is none, or qemu-img is not installed.
pub fn contents(path: &Path) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let to = folder.path().join("raw");
    convert("qcow2", path, "raw", &to)?;
    fs::read(&to).context("qemu-img wrote nothing")
}

/// Writes bytes at an offset of the disk, and leaves the rest of the file as it is: snapshots and what it is based on.
///
/// # Errors
/// It cannot be written, or qemu-io is not installed.
pub fn write(path: &Path, offset: usize, bytes: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let from = folder.path().join("flash");
    fs::write(&from, bytes)?;
    let command = format!("write -q -s {} {offset} {}", from.display(), bytes.len());
    let said = run("qemu-utils", "qemu-io", ["-f", "qcow2", "-c", &command, &path.display().to_string()])?;
    // It exits with 0 whatever became of the command, and says nothing where that went well.
    anyhow::ensure!(said.is_empty(), "qemu-io failed: {}", String::from_utf8_lossy(&said).trim());
    Ok(())
}

fn convert(from: &str, source: &Path, to: &str, target: &Path) -> Result<()> {
    let (source, target) = (source.display().to_string(), target.display().to_string());
    // One request at a time: clusters are allotted in the order of the disk then.
    run("qemu-utils", "qemu-img", ["convert", "-m", "1", "-f", from, "-O", to, &source, &target])?;
    Ok(())
}
