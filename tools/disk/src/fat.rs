//! A FAT file system with files in it, without a date.

use anyhow::{Context, Result};
use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider, format_volume};
use std::io::{Cursor, Write};

const MIB: usize = 1 << 20;

/// The time of everything: the first that FAT can tell.
#[derive(Debug)]
struct Beginning;

impl TimeProvider for Beginning {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

/// A file system that holds these files, by their paths, with this serial number. Its length is whole mebibytes.
///
/// # Errors
/// They cannot be written.
pub fn with_files(serial: u32, files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    // The tables, what each file's last cluster leaves, and room to put another file there.
    let length = (bytes + bytes / 16 + MIB).next_multiple_of(MIB);
    let mut volume = Cursor::new(vec![0; length]);
    let label = *b"SLOPOS     ";
    format_volume(&mut volume, FormatVolumeOptions::new().volume_id(serial).volume_label(label))
        .context("no file system can be made")?;
    let system = FileSystem::new(&mut volume, FsOptions::new().time_provider(&Beginning))
        .context("the file system cannot be read back")?;
    for (path, bytes) in files {
        let mut folder = system.root_dir();
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_some() {
                folder = folder.create_dir(name).with_context(|| path.to_string())?;
            } else {
                folder.create_file(name)?.write_all(bytes).with_context(|| path.to_string())?;
            }
        }
    }
    system.unmount().context("the file system cannot be finished")?;
    Ok(volume.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn files_are_read_back_and_the_bytes_are_the_same_each_time() {
        let large = vec![7; 3 * MIB];
        let files =
            [("EFI/BOOT/BOOTX64.EFI", &large[..]), ("slopos/kernel.elf", b"kernel"), ("slopos/long-name.env", b"")];
        let volume = with_files(0x1234_5678, &files).unwrap();
        assert!(volume.len().is_multiple_of(MIB));
        assert!(volume == with_files(0x1234_5678, &files).unwrap());
        assert!(volume != with_files(0x1234_5679, &files).unwrap());
        let system = FileSystem::new(Cursor::new(volume), FsOptions::new()).unwrap();
        for (path, bytes) in files {
            let mut found = Vec::new();
            system.root_dir().open_file(path).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{path}");
        }
    }
}
