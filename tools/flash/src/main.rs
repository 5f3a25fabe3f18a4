//! `flash`: builds, shows, checks and changes the image of the board's flash, alone or on a disk that boots by itself.

mod files;
mod signing;

use crate::files::{load, read};
use crate::signing::{Keygen, Keys, Sign};
use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use slopos_flash::key;
use slopos_flash::sign::Signer;
use slopos_flash::{Contents, Image, Program};
use slopos_manifest::key::show_id;
use slopos_manifest::{PublicKey, Unsigned, size};
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
        /// The file of the private key that signs, where the manifest names keys; SLOPOS_SIGNING_KEY names it
        /// otherwise.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Lists the slots of an image and what they hold.
    List {
        /// The image.
        image: PathBuf,
    },
    /// Checks every record of an image as the kernel does at boot, signatures included.
    Verify {
        /// The image.
        image: PathBuf,
        #[command(flatten)]
        keys: Keys,
    },
    /// Puts another program into the slot of an app; the kernel needs no rebuilding.
    Replace {
        /// The image.
        image: PathBuf,
        /// The app whose slot it is.
        app: String,
        /// The program's ELF file.
        elf: PathBuf,
        /// The file of the private key that signs it; SLOPOS_SIGNING_KEY names it otherwise.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Makes a pair of keys.
    Keygen(Keygen),
    /// Signs records; with --external and --signature by a key that is elsewhere.
    Sign(Sign),
}

const HELP: &str = "\
Examples:
  flash list build/qemu_q35.img
  flash replace build/qemu_q35.img webget target/bare-apps/x86_64-unknown-none/release/webget
  flash verify build/qemu_q35.img
  flash keygen ours.pem
  flash sign build/ours.img webget --external to_sign --public ours.pub
  flash sign build/ours.img webget --signature signature --public ours.pub
  flash verify build/ours.img --key ours.pub
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
        Command::Build { manifest: path, apps, output, key } => {
            let manifest = slopos_manifest::load(&path)?;
            let key = key::for_manifest(&manifest, key.as_deref())?;
            let image = Image::build(&manifest, key.as_ref(), |app| read(&apps.join(app)), read);
            let image = image.with_context(|| path.display().to_string())?;
            image.verify(&key.iter().map(|key| *key.public()).collect::<Vec<_>>())?;
            if key.is_none() {
                signing::warn_unsigned();
            }
            write(&output, &image)?;
        }
        Command::List { image } => {
            print(&load(&image)?.1, None);
        }
        Command::Verify { image, keys } => {
            let bad = print(&load(&image)?.1, Some(keys.load()?));
            if bad > 0 {
                eprintln!("flash: {bad} bad slots in {}", image.display());
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Replace { image: path, app, elf, key } => {
            let (container, mut image) = load(&path)?;
            let program = Program::from_elf(&read(&elf)?).with_context(|| elf.display().to_string())?;
            let key = signing::for_image(&image, key.as_deref())?;
            image.replace(&app, &program)?;
            match &key {
                Some(key) => slopos_flash::sign::sign(image.record_mut(&app)?, key)?,
                None => signing::warn_unsigned(),
            }
            print(&image, None);
            container.replace(image.bytes())?;
        }
        Command::Keygen(arguments) => signing::keygen(&arguments)?,
        Command::Sign(arguments) => signing::sign(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes an image beside its place, reads it back, checks it, and only then puts it there.
///
/// A bad record elsewhere in the image is no reason to refuse: it was there before, and the kernel boots the rest.
fn write(path: &Path, image: &Image) -> Result<()> {
    let beside = path.with_added_extension("new");
    std::fs::write(&beside, image.bytes()).with_context(|| format!("cannot write {}", beside.display()))?;
    let (_, written) = load(&beside)?;
    ensure!(written == *image, "{} does not read back as it was written", beside.display());
    print(&written, None);
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Prints a line for each slot; returns how many are bad. With keys, what none of them has signed is bad too, unless it
/// is unsigned and may be.
fn print(image: &Image, keys: Option<(Vec<PublicKey>, Unsigned)>) -> usize {
    let known = keys.as_ref().map_or_else(|| vec![PublicKey::development()], |(keys, _)| keys.clone());
    let trusted = |signer: &Signer| match (&keys, signer) {
        (None, _) | (_, Signer::Known(_)) => true,
        (Some((_, unsigned)), Signer::Nobody) => *unsigned == Unsigned::Warn,
        (_, Signer::Unknown(_)) => false,
    };
    let mut bad = 0;
    println!("{:<16} {:<4} {:>7} {:>7}  contents", "slot", "kind", "sector", "sectors");
    for (slot, contents) in image.inspect(&known) {
        let kind = if matches!(contents, Ok(Contents::Data { .. })) { "data" } else { "app" };
        let text = match contents {
            Ok(Contents::Data { sha256 }) => format!("{} sha256 {}", size::show(slot.size()), short(&sha256)),
            Ok(Contents::App { signer, .. }) if !trusted(&signer) => {
                bad += 1;
                match signer {
                    Signer::Unknown(id) => {
                        format!("bad: signed with key {}, which is none of those given", show_id(&id))
                    }
                    _ => "bad: nobody has signed it".to_owned(),
                }
            }
            Ok(Contents::App { record_bytes, sha256, signer, program }) => {
                let version = if program.version.is_empty() { "none" } else { &program.version };
                let rights: Vec<_> = program.pieces.iter().map(|piece| piece.rights()).collect();
                format!(
                    "{record_bytes} of {} bytes, RAM {}, entry {:#x}, {}, sha256 {}, version {version}, {signer}",
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
