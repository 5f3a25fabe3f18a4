//! `manifest FILE` checks a manifest and prints the board's name, for scripts that name files after it;
//! `manifest --expand FILE` prints what all of it comes to; `manifest --outside FILE` prints the folders of the programs that
//! are not of this tree, one a line.

use slopos_manifest::{Expanded, Manifest};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, option) = match &arguments[..] {
        [path] if !path.starts_with('-') => (path, ""),
        [option, path] if ["--expand", "--outside"].contains(&option.as_str()) => (path, option.as_str()),
        _ => {
            eprintln!("usage: manifest [--expand | --outside] FILE");
            return ExitCode::from(2);
        }
    };
    let text = match slopos_manifest::load(path) {
        Ok(manifest) if option == "--outside" => match outside(&manifest, path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("manifest: {error}");
                return ExitCode::FAILURE;
            }
        },
        Ok(manifest) if option == "--expand" => Expanded::new(&manifest, path).to_string(),
        Ok(manifest) => manifest.board.name + "\n",
        Err(error) => {
            eprintln!("manifest: {error}");
            return ExitCode::FAILURE;
        }
    };
    match stdout().write_all(text.as_bytes()) {
        // A pager that was left early wants no more.
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            eprintln!("manifest: standard output: {why}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The folders of the crates that are not of this tree, each once. What is no crate there is an error.
fn outside(manifest: &Manifest, path: &str) -> Result<String, String> {
    let mut folders = String::new();
    let mut known = BTreeSet::new();
    for process in &manifest.processes {
        let Some(folder) = &process.path else { continue };
        let (line, name) = (process.line, &process.name);
        let package = folder.join("Cargo.toml");
        if !package.is_file() {
            return Err(format!("{path}:{line}: `path` of process `{name}`: there is no {}", package.display()));
        }
        match folder.to_str() {
            Some(text) if !text.contains('\n') => {
                if known.insert(folder) {
                    folders = folders + text + "\n";
                }
            }
            _ => return Err(format!("{path}:{line}: `path` of process `{name}` is not one line of UTF-8")),
        }
    }
    Ok(folders)
}
