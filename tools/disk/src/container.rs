//! A file with a flash in it, whatever its form.

use crate::{iso, oci, qcow2, raw};
use anyhow::{Context, Result, ensure};
use slopos_abi::flash::MAP_MAGIC;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where the flash is in a file.
enum Form {
    /// The file is the flash.
    Flash,
    /// In these bytes of the file: a disk or a CD-ROM.
    Part(Range<usize>),
    /// In these bytes of the disk that the file holds in QEMU's format.
    Qcow2(Range<usize>),
    /// In an image of containers.
    Oci,
}

/// A file with a flash in it.
pub struct Container {
    path: PathBuf,
    form: Form,
    file: Vec<u8>,
    flash: Vec<u8>,
}

impl Container {
    /// Reads a file and finds the flash in it. One that is of no known form counts as a flash: what is wrong with that is
    /// for its reader to say.
    ///
    /// # Errors
    /// It cannot be read, or is of a form that has no flash where it should be.
    pub fn open(path: &Path) -> Result<Container> {
        let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (form, flash) = find(path, &file).with_context(|| path.display().to_string())?;
        Ok(Container { path: path.to_owned(), form, file, flash })
    }

    /// The flash.
    pub fn flash(&self) -> &[u8] {
        &self.flash
    }

    /// Replaces the flash by another one of the same size. The file is made anew beside its place, read back, and put there
    /// when the flash in it is the one that was written.
    ///
    /// # Errors
    /// The sizes differ, or the file cannot be written; then it is as it was.
    pub fn replace(&self, flash: &[u8]) -> Result<()> {
        ensure!(flash.len() == self.flash.len(), "the flash has {} bytes, not {}", self.flash.len(), flash.len());
        let beside = self.path.with_added_extension("new");
        let written = self.write(&beside, flash).and_then(|()| {
            let found = Container::open(&beside)?;
            ensure!(found.flash == flash, "{} does not read back as it was written", beside.display());
            fs::rename(&beside, &self.path).with_context(|| format!("cannot write {}", self.path.display()))
        });
        if written.is_err() {
            // What could not be made is of no use to anybody; that it could not be made is what is told.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    fn write(&self, path: &Path, flash: &[u8]) -> Result<()> {
        let mut file = self.file.clone();
        match &self.form {
            Form::Flash => file = flash.to_vec(),
            Form::Part(range) => file[range.clone()].copy_from_slice(flash),
            Form::Qcow2(_) => {}
            Form::Oci => file = oci::with_flash(&self.file, flash)?,
        }
        fs::write(path, file).with_context(|| format!("cannot write {}", path.display()))?;
        match &self.form {
            Form::Qcow2(range) => qcow2::write(path, range.start, flash),
            _ => Ok(()),
        }
    }
}

/// What form a file has, and the flash in it.
fn find(path: &Path, file: &[u8]) -> Result<(Form, Vec<u8>)> {
    if file.starts_with(&MAP_MAGIC) {
        return Ok((Form::Flash, file.to_vec()));
    }
    if file.starts_with(b"QFI\xfb") {
        let disk = qcow2::contents(path)?;
        if disk.starts_with(&MAP_MAGIC) {
            return Ok((Form::Qcow2(0..disk.len()), disk));
        }
        let range = raw::find_flash(&disk)?;
        return Ok((Form::Qcow2(range.clone()), disk[range].to_vec()));
    }
    if oci::is_one(file) {
        return Ok((Form::Oci, oci::flash(file)?));
    }
    if iso::is_one(file) {
        let range = iso::find_flash(file)?;
        return Ok((Form::Part(range.clone()), file[range].to_vec()));
    }
    if file.get(510..512) == Some(&[0x55, 0xaa]) {
        let range = raw::find_flash(file)?;
        return Ok((Form::Part(range.clone()), file[range].to_vec()));
    }
    Ok((Form::Flash, file.to_vec()))
}
