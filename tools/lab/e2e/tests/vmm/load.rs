//! The kernels of both boards, loaded as both engines load them.

use crate::{HIGH_MEMORY, contents, memory};
use linux_loader::loader::bzimage::{BzImage, Error as BzImageError};
use linux_loader::loader::elf::{Elf, Error as ElfError, PvhBootCapability};
use linux_loader::loader::{Error, KernelLoader, KernelLoaderResult};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSymbol as _};
use slopos_e2e::built;
use slopos_elf::Image;
use std::io::Cursor;
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// What the linker script adds to a physical address of the kernel's (boards/pc/layout.ld).
const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// The least memory of a board, by doc/fleet.md.
const LEAST: usize = 16 << 20;
const BOARDS: [&str; 2] = ["qemu_q35.elf", "microvm.elf"];

fn kernel(board: &str) -> Vec<u8> {
    std::fs::read(built(board)).expect("the kernel")
}

/// Loads as both do: at its own addresses, none of which may be below 1 MiB.
fn load(memory: &GuestMemoryMmap, kernel: Vec<u8>) -> Result<KernelLoaderResult, Error> {
    Elf::load(memory, None, &mut Cursor::new(kernel), Some(GuestAddress(HIGH_MEMORY)))
}

/// The address of a symbol.
fn symbol(kernel: &[u8], name: &str) -> u64 {
    let file = ElfFile64::<LittleEndian>::parse(kernel).expect("an ELF");
    file.symbol_by_name(name).unwrap_or_else(|| panic!("no symbol {name}")).address()
}

#[test]
fn both_boards_are_entered_by_their_pvh_note() {
    for board in BOARDS {
        let kernel = kernel(board);
        let entry = GuestAddress(symbol(&kernel, "pvh_start"));
        let loaded = load(&memory(LEAST), kernel).expect(board);
        assert_eq!(loaded.pvh_boot_cap, PvhBootCapability::PvhEntryPresent(entry), "{board}");
        // The header names the same place, which is in 32-bit code below the kernel proper.
        assert_eq!(loaded.kernel_load, entry, "{board}");
        assert!((HIGH_MEMORY..HIGH_MEMORY + 0x1000).contains(&entry.0), "{board}: {entry:?}");
        assert!(loaded.setup_header.is_none(), "{board}");
    }
}

#[test]
fn each_segment_is_where_the_linker_script_says_and_the_rest_is_zeros() {
    for board in BOARDS {
        let kernel = kernel(board);
        let (image, end) = (Image::parse(&kernel).expect(board), symbol(&kernel, "__image_end") - KERNEL_BASE);
        let memory = memory(LEAST);
        let loaded = load(&memory, kernel).expect(board);
        let found = contents(&memory);
        // First the entry's code where memory begins, at its own address, then the kernel behind it.
        assert_eq!(image.segments.first().map(|first| first.physical), Some(HIGH_MEMORY), "{board}");
        let mut at = HIGH_MEMORY as usize;
        for segment in &image.segments {
            let base = if segment.address >= KERNEL_BASE { KERNEL_BASE } else { 0 };
            assert_eq!(segment.physical, segment.address - base, "{board}");
            let start = segment.physical as usize;
            assert!(start >= at, "{board}: segments overlap at {start:#x}");
            // No loader clears what is not in the file, in new memory, so it must be where nothing was loaded.
            assert!(found[at..start].iter().all(|byte| *byte == 0), "{board}: below {start:#x}");
            let (file, zeros) = found[start..start + segment.size as usize].split_at(segment.bytes.len());
            assert!(file == segment.bytes, "{board}: the segment at {start:#x}");
            assert!(zeros.iter().all(|byte| *byte == 0), "{board}: behind {start:#x}");
            at = start + segment.size as usize;
        }
        assert_eq!(at as u64, end, "{board}: the image ends where the linker script says");
        assert!(found[at..].iter().all(|byte| *byte == 0), "{board}: behind the image");
        // The loader counts no segment without bytes in the file, as the writable memory is. Nothing may be put right
        // behind what it counts; both engines put the initial RAM disk at the end of the memory.
        assert!(loaded.kernel_end <= end && end <= LEAST as u64, "{board}: {:#x} {end:#x}", loaded.kernel_end);
    }
}

#[test]
fn a_kernel_without_room_or_with_another_head_is_refused() {
    for board in BOARDS {
        let code = kernel(board);
        let little = memory(HIGH_MEMORY as usize + 0x1000);
        assert_eq!(load(&little, code.clone()), Err(Error::Elf(ElfError::ReadKernelImage)), "{board}");
        let mut other = code.clone();
        other[0] ^= 1;
        assert_eq!(load(&memory(LEAST), other), Err(Error::Elf(ElfError::InvalidElfMagicNumber)), "{board}");
        // An engine that tries the form of Linux's own images first goes on to the next one.
        let mut file = Cursor::new(code);
        let refused = BzImage::load(&memory(LEAST), None, &mut file, Some(GuestAddress(HIGH_MEMORY)));
        assert_eq!(refused, Err(Error::Bzimage(BzImageError::InvalidBzImage)), "{board}");
    }
}

#[test]
fn without_its_note_the_kernel_would_have_no_entry() {
    for board in BOARDS {
        let mut code = kernel(board);
        // The note begins with the length of its name, of its value, and its type; then come "Xen" and a zero.
        let note = [4_u32, 4, 18].map(u32::to_le_bytes).concat();
        let at =
            code.windows(16).position(|bytes| bytes[..12] == note[..] && &bytes[12..] == b"Xen\0").expect("a note");
        code[at + 8] = 17;
        let loaded = load(&memory(LEAST), code).expect(board);
        assert_eq!(loaded.pvh_boot_cap, PvhBootCapability::PvhEntryNotPresent, "{board}");
    }
}
