//! Modules: files that the loader has put into memory beside the kernel (`-initrd`, GRUB's `module2`), and whether what it
//! says of one can be believed.

use crate::start_info::{MemoryKind, MemoryRange, Module};

/// Why a module cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ModuleError {
    /// It has no bytes.
    Empty,
    /// Not all of it is RAM, by the loader's own map.
    BeyondRam,
    /// The kernel lies there.
    OverlapsImage,
}

/// Checks that a module lies in RAM and beside the kernel's image, which has the addresses `image`.
///
/// # Errors
/// What is wrong with it; it must not be touched then.
pub fn check(module: &Module, memory: &[MemoryRange], image: core::ops::Range<u64>) -> Result<(), ModuleError> {
    if module.length == 0 {
        return Err(ModuleError::Empty);
    }
    let end = module.start.checked_add(module.length).ok_or(ModuleError::BeyondRam)?;
    // RAM may be told in several ranges, in any order; what is reserved lies over it.
    let end_of = |range: &MemoryRange| range.start.saturating_add(range.length);
    let mut found = module.start;
    while found < end {
        let holds =
            |range: &&MemoryRange| range.kind == MemoryKind::Ram && range.start <= found && found < end_of(range);
        found = memory.iter().find(holds).map(end_of).ok_or(ModuleError::BeyondRam)?;
    }
    let reserved =
        |range: &MemoryRange| range.kind == MemoryKind::Reserved && range.start < end && module.start < end_of(range);
    if memory.iter().any(reserved) {
        return Err(ModuleError::BeyondRam);
    }
    if module.start < image.end && image.start < end {
        return Err(ModuleError::OverlapsImage);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_used_where_all_of_it_is_ram_and_none_of_it_the_image() {
        let range = |start, length, kind| MemoryRange { start, length, kind };
        let memory = [
            range(0x80_0000, 0x40_0000, MemoryKind::Ram),
            range(0x10_0000, 0x70_0000, MemoryKind::Ram),
            range(0xbf_0000, 0x1_0000, MemoryKind::Reserved),
            range(1 << 32, 1 << 30, MemoryKind::Ram),
        ];
        let check = |start, length| super::check(&Module { start, length }, &memory, 0x10_0000..0x20_0000);
        assert_eq!(check(0x20_0000, 0x1000), Ok(()));
        assert_eq!(check(0x7f_f000, 0x2000), Ok(()), "over the seam of two ranges");
        assert_eq!(check(1 << 32, 1 << 30), Ok(()));
        assert_eq!(check(0x20_0000, 0), Err(ModuleError::Empty));
        assert_eq!(check(0x1f_ffff, 2), Err(ModuleError::OverlapsImage));
        assert_eq!(check(0x10_0000, 1), Err(ModuleError::OverlapsImage));
        assert_eq!(check(0xf_ffff, 1), Err(ModuleError::BeyondRam));
        for (start, length) in [(0xbe_f000, 0x1001), (0xc0_0000, 1), (u64::MAX, 2), (1 << 32, (1 << 30) + 1), (0, 1)] {
            assert_eq!(check(start, length), Err(ModuleError::BeyondRam), "{start:#x}");
        }
        // A map that lies cannot keep the search going.
        let lies = [range(0x20_0000, u64::MAX, MemoryKind::Ram), range(0, 0, MemoryKind::Ram)];
        let all = Module { start: 0x20_0000, length: u64::MAX - 0x20_0000 };
        assert_eq!(super::check(&all, &lies, 0..1), Ok(()));
    }
}
