//! What a Multiboot2 loader says, GRUB above all: tags, by the Multiboot2 Specification 2.0, section 3.6.
//!
//! They become the same [`StartInfo`] as what a PVH loader says. GRUB leaves the firmware's boot services before it jumps,
//! so under EFI nothing of them is there any more; the memory map is the one from after that.

use crate::start_info::{CommandLine, Module, StartInfo, StartInfoError, take_command_line, word32};

/// What the loader leaves in `eax` (section 3.3).
pub const MAGIC: u32 = 0x36d7_6289;

/// Most bytes of information: the memory map and the command line are the long ones.
const LENGTH_MAX: u64 = 1 << 20;
/// Bytes of the information's head, and of a tag's.
const HEAD: usize = 8;
/// Bytes of an entry of the memory map, as this kernel reads it.
const MAP_ENTRY: usize = 24;

/// Types of tags.
mod tag {
    pub const END: u32 = 0;
    pub const COMMAND_LINE: u32 = 1;
    pub const MODULE: u32 = 3;
    pub const MEMORY_MAP: u32 = 6;
    /// A copy of ACPI's root pointer, of the first revision and of later ones.
    pub const RSDP_OLD: u32 = 14;
    pub const RSDP_NEW: u32 = 15;
}

/// Reads the information at a physical address, and copies the command line out, which has to be empty. `reach` gives the
/// bytes at a physical address, where it can.
///
/// # Errors
/// As [`StartInfoError`] says. A tag of a type that is not known is passed over.
pub(crate) fn read<'a>(
    address: u64,
    command_line: &mut CommandLine,
    reach: impl Fn(u64, u64) -> Option<&'a [u8]>,
) -> Result<StartInfo, StartInfoError> {
    let head = reach(address, HEAD as u64).ok_or(StartInfoError::Unreachable)?;
    let length = u64::from(word32(head, 0));
    if length > LENGTH_MAX {
        return Err(StartInfoError::Length);
    }
    let all = reach(address, length).ok_or(StartInfoError::Unreachable)?;
    let mut info = StartInfo::EMPTY;
    let mut new_rsdp = false;
    let mut at = HEAD;
    loop {
        let head = all.get(at..at + HEAD).ok_or(StartInfoError::Length)?;
        let (kind, size) = (word32(head, 0), word32(head, 4) as usize);
        if kind == tag::END {
            return Ok(info);
        }
        let content = all.get(at..).and_then(|rest| rest.get(..size)?.get(HEAD..)).ok_or(StartInfoError::Length)?;
        match kind {
            tag::COMMAND_LINE => {
                let end = content.iter().position(|byte| *byte == 0);
                let text = content.get(..end.unwrap_or(content.len())).unwrap_or(content);
                command_line.clear();
                info.command_line_broken = !take_command_line(text, end.is_some(), command_line);
            }
            tag::MODULE if content.len() >= 8 => {
                let (start, end) = (u64::from(word32(content, 0)), u64::from(word32(content, 4)));
                // More than are kept: the first of them count.
                let _ = info.modules.push(Module { start, length: end.saturating_sub(start) });
            }
            // The entries may be longer in a later version; then they are not read as if they were not.
            tag::MEMORY_MAP if content.len() >= 8 && word32(content, 0) as usize == MAP_ENTRY => {
                info.take_memory_map(&content[8..]);
            }
            // A copy is as good as the original: its address is one where a root pointer is.
            tag::RSDP_NEW | tag::RSDP_OLD if !new_rsdp => {
                info.rsdp = address + (at + HEAD) as u64;
                new_rsdp = kind == tag::RSDP_NEW;
            }
            _ => {}
        }
        // Each begins at a multiple of eight.
        at += size.next_multiple_of(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::start_info::{MemoryKind, MemoryRange};
    use std::vec::Vec;

    const ADDRESS: u64 = 0x1_0000;

    fn tag(kind: u32, content: &[u8]) -> Vec<u8> {
        let size = (HEAD + content.len()) as u32;
        let mut bytes = [&kind.to_le_bytes(), &size.to_le_bytes(), content].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn information(tags: &[Vec<u8>]) -> Vec<u8> {
        let tags = tags.concat();
        [words(&[(HEAD + tags.len()) as u32, 0]), tags].concat()
    }

    fn taken(bytes: &[u8]) -> (Result<StartInfo, StartInfoError>, std::string::String) {
        let mut line = Box::new(CommandLine::new());
        let reach = |address: u64, length: u64| {
            let at = address.checked_sub(ADDRESS)? as usize;
            bytes.get(at..at.checked_add(length as usize)?)
        };
        let info = read(ADDRESS, &mut line, reach);
        (info, line.as_str().into())
    }

    #[test]
    fn tags_become_the_same_as_the_start_info() {
        let map = words(&[24, 0, 0x10_0000, 0, 0x70_0000, 0, 1, 0, 0xf000_0000, 0, 0x1000, 0, 2, 0]);
        let bytes = information(&[
            tag(tag::COMMAND_LINE, b"net; exit\0"),
            tag(2, b"GRUB 2.06\0"),
            tag(tag::MODULE, &[words(&[0x80_0000, 0x90_0000]), b"flash\0".to_vec()].concat()),
            tag(tag::MODULE, &words(&[0x90_0000, 0x80_0000])),
            tag(tag::RSDP_OLD, b"RSD PTR old"),
            tag(tag::MEMORY_MAP, &map),
            tag(tag::RSDP_NEW, b"RSD PTR new"),
            tag(tag::RSDP_OLD, b"RSD PTR late"),
            tag(tag::END, b""),
            tag(tag::COMMAND_LINE, b"behind the end\0"),
        ]);
        let (info, line) = taken(&bytes);
        let info = info.unwrap();
        assert_eq!((line.as_str(), info.command_line_broken), ("net; exit", false));
        let range = |start, length, kind| MemoryRange { start, length, kind };
        let memory = [range(0x10_0000, 0x70_0000, MemoryKind::Ram), range(0xf000_0000, 0x1000, MemoryKind::Reserved)];
        assert_eq!((&info.memory[..], info.memory_end), (&memory[..], 0x80_0000));
        let modules = [(0x80_0000, 0x10_0000), (0x90_0000, 0)].map(|(start, length)| Module { start, length });
        assert_eq!(info.modules, modules);
        let rsdp = (info.rsdp - ADDRESS) as usize;
        assert!(bytes[rsdp..].starts_with(b"RSD PTR new"));
    }

    #[test]
    fn information_that_lies_is_refused() {
        let whole = information(&[tag(tag::COMMAND_LINE, b"exit\0"), tag(tag::END, b"")]);
        assert!(taken(&whole).0.is_ok());
        let with = |at: usize, value: u32| {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            taken(&bytes).0.err()
        };
        assert_eq!(with(0, u32::MAX), Some(StartInfoError::Length));
        assert_eq!(with(0, whole.len() as u32 + 1), Some(StartInfoError::Unreachable));
        for length in [0, 8, 15, 24, 31] {
            assert_eq!(with(0, length), Some(StartInfoError::Length), "no end within {length}");
        }
        // A tag that does not hold its own head would be read for ever; one that is too long ends beyond the others.
        for size in [0, 7, 25, u32::MAX] {
            assert_eq!(with(12, size), Some(StartInfoError::Length), "a tag of {size} bytes");
        }
        // Entries of another size are no memory map that is known.
        let map = words(&[40, 1, 0x10_0000, 0, 0x70_0000, 0, 1, 0, 0, 0, 0, 0]);
        let other = information(&[tag(tag::MEMORY_MAP, &map), tag(tag::MODULE, &[0; 7]), tag(tag::END, b"")]);
        let info = taken(&other).0.unwrap();
        assert_eq!((info.memory.len(), info.memory_end, info.modules.len()), (0, 0, 0));
    }

    #[test]
    fn a_command_line_without_an_end_is_cut() {
        let bytes = information(&[tag(tag::COMMAND_LINE, b"net; exi"), tag(tag::END, b"")]);
        let (info, line) = taken(&bytes);
        assert_eq!((info.unwrap().command_line_broken, line.as_str()), (true, "net;<cut-off>"));
    }
}
