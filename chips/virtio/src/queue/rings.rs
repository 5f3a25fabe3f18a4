//! The memory that driver and device share: descriptor table, available ring, used ring (sections 2.7.5 to 2.7.8), in
//! the contiguous layout of a legacy device (section 2.7.2).
//!
//! Everything here is plain in and out: no value that the device writes is interpreted. Each access is volatile or
//! atomic, because the device may write at any time, and each index is brought into the ring before use, so no value
//! can lead outside.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};

use bitfield::bitfield;

use super::{BadSize, SIZE_MAX};

/// Where the used ring begins: on the next page, for a legacy device.
const USED_ALIGNMENT: usize = 4096;
/// Size of a descriptor in bytes.
const DESCRIPTOR_BYTES: usize = 16;

/// Offset of the available ring in a queue of `size` entries.
const fn available_offset(size: usize) -> usize {
    DESCRIPTOR_BYTES * size
}

/// Offset of the used ring: after flags, index, entries and event of the available ring.
const fn used_offset(size: usize) -> usize {
    (available_offset(size) + 6 + 2 * size).next_multiple_of(USED_ALIGNMENT)
}

/// Bytes of the largest queue: flags, index, entries and event of the used ring end it.
pub const RING_BYTES: usize =
    (used_offset(SIZE_MAX as usize) + 6 + 8 * SIZE_MAX as usize).next_multiple_of(USED_ALIGNMENT);

// `Rings::word` relies on it.
const _: () = assert!(RING_BYTES.is_power_of_two());

/// Number of entries of a queue: a power of two from 1 to [`SIZE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u16);

impl Size {
    /// The size of one entry.
    const ONE: Size = Size(1);

    /// A device's size, where it is one.
    ///
    /// # Errors
    /// [`BadSize`].
    pub fn new(size: u16) -> Result<Self, BadSize> {
        if size.is_power_of_two() && size <= SIZE_MAX { Ok(Size(size)) } else { Err(BadSize) }
    }

    /// Position of a running index in a ring of this size, so always below it.
    fn entry(self, index: u16) -> usize {
        usize::from(index & (self.0 - 1))
    }
}

bitfield! {
    /// Flags of a descriptor (section 2.7.5).
    #[derive(Clone, Copy, Default)]
    pub struct DescriptorFlags(u16);
    /// The chain goes on at the descriptor's `next`.
    pub next, set_next: 0;
    /// The device writes the buffer; else it reads it.
    pub write, set_write: 1;
}

bitfield! {
    /// Flags of either ring (sections 2.7.6 and 2.7.8).
    #[derive(Clone, Copy)]
    struct RingFlags(u16);
    /// The other side need not be told: no interrupt, or no notification.
    quiet, set_quiet: 0;
}

/// An entry of the descriptor table.
#[derive(Clone, Copy)]
pub struct Descriptor {
    /// Physical address of the buffer.
    pub address: u64,
    /// Its length in bytes.
    pub length: u32,
    /// What the device does with it.
    pub flags: DescriptorFlags,
    /// Where the chain goes on.
    pub next: u16,
}

/// Physical addresses of a queue's three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring.
    pub available: u64,
    /// Used ring.
    pub used: u64,
}

/// A queue's shared memory.
pub struct Rings {
    base: NonNull<u8>,
    size: Size,
    /// Offset of the used ring, which follows from the size.
    used_at: usize,
}

// SAFETY: the memory is static and reached through this value alone; any thread may hold it.
unsafe impl Send for Rings {}

impl Rings {
    /// Rings of one entry in this memory. The reference ends here: from now on the device may write the bytes.
    pub fn new(memory: &'static mut [u8; RING_BYTES]) -> Self {
        let base = NonNull::from(memory).cast::<u8>();
        // Devices reach the memory by its address.
        base.as_ptr().expose_provenance();
        Rings { base, size: Size::ONE, used_at: used_offset(1) }
    }

