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

/// Longest command line that is taken, in bytes.
pub const COMMAND_LINE_MAX: usize = 1024;

/// What the kernel keeps of it.
pub struct StartInfo {
    /// The kernel command line.
    pub command_line: String<COMMAND_LINE_MAX>,
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
    /// Reads the structure at a physical address.
    ///
    /// # Safety
    /// The first 4 GiB must be mapped at their own addresses and nothing may write the loader's structures.
    pub unsafe fn read(address: u64) -> Result<StartInfo, StartInfoError> {
        // SAFETY: the caller's promise, and `physical_slice` stays below 4 GiB.
        let reach = |address, length| unsafe { physical_slice(address, length) };
        let head = reach(address, 56).ok_or(StartInfoError::Unreachable)?;
        if word32(head, 0) != MAGIC {
            return Err(StartInfoError::Magic);
        }
        let version = word32(head, 4);
        let mut info = StartInfo {
            command_line: String::new(),
            command_line_broken: false,
            rsdp: word64(head, 32),
            memory_end: 0,
        };
        if let line @ 1.. = word64(head, 24) {
            let longest = (REACH - line.min(REACH)).min(COMMAND_LINE_MAX as u64 + 1);
            let bytes = reach(line, longest).ok_or(StartInfoError::Unreachable)?;
            info.take_command_line(bytes);
        }
        if version >= 1 {
            let entries = u64::from(word32(head, 48)).min(128);
            let map = reach(word64(head, 40), entries * 24).ok_or(StartInfoError::Unreachable)?;
            info.memory_end = memory_end(map);
        }
        Ok(info)
    }

    fn take_command_line(&mut self, bytes: &[u8]) {
        let end = bytes.iter().position(|&byte| byte == 0);
        let text = core::str::from_utf8(&bytes[..end.unwrap_or(COMMAND_LINE_MAX.min(bytes.len()))]);
        self.command_line_broken = end.is_none() || text.is_err();
        if let Ok(text) = text {
            self.command_line_broken |= self.command_line.push_str(text).is_err();
        }
    }
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

    #[test]
    fn a_command_line_that_does_not_end_is_cut_and_marked() {
        let mut info = StartInfo { command_line: String::new(), command_line_broken: false, rsdp: 0, memory_end: 0 };
        info.take_command_line(&[b'x'; COMMAND_LINE_MAX + 1]);
        assert!(info.command_line_broken);
        assert_eq!(info.command_line.len(), COMMAND_LINE_MAX);
    }

    #[test]
    fn a_command_line_ends_at_its_nul() {
        let mut info = StartInfo { command_line: String::new(), command_line_broken: false, rsdp: 0, memory_end: 0 };
        info.take_command_line(b"help; exit\0junk");
        assert_eq!(info.command_line, "help; exit");
        assert!(!info.command_line_broken);
    }
}
