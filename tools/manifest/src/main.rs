//! `manifest FILE` checks a manifest and prints the board's name, for scripts that name files after it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: manifest FILE");
        return ExitCode::from(2);
    };
    match slopos_manifest::load(&path) {
        Ok(manifest) => {
            println!("{}", manifest.board.name);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("manifest: {error}");
            ExitCode::FAILURE
        }
    }
}
