//! A split virtqueue in the guest's memory, as the device sees it (VIRTIO 1.2 section 2.7).

use anyhow::Result;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::Ordering;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// A chain of buffers: address, length, and whether the device writes it.
pub type Chain = Vec<(GuestAddress, u32, bool)>;

/// A queue: where it is in the guest's memory, and how far the device is.
#[derive(Debug, Default)]
pub struct Ring {
    /// Number of descriptors.
    pub size: u16,
    /// The guest's address of the descriptor table.
    pub descriptors: u64,
    /// The guest's address of the available ring.
    pub available: u64,
    /// The guest's address of the used ring.
    pub used: u64,
    /// The next entry of the available ring, as a running index.
    pub next: u16,
    /// The next entry of the used ring, as a running index.
    pub next_used: u16,
    /// Where the driver notifies; the queue works while there is one.
    pub kick: Option<File>,
    /// Where the device interrupts.
    pub call: Option<File>,
}

impl Ring {
    fn slot(&self, index: u16) -> u64 {
        u64::from(index % self.size.max(1))
    }

    /// How many chains the driver has made available, as a running index.
    pub fn available_index(&self, memory: &GuestMemoryMmap) -> Result<u16> {
        Ok(u16::from_le(memory.load(GuestAddress(self.available + 2), Ordering::SeqCst)?))
    }

    /// Asks the driver to notify when it makes the next chain available (section 2.7.10).
    pub fn want_notification(&self, memory: &GuestMemoryMmap) -> Result<()> {
        let address = self.used + 4 + 8 * u64::from(self.size);
        Ok(memory.store(self.next.to_le(), GuestAddress(address), Ordering::SeqCst)?)
    }

    /// Takes the head of the next chain that is available.
    pub fn take_available(&mut self, memory: &GuestMemoryMmap) -> Result<u16> {
        let address = self.available + 4 + 2 * self.slot(self.next);
        self.next = self.next.wrapping_add(1);
        Ok(u16::from_le(memory.read_obj(GuestAddress(address))?))
    }

    /// The chain that begins at a descriptor; one that does not end is cut at the queue's size.
    pub fn chain(&self, memory: &GuestMemoryMmap, head: u16) -> Result<Chain> {
        let mut chain = Vec::new();
        let mut index = head;
        while chain.len() < usize::from(self.size) {
            let place = self.descriptors + 16 * self.slot(index);
            let (address, length): (u64, u32) =
                (memory.read_obj(GuestAddress(place))?, memory.read_obj(GuestAddress(place + 8))?);
            let (flags, next): (u16, u16) =
                (memory.read_obj(GuestAddress(place + 12))?, memory.read_obj(GuestAddress(place + 14))?);
            let flags = u16::from_le(flags);
            // VIRTQ_DESC_F_WRITE and VIRTQ_DESC_F_NEXT.
            chain.push((GuestAddress(u64::from_le(address)), u32::from_le(length), flags & 2 != 0));
            if flags & 1 == 0 {
                break;
            }
            index = u16::from_le(next);
        }
        Ok(chain)
    }

    /// Writes a used entry so many behind the next; the driver does not see it yet.
    pub fn write_used(&self, memory: &GuestMemoryMmap, behind: u16, (id, length): (u32, u32)) -> Result<()> {
        let address = self.used + 4 + 8 * self.slot(self.next_used.wrapping_add(behind));
        memory.write_obj(id.to_le(), GuestAddress(address))?;
        Ok(memory.write_obj(length.to_le(), GuestAddress(address + 4))?)
    }

    /// Shows the driver so many more entries.
    pub fn show_used(&mut self, memory: &GuestMemoryMmap, entries: u16) -> Result<()> {
        self.next_used = self.next_used.wrapping_add(entries);
        Ok(memory.store(self.next_used.to_le(), GuestAddress(self.used + 2), Ordering::SeqCst)?)
    }

    /// Interrupts, where the driver can be interrupted.
    pub fn interrupt(&mut self) -> Result<()> {
        match &mut self.call {
            Some(call) => Ok(call.write_all(&1_u64.to_ne_bytes())?),
            None => Ok(()),
        }
    }
}