    /// Zeroes the memory and sets the size. The device must have been reset.
    pub fn clear(&mut self, size: Size) {
        self.size = size;
        self.used_at = used_offset(usize::from(size.0));
        // SAFETY: the memory has RING_BYTES bytes, is static, and no reference to it exists.
        unsafe { self.base.write_bytes(0, RING_BYTES) };
    }

    pub fn addresses(&self, physical: u64) -> Addresses {
        Addresses {
            descriptors: physical,
            available: physical + available_offset(self.entries()) as u64,
            used: physical + self.used_at as u64,
        }
    }

    pub fn write_descriptor(&mut self, index: u8, descriptor: Descriptor) {
        let place = DESCRIPTOR_BYTES * self.size.entry(index.into());
        let words = [
            descriptor.address.to_le(),
            (u64::from(descriptor.length) | u64::from(descriptor.flags.0) << 32 | u64::from(descriptor.next) << 48)
                .to_le(),
        ];
        // SAFETY: the descriptor is in the table, because `Size::entry` is below the size; 16-byte entries of memory
        // aligned to 4096 are aligned to 8.
        unsafe { self.base.add(place).cast::<[u64; 2]>().write_volatile(words) };
    }

    pub fn write_available(&mut self, index: u16, head: u8) {
        let entry = self.size.entry(index);
        self.available(2 + entry).store(u16::from(head).to_le(), Ordering::Relaxed);
    }

    /// Release: the device sees the descriptors and entries before the index that covers them.
    pub fn set_available_index(&mut self, index: u16) {
        self.available(1).store(index.to_le(), Ordering::Release);
    }

    pub fn set_interrupts_suppressed(&mut self, suppressed: bool) {
        let mut flags = RingFlags(0);
        flags.set_quiet(suppressed);
        self.available(0).store(flags.0.to_le(), Ordering::Relaxed);
    }

    pub fn set_used_event(&mut self, index: u16) {
        self.available(2 + self.entries()).store(index.to_le(), Ordering::Relaxed);
    }

    /// Acquire: entries and buffers are read after the index that covers them.
    pub fn used_index(&self) -> u16 {
        u16::from_le(self.used(1).load(Ordering::Acquire))
    }

    pub fn notifications_suppressed(&self) -> bool {
        RingFlags(u16::from_le(self.used(0).load(Ordering::Relaxed))).quiet()
    }

    pub fn available_event(&self) -> u16 {
        u16::from_le(self.used(2 + 4 * self.entries()).load(Ordering::Relaxed))
    }

    /// A used entry: the chain's first descriptor, and bytes written, as the device says.
    pub fn used_entry(&self, index: u16) -> (u32, u32) {
        let place = self.used_at + 4 + 8 * self.size.entry(index);
        // SAFETY: the entry is in the used ring, because `Size::entry` is below the size; the ring is aligned to 4096,
        // so an entry is aligned to 4.
        let [id, length] = unsafe { self.base.add(place).cast::<[u32; 2]>().read_volatile() };
        (u32::from_le(id), u32::from_le(length))
    }

    /// How many entries each ring has.
    fn entries(&self) -> usize {
        usize::from(self.size.0)
    }

    /// A 16-bit word of the available ring: 0 flags, 1 index, then the entries, then the event.
    fn available(&self, word: usize) -> &AtomicU16 {
        self.word(available_offset(self.entries()) + 2 * word)
    }

    /// A 16-bit word of the used ring: 0 flags, 1 index, then four for each entry, then the event.
    fn used(&self, word: usize) -> &AtomicU16 {
        self.word(self.used_at + 2 * word)
    }

    /// The word at an even offset. What the callers ask for is inside anyway; the mask says so to whoever reads this
    /// function alone, and to the compiler.
    fn word(&self, offset: usize) -> &AtomicU16 {
        let offset = offset & (RING_BYTES - 2);
        // SAFETY: the memory has RING_BYTES bytes, a power of two, so a masked offset is even and the word ends inside;
        // it is static, and reached only atomically by the driver. The device's writes of 16-bit words are single
        // accesses (section 2.7.8, little-endian 16 bits).
        unsafe { AtomicU16::from_ptr(self.base.add(offset).cast().as_ptr()) }
    }
}
