//! `manifest FILE` checks a manifest and prints the board's name, for scripts that name files after it;
//! `manifest --expand FILE` prints what all of it comes to.

use slopos_manifest::Expanded;
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
    match slopos_manifest::load(path) {
        Ok(manifest) if expand => {
            print!("{}", Expanded::new(&manifest, path));
            ExitCode::SUCCESS
        }
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
