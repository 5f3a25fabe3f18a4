//! A file with a flash in it, whatever its form.

use crate::{iso, oci, qcow2, raw};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use slopos_abi::flash::MAP_MAGIC;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
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
    /// The file, once something is written in its place.
    open: Option<File>,
}

impl Container {
    /// Reads a file and finds the flash in it. One that is of no known form counts as a flash: what is wrong with that
    /// is for its reader to say.
    ///
    /// # Errors
    /// It cannot be read, or is of a form that has no flash where it should be.
    pub fn open(path: &Path) -> Result<Container> {
        let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (form, flash) = find(path, &file).with_context(|| path.display().to_string())?;
        Ok(Container { path: path.to_owned(), form, file, flash, open: None })
    }

    /// The flash.
    pub fn flash(&self) -> &[u8] {
        &self.flash
    }

    /// Whether the file is the flash, and nothing else.
    pub fn is_alone(&self) -> bool {
        matches!(self.form, Form::Flash)
    }

    /// Whether the medium is one that a board cannot write.
    pub fn is_read_only(&self) -> bool {
        iso::is_one(&self.file)
    }

    /// Writes bytes at an offset of the flash, in the file's place. Where the file holds the flash packed, nothing is
    /// written before [`Container::flush`].
    ///
    /// # Errors
    /// They go beyond the flash, the file is in use by a board, or it cannot be written.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if matches!(self.form, Form::Flash | Form::Part(_)) {
            self.file()?;
        }
        let start = usize::try_from(offset).ok();
        let part = start.and_then(|start| self.flash.get_mut(start..start.checked_add(bytes.len())?));
        part.context("beyond the end of the flash")?.copy_from_slice(bytes);
        match &self.form {
            Form::Flash => self.file()?.write_all_at(bytes, offset),
            Form::Part(range) => {
                let start = range.start as u64;
                self.file()?.write_all_at(bytes, start + offset)
            }
            Form::Qcow2(range) => return qcow2::write(&self.path, range.start + offset as usize, bytes),
            Form::Oci => return Ok(()),
        }
        .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// What was written is on the disk afterwards.
    ///
    /// # Errors
    /// It may not be.
    pub fn flush(&mut self) -> Result<()> {
        match &self.form {
            Form::Flash | Form::Part(_) => self.file()?.sync_all(),
            Form::Qcow2(_) => File::open(&self.path).and_then(|file| file.sync_all()),
            Form::Oci => {
                let before = Container::open(&self.path)?;
                return if before.flash == self.flash { Ok(()) } else { before.replace(&self.flash) };
            }
        }
        .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Reads bytes of the flash, from the file.
    ///
    /// # Errors
    /// They go beyond the flash, or it cannot be read.
    pub fn read_at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let found = match &self.form {
            Form::Flash | Form::Part(_) => {
                let start = if let Form::Part(range) = &self.form { range.start as u64 } else { 0 };
                let mut bytes = vec![0; length];
                // Another file of the same path would give the lock back when it is closed.
                let file = match &self.open {
                    Some(file) => file,
                    None => &File::open(&self.path)?,
                };
                let read = file.read_exact_at(&mut bytes, start + offset);
                read.with_context(|| format!("cannot read {}", self.path.display()))?;
                return Ok(bytes);
            }
            Form::Qcow2(_) | Form::Oci => Container::open(&self.path)?,
        };
        let part = usize::try_from(offset).ok().and_then(|at| found.flash.get(at..at.checked_add(length)?));
        Ok(part.context("beyond the end of the flash")?.to_vec())
    }

    /// The file, opened for writing and locked against boards: QEMU holds locks on the image that it writes, and keeps
    /// the state of the flash in the board's memory. What a board or another tool has changed since the flash was read is
    /// not overwritten.
    fn file(&mut self) -> Result<&File> {
        if self.open.is_none() {
            let path = self.path.display();
            let file = File::options().read(true).write(true).open(&self.path);
            let file = file.with_context(|| format!("cannot write {path}"))?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    bail!("it is in use: a board runs from it, or another tool changes it")
                }
                locked => locked.with_context(|| format!("cannot lock {path}"))?,
            }
            let start = if let Form::Part(range) = &self.form { range.start as u64 } else { 0 };
            let mut now = vec![0; self.flash.len()];
            file.read_exact_at(&mut now, start).with_context(|| format!("cannot read {path}"))?;
            ensure!(now == self.flash, "it was changed while the command worked on it: give the command again");
            self.open = Some(file);
        }
        self.open.as_ref().context("no file")
    }

    /// Replaces the flash by another one of the same size. The file is made anew beside its place, read back, and put
    /// there when the flash in it is the one that was written.
    ///
    /// # Errors
    /// The sizes differ, or the file cannot be written; then it is as it was.
    pub fn replace(&self, flash: &[u8]) -> Result<()> {
        ensure!(flash.len() == self.flash.len(), "the flash has {} bytes, not {}", self.flash.len(), flash.len());
        let beside = self.path.with_added_extension("new");
        let written = self.write(&beside, flash).and_then(|()| {
            let found = Container::open(&beside)?;
            ensure!(found.flash == flash, "{} does not read back as it was written", beside.display());
            // The name may not come to the disk before what it names.
            File::open(&beside)
                .and_then(|file| file.sync_all())
                .with_context(|| format!("cannot write {}", beside.display()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_has_changed_since_it_was_read_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flash");
        fs::write(&path, [1; 8192]).expect("a file");
        let [mut first, mut second] = [(), ()].map(|()| Container::open(&path).expect("a flash"));
        first.write_at(512, &[2; 512]).expect("written");
        first.write_at(1024, &[3; 512]).expect("its own changes are no hindrance");
        first.flush().expect("flushed");
        let why = second.write_at(4096, &[4; 512]).expect_err("it was changed meanwhile");
        assert!(format!("{why:#}").contains("give the command again"), "{why:#}");
        assert_eq!(fs::read(&path).expect("a file")[4096..], [1; 4096]);
    }
}
