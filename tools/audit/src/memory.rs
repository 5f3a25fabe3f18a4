//! The kernel's memory, from wherever it can be read: the ELF, a running board, a dump.

use anyhow::{Context, Result, bail};
use object::LittleEndian;
use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use slopos_elf::Image;
use slopos_run::qmp::Qmp;
use std::path::Path;

/// Bytes by physical address, as pieces that do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Memory {
    /// What the ELF says that memory holds at first.
    pub fn of_image(image: &Image) -> Memory {
        let pieces = image.segments.iter().map(|segment| {
            // Zeroed memory costs nothing until it is read, and most of an image is zeros.
            let mut bytes = vec![0; segment.size as usize];
            bytes[..segment.bytes.len()].copy_from_slice(&segment.bytes);
            (segment.physical, bytes)
        });
        Memory { pieces: pieces.collect() }
    }

    /// The memory of a running board's image. The board is stopped meanwhile, so that the copy is consistent.
    ///
    /// # Errors
    /// QEMU cannot be reached or refuses.
    pub fn of_board(socket: &Path, image: &Image) -> Result<Memory> {
        let mut qemu = Qmp::connect(socket)?;
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let file = folder.path().join("memory");
        let (start, end) = image.physical_range();
        let running = qemu.is_running()?;
        if running {
            qemu.execute("stop", None)?;
        }
        let arguments = serde_json::json!({ "val": start, "size": end.saturating_sub(start), "filename": file });
        let saved = qemu.execute("pmemsave", Some(arguments));
        if running {
            qemu.execute("cont", None)?;
        }
        saved?;
        let bytes = std::fs::read(&file).context("what QEMU saved of the memory")?;
        Ok(Memory { pieces: vec![(start, bytes)] })
    }

    /// What a file holds that QEMU's `dump-guest-memory` wrote.
    ///
    /// # Errors
    /// The file cannot be read or is not such a dump.
    pub fn of_dump(path: &Path) -> Result<Memory> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Memory::parse_dump(&bytes).with_context(|| path.display().to_string())
    }

    /// The dump in these bytes.
    ///
    /// # Errors
    /// They are not a dump.
    pub fn parse_dump(bytes: &[u8]) -> Result<Memory> {
        let file = ElfFile64::<LittleEndian>::parse(bytes).context("not a 64-bit ELF, so not a dump of this board")?;
        let headers = file.elf_header().program_headers(LittleEndian, bytes)?;
        let mut pieces = Vec::new();
        let mut held = 0;
        for header in headers.iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD) {
            let data = header.data(LittleEndian, bytes).ok().context("the dump is cut short")?;
            held += data.len();
            if held > bytes.len() {
                bail!("the dump's pieces hold more than its file");
            }
            pieces.push((header.p_paddr(LittleEndian), data.to_vec()));
        }
        if pieces.is_empty() {
            bail!("the dump holds no memory");
        }
        Ok(Memory { pieces })
    }

    /// `size` bytes from a physical address; `None` where not all of them are known.
    pub fn physical(&self, address: u64, size: u64) -> Option<&[u8]> {
        self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(usize::try_from(size).ok()?)?)
        })
    }

    /// Checks that the kernel in this memory is the one of the ELF.
    ///
    /// # Errors
    /// It has another build id, or there is no kernel at all.
    pub fn check_build(&self, image: &Image) -> Result<()> {
        let note = &image.build_id_note;
        let found = image.physical(note.address).and_then(|at| self.physical(at, note.bytes.len() as u64));
        match found {
            Some(found) if found == note.bytes => Ok(()),
            Some(found) => {
                // A note is a header, a name and the id, so the id is at the end.
                let id = &found[found.len() - image.build_id.len().min(found.len())..];
                bail!(
                    "the board runs another build: its memory has {} where build {} has its id",
                    slopos_elf::hexadecimal(id),
                    image.build_id_text()
                )
            }
            None => bail!("the memory does not hold the kernel's image"),
        }
    }
}

/// The sum of sizes; one that cannot be counted is the largest number. What memory holds, or an old audit says, may be
/// anything.
pub(crate) fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slopos_elf::image::{Note, Segment};

    fn image() -> Image {
        let segment = Segment { address: 0xffff_0000, physical: 0x1000, size: 16, bytes: b"abcdIDID".to_vec() };
        let note = Note { address: 0xffff_0004, bytes: b"IDID".to_vec() };
        Image { segments: vec![segment], build_id: b"ID".to_vec(), build_id_note: note, ..Image::default() }
    }

    #[test]
    fn what_the_file_leaves_out_is_zeros() {
        let memory = Memory::of_image(&image());
        assert_eq!(memory.physical(0x1006, 4), Some(&b"ID\0\0"[..]));
        assert_eq!(memory.physical(0x100c, 4), Some(&[0; 4][..]));
        assert_eq!(memory.physical(0x100d, 4), None);
        assert_eq!(memory.physical(0xfff, 1), None);
        assert_eq!(memory.physical(u64::MAX, 2), None);
    }

    #[test]
    fn another_build_is_refused() {
        let memory = Memory::of_image(&image());
        memory.check_build(&image()).expect("the same");
        let other = Image { build_id_note: Note { bytes: b"IDIE".to_vec(), ..image().build_id_note }, ..image() };
        let refusal = memory.check_build(&other).expect_err("another").to_string();
        assert!(refusal.contains("another build") && refusal.contains("4944"), "{refusal}");
        let beyond = Image { build_id_note: Note { address: 0, ..image().build_id_note }, ..image() };
        assert!(memory.check_build(&beyond).is_err());
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        assert!(Memory::parse_dump(b"no ELF").is_err());
    }
}
