//! `dist`: packs a built board into build/NAME-VERSION.tar.gz.

use anyhow::Result;
use clap::Parser;
use slopos_dist::{Board, pack};
use std::path::PathBuf;
use std::process::ExitCode;

/// Packs a built board for those who run it: kernel, flash, manifest, audit, list of components, licences.
#[derive(Parser)]
#[command(name = "dist", after_help = HELP)]
struct Options {
    /// The board's manifest.
    #[arg(default_value = "boards/qemu_q35/board.toml")]
    manifest: PathBuf,
    /// The folder with the apps' ELF files, each named as its app.
    #[arg(long, value_name = "FOLDER", default_value = "target/bare-apps/x86_64-unknown-none/release")]
    apps: PathBuf,
    /// The folder with the kernel, in which the archive is put.
    #[arg(long, value_name = "FOLDER", default_value = "build")]
    folder: PathBuf,
    /// Pack a board that trusts the development key, with which everybody can sign programs for it.
    #[arg(long)]
    development: bool,
}

const HELP: &str = "\
Examples:
  dist
  dist boards/ours/board.toml
  dist --development boards/qemu_q35/scale.toml

Exit status:
  0  the archive is there, and its name was printed
  1  something is missing or does not belong together, or the board trusts the development key
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|Options { manifest, apps, folder, development }| -> Result<()> {
        let name = slopos_manifest::load(&manifest)?.board.name;
        let kernel = folder.join(format!("{name}.elf"));
        let board = Board { root: ".".into(), manifest, kernel, apps, development };
        let packed = pack(&board, env!("CARGO_PKG_VERSION"))?;
        if packed.source.dirty {
            eprintln!("dist: WARNING: the tree has changes that are not committed; the archive says so");
        }
        let archive = folder.join(format!("{}.tar.gz", packed.name));
        slopos_cli::put(&archive, &packed.bytes)?;
        println!("{}", archive.display());
        Ok(())
    })
}
