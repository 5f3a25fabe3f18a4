//! `manifest FILE` checks a manifest and prints the board's name, for scripts that name files after it;
//! `manifest --expand FILE` prints what all of it comes to.

use slopos_manifest::Expanded;
use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, expand) = match &arguments[..] {
        [path] if path != "--expand" => (path, false),
        [option, path] if option == "--expand" => (path, true),
        _ => {
            eprintln!("usage: manifest [--expand] FILE");
            return ExitCode::from(2);
        }
    };
    let text = match slopos_manifest::load(path) {
        Ok(manifest) if expand => Expanded::new(&manifest, path).to_string(),
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
