//! `manifest FILE` checks a manifest and prints the board's name, for scripts that name files after it;
//! `manifest --expand FILE` prints what all of it comes to.

use anyhow::Result;
use clap::Parser;
use slopos_manifest::Expanded;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks a board's manifest and prints the board's name.
#[derive(Parser)]
#[command(name = "manifest", after_help = HELP)]
struct Arguments {
    /// The manifest.
    file: PathBuf,
    /// Prints the whole manifest with every multiplication worked out.
    #[arg(long)]
    expand: bool,
}

const HELP: &str = "\
Examples:
  manifest boards/qemu_q35/board.toml
  manifest --expand boards/qemu_q35/board.toml

Exit status:
  0  the manifest is right
  1  it is wrong, or cannot be read: the message names the line
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|Arguments { file, expand }| -> Result<()> {
        let manifest = slopos_manifest::load(&file)?;
        if expand {
            print!("{}", Expanded::new(&manifest, &file.to_string_lossy()));
        } else {
            println!("{}", manifest.board.name);
        }
        Ok(())
    })
}
