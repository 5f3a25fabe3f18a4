//! The kernel's own image: its build id, and its address space with the rights of each section and the guard pages.

use slopos_x86_64::paging::{Access, KernelSpace, PAGE, PageTable, Section, activate, tables_for};
use slopos_x86_64::segments::{INTERRUPT_STACK, INTERRUPT_STACKS};
use static_cell::ConstStaticCell;

use crate::statics::MANIFEST_BYTES;

/// Bytes of the build id.
pub const BUILD_ID_BYTES: usize = 20;

/// Where conventional memory ends and the image begins.
pub const FIRST_MIB: u64 = 1 << 20;

/// Room for the parts whose size the manifest does not decide: code, constants, rings, stacks.
const OTHER_BYTES: usize = 8 << 20;
const TABLES: usize = tables_for(MANIFEST_BYTES + OTHER_BYTES);

#[unsafe(link_section = ".owner.kernel")]
static PAGE_TABLES: ConstStaticCell<[PageTable; TABLES]> = ConstStaticCell::new([const { PageTable::new() }; TABLES]);

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __build_id_end: u8;
    static __rodata_end: u8;
    static __image_end: u8;
    static __stack_guard: u8;
    static __interrupt_stacks: u8;
}

/// The address of one of the linker script's symbols. No byte need lie there, so this takes a pointer, not a reference.
fn address(symbol: *const u8) -> u64 {
    symbol.addr() as u64
}

/// The build id: the SHA-1 hash that the linker computes over the image (`--build-id=sha1` in build.rs).
pub fn build_id() -> &'static [u8; BUILD_ID_BYTES] {
    // SAFETY: the linker script puts the symbol behind the note, whose last part is the id (System V ABI, "Note
    // Section"). A SHA-1 hash has 20 bytes, which nobody writes.
    unsafe { &*(&raw const __build_id_end).sub(BUILD_ID_BYTES).cast() }
}

/// Physical address after the image's last byte.
pub fn physical_end() -> u64 {
    slopos_x86_64::paging::physical_address(&raw const __image_end)
}

/// Ends of the interrupt stacks.
pub fn interrupt_stacks() -> [u64; INTERRUPT_STACKS] {
    let start = address(&raw const __interrupt_stacks);
    core::array::from_fn(|index| start + (index as u64 + 1) * (PAGE + INTERRUPT_STACK as u64))
}

/// The addresses of guard pages: below the kernel's stack, and below each interrupt stack.
pub fn guards() -> [u64; INTERRUPT_STACKS + 1] {
    let mut guards = [address(&raw const __stack_guard); INTERRUPT_STACKS + 1];
    for (guard, end) in guards.iter_mut().skip(1).zip(interrupt_stacks()) {
        *guard = end - INTERRUPT_STACK as u64 - PAGE;
    }
    guards
}

/// Builds the kernel's page tables and switches to them. The loader's mapping of low memory is gone afterwards.
pub fn map() -> KernelSpace {
    let symbols = [&raw const __image_start, &raw const __text_end, &raw const __rodata_end, &raw const __image_end];
    let [start, text, rodata, end] = symbols.map(address);
    let sections = [
        Section { start, end: text, access: Access::Execute },
        Section { start: text, end: rodata, access: Access::Read },
        Section { start: rodata, end: end.next_multiple_of(PAGE), access: Access::Write },
    ];
    let Ok(space) = KernelSpace::new(PAGE_TABLES.take(), &sections, &guards()) else {
        panic!("the image of {} bytes needs more page tables than {}", end - start, TABLES);
    };
    // SAFETY: the tables map the whole image, this code and its stack included, where it is now.
    unsafe { activate(space.root()) };
    space
}
