//! Page tables: the kernel's own, and one set for each process (Intel SDM volume 3, section 4.5).
//!
//! The kernel's image is mapped in pages of 4 KiB, each section with its rights and nothing twice writable and
//! executable; guard pages are simply not mapped. Devices get a window of their own. A process's tables share the
//! kernel's upper half and hold one table of 512 pages for the process's window.

use bitfield::bitfield;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Where the kernel's image is mapped: physical address 0 would be here.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where devices are mapped: first those that fit into pages of [`PAGE`], then the others, in pages of [`LARGE_PAGE`].
pub const DEVICE_BASE: u64 = 0xffff_8000_0000_0000;
/// Bytes of a large page.
pub const LARGE_PAGE: u64 = 2 << 20;

bitfield! {
    /// An entry of a page table of any level.
    #[derive(Clone, Copy, PartialEq, Eq)]
    #[repr(transparent)]
    pub struct Entry(u64);
    impl Debug;
    /// The entry is used.
    pub present, set_present: 0;
    /// Writing is allowed.
    pub writable, set_writable: 1;
    /// Ring 3 may use it.
    pub user, set_user: 2;
    /// Caching is off; a device's memory.
    pub uncached, set_uncached: 4;
    /// In a directory: maps 2 MiB instead of naming a table.
    pub large, set_large: 7;
    /// Survives a change of CR3.
    pub global, set_global: 8;
    u64, page_number, set_page_number: 51, 12;
    /// Nothing is executed from here.
    pub no_execute, set_no_execute: 63;
}

/// What a mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and execute.
    Execute,
}

impl Entry {
    /// An entry that names the next table; the rights are decided further down.
    pub fn table(physical: u64) -> Entry {
        let mut entry = Entry(0);
        entry.set_page_number(physical / PAGE);
        entry.set_present(true);
        entry.set_writable(true);
        entry.set_user(true);
        entry
    }

    /// An entry that maps a page.
    pub fn page(physical: u64, access: Access, user: bool) -> Entry {
        let mut entry = Entry(0);
        entry.set_page_number(physical / PAGE);
        entry.set_present(true);
        entry.set_writable(access == Access::Write);
        entry.set_no_execute(access != Access::Execute);
        entry.set_user(user);
        entry.set_global(!user);
        entry
    }

    /// The physical address of the page or table.
    pub fn address(self) -> u64 {
        self.page_number() * PAGE
    }
}

/// One table of 512 entries. The processor writes its accessed and dirty bits, hence atomics.
#[repr(C, align(4096))]
pub struct PageTable([AtomicU64; 512]);

impl PageTable {
    /// An empty table.
    pub const fn new() -> Self {
        PageTable([const { AtomicU64::new(0) }; 512])
    }

    /// The entry at an index below 512.
    pub(crate) fn get(&self, index: usize) -> Entry {
        Entry(self.0[index].load(Relaxed))
    }

    /// Changes an entry. The caller sees to the processor's translation buffer, and to it that nothing is mapped which
    /// safe code could break something by.
    pub(crate) fn set(&self, index: usize, entry: Entry) {
        self.0[index].store(entry.0, Relaxed);
    }

    /// Empties the table.
    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|entry| entry.store(0, Relaxed));
    }

    /// The physical address of a table inside the kernel's image.
    fn physical(&self) -> u64 {
        physical_address(core::ptr::from_ref(self).cast())
    }
}

impl Default for PageTable {
    fn default() -> Self {
        Self::new()
    }
}

/// The physical address of something in the kernel's image. On the host, where tests run, it is the address itself.
pub fn physical_address(pointer: *const u8) -> u64 {
    (pointer as u64).wrapping_sub(if cfg!(target_os = "none") { KERNEL_BASE } else { 0 })
}

/// A part of the kernel's image, by virtual addresses that are multiples of [`PAGE`].
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// What is allowed.
    pub access: Access,
}

