//! The processor as the kernel sees it: runs processes, and reaches their memory through the kernel's own mapping.
//!
//! A process's memory is checked page by page against its page table, which is the only record of what it may
//! touch. The kernel then uses its own, supervisor-only mapping of the same bytes: it never follows a user mapping,
//! so SMAP stays on without exception, and no pointer can fault half way.

use crate::context::Context;
use crate::paging::{Access, Entry, KernelSpace, PAGE, UserTables, physical_address};
use core::ptr::NonNull;
use slopos_abi::flash::{EXECUTE, WRITE};
use slopos_abi::{Errno, USER_BASE, USER_END, arguments_max};
use slopos_kernel::loader::Image;
use slopos_kernel::process::ProcessId;
use slopos_kernel::processor::{ArgumentsTooLong, Processor};
#[cfg(not(test))]
use slopos_kernel::processor::{Call, Fault, Trap};

/// First address that is not canonical (Intel SDM volume 1, section 3.3.7.1): after the lower half of all addresses.
const LOWER_HALF_END: u64 = 1 << 47;
/// First address beyond a process's stack; the page up to [`USER_END`] is never mapped.
const STACK_END: u64 = USER_END - PAGE;

/// One process's memory and registers.
pub struct UserSpace {
    context: Context,
    tables: &'static UserTables,
    ram: ProcessMemory,
    stack: ProcessMemory,
}

/// Memory that a process writes while it runs. So no reference to it is kept: those that are given out borrow the
/// [`UserSpace`], and running the process needs the [`Cpu`] with all of them for itself.
struct ProcessMemory {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory is static and reached through this value alone; any thread may hold it.
unsafe impl Send for ProcessMemory {}

impl ProcessMemory {
    /// The reference ends here.
    fn new(memory: &'static mut [u8]) -> Self {
        let length = memory.len();
        let base = NonNull::from(memory).cast::<u8>();
        // The process reaches the memory by its address.
        base.as_ptr().expose_provenance();
        ProcessMemory { base, length }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is static, initialised, and has this length; no process runs while the reference lives,
        // for `Cpu::run` borrows the space of which this is a part exclusively.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and the reference is the only one, because it borrows this value exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.length) }
    }
}

impl UserSpace {
    /// A process of this RAM and stack, both of whole pages and page-aligned; together with a guard page they must
    /// fit between [`USER_BASE`] and [`USER_END`], as the manifest's checks make sure.
    pub fn new(ram: &'static mut [u8], stack: &'static mut [u8], tables: &'static UserTables) -> UserSpace {
        let context = Context::new();
        for memory in [&*ram, &*stack] {
            let whole_pages = |number: usize| (number as u64).is_multiple_of(PAGE);
            assert!(whole_pages(memory.as_ptr().addr()) && whole_pages(memory.len()));
        }
        assert!(ram.len() as u64 + stack.len() as u64 + 2 * PAGE <= USER_END - USER_BASE);
        UserSpace { context, tables, ram: ProcessMemory::new(ram), stack: ProcessMemory::new(stack) }
    }

    fn stack_start(&self) -> u64 {
        STACK_END - self.stack.length as u64
    }

    /// Checks that each page of a range is mapped with the rights asked for, and tells where its bytes are.
    fn locate(&self, address: u64, length: u64, write: bool) -> Result<Location, Errno> {
        let end = address.checked_add(length).ok_or(Errno::Fault)?;
        if address < USER_BASE || end > USER_END {
            return Err(Errno::Fault);
        }
        let first = (address - USER_BASE) / PAGE;
        let last = (end - 1 - USER_BASE) / PAGE;
        for page in first..=last {
            let entry = self.tables.pages().get(page as usize);
            if !entry.present() || !entry.user() || write && !entry.writable() {
                return Err(Errno::Fault);
            }
        }
        let start = self.stack_start();
        // The guard page between RAM and stack is never mapped, so a range is whole in one of them.
        Ok(if address >= start {
            Location::Stack((address - start) as usize..(end - start) as usize)
        } else {
            Location::Ram((address - USER_BASE) as usize..(end - USER_BASE) as usize)
        })
    }

