//! A built board as one archive for those who run it: kernel, flash, and what says what they are.
//!
//! The same sources give the same archive, to the last byte, wherever and whenever: nothing in it is of this machine or of
//! today. Sources that differ from their revision are told in its name and on its first page.
#![forbid(unsafe_code)]

pub mod archive;
pub mod linked;
pub mod sbom;
pub mod source;

use crate::archive::Files;
use crate::linked::{Id, Linked, Package, Program};
use crate::source::Source;
use anyhow::{Context, Result, bail, ensure};
use slopos_manifest::Manifest;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What kernel and apps are built for.
const TARGET: &str = "x86_64-unknown-none";
/// The first page, with words in braces to be replaced.
const README: &str = include_str!("../template/README.in");
/// What stands there where the sources differ from their revision.
const DIRTY: &str = "**The sources had changes that are not in the revision: nobody else can build this.**\n\n";

/// Where a built board is.
pub struct Board {
    /// The tree that it was built from.
    pub root: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// The folder with the apps' ELF files.
    pub apps: PathBuf,
    /// It may trust the development key.
    pub development: bool,
}

/// A board as it is passed on.
pub struct Packed {
    /// The archive's name without the ending: the board's, the version, and `+dirty` where the sources had changes.
    pub name: String,
    /// What is in it.
    pub files: Files,
    /// The archive.
    pub bytes: Vec<u8>,
    /// The sources.
    pub source: Source,
}

/// Packs a board.
///
/// # Errors
/// Something is missing, or does not belong together: the kernel was built from another manifest, or fails its audit.
pub fn pack(board: &Board, version: &str) -> Result<Packed> {
    let manifest = slopos_manifest::load(&board.manifest)?;
    let kernel = read(&board.kernel)?;
    let (image, carried) = slopos_audit::parse(&kernel).with_context(|| board.kernel.display().to_string())?;
    let expected = slopos_manifest::Expanded::new(&manifest, &carried.file);
    ensure!(carried == expected, "{} was built from another manifest; run ./just build", board.kernel.display());
    let audit = slopos_audit::account::audit(&image, &carried);
    ensure!(audit.passes(), "the kernel does not pass its audit: {}", audit.problems.join("; "));
    // A flash of its own: a board may have written to the one in build/.
    let key = slopos_flash::key::for_manifest(&manifest, None)?;
    let key = key.with_context(|| {
        format!("nobody can sign the programs: {} names no file of a private key", slopos_flash::key::KEY_VARIABLE)
    })?;
    ensure!(
        board.development || !manifest.flash.is_development(),
        "this board trusts the development key, with which everybody can sign programs for it: name keys of your own under \
         [flash] in {}, or pack it with --development",
        board.manifest.display()
    );
    let flash = slopos_flash::Image::build(&manifest, Some(&key), |app| read(&board.apps.join(app)), read)?;
    flash.verify(&[*key.public()])?;

    let code = slopos_elf::Code::open(&board.kernel)?;
    let compiler = code.compiler().context("the kernel does not say what compiled it")?;
    let source = Source::of(&board.root)?;
    let (linked, programs) = linked(board, &manifest)?;
    let name = &manifest.board.name;
    let state = if source.dirty { format!("{} with changes", source.revision) } else { source.revision.clone() };
    let subject = sbom::Subject { name, version, revision: &state, compiler, programs: &programs };

    let mut files = licences(&board.root, &linked)?;
    files.insert(format!("{name}.elf"), kernel);
    files.insert(format!("{name}.img"), flash.bytes().to_vec());
    files.insert("board.toml".to_owned(), read(&board.manifest)?);
    files.insert("audit.json".to_owned(), (serde_json::to_string_pretty(&audit)? + "\n").into_bytes());
    files.insert("sbom.cdx.json".to_owned(), sbom::write(&subject, &linked)?);
    let words = format!(
        "board {name}\nversion {version}\nrevision {state}\nbuild-id {}\ncompiler rustc {compiler}\n",
        audit.build_id
    );
    files.insert("VERSION".to_owned(), words.into_bytes());
    let page = README.replace("{dirty}", if source.dirty { DIRTY } else { "" });
    let page = page.replace("{name}", name).replace("{version}", version).replace("{revision}", &state);
    files.insert("README.md".to_owned(), page.into_bytes());
    let sums = archive::sums(&files);
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());

    let name = format!("{name}-{version}{}", if source.dirty { "+dirty" } else { "" });
    let bytes = archive::pack(&name, &files)?;
    Ok(Packed { name, files, bytes, source })
}

/// Kernel and apps with all that is linked into them.
fn linked(board: &Board, manifest: &Manifest) -> Result<(Linked, Vec<Id>)> {
    let workspace = board.root.join("Cargo.toml");
    let mut apps = BTreeSet::new();
    for process in &manifest.processes {
        let place = process.path.as_ref().map_or_else(|| workspace.clone(), |folder| folder.join("Cargo.toml"));
        apps.insert((process.app.clone(), place));
    }
    let mut linked = Linked::default();
    // The package is named after its folder.
    let kernel = format!("slopos-board-{}", manifest.board.machine.folder().replace('_', "-"));
    let mut programs = vec![linked.add(&Program { manifest: workspace, package: kernel }, TARGET)?];
    for (package, manifest) in apps {
        programs.push(linked.add(&Program { manifest, package }, TARGET)?);
    }
    Ok((linked, programs))
}

/// The licences' texts: this system's own, and those of each package that comes from elsewhere.
fn licences(root: &Path, linked: &Linked) -> Result<Files> {
    let mut files = Files::new();
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.insert(file.to_owned(), read(&root.join(file))?);
    }
    for (Id { name, version }, package) in &linked.packages {
        if package.source.is_none() {
            continue;
        }
        let texts = texts(package)?;
        if texts.is_empty() {
            bail!("{name} {version} has no file with its licence");
        }
        for text in texts {
            let file = text.file_name().unwrap_or_default().to_string_lossy();
            files.insert(format!("licenses/{name}-{version}/{file}"), read(&text)?);
        }
    }
    Ok(files)
}

/// The files of a package that are its licence, by their usual names.
fn texts(package: &Package) -> Result<Vec<PathBuf>> {
    const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];
    let folder = package.manifest_path.parent().context("a package lies in a folder")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry.with_context(|| folder.display().to_string())?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if entry.path().is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
