//! `flash`: builds, shows, checks and changes the image of the board's flash, alone or on a disk that boots by itself.

mod files;
mod signing;

use crate::files::{load, read};
use crate::signing::{Keygen, Keys, Sign};
use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use slopos_disk::Container;
use slopos_flash::key;
use slopos_flash::sign::Signer;
use slopos_flash::update::{self, How, Medium, Replaced};
use slopos_flash::{Contents, Image, Program, encode, migrate, status};
use slopos_manifest::key::show_id;
use slopos_manifest::{PublicKey, Unsigned, size};
use std::io::{Read, Write};
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
    /// Puts another version of an app into its spare slot, where it is on trial; the kernel needs no rebuilding.
    Replace {
        /// The image.
        image: PathBuf,
        /// The app whose slot it is.
        app: String,
        /// The program's ELF file.
        elf: PathBuf,
        /// Makes it the confirmed version at once, without a trial.
        #[arg(long)]
        confirm: bool,
        /// Lets it be older than the confirmed version.
        #[arg(long)]
        downgrade: bool,
        /// The file of the private key that signs it; SLOPOS_SIGNING_KEY names it otherwise.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Takes the last version of an app back: ends its trial, or confirms the one in the other slot again.
    Revert {
        /// The image.
        image: PathBuf,
        /// The app.
        app: String,
    },
    /// Shows which version of each app is confirmed, on trial or reverted, and why.
    Status {
        /// The image.
        image: PathBuf,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Makes an image of version 1, which had one slot for each app, one of today; its data regions keep what they
    /// hold.
    Migrate {
        /// The image.
        image: PathBuf,
        /// The board's manifest.
        #[arg(long)]
        manifest: PathBuf,
        /// The file of the private key that signs it; SLOPOS_SIGNING_KEY names it otherwise.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Makes a pair of keys.
    Keygen(Keygen),
    /// Signs records; with --external and --signature by a key that is elsewhere.
    Sign(Sign),
    /// Reads or writes a data region.
    #[command(subcommand)]
    Region(Region),
}

#[derive(Subcommand)]
enum Region {
    /// Writes a region's bytes to a file, or to standard output.
    Get {
        /// The image.
        image: PathBuf,
        /// The region's name.
        region: String,
        /// The file to write; - or nothing is standard output.
        file: Option<PathBuf>,
    },
    /// Puts a file's bytes into a region; the rest of it becomes zeros.
    Put {
        /// The image.
        image: PathBuf,
        /// The region's name.
        region: String,
        /// The file to read; - is standard input.
        file: PathBuf,
    },
}

/// A file with a flash in it, as the steps of an update see it.
struct OnFile(Container);

impl Medium for OnFile {
    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.0.read_at(offset, length)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    fn size(&self) -> u64 {
        self.0.flash().len() as u64
    }
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
  flash status build/qemu_q35.img
  flash revert build/qemu_q35.img webget
  flash region get build/qemu_q35.img download saved

What --external wrote is signed elsewhere, by openssl pkeyutl -sign -rawin for instance.

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
        Command::Replace { image: path, app, elf, confirm, downgrade, key } => {
            let (container, image) = load(&path)?;
            let program = Program::from_elf(&read(&elf)?).with_context(|| elf.display().to_string())?;
            let mut record = encode(&app, image.board(), &program)?;
            match signing::for_image(&image, key.as_deref())? {
                Some(key) => slopos_flash::sign::sign(&mut record, &key)?,
                None => signing::warn_unsigned(),
            }
            // Where the board cannot write, a trial could not be counted.
            let how = How { confirm: confirm || container.is_read_only(), downgrade };
            let replaced = update::replace(&mut OnFile(container), &app, &record, how);
            let replaced = replaced.with_context(|| path.display().to_string())?;
            print(&load(&path)?.1, None);
            println!(
                "app `{app}`: the new version is {}",
                match replaced {
                    Replaced::Trial =>
                        "on trial: it runs next, and is confirmed when it ends with 0 or says that it works",
                    Replaced::Confirmed => "the confirmed one",
                    Replaced::Alone => "the confirmed one: there was no whole version to return to",
                }
            );
        }
        Command::Revert { image: path, app } => {
            let reverted = update::revert(&mut OnFile(load(&path)?.0), &app);
            let header = reverted.with_context(|| path.display().to_string())?;
            println!("app `{app}`: version {} runs next", update::version(&header));
        }
        Command::Status { image, json } => {
            let status = status::status(&load(&image)?.1);
            if json { println!("{}", status.json()?) } else { print!("{}", status.table()) }
        }
        Command::Migrate { image: path, manifest, key } => migrate_file(&path, &manifest, key.as_deref())?,
        Command::Region(Region::Get { image, region, file }) => {
            let (_, image) = load(&image)?;
            let bytes = image.region(&region)?;
            match file.filter(|file| file != Path::new("-")) {
                Some(file) => {
                    std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?
                }
                None => std::io::stdout().write_all(bytes)?,
            }
        }
        Command::Region(Region::Put { image: path, region, file }) => {
            let (container, mut image) = load(&path)?;
            let mut bytes = Vec::new();
            if file == Path::new("-") {
                std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
            } else {
                bytes = read(&file)?;
            }
            image.put_region(&region, &bytes)?;
            container.replace(image.bytes())?;
        }
        Command::Keygen(arguments) => signing::keygen(&arguments)?,
        Command::Sign(arguments) => signing::sign(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts a flash of today in the place of one of version 1: the old one stays until the new one is whole.
fn migrate_file(path: &Path, manifest: &Path, key: Option<&Path>) -> Result<()> {
    let container = Container::open(path)?;
    let old = container.flash();
    ensure!(migrate::is_old(old), "{}: this is no flash of version 1; there is nothing to migrate", path.display());
    let manifest = slopos_manifest::load(manifest)?;
    let key = key::for_manifest(&manifest, key)?;
    let image = migrate::migrate(old, &manifest, key.as_ref()).with_context(|| path.display().to_string())?;
    image.verify(&key.iter().map(|key| *key.public()).collect::<Vec<_>>())?;
    if key.is_none() {
        signing::warn_unsigned();
    }
    if container.is_alone() {
        return write(path, &image);
    }
    let (need, room) = (image.bytes().len(), old.len());
    ensure!(
        need <= room,
        "{}: the flash of this manifest needs {need} bytes, its partition has {room}; ./just disk makes another",
        path.display()
    );
    let mut bytes = image.bytes().to_vec();
    bytes.resize(room, 0);
    container.replace(&bytes)?;
    print(&load(path)?.1, None);
    Ok(())
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
    // The name may not come to the disk before what it names.
    std::fs::File::open(&beside)?.sync_all()?;
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