    fn map_range(&self, start: u64, bytes: &[u8], access: Access) {
        for (index, page) in bytes.chunks(PAGE as usize).enumerate() {
            let slot = (start - USER_BASE) / PAGE + index as u64;
            let entry = Entry::page(physical_address(page.as_ptr()), access, true);
            self.tables.pages().set(slot as usize, entry);
        }
    }
}

/// Whether the processor can return to where a process was: `sysret` and `iretq` to an address that is not canonical
/// fault in the kernel. A process can be interrupted between a jump to such an address and the fault that this is to
/// it.
#[cfg_attr(test, allow(dead_code, reason = "there is no ring 3 on the host, but in the test"))]
fn can_go_on(context: &Context) -> bool {
    context.rip < LOWER_HALF_END
}

/// Where a range of a process's addresses lies.
enum Location {
    Ram(core::ops::Range<usize>),
    Stack(core::ops::Range<usize>),
}

/// How much memory a process has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// For its program and its data.
    pub ram: usize,
    /// For its stack.
    pub stack: usize,
    /// The most of the stack that its last run has used, its arguments included, in steps of [`WORD`] bytes. What it wrote
    /// zeros to, and nothing else below, does not count.
    pub stack_high_water: usize,
}

/// Bytes of the stack that are looked at together.
pub const WORD: usize = 8;

/// The processor with all processes' memory.
pub struct Cpu {
    spaces: &'static mut [UserSpace],
    /// The process whose page tables are in use.
    active: Option<ProcessId>,
}

impl Cpu {
    /// Connects each process's tables to the kernel's.
    pub fn new(kernel: &KernelSpace, spaces: &'static mut [UserSpace]) -> Cpu {
        spaces.iter().for_each(|space| space.tables.connect(kernel, USER_BASE));
        Cpu { spaces, active: None }
    }

    fn space(&self, process: ProcessId) -> &UserSpace {
        &self.spaces[process.index()]
    }

    /// How much memory a process has, and how far down its stack was used.
    pub fn memory_use(&self, process: ProcessId) -> MemoryUse {
        let UserSpace { ram, stack, .. } = self.space(process);
        // A run begins with a stack of zeros, so what lies below the first other byte was never written, or only by zeros.
        let untouched = stack.bytes().chunks_exact(WORD).take_while(|word| **word == [0; WORD]).count() * WORD;
        MemoryUse { ram: ram.length, stack: stack.length, stack_high_water: stack.length - untouched }
    }
}

impl Processor for Cpu {
    #[cfg(not(test))]
    fn run(&mut self, process: ProcessId) -> Trap {
        use crate::exception;
        let space = &mut self.spaces[process.index()];
        if self.active != Some(process) {
            // SAFETY: `Cpu::new` shared the kernel's half with these tables, and its own half names only this
            // process's pages. Null data segments carry nothing from one process to the next.
            unsafe {
                crate::paging::activate(space.tables.root());
                core::arch::asm!(
                    "mov ds, {0:x}", "mov es, {0:x}", "mov fs, {0:x}", "mov gs, {0:x}",
                    in(reg) 0_u64, options(nomem, nostack, preserves_flags)
                );
            }
            self.active = Some(process);
        }
        if !can_go_on(&space.context) {
            return Trap::Fault(Fault {
                name: exception::name(exception::GENERAL_PROTECTION),
                error: 0,
                address: 0,
                instruction: space.context.rip,
                stack: space.context.rsp,
            });
        }
        // SAFETY: the process's tables are active; `begin` set user selectors, which nothing else writes; the
        // instruction pointer is canonical, so neither `sysret` nor `iretq` faults in the kernel.
        unsafe { crate::trap::run(&mut space.context) };
        let context = &space.context;
        match context.vector {
            crate::trap::SYSTEM_CALL => Trap::SystemCall(Call {
                number: context.rax,
                arguments: [context.rdi, context.rsi, context.rdx, context.r10, context.r8, context.r9],
            }),
            vector if vector < exception::COUNT as u64 => Trap::Fault(Fault {
                name: exception::name(vector),
                error: context.error,
                address: if vector == exception::PAGE_FAULT { crate::control::fault_address() } else { 0 },
                instruction: context.rip,
                stack: context.rsp,
            }),
            _ => Trap::Interrupt,
        }
    }

    #[cfg(test)]
    fn run(&mut self, _: ProcessId) -> slopos_kernel::processor::Trap {
        unreachable!("there is no ring 3 to run a process in on the host")
    }

    fn set_result(&mut self, process: ProcessId, value: i64) {
        self.spaces[process.index()].context.rax = value as u64;
    }

