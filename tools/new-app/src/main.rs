//! `new-app NAME`: an app's crate, its entry in a manifest, and what to type next.

use anyhow::Result;
use clap::Parser;
use slopos_new_app::{Request, plan};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The tree, from the folder in which recipes run.
const ROOT: &str = ".";
/// The board that `./just build` builds.
const BOARD: &str = "boards/qemu_q35/board.toml";

/// Begins an app: its crate, and its entry in the board's manifest.
///
/// The app prints what the host says on a port. Nothing is written unless all of it can be.
#[derive(Parser)]
#[command(name = "new-app", after_help = HELP)]
struct Options {
    /// The app's name: a to z, 0 to 9 and _, at most 16; its package, program and process have it too.
    name: String,
    /// The folder of a crate of its own outside of this tree, which depends on this tree's libslop. It must not be there
    /// yet, or be empty.
    #[arg(long, value_name = "FOLDER")]
    outside: Option<PathBuf>,
    /// The manifest that gets the entry.
    #[arg(long, value_name = "FILE", default_value = BOARD)]
    manifest: PathBuf,
}

const HELP: &str = "\
Examples:
  new-app banner
  new-app banner --outside ../banner

Exit status:
  0  the app is there
  1  it cannot be, and nothing was written
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(run)
}

fn run(Options { name, outside, manifest }: Options) -> Result<()> {
    let board = slopos_manifest::load(&manifest)?.board.name;
    let request = Request { name, outside, manifest };
    let plan = plan(Path::new(ROOT), &request)?;
    plan.carry_out()?;
    let Request { name, manifest, .. } = request;
    let folder = plan.folder.strip_prefix(Path::new(ROOT).canonicalize()?).unwrap_or(&plan.folder).display();
    let (build, image) = if manifest == Path::new(BOARD) {
        ("./just build".to_owned(), String::new())
    } else {
        (format!("./just build {}", manifest.display()), format!(" --image build/{board}"))
    };
    let tools = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from).join("debug");
    println!(
        "{folder} has the app, and {} its process. Build it, let this machine say something, and boot:

    {build}
    python3 -c 'import socket; socket.create_server((\"127.0.0.1\", 2222)).accept()[0].sendall(b\"hello\\n\")' &
    {}/run{image} --append '{name}; exit'",
        manifest.display(),
        tools.display()
    );
    Ok(())
}
