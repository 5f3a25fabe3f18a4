//! What the loader says: the command line, the memory map, the modules and where ACPI's root is.
//!
//! A PVH loader says it by `hvm_start_info`, `hvm_memmap_table_entry` and `hvm_modlist_entry` of Xen's public header
//! `start_info.h`, version 1, a Multiboot2 loader by tags (the module `multiboot2`). The loader is trusted, as the firmware
//! is; still each pointer is checked to lie below 4 GiB, where the temporary page tables reach.

use heapless::{String, Vec};

/// The first word of the structure.
const MAGIC: u32 = 0x336e_c578;
/// What the temporary page tables map at its own address.
const REACH: u64 = 1 << 32;
/// Most entries of the memory map that are looked at: as many as an E820 map has.
const MAP_ENTRIES_MAX: u64 = 128;
/// Memory-map type of what is reserved, as in the E820 map. Types above it are RAM of some kind: tables, damaged,
/// persistent.
const TYPE_RESERVED: u32 = 2;
/// Memory-map type of RAM, as in the E820 map.
const TYPE_RAM: u32 = 1;
/// Memory-map type of RAM that the firmware keeps for sleep states (ACPI 6.5, table 15.1: AddressRangeNVS).
const TYPE_SLEEP_STATE: u32 = 4;

/// Most ranges of memory that are kept one by one.
pub const MEMORY_RANGES_MAX: usize = 64;

/// A range of the loader's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// First physical address.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// What is there.
    pub kind: MemoryKind,
}

/// What is in a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// RAM, the firmware's tables in it included.
    Ram,
    /// What is left to the firmware and the platform: parts of RAM, and registers.
    Reserved,
}

/// Most modules that are kept.
pub const MODULES_MAX: usize = 4;

/// A file that the loader has put into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// First physical address.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
}

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
    /// All that the loader's memory map names, in its order.
    pub memory: Vec<MemoryRange, MEMORY_RANGES_MAX>,
    /// End of the RAM that begins at or below 1 MiB and goes on without a hole, in bytes. What the firmware keeps there for
    /// sleep states, as UEFI's does at 8 MiB, is no hole: the kernel never sleeps.
    pub memory_end: u64,
    /// First address of that, where there is any.
    pub sleep_state: Option<u64>,
    /// The first modules that were loaded beside the kernel, as the loader names them.
    pub modules: Vec<Module, MODULES_MAX>,
}

/// Why the start info cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum StartInfoError {
    /// It does not begin with its magic number, or the loader is of a kind that is not known.
    Magic,
    /// It lies where the temporary page tables do not reach.
    Unreachable,
    /// One of its parts goes beyond its end.
    Length,
}

impl StartInfo {
    /// What is known before anything is read.
    pub(crate) const EMPTY: StartInfo = StartInfo {
        command_line_broken: false,
        rsdp: 0,
        memory: Vec::new(),
        memory_end: 0,
        sleep_state: None,
        modules: Vec::new(),
    };

    /// Reads PVH's structure, and copies the command line out, which has to be empty. `reach` gives the bytes at a physical
    /// address, where it can.
    ///
    /// # Errors
    /// As [`StartInfoError`] says.
    pub fn read_pvh<'a>(
        address: u64,
        command_line: &mut CommandLine,
        reach: impl Fn(u64, u64) -> Option<&'a [u8]>,
    ) -> Result<StartInfo, StartInfoError> {
        let head = reach(address, 56).ok_or(StartInfoError::Unreachable)?;
        if word32(head, 0) != MAGIC {
            return Err(StartInfoError::Magic);
        }
        let version = word32(head, 4);
        let mut info = StartInfo { rsdp: word64(head, 32), ..StartInfo::EMPTY };
        if let line @ 1.. = word64(head, 24) {
            // Looked at no further than its end: what lies after it may be anything.
            let byte = |at: u64| reach(line.saturating_add(at), 1).map(|byte| byte[0]);
            let longest = COMMAND_LINE_MAX as u64;
            let length = (0..longest).find(|&at| matches!(byte(at), Some(0) | None)).unwrap_or(longest);
            let bytes = reach(line, length).ok_or(StartInfoError::Unreachable)?;
            info.command_line_broken = !take_command_line(bytes, byte(length) == Some(0), command_line);
        }
        let modules = u64::from(word32(head, 12)).min(MODULES_MAX as u64);
        if modules > 0 {
            let list = reach(word64(head, 16), modules * 32).ok_or(StartInfoError::Unreachable)?;
            let module = |entry: &[u8]| Module { start: word64(entry, 0), length: word64(entry, 8) };
            info.modules = list.chunks_exact(32).map(module).collect();
        }
        if version >= 1 {
            let entries = u64::from(word32(head, 48)).min(MAP_ENTRIES_MAX);
            let map = reach(word64(head, 40), entries * 24).ok_or(StartInfoError::Unreachable)?;
            info.take_memory_map(map);
        }
        Ok(info)
    }

    /// Takes a table of (address, size, type) entries of 24 bytes in, PVH's and Multiboot2's form alike.
    pub(crate) fn take_memory_map(&mut self, map: &[u8]) {
        (self.memory_end, self.sleep_state) = memory_end(map);
        self.memory = memory_ranges(map);
    }
}

