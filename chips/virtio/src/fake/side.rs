//! The device's side of a queue: the rings and buffers in the driver's memory, by the addresses that the driver tells.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::queue::Addresses;

/// The driver's statics, as the device sees them: each in a window of its own of 16 MiB, so that an address which was
/// not translated leads nowhere. Virtual addresses, by window.
static WINDOWS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
const WINDOW_BITS: u32 = 24;

/// Where a static is, for the device. Low, so that a legacy device can be told.
pub fn physical(pointer: *const u8) -> u64 {
    let mut windows = WINDOWS.lock().unwrap();
    let in_page = pointer.expose_provenance() % 4096;
    windows.push(pointer.expose_provenance() - in_page);
    (windows.len() << WINDOW_BITS | in_page) as u64
}

/// A chain that the device has taken.
pub struct Chain {
    pub head: u16,
    pub readable: Vec<(u64, u32)>,
    pub writable: Vec<(u64, u32)>,
}

impl Chain {
    /// Everything that the device may read.
    pub fn read(&self) -> Vec<u8> {
        let bytes = |(address, length): &(u64, u32)| {
            // SAFETY: the driver says that these bytes are its static memory, and does not write them now.
            unsafe { std::slice::from_raw_parts(at::<u8>(*address), *length as usize) }.to_vec()
        };
        self.readable.iter().flat_map(bytes).collect()
    }

    /// How many bytes the device may write.
    pub fn room(&self) -> u32 {
        self.writable.iter().map(|(_, length)| *length).sum()
    }

    /// Writes into the buffers, one after the other, and says how much fitted.
    pub fn write(&self, mut bytes: &[u8]) -> u32 {
        let whole = bytes.len();
        for (address, length) in &self.writable {
            let (now, later) = bytes.split_at(bytes.len().min(*length as usize));
            // SAFETY: the driver says that these bytes are its static memory, and does not touch them now.
            unsafe { at::<u8>(*address).copy_from_nonoverlapping(now.as_ptr(), now.len()) };
            bytes = later;
        }
        (whole - bytes.len()) as u32
    }
}

fn at<T>(address: u64) -> *mut T {
    let window = (address >> WINDOW_BITS) as usize;
    let base = WINDOWS.lock().unwrap()[window.checked_sub(1).expect("a physical address")];
    std::ptr::with_exposed_provenance_mut(base + (address as usize & ((1 << WINDOW_BITS) - 1)))
}

/// Where a device's address is in this process.
pub fn virtual_address(address: u64) -> usize {
    at::<u8>(address).addr()
}

fn word<'a>(address: u64) -> &'a AtomicU16 {
    // SAFETY: the callers pass words of the driver's static rings.
    unsafe { AtomicU16::from_ptr(at(address)) }
}

/// The device's side of a queue.
#[derive(Clone, Copy, Default)]
pub struct Side {
    pub size: u16,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    pub seen: u16,
    pub used_index: u16,
}

impl Side {
    pub fn new(size: u16, addresses: Addresses) -> Self {
        let Addresses { descriptors, available, used } = addresses;
        Side { size, descriptors, available, used, seen: 0, used_index: 0 }
    }

    pub fn available_index(&self) -> u16 {
        word(self.available + 2).load(Ordering::Acquire)
    }

    pub fn available_flags(&self) -> u16 {
        word(self.available).load(Ordering::Acquire)
    }

    pub fn used_event(&self) -> u16 {
        word(self.available + 4 + 2 * u64::from(self.size)).load(Ordering::Acquire)
    }

    pub fn set_available_event(&self, index: u16) {
        word(self.used + 4 + 8 * u64::from(self.size)).store(index, Ordering::Release);
    }

    pub fn set_used_flags(&self, flags: u16) {
        word(self.used).store(flags, Ordering::Release);
    }

    /// The next chain of the available ring.
    pub fn take(&mut self) -> Option<Chain> {
        if self.available_index() == self.seen {
            return None;
        }
        let head = word(self.available + 4 + 2 * u64::from(self.seen % self.size)).load(Ordering::Acquire);
        self.seen = self.seen.wrapping_add(1);
        let mut chain = Chain { head, readable: Vec::new(), writable: Vec::new() };
        let mut index = head;
        loop {
            let (address, length, flags, next) = self.descriptor(index);
            assert_eq!(flags & !3, 0);
            let list = if flags & 2 != 0 { &mut chain.writable } else { &mut chain.readable };
            list.push((address, length));
            if flags & 1 == 0 {
                return Some(chain);
            }
            index = next;
        }
    }

    /// A descriptor: address, length, flags, next.
    pub fn descriptor(&self, index: u16) -> (u64, u32, u16, u16) {
        assert!(index < self.size);
        let place = self.descriptors + 16 * u64::from(index);
        // SAFETY: the descriptor is in the driver's static table.
        unsafe {
            (
                at::<u64>(place).read(),
                at::<u32>(place + 8).read(),
                at::<u16>(place + 12).read(),
                at::<u16>(place + 14).read(),
            )
        }
    }

    /// Overwrites the whole descriptor table.
    pub fn scribble(&self, byte: u8) {
        // SAFETY: the table is the driver's static memory.
        unsafe { at::<u8>(self.descriptors).write_bytes(byte, 16 * usize::from(self.size)) };
    }

    /// Overwrites everything that the two rings and the table hold, from `bytes` again and again.
    pub fn scribble_all(&self, bytes: &[u8]) {
        let end = self.used + 6 + 8 * u64::from(self.size);
        for (address, byte) in (self.descriptors..end).zip(bytes.iter().cycle()) {
            // SAFETY: the queue's parts and what lies between them are the driver's static memory.
            unsafe { at::<u8>(address).write_volatile(*byte) };
        }
    }

    /// Writes the next used entry without showing it.
    pub fn write_used(&mut self, id: u32, length: u32) {
        let place = self.used + 4 + 8 * u64::from(self.used_index % self.size);
        // SAFETY: the entry is in the driver's static used ring.
        unsafe { at::<[u32; 2]>(place).write([id, length]) };
        self.used_index = self.used_index.wrapping_add(1);
    }

    /// Shows the used entries.
    pub fn show_used(&self) {
        word(self.used + 2).store(self.used_index, Ordering::Release);
    }

    /// Gives a chain back. True where the driver wants an interrupt, with or without VIRTIO_F_RING_EVENT_IDX.
    pub fn complete(&mut self, head: u32, length: u32, event_index: bool) -> bool {
        let old = self.used_index;
        self.write_used(head, length);
        self.show_used();
        if event_index {
            let event = self.used_event();
            self.used_index.wrapping_sub(event).wrapping_sub(1) < self.used_index.wrapping_sub(old)
        } else {
            self.available_flags() & 1 == 0
        }
    }
}