    fn readable(&self, process: ProcessId, address: u64, length: u64) -> Result<&[u8], Errno> {
        if length == 0 {
            return Ok(&[]);
        }
        let space = self.space(process);
        let bytes = match space.locate(address, length, false)? {
            Location::Ram(range) => space.ram.bytes().get(range),
            Location::Stack(range) => space.stack.bytes().get(range),
        };
        bytes.ok_or(Errno::Fault)
    }

    fn writable(&mut self, process: ProcessId, address: u64, length: u64) -> Result<&mut [u8], Errno> {
        if length == 0 {
            return Ok(&mut []);
        }
        let space = &mut self.spaces[process.index()];
        let bytes = match space.locate(address, length, true)? {
            Location::Ram(range) => space.ram.bytes_mut().get_mut(range),
            Location::Stack(range) => space.stack.bytes_mut().get_mut(range),
        };
        bytes.ok_or(Errno::Fault)
    }

    fn image_memory(&mut self, process: ProcessId) -> &mut [u8] {
        // The next run loads CR3 again and with it drops what the processor remembers of the old mapping.
        self.active = None;
        let space = &mut self.spaces[process.index()];
        space.tables.pages().clear();
        space.ram.bytes_mut()
    }

    fn map(&mut self, process: ProcessId, image: &Image) {
        self.active = None;
        let space = &self.spaces[process.index()];
        space.tables.pages().clear();
        for segment in &image.segments {
            let start = (segment.address - USER_BASE) as usize;
            let end = start + (segment.memory_bytes as usize).next_multiple_of(PAGE as usize);
            let access = match segment.flags & (WRITE | EXECUTE) {
                0 => Access::Read,
                EXECUTE => Access::Execute,
                _ => Access::Write,
            };
            if let Some(bytes) = space.ram.bytes().get(start..end) {
                space.map_range(segment.address, bytes, access);
            }
        }
        space.map_range(space.stack_start(), space.stack.bytes(), Access::Write);
    }

    fn begin<'a>(
        &mut self,
        process: ProcessId,
        words: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ArgumentsTooLong> {
        let space = &mut self.spaces[process.index()];
        let stack = space.stack.bytes_mut();
        let length = ArgumentsTooLong::check(words.clone(), arguments_max(stack.len()))?;
        stack.fill(0);
        let top = stack.len() - length.next_multiple_of(16);
        let mut place = top;
        for word in words {
            // Just measured; the NUL after each word is there already.
            stack[place..place + word.len()].copy_from_slice(word.as_bytes());
            place += word.len() + 1;
        }
        let address = space.stack_start() + top as u64;
        space.context = Context {
            rdi: address,
            rsi: length as u64,
            cs: crate::segments::USER_CODE.into(),
            rflags: crate::control::user_flags(),
            rsp: address,
            ss: crate::segments::USER_DATA.into(),
            ..Context::new()
        };
        Ok(())
    }

    fn set_entry(&mut self, process: ProcessId, entry: u64) {
        self.spaces[process.index()].context.rip = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paging::PageTable;
    use slopos_abi::flash::{READ, Segment};

    #[repr(align(4096))]
    struct Pages<const N: usize>([u8; N]);

    fn pages<const N: usize>() -> &'static mut [u8] {
        &mut Box::leak(Box::new(Pages([0; N]))).0
    }

    fn cpu() -> Cpu {
        let tables: &'static [PageTable] = Box::leak((0..8).map(|_| PageTable::new()).collect());
        let kernel = KernelSpace::new(tables, &[], &[]).unwrap();
        let user = Box::leak(Box::new(UserTables::new()));
        let space = UserSpace::new(pages::<0x4000>(), pages::<0x2000>(), user);
        let mut cpu = Cpu::new(&kernel, Box::leak(Box::new([space])));
        let segment = |address, memory_bytes, flags| Segment { address, memory_bytes, flags, ..Segment::default() };
        let segments = [
            segment(USER_BASE, 0x1800, READ | EXECUTE),
            segment(USER_BASE + 0x2000, 10, READ),
            segment(USER_BASE + 0x3000, 0x1000, READ | WRITE),
        ];
        let image = Image { entry: USER_BASE, segments: segments.into_iter().collect() };
        cpu.map(P, &image);
        cpu
    }

    const P: ProcessId = ProcessId::new(0);

