//! Other programs: those that make what no library here makes.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// The date of everything that has one, in seconds since 1970: the first of January 1980, where FAT's time begins.
pub const DATE: u64 = 315_532_800;

/// Runs a program of this package, and answers what it wrote to its standard output.
///
/// # Errors
/// It is not installed, or it failed; what it said is told.
pub fn run<S: AsRef<OsStr>>(package: &str, program: &str, arguments: impl IntoIterator<Item = S>) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    // Programs that write dates write none but this.
    command.env("SOURCE_DATE_EPOCH", DATE.to_string()).env("TZ", "UTC").stdin(Stdio::null()).args(arguments);
    let output = match command.output() {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            bail!("{program} is not installed; ./just disk installs it, or install the package {package}")
        }
        output => output.with_context(|| format!("cannot run {program}"))?,
    };
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
