//! `disk`: makes a disk that boots a board by itself.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use slopos_disk::{Parts, iso, oci, qcow2, raw};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Makes a disk that boots a board by itself, under BIOS and under UEFI.
#[derive(Parser)]
#[command(name = "disk", after_help = HELP)]
struct Options {
    /// The board: IMAGE.elf is its kernel, IMAGE.img its flash.
    #[arg(long, default_value = "build/qemu_q35")]
    image: PathBuf,
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
    /// The kernel's command line: commands that are carried out at boot, separated by `;`.
    #[arg(long, value_name = "COMMANDS", default_value = "")]
    append: String,
    /// The file to write; by default IMAGE.disk with the form's own ending.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The forms of a disk.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The disk's bytes: .raw
    Raw,
    /// QEMU's own format: .qcow2
    Qcow2,
    /// A CD-ROM: .iso
    Iso,
    /// A container image, for KubeVirt: .oci.tar
    Oci,
}

const HELP: &str = "\
Examples:
  disk --append 'webget http://10.0.2.2:8000/; exit'
  disk --format qcow2 --image build/qemu_q35-scale --output /tmp/scale.qcow2

Exit status:
  0  the disk is there, and its name was printed
  1  something is missing, or cannot be on a disk
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|Options { image, format, append, output }| -> Result<()> {
        let (kernel, flash) = (image.with_added_extension("elf"), image.with_added_extension("img"));
        let parts = Parts::new(&read(&kernel)?, read(&flash)?, &append)?;
        let (ending, bytes) = match format {
            Format::Raw => ("disk.raw", raw::make(&parts)?),
            Format::Qcow2 => ("disk.qcow2", qcow2::make(&parts)?),
            Format::Iso => ("disk.iso", iso::make(&parts)?),
            Format::Oci => ("disk.oci.tar", oci::make(&parts)?),
        };
        let output = output.unwrap_or_else(|| image.with_added_extension(ending));
        let beside = output.with_added_extension("new");
        fs::write(&beside, bytes)
            .and_then(|()| fs::rename(&beside, &output))
            .with_context(|| format!("cannot write {}", output.display()))?;
        println!("{}", output.display());
        Ok(())
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}; run ./just build", path.display()))
}
