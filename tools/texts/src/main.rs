//! `texts`: puts the texts of a kernel's log into the kernel.

use anyhow::{Context, Result};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Puts the texts of a kernel's log into the kernel, whose manifest says `log = "text"`. `./just build` calls it.
#[derive(Parser)]
#[command(name = "texts", after_help = HELP)]
struct Options {
    /// The kernel's ELF file, which is changed in place.
    kernel: PathBuf,
}

const HELP: &str = "\
Examples:
  texts build/qemu_q35-text.elf

Exit status:
  0  the kernel has its texts, or its log is frames and it needs none
  1  it cannot have them: the message says why
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|Options { kernel }| -> Result<()> {
        let name = kernel.display();
        let mut bytes = std::fs::read(&kernel).with_context(|| format!("cannot read {name}"))?;
        let Some(used) = slopos_texts::put(&mut bytes).with_context(|| name.to_string())? else { return Ok(()) };
        std::fs::write(&kernel, &bytes).with_context(|| format!("cannot write {name}"))?;
        eprintln!("texts: {used} bytes of the log's texts are in {name}");
        Ok(())
    })
}