/// Tables that any kernel address space needs: the map, two for the image, three for devices.
const FIXED_TABLES: usize = 6;
/// Most bytes of a device that are mapped in small pages. It alone would fill half of the table.
const SMALL_DEVICE: u64 = LARGE_PAGE / 2;
/// Physical addresses end here, whatever the processor: an entry has room for no more.
const PHYSICAL_END: u64 = 1 << 52;

/// How many tables an image of that many bytes needs at most.
pub const fn tables_for(image_bytes: usize) -> usize {
    FIXED_TABLES + image_bytes / LARGE_PAGE as usize + 2
}

/// The kernel's half of every address space.
pub struct KernelSpace {
    tables: &'static [PageTable],
    /// Pages of [`PAGE`] that devices have.
    small_device_pages: usize,
    /// Entries of the directory that devices have, the first being the table of small pages.
    device_entries: usize,
}

/// A mapping cannot be made: the tables that the board gave do not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct OutOfTables;

impl KernelSpace {
    /// Maps the image's sections but for its guard pages.
    pub fn new(tables: &'static [PageTable], sections: &[Section], guards: &[u64]) -> Result<KernelSpace, OutOfTables> {
        let [map, image_pointers, image_directory, device_pointers, device_directory, device_pages, leaves @ ..] =
            tables
        else {
            return Err(OutOfTables);
        };
        map.set(index_of(KERNEL_BASE, 3), Entry::table(image_pointers.physical()));
        map.set(index_of(DEVICE_BASE, 3), Entry::table(device_pointers.physical()));
        image_pointers.set(index_of(KERNEL_BASE, 2), Entry::table(image_directory.physical()));
        device_pointers.set(index_of(DEVICE_BASE, 2), Entry::table(device_directory.physical()));
        device_directory.set(0, Entry::table(device_pages.physical()));
        let mut leaves = leaves.iter();
        let mut current: Option<(usize, &PageTable)> = None;
        for section in sections {
            let pages = (section.start..section.end).step_by(PAGE as usize);
            for page in pages.filter(|page| !guards.contains(page)) {
                let slot = index_of(page, 1);
                let leaf = match current {
                    Some((index, leaf)) if index == slot => leaf,
                    _ => {
                        let leaf = leaves.next().ok_or(OutOfTables)?;
                        image_directory.set(slot, Entry::table(leaf.physical()));
                        current = Some((slot, leaf));
                        leaf
                    }
                };
                leaf.set(index_of(page, 0), Entry::page(page.wrapping_sub(KERNEL_BASE), section.access, false));
            }
        }
        Ok(KernelSpace { tables, small_device_pages: 0, device_entries: 1 })
    }

    /// Maps a device's memory, uncached, and returns its virtual address; `None` where there is no room, or no such
    /// memory. What is small is mapped in small pages, so that what lies beside it is not reached by this mapping.
    pub fn map_device(&mut self, physical: u64, length: u64) -> Option<*mut u8> {
        let [_, _, _, _, directory, pages, ..] = self.tables else { return None };
        let end = physical.checked_add(length.max(1)).filter(|end| *end <= PHYSICAL_END)?;
        let large = length > SMALL_DEVICE;
        let (table, taken, page) = match large {
            false => (pages, &mut self.small_device_pages, PAGE),
            true => (directory, &mut self.device_entries, LARGE_PAGE),
        };
        let first = physical / page * page;
        let count = (end - first).div_ceil(page) as usize;
        let start = *taken;
        let slots = table.0.get(start..start.checked_add(count)?)?;
        *taken += count;
        for (slot, address) in slots.iter().zip((first..end).step_by(page as usize)) {
            let mut entry = Entry::page(address, Access::Write, false);
            entry.set_large(large);
            entry.set_uncached(true);
            slot.store(entry.0, Relaxed);
        }
        Some((DEVICE_BASE + start as u64 * page + (physical - first)) as *mut u8)
    }