/// Copies a command line. Where it has no end, or is not UTF-8 throughout, its whole commands are taken, and one that
/// does not exist for the rest: half a command might mean something else. Whether all of it was copied.
pub(crate) fn take_command_line(bytes: &[u8], ended: bool, command_line: &mut CommandLine) -> bool {
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

/// The end of the RAM that reaches up from 1 MiB, from a table of (address, size, type) entries of 24 bytes, and the first
/// address below it that is kept for sleep states.
fn memory_end(map: &[u8]) -> (u64, Option<u64>) {
    // The end of RAM, and that of RAM and what is kept.
    let (mut end, mut reach) = (0x10_0000, 0x10_0000);
    // Entries may come in any order: go on until none extends what was found.
    loop {
        let before = reach;
        for entry in map.chunks_exact(24) {
            let (start, size, kind) = (word64(entry, 0), word64(entry, 8), word32(entry, 16));
            if matches!(kind, TYPE_RAM | TYPE_SLEEP_STATE) && start <= reach {
                reach = reach.max(start.saturating_add(size));
                if kind == TYPE_RAM {
                    end = end.max(start.saturating_add(size));
                }
            }
        }
        if reach == before {
            let kept = map.chunks_exact(24).filter(|entry| word32(entry, 16) == TYPE_SLEEP_STATE);
            return (end, kept.map(|entry| word64(entry, 0)).filter(|start| (0x10_0000..end).contains(start)).min());
        }
    }
}

/// The ranges of the same table. What is one too many is joined with the last, with what lies between: more counts as
/// taken then, never less.
fn memory_ranges(map: &[u8]) -> Vec<MemoryRange, MEMORY_RANGES_MAX> {
    let mut ranges: Vec<MemoryRange, MEMORY_RANGES_MAX> = Vec::new();
    for entry in map.chunks_exact(24) {
        let (start, length) = (word64(entry, 0), word64(entry, 8));
        if length == 0 {
            continue;
        }
        let kind = if word32(entry, 16) == TYPE_RESERVED { MemoryKind::Reserved } else { MemoryKind::Ram };
        if let Err(range) = ranges.push(MemoryRange { start, length, kind })
            && let Some(last) = ranges.last_mut()
        {
            let end = last.start.saturating_add(last.length).max(range.start.saturating_add(range.length));
            last.start = last.start.min(range.start);
            last.length = end - last.start;
            last.kind = MemoryKind::Ram;
        }
    }
    ranges
}

/// Bytes at a physical address; `None` where it is 0 or the temporary page tables do not reach.
///
/// # Safety
/// The first 4 GiB must be mapped at their own addresses, and what is read must not change, as long as the reference
/// lives: the caller says how long that is.
pub unsafe fn physical_slice<'a>(address: u64, length: u64) -> Option<&'a [u8]> {
    if address == 0 || address.checked_add(length)? > REACH {
        return None;
    }
    // SAFETY: mapped by the caller's promise, and not null.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) })
}

pub(crate) fn word32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|i| bytes[offset + i]))
}

