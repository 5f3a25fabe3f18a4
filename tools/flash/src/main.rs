//! `flash`: builds, shows, checks and changes the image of the board's flash, alone or on a disk that boots by itself.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use slopos_disk::Container;
use slopos_flash::{Contents, Image, Program};
use slopos_manifest::size;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Builds, shows, checks and changes the image of the board's flash.
#[derive(Parser)]
#[command(name = "flash", after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the flash of a manifest: each app and each data region in its slot.
    Build {
        /// The board's manifest.
        #[arg(long)]
        manifest: PathBuf,
        /// The folder with the apps' ELF files, each named as its app.
        #[arg(long)]
        apps: PathBuf,
        /// The image to write.
        #[arg(long)]
        output: PathBuf,
    },
    /// Lists the slots of an image and what they hold.
    List {
        /// The image.
        image: PathBuf,
    },
    /// Checks every record of an image as the kernel does at boot.
    Verify {
        /// The image.
        image: PathBuf,
    },
    /// Puts another program into the slot of an app; the kernel needs no rebuilding.
    Replace {
        /// The image.
        image: PathBuf,
        /// The app whose slot it is.
        app: String,
        /// The program's ELF file.
        elf: PathBuf,
    },
}

const HELP: &str = "\
Examples:
  flash list build/qemu_q35.img
  flash replace build/qemu_q35.img webget target/bare-apps/x86_64-unknown-none/release/webget
  flash verify build/qemu_q35.img
  flash list build/qemu_q35.disk.qcow2

An image is a flash, or what ./just disk makes with a flash on it: raw, qcow2, iso, oci.tar.

Exit status:
  0  done, and every record that was looked at is good
  1  a record is bad, or what was asked for could not be done
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(run)
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Build { manifest: path, apps, output } => {
            let manifest = slopos_manifest::load(&path)?;
            let image = Image::build(&manifest, |app| read(&apps.join(app)), read);
            let image = image.with_context(|| path.display().to_string())?;
            image.verify()?;
            write(&output, &image)?;
        }
        Command::List { image } => {
            print(&load(&image)?.1);
        }
        Command::Verify { image } => {
            let bad = print(&load(&image)?.1);
            if bad > 0 {
                eprintln!("flash: {bad} bad slots in {}", image.display());
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Replace { image: path, app, elf } => {
            let (container, mut image) = load(&path)?;
            let program = Program::from_elf(&read(&elf)?).with_context(|| elf.display().to_string())?;
            image.replace(&app, &program)?;
            print(&image);
            container.replace(image.bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file's bytes.
fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A file with a flash in it whose map is right, and the flash.
fn load(path: &Path) -> Result<(Container, Image)> {
    let container = Container::open(path)?;
    let image = Image::from_bytes(container.flash().to_vec()).with_context(|| path.display().to_string())?;
    Ok((container, image))
}

/// Writes an image beside its place, reads it back, checks it, and only then puts it there.
///
/// A bad record elsewhere in the image is no reason to refuse: it was there before, and the kernel boots the rest.
fn write(path: &Path, image: &Image) -> Result<()> {
    let beside = path.with_added_extension("new");
    std::fs::write(&beside, image.bytes()).with_context(|| format!("cannot write {}", beside.display()))?;
    let (_, written) = load(&beside)?;
    ensure!(written == *image, "{} does not read back as it was written", beside.display());
    print(&written);
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Prints a line for each slot; returns how many are bad.
fn print(image: &Image) -> usize {
    let mut bad = 0;
    println!("{:<16} {:<4} {:>7} {:>7}  contents", "slot", "kind", "sector", "sectors");
    for (slot, contents) in image.inspect() {
        let kind = if matches!(contents, Ok(Contents::Data { .. })) { "data" } else { "app" };
        let text = match contents {
            Ok(Contents::Data { sha256 }) => format!("{} sha256 {}", size::show(slot.size()), short(&sha256)),
            Ok(Contents::App { record_bytes, sha256, program }) => {
                let rights: Vec<_> = program.pieces.iter().map(|piece| piece.rights()).collect();
                format!(
                    "{record_bytes} of {} bytes, RAM {}, entry {:#x}, {}, sha256 {}",
                    slot.size(),
                    size::show(program.span()),
                    program.entry,
                    rights.join(" "),
                    short(&sha256)
                )
            }
            Err(error) => {
                bad += 1;
                format!("bad: {error:#}")
            }
        };
        println!("{:<16} {:<4} {:>7} {:>7}  {text}", slot.name, kind, slot.start_sector, slot.sectors);
    }
    bad
}

/// The first bytes of a hash, enough to tell two builds apart by eye.
fn short(sha256: &[u8; 32]) -> String {
    sha256[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