    /// Maps RAM that nobody writes, read-only and cached, and returns its virtual address; `None` where there is no room.
    /// The pages are large, so what lies beside it can be read as well.
    pub fn map_constant(&mut self, physical: u64, length: u64) -> Option<*const u8> {
        let [_, _, _, _, directory, ..] = self.tables else { return None };
        let end = physical.checked_add(length.max(1)).filter(|end| *end <= PHYSICAL_END)?;
        let first = physical / LARGE_PAGE * LARGE_PAGE;
        let start = self.device_entries;
        let slots = directory.0.get(start..start.checked_add((end - first).div_ceil(LARGE_PAGE) as usize)?)?;
        self.device_entries += slots.len();
        for (slot, address) in slots.iter().zip((first..end).step_by(LARGE_PAGE as usize)) {
            let mut entry = Entry::page(address, Access::Read, false);
            entry.set_large(true);
            slot.store(entry.0, Relaxed);
        }
        Some((DEVICE_BASE + start as u64 * LARGE_PAGE + (physical - first)) as *const u8)
    }

    /// The physical address of the topmost table, for CR3.
    pub fn root(&self) -> u64 {
        self.tables[0].physical()
    }

    /// Copies the kernel's half into the topmost table of a process.
    fn share(&self, map: &PageTable) {
        for index in 256..512 {
            map.set(index, self.tables[0].get(index));
        }
    }
}

/// The index into the table of that level (0: pages, 3: topmost) for a virtual address.
fn index_of(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level) & 511) as usize
}

/// The tables of one process: topmost, pointers, directory, and the pages of its window.
pub struct UserTables([PageTable; 4]);

impl UserTables {
    /// Empty tables.
    pub const fn new() -> Self {
        UserTables([const { PageTable::new() }; 4])
    }

    /// Connects the tables for the window of 2 MiB that begins at `base`.
    pub fn connect(&self, kernel: &KernelSpace, base: u64) {
        let [map, pointers, directory, pages] = &self.0;
        kernel.share(map);
        map.set(index_of(base, 3), Entry::table(pointers.physical()));
        pointers.set(index_of(base, 2), Entry::table(directory.physical()));
        directory.set(index_of(base, 1), Entry::table(pages.physical()));
    }

    /// The table of the window's pages.
    pub(crate) fn pages(&self) -> &PageTable {
        &self.0[3]
    }

    /// The physical address of the topmost table, for CR3.
    pub fn root(&self) -> u64 {
        self.0[0].physical()
    }
}

