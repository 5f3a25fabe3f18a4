//! Where a body goes: standard output or a file, byte for byte.

use crate::webget::Destination;
use anyhow::{Context, Result};
use rustix::fd::AsFd;
use rustix::fs::fstat;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Whether two of this process's streams are one file, so that what is written to them stands there in one order: both a
/// terminal, or `> file 2>&1`.
pub fn are_one(one: impl AsFd, other: impl AsFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// A body on its way.
pub struct Writer {
    destination: Destination,
    append: bool,
    /// Opened for the first byte: a fetch that fails before it leaves a file as it was.
    file: Option<File>,
}

impl Writer {
    /// One that has written nothing.
    ///
    /// # Errors
    /// The file cannot be there: it is a folder, or lies in none.
    pub fn new(destination: Destination, append: bool) -> Result<Writer> {
        if let Destination::File(path) = &destination {
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            anyhow::ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
            anyhow::ensure!(
                folder.is_dir(),
                "cannot write {}: there is no folder {}",
                path.display(),
                folder.display()
            );
        }
        Ok(Writer { destination, append, file: None })
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// The file cannot be opened or written, or standard output cannot.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let path = match &self.destination {
            Destination::Standard => {
                // Not by `println!` and its like: their buffer looks for ends of lines.
                let output = std::io::stdout().as_fd().try_clone_to_owned().context("standard output")?;
                return self.file.get_or_insert(output.into()).write_all(bytes).context("standard output");
            }
            Destination::File(path) => path,
        };
        let cannot = || format!("cannot write {}", path.display());
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut how = OpenOptions::new();
                let how = if self.append { how.append(true) } else { how.write(true).truncate(true) };
                self.file.insert(how.create(true).open(path).with_context(cannot)?)
            }
        };
        file.write_all(bytes).with_context(cannot)
    }

    /// Ends a body that came whole: where it was empty, so is its file.
    ///
    /// # Errors
    /// As [`write`](Writer::write).
    pub fn finish(mut self) -> Result<()> {
        self.write(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_touched_by_its_first_byte_and_not_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "old").expect("written");
        let writer = |append| Writer::new(Destination::File(path.clone()), append).expect("a writer");
        drop(writer(false));
        assert_eq!(std::fs::read(&path).expect("read"), b"old");
        let mut on = writer(true);
        on.write(b"\r\n\0\xff").expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"old\r\n\0\xff");
        writer(false).finish().expect("an empty body");
        assert_eq!(std::fs::read(&path).expect("read"), b"");
        for wrong in [folder.path().to_owned(), folder.path().join("no/file")] {
            assert!(Writer::new(Destination::File(wrong), false).is_err());
        }
    }

    #[test]
    fn streams_that_are_one_file_are_told_from_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| File::create(folder.path().join(name)).expect("a file");
        let (one, other) = (open("one"), open("other"));
        assert!(are_one(&one, one.try_clone().expect("a clone")));
        assert!(!are_one(&one, &other));
    }
}
