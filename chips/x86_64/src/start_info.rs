//! What the PVH loader says: the command line, the memory map and where ACPI's root is.
//!
//! Layouts: `hvm_start_info` and `hvm_memmap_table_entry` of Xen's public header `start_info.h`, version 1. The
//! loader is trusted, as the firmware is; still each pointer is checked to lie below 4 GiB, where the temporary
//! page tables reach.

use heapless::String;

/// The first word of the structure.
const MAGIC: u32 = 0x336e_c578;
/// What the temporary page tables map at its own address.
const REACH: u64 = 1 << 32;
/// Memory-map type of RAM, as in the E820 map.
const TYPE_RAM: u32 = 1;

/// Longest command line that is taken, in bytes: as much as any loader gives. QEMU's gives 4,095 at most, Firecracker
/// 2,047, Cloud Hypervisor 64 KiB.
pub const COMMAND_LINE_MAX: usize = 64 * 1024;

/// The command that stands for what was cut off.
const CUT_OFF: &str = "<cut-off>";

/// Room for the kernel command line; too large for a stack.
pub type CommandLine = String<COMMAND_LINE_MAX>;

/// What the kernel keeps of it.
pub struct StartInfo {
    /// Whether a part of the command line was cut off, or was not UTF-8.
    pub command_line_broken: bool,
    /// Physical address of ACPI's root pointer; 0 where there is none.
    pub rsdp: u64,
    /// End of the RAM that begins at or below 1 MiB and goes on without a hole, in bytes.
    pub memory_end: u64,
}

/// Why the start info cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartInfoError {
    /// It does not begin with its magic number.
    Magic,
    /// It lies where the temporary page tables do not reach.
    Unreachable,
}

impl StartInfo {
    /// Reads the structure at a physical address, and copies the command line out, which has to be empty.
    ///
    /// # Safety
    /// The first 4 GiB must be mapped at their own addresses and nothing may write the loader's structures.
    pub unsafe fn read(address: u64, command_line: &mut CommandLine) -> Result<StartInfo, StartInfoError> {
        // SAFETY: the caller's promise, and `physical_slice` stays below 4 GiB.
        let reach = |address, length| unsafe { physical_slice(address, length) };
        let head = reach(address, 56).ok_or(StartInfoError::Unreachable)?;
        if word32(head, 0) != MAGIC {
            return Err(StartInfoError::Magic);
        }
        let version = word32(head, 4);
        let mut info = StartInfo { command_line_broken: false, rsdp: word64(head, 32), memory_end: 0 };
        if let line @ 1.. = word64(head, 24) {
            // Looked at no further than its end: what lies behind it may be anything.
            let byte = |at: u64| reach(line.saturating_add(at), 1).map(|byte| byte[0]);
            let longest = COMMAND_LINE_MAX as u64;
            let length = (0..longest).find(|&at| matches!(byte(at), Some(0) | None)).unwrap_or(longest);
            let bytes = reach(line, length).ok_or(StartInfoError::Unreachable)?;
            info.command_line_broken = !take_command_line(bytes, byte(length) == Some(0), command_line);
        }
        if version >= 1 {
            let entries = u64::from(word32(head, 48)).min(128);
            let map = reach(word64(head, 40), entries * 24).ok_or(StartInfoError::Unreachable)?;
            info.memory_end = memory_end(map);
        }
        Ok(info)
    }
}

/// Copies a command line. Where it has no end, or is not UTF-8 throughout, its whole commands are taken, and one that
/// does not exist for the rest: half a command might mean something else. Whether all of it was copied.
fn take_command_line(bytes: &[u8], ended: bool, command_line: &mut CommandLine) -> bool {
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let whole = ended && text.len() == bytes.len();
    if whole && command_line.push_str(text).is_ok() {
        return true;
    }
    let room = text.floor_char_boundary(COMMAND_LINE_MAX - CUT_OFF.len());
    let commands = text.get(..room).and_then(|text| text.get(..=text.rfind(';')?)).unwrap_or("");
    // Both fit: that is how the room was measured.
    let _ = command_line.push_str(commands);
    let _ = command_line.push_str(CUT_OFF);
    false
}

/// The end of the RAM that reaches up from 1 MiB, from a table of (address, size, type) entries of 24 bytes.
fn memory_end(map: &[u8]) -> u64 {
    let mut end = 0x10_0000;
    // Entries may come in any order: go on until none extends what was found.
    loop {
        let before = end;
        for entry in map.chunks_exact(24) {
            let (start, size) = (word64(entry, 0), word64(entry, 8));
            if word32(entry, 16) == TYPE_RAM && start <= end {
                end = end.max(start.saturating_add(size));
            }
        }
        if end == before {
            return end;
        }
    }
}

/// Bytes at a physical address; `None` where it is 0 or the temporary page tables do not reach.
///
/// # Safety
/// The first 4 GiB must be mapped at their own addresses, and what is read must not change.
pub unsafe fn physical_slice(address: u64, length: u64) -> Option<&'static [u8]> {
    if address == 0 || address.checked_add(length)? > REACH {
        return None;
    }
    // SAFETY: mapped by the caller's promise, and not null.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) })
}

fn word32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|i| bytes[offset + i]))
}

fn word64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(core::array::from_fn(|i| bytes[offset + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: u64, size: u64, kind: u32) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&start.to_le_bytes());
        bytes[8..16].copy_from_slice(&size.to_le_bytes());
        bytes[16..20].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn memory_ends_at_the_first_hole_whatever_the_order() {
        let map = [
            entry(0x400_0000, 0x1000, TYPE_RAM),
            entry(0x20_0000, 0xe0_0000, TYPE_RAM),
            entry(0x10_0000, 0x10_0000, TYPE_RAM),
            entry(0x100_0000, 0x10_0000, 2),
        ]
        .concat();
        assert_eq!(memory_end(&map), 0x100_0000);
    }

    /// What is made of a command line, and whether that is all of it.
    fn taken(bytes: &[u8], ended: bool) -> (std::string::String, bool) {
        let mut line = Box::new(CommandLine::new());
        let whole = take_command_line(bytes, ended, &mut line);
        (line.as_str().into(), whole)
    }

    #[test]
    fn a_command_line_of_64_kib_is_taken() {
        let long = "x".repeat(COMMAND_LINE_MAX);
        assert_eq!(taken(long.as_bytes(), true), (long.clone(), true));
        assert_eq!(taken("help \u{e4}".as_bytes(), true), ("help \u{e4}".into(), true));
        assert_eq!(taken(b"", true), (std::string::String::new(), true));
    }

    #[test]
    fn of_a_command_line_without_an_end_whole_commands_are_taken() {
        let long = "sleep 0.001;".repeat(COMMAND_LINE_MAX / 12 + 1);
        let (line, whole) = taken(&long.as_bytes()[..COMMAND_LINE_MAX], false);
        let (commands, rest) = line.rsplit_once(';').unwrap();
        assert!(!whole && commands.split(';').all(|command| command == "sleep 0.001"));
        assert_eq!(rest, CUT_OFF);
        assert_eq!(taken(&[b'x'; COMMAND_LINE_MAX], false), (CUT_OFF.into(), false));
    }

    #[test]
    fn what_is_not_utf_8_is_no_command() {
        assert_eq!(taken(b"help; kill \xff; exit", true), ("help;<cut-off>".into(), false));
        assert_eq!(taken(b"\xffhelp", true), (CUT_OFF.into(), false));
    }
}