impl Default for UserTables {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the tables at this physical address the ones in use.
///
/// # Safety
/// They must map the running code, the stack in use and all that the kernel reaches, as now.
#[cfg(not(test))]
pub unsafe fn activate(root: u64) {
    // SAFETY: by the caller's promise.
    unsafe { core::arch::asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(count: usize) -> &'static [PageTable] {
        Box::leak((0..count).map(|_| PageTable::new()).collect::<Vec<_>>().into_boxed_slice())
    }

    const TEXT: Section =
        Section { start: KERNEL_BASE + 0x10_0000, end: KERNEL_BASE + 0x10_3000, access: Access::Execute };
    const DATA: Section =
        Section { start: KERNEL_BASE + 0x10_3000, end: KERNEL_BASE + 0x30_0000, access: Access::Write };

    #[test]
    fn no_page_is_both_writable_and_executable() {
        let tables = tables(tables_for(0x20_0000));
        let _space = KernelSpace::new(tables, &[TEXT, DATA], &[]).unwrap();
        let mut seen = 0;
        for leaf in &tables[6..] {
            for entry in (0..512).map(|index| leaf.get(index)).filter(|entry| entry.present()) {
                assert!(!entry.writable() || entry.no_execute());
                assert!(!entry.user());
                seen += 1;
            }
        }
        assert_eq!(seen, (DATA.end - TEXT.start) / PAGE);
    }

    #[test]
    fn guard_pages_are_not_mapped() {
        let tables = tables(tables_for(0x20_0000));
        let guard = DATA.start + 2 * PAGE;
        KernelSpace::new(tables, &[TEXT, DATA], &[guard]).unwrap();
        assert!(!tables[6].get(index_of(guard, 0)).present());
        assert!(tables[6].get(index_of(guard - PAGE, 0)).present());
    }

    #[test]
    fn too_few_tables_is_an_error() {
        assert!(KernelSpace::new(tables(6), &[TEXT], &[]).is_err());
        assert!(KernelSpace::new(tables(7), &[TEXT, DATA], &[]).is_err());
    }

    #[test]
    fn a_device_is_mapped_with_its_offset_and_the_window_ends() {
        let tables = tables(tables_for(0x20_0000));
        let mut space = KernelSpace::new(tables, &[TEXT], &[]).unwrap();
        let address = space.map_device(0xb000_0000, 256 << 20).unwrap() as u64;
        assert_eq!(address, DEVICE_BASE + LARGE_PAGE);
        let entry = tables[4].get(1);
        assert_eq!(entry.address(), 0xb000_0000);
        assert!(entry.uncached() && entry.no_execute() && entry.large());
        assert!(space.map_device(0, 1 << 30).is_none());
        assert!(space.map_device(u64::MAX, 2).is_none());
        // No entry has room for these addresses: cut off, they would be RAM.
        assert!(space.map_device(1 << 52 | 0x10_0000, 4096).is_none());
        assert!(space.map_device((1 << 52) - 4096, 8192).is_none());
    }

    #[test]
    fn constant_memory_is_mapped_to_be_read_only_and_cached() {
        let tables = tables(tables_for(0x20_0000));
        let mut space = KernelSpace::new(tables, &[TEXT], &[]).unwrap();
        let address = space.map_constant(0x1ff_f010, 0x2000).unwrap() as u64;
        assert_eq!(address, DEVICE_BASE + LARGE_PAGE + 0x1f_f010);
        let entries = [1, 2].map(|index| tables[4].get(index));
        assert_eq!(entries.map(Entry::address), [0x1e0_0000, 0x200_0000]);
        assert!(entries.iter().all(|it| it.large()
            && it.no_execute()
            && !it.uncached()
            && !it.writable()
            && !it.user()));
        assert_eq!(space.map_device(0xb000_0000, 2 << 20).unwrap() as u64, DEVICE_BASE + 3 * LARGE_PAGE);
        assert!(space.map_constant(0, 1 << 30).is_none());
        assert!(space.map_constant(u64::MAX, 2).is_none());
    }

    #[test]
    fn a_small_device_is_mapped_with_nothing_beside_it() {
        let tables = tables(tables_for(0x20_0000));
        let mut space = KernelSpace::new(tables, &[TEXT], &[]).unwrap();
        let address = space.map_device(0xfebf_1ff0, 0x20).unwrap() as u64;
        assert_eq!(address, DEVICE_BASE + 0xff0);
        let pages = &tables[5];
        assert_eq!([0, 1].map(|index| pages.get(index).address()), [0xfebf_1000, 0xfebf_2000]);
        let entry = pages.get(1);
        assert!(entry.uncached() && entry.no_execute() && entry.writable() && !entry.large() && !entry.user());
        assert!(!pages.get(2).present());
        assert_eq!(space.map_device(0xfee0_0000, 1).unwrap() as u64, DEVICE_BASE + 0x2000);
        // The table has 512 pages.
        assert!(space.map_device(0xfd00_0000, 1 << 20).is_some());
        assert!(space.map_device(0xfd00_0000, 1 << 20).is_none());
        assert!(space.map_device(0xfd00_0000, (1 << 20) - 0x3000).is_some());
        assert!(space.map_device(0xfd00_0000, 1).is_none());
    }
}
