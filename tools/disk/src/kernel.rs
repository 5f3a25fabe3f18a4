//! The kernel as a loader needs it.

use anyhow::{Context, Result, ensure};
use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};

/// Where a loader looks for a Multiboot2 header (Multiboot2 Specification 2.0, section 3.1).
const SEARCHED: usize = 32_768;
const MAGIC: [u8; 4] = 0xe852_50d6_u32.to_le_bytes();
/// Where an ELF header has the file offset of the section headers, and how many there are and which holds the names.
const SECTIONS: [std::ops::Range<usize>; 2] = [0x28..0x30, 0x3c..0x40];

/// Leaves the segments of a kernel and nothing else: GRUB would load the debugging sections, of several times their size.
///
/// # Errors
/// It is no ELF of this machine, or has no Multiboot2 header where loaders look for it.
pub fn loadable(file: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<LittleEndian>::parse(file).context("not a 64-bit little-endian ELF file")?;
    let endian = header.endian()?;
    let mut end = 0;
    for segment in header.program_headers(endian, file).context("damaged program headers")? {
        if matches!(segment.p_type(endian), PT_LOAD | PT_NOTE) {
            let stop =
                segment.p_offset(endian).checked_add(segment.p_filesz(endian)).context("a segment without an end")?;
            end = end.max(usize::try_from(stop)?);
        }
    }
    let mut bytes = file.get(..end).context("a segment's bytes lie outside the file")?.to_vec();
    for field in SECTIONS {
        bytes.get_mut(field).context("no segments")?.fill(0);
    }
    let found = bytes.chunks(8).take(SEARCHED / 8).any(|chunk| chunk.starts_with(&MAGIC));
    ensure!(found, "the kernel has no Multiboot2 header; it was built before there was one: run ./just build");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_kernel_is_refused() {
        for bytes in [&b""[..], b"\x7fELF", &[0; 4096]] {
            assert!(loadable(bytes).unwrap_err().to_string().contains("ELF"));
        }
        // This very program has segments, and no header of that kind.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(loadable(&own).unwrap_err().to_string().contains("Multiboot2"));
    }
}
