//! `manifest FILE` checks a manifest and prints the board's name, for scripts that name files after it;
//! `manifest --expand FILE` prints what all of it comes to; `manifest --outside FILE` prints the folders of the programs that
//! are not of this tree, one a line.

use anyhow::{Context, Result, bail};
use clap::Parser;
use slopos_manifest::{Expanded, Manifest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    /// Prints the folders of the programs that are built outside of the tree, one a line; a missing one is an error.
    #[arg(long, conflicts_with = "expand")]
    outside: bool,
    /// Prints the folder in boards/ that the manifest is for.
    #[arg(long, conflicts_with_all = ["expand", "outside"])]
    board: bool,
    /// Checks that a folder in one of these has each app's program; may be given more than once.
    #[arg(long, value_name = "FOLDER")]
    programs: Vec<PathBuf>,
}

const HELP: &str = "\
Examples:
  manifest boards/qemu_q35/board.toml
  manifest --expand boards/qemu_q35/board.toml
  manifest --programs userland/apps --programs userland/tests boards/qemu_q35/test.toml

Exit status:
  0  the manifest is right
  1  it is wrong, or cannot be read: the message names the line
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|Arguments { file, expand, outside, board, programs }| -> Result<()> {
        let manifest = slopos_manifest::load(&file)?;
        if !programs.is_empty() {
            manifest.check_programs(&file, &names(&programs)?)?;
        }
        if expand {
            print!("{}", Expanded::new(&manifest, &file.to_string_lossy()));
        } else if board {
            println!("{}", manifest.board.machine.folder());
        } else if outside {
            print!("{}", folders(&manifest, &file)?);
        } else {
            println!("{}", manifest.board.name);
        }
        Ok(())
    })
}

/// The folders of the crates that are not of this tree, each once, one a line.
fn folders(manifest: &Manifest, file: &Path) -> Result<String> {
    let mut folders = String::new();
    let mut known = BTreeSet::new();
    for process in &manifest.processes {
        let Some(folder) = &process.path else { continue };
        let entry = format!("{}:{}: `path` of process `{}`", file.display(), process.line, process.name);
        let package = folder.join("Cargo.toml");
        if !package.is_file() {
            bail!("{entry}: there is no {}", package.display());
        }
        match folder.to_str() {
            Some(text) if !text.contains('\n') => {
                if known.insert(folder) {
                    folders = folders + text + "\n";
                }
            }
            _ => bail!("{entry} is not one line of UTF-8"),
        }
    }
    Ok(folders)
}

/// The programs whose crates are in these folders. A crate's folder has the program's name.
fn names(folders: &[PathBuf]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in folders {
        for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.join("Cargo.toml").is_file()
                && let Some(name) = path.file_name()
            {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    Ok(names)
}