pub(crate) fn word64(bytes: &[u8], offset: usize) -> u64 {
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
        assert_eq!(memory_end(&map), (0x100_0000, None));
    }

    #[test]
    fn memory_goes_on_behind_what_is_kept_for_sleep_states() {
        // As UEFI's firmware for QEMU has it, the lowest last.
        let map = [
            entry(0x90_0000, 0x70_0000, TYPE_RAM),
            entry(0x81_0000, 0xf_0000, TYPE_SLEEP_STATE),
            entry(0x80_7000, 0x9000, TYPE_RAM),
            entry(0x80_6000, 0x1000, TYPE_SLEEP_STATE),
            entry(0x10_0000, 0x70_6000, TYPE_RAM),
        ];
        assert_eq!(memory_end(&map.concat()), (0x100_0000, Some(0x80_6000)));
        // Behind the last RAM it counts for nothing, nor does it below the first MiB or beyond a hole.
        let behind = [entry(0x10_0000, 0xf0_0000, TYPE_RAM), entry(0x100_0000, 0x1000, TYPE_SLEEP_STATE)];
        assert_eq!(memory_end(&behind.concat()), (0x100_0000, None));
        let below = [entry(0x9_f000, 0x1000, TYPE_SLEEP_STATE), entry(0x10_0000, 0x1000, TYPE_RAM)];
        assert_eq!(memory_end(&below.concat()), (0x10_1000, None));
        let hole = [entry(0x10_0000, 0x1000, TYPE_RAM), entry(0x10_2000, 0x1000, TYPE_SLEEP_STATE)];
        assert_eq!(memory_end(&hole.concat()), (0x10_1000, None));
    }

    #[test]
    fn every_range_of_the_map_is_kept_and_too_many_are_joined() {
        let map = [entry(0, 0x9_fc00, TYPE_RAM), entry(0x9_fc00, 0, 2), entry(0xb000_0000, 0x1000, 2), entry(5, 1, 3)];
        let range = |start, length, kind| MemoryRange { start, length, kind };
        let expected = [
            range(0, 0x9_fc00, MemoryKind::Ram),
            range(0xb000_0000, 0x1000, MemoryKind::Reserved),
            range(5, 1, MemoryKind::Ram),
        ];
        assert_eq!(memory_ranges(&map.concat()), expected);

        let map: std::vec::Vec<u8> = (1..=100).flat_map(|index| entry(index << 20, 1 << 12, 2)).collect();
        let ranges = memory_ranges(&map);
        assert_eq!(ranges.len(), MEMORY_RANGES_MAX);
        let last = ranges.last().unwrap();
        assert_eq!(*last, range(64 << 20, (36 << 20) + (1 << 12), MemoryKind::Ram));
        let endless = memory_ranges(&[entry(1 << 20, u64::MAX, 1), entry(0, 1, 1)].concat());
        assert_eq!(endless.len(), 2);
    }

    #[test]
    fn modules_are_taken_as_the_list_names_them() {
        let mut memory = vec![0; 0x400];
        let mut put = |at: usize, value: u64| memory[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(0, u64::from(MAGIC));
        // Flags, then the number of modules; where their list is.
        put(8, 2 << 32);
        put(16, 0x1100);
        put(0x100, 0x5000_0000);
        put(0x108, 0x10_0000);
        put(0x120, u64::MAX);
        put(0x128, 7);
        let read = |memory: &[u8]| {
            let reach = |address: u64, length: u64| {
                let at = address.checked_sub(0x1000)? as usize;
                memory.get(at..at.checked_add(length as usize)?)
            };
            StartInfo::read_pvh(0x1000, &mut CommandLine::new(), reach).map(|info| info.modules)
        };
        let expected = [(0x5000_0000, 0x10_0000), (u64::MAX, 7)].map(|(start, length)| Module { start, length });
        assert_eq!(read(&memory).unwrap(), expected);
        // More than are kept: the first of them count.
        memory[12] = 0xff;
        assert_eq!(read(&memory).unwrap().len(), MODULES_MAX);
        memory[17] = 0x40;
        assert_eq!(read(&memory), Err(StartInfoError::Unreachable));
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