    #[test]
    fn only_mapped_pages_can_be_reached_and_only_with_their_rights() {
        let mut cpu = cpu();
        let stack = STACK_END - 0x2000;
        for (address, length, readable, writable) in [
            (USER_BASE, 1, true, false),
            (USER_BASE + 0x1fff, 2, true, false),
            (USER_BASE + 0x3000, 0x1000, true, true),
            (USER_BASE + 0x2fff, 2, true, false),
            (USER_BASE + 0x3fff, 2, false, false),
            (USER_BASE - 1, 2, false, false),
            (stack, 0x2000, true, true),
            (stack - 1, 2, false, false),
            (STACK_END - 1, 2, false, false),
            (0, 8, false, false),
            (u64::MAX - 1, 8, false, false),
            (crate::paging::KERNEL_BASE, 8, false, false),
            (USER_BASE, u64::MAX, false, false),
        ] {
            assert_eq!(cpu.readable(P, address, length).is_ok(), readable, "read {address:#x} {length:#x}");
            assert_eq!(cpu.writable(P, address, length).is_ok(), writable, "write {address:#x} {length:#x}");
        }
    }

    #[test]
    fn nothing_is_mapped_while_an_image_is_loaded() {
        let mut cpu = cpu();
        cpu.image_memory(P);
        assert_eq!(cpu.readable(P, USER_BASE, 1), Err(Errno::Fault));
        assert_eq!(cpu.readable(P, STACK_END - 16, 1), Err(Errno::Fault));
    }

    #[test]
    fn a_process_at_an_address_that_is_not_canonical_is_not_returned_to() {
        for (rip, canonical) in [
            (USER_BASE, true),
            (USER_END - 1, true),
            ((1 << 47) - 1, true),
            (1 << 47, false),
            (0x8000_0000_0000_0fff, false),
            (0xffff_7fff_ffff_ffff, false),
            // Canonical, and the kernel's: no process gets there.
            (crate::paging::KERNEL_BASE, false),
            (u64::MAX, false),
        ] {
            assert_eq!(can_go_on(&Context { rip, ..Context::new() }), canonical, "{rip:#x}");
        }
    }

    #[test]
    fn a_process_begins_with_its_arguments_on_an_aligned_stack() {
        let mut cpu = cpu();
        cpu.begin(P, ["p0", "x"].into_iter()).unwrap();
        cpu.set_entry(P, USER_BASE + 4);
        let context = cpu.spaces[0].context;
        assert_eq!((context.rip, context.rsi, context.rsp % 16), (USER_BASE + 4, 5, 0));
        assert_eq!(cpu.readable(P, context.rdi, 5), Ok(&b"p0\0x\0"[..]));
        assert_eq!(context.cs & 3, 3);
    }

    #[test]
    fn the_lowest_byte_that_is_not_zero_says_how_far_the_stack_was_used() {
        let mut cpu = cpu();
        let high_water = |cpu: &Cpu| cpu.memory_use(P).stack_high_water;
        assert_eq!(cpu.memory_use(P), MemoryUse { ram: 0x4000, stack: 0x2000, stack_high_water: 0 });
        cpu.begin(P, ["p0", "x"].into_iter()).unwrap();
        assert_eq!(high_water(&cpu), 16, "its arguments, which end where the stack does");
        cpu.writable(P, STACK_END - 0x101, 1).unwrap()[0] = 1;
        assert_eq!(high_water(&cpu), 0x108);
        cpu.writable(P, STACK_END - 0x2000, 1).unwrap()[0] = 1;
        assert_eq!(high_water(&cpu), 0x2000);
        cpu.begin(P, ["p0"].into_iter()).unwrap();
        assert_eq!(high_water(&cpu), 16, "a run begins anew");
    }

    #[test]
    fn arguments_take_half_of_the_stack_at_most_and_too_long_ones_change_nothing() {
        let mut cpu = cpu();
        let half = "x".repeat(0x1000 - "p0\0\0".len());
        cpu.begin(P, ["p0", &half].into_iter()).unwrap();
        cpu.set_entry(P, USER_BASE);
        let context = cpu.spaces[0].context;
        assert_eq!((context.rsi, context.rsp), (0x1000, STACK_END - 0x1000));
        let block = cpu.readable(P, context.rdi, context.rsi).unwrap();
        assert_eq!(block, format!("p0\0{half}\0").as_bytes());
        let refused = cpu.begin(P, ["p0", &half, ""].into_iter());
        assert_eq!(refused, Err(ArgumentsTooLong { bytes: 0x1001, most: 0x1000 }));
        assert_eq!(cpu.spaces[0].context.rip, USER_BASE);
    }
}
