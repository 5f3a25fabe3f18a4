//! The split virtqueue (section 2.7), for a driver that has several buffers with a device that may lie.
//!
//! The driver adds chains with a token of its own, publishes them, and pops tokens back. What the driver must remember
//! of a chain it keeps in its own memory, never in the descriptor table: the device can write there.
//!
//! The device owns a chain's buffers from [`Queue::publish`] until [`Queue::pop`] has given its token back. Each token
//! comes back at most once. The first thing that cannot be marks the queue as faulty; from then on it gives nothing.

mod rings;

use core::sync::atomic::{Ordering, fence};

pub use rings::{Addresses, RING_BYTES};
use rings::{Descriptor, DescriptorFlags, Rings, Size};

use crate::Physical;

/// Largest queue that the static memory has room for: a legacy queue has the size that the device chose.
pub const SIZE_MAX: u16 = 1024;
/// Most descriptors that are in use at a time, whatever the queue's size. As many as a `u8` has values: the driver's
/// indices are of that type, so that none can be out of range.
pub const DESCRIPTORS_MAX: usize = 1 << u8::BITS;

/// Static memory of one queue: the rings, and what the driver remembers. All zeros is a valid start.
#[repr(C, align(4096))]
pub struct QueueMemory {
    rings: [u8; RING_BYTES],
    slots: [Slot; DESCRIPTORS_MAX],
}

impl QueueMemory {
    /// Memory for a queue, all zeros.
    pub const fn new() -> Self {
        QueueMemory { rings: [0; RING_BYTES], slots: [Slot::free(0); DESCRIPTORS_MAX] }
    }
}

impl Default for QueueMemory {
    fn default() -> Self {
        QueueMemory::new()
    }
}

/// What the driver remembers of a descriptor.
#[derive(Clone, Copy)]
struct Slot {
    /// Next of the chain, or of the free list.
    next: u8,
    /// The driver's name for the chain.
    token: u8,
    /// How many descriptors the chain has that begins here; 0 where none with the device does.
    descriptors: u16,
    /// The chain's place in the available ring, as a running index.
    position: u16,
    /// Bytes that the device may write into the chain's buffers.
    writable: u32,
}

impl Slot {
    const fn free(next: u8) -> Self {
        Slot { next, token: 0, descriptors: 0, position: 0, writable: 0 }
    }
}

/// One buffer of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Physical address.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
    /// Whether the device writes it rather than reads it. Buffers to write come last in a chain (section 2.7.4.2).
    pub writable: bool,
}

/// A chain that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Used {
    /// The driver's name for it.
    pub token: u8,
    /// Bytes that the device says it has written, never more than the chain has room for.
    pub length: u32,
}

/// Why a chain was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum AddError {
    /// Too few free descriptors. Pop some chains first.
    Full,
    /// No buffers, or one to read after one to write.
    BadChain,
    /// The queue is faulty, or has not been set up.
    Faulty,
}

/// What the device did that cannot be. The queue is of no more use until it is set up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum QueueFault {
    /// The used index moved by more than there are chains with the device.
    IndexJump {
        /// Chains that it claims to have used.
        claimed: u16,
        /// Chains that it had.
        in_flight: u16,
    },
    /// A used entry names a descriptor that does not exist.
    UnknownDescriptor {
        /// The name.
        id: u32,
    },
    /// A used entry names a descriptor at which no chain with the device begins.
    NotOutstanding {
        /// The name.
        id: u32,
    },
    /// A used entry claims more bytes written than the chain has room for.
    TooLong {
        /// The claim.
        claimed: u32,
        /// The room.
        writable: u32,
    },
    /// A chain came back under a name that its driver never gave. The queue does not say so, its user does: this is no
    /// lie of the device's, but damage to what the driver remembers.
    UnknownToken {
        /// The name.
        token: u8,
    },
}

/// The size is not a power of two, or above [`SIZE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct BadSize;

/// A split virtqueue, the driver's side.
pub struct Queue {
    rings: Rings,
    slots: &'static mut [Slot; DESCRIPTORS_MAX],
    physical: u64,
    /// Descriptors in use or free: the queue's size, at most [`DESCRIPTORS_MAX`].
    usable: u16,
    first_free: u8,
    free: u16,
    in_flight: u16,
    /// Available index, counting what is not yet published.
    available: u16,
    /// Available index that the device was last shown.
    published: u16,
    /// Used index up to which entries were popped.
    used: u16,
    event_index: bool,
    fault: Option<QueueFault>,
}

impl Queue {
    /// A queue in this memory; it takes no chains before [`Queue::set_up`].
    pub fn new(memory: &'static mut QueueMemory, physical: Physical) -> Self {
        let QueueMemory { rings, slots } = memory;
        let physical = physical(rings.as_ptr());
        Queue {
            rings: Rings::new(rings),
            slots,
            physical,
            usable: 0,
            first_free: 0,
            free: 0,
            in_flight: 0,
            available: 0,
            published: 0,
            used: 0,
            event_index: false,
            fault: None,
        }
    }

    /// Empties the queue for a device that has just been reset, with interrupts suppressed. `event_index` says whether
    /// VIRTIO_F_RING_EVENT_IDX is agreed.
    ///
    /// # Errors
    /// [`BadSize`]; the queue then takes no chains.
    pub fn set_up(&mut self, size: u16, event_index: bool) -> Result<(), BadSize> {
        self.usable = 0;
        self.free = 0;
        self.rings.clear(Size::new(size)?);
        self.usable = size.min(DESCRIPTORS_MAX as u16);
        // The last one's successor does not matter: nobody follows it before another is put in its place.
        for (index, slot) in self.slots.iter_mut().enumerate() {
            *slot = Slot::free((index as u8).wrapping_add(1));
        }
        self.first_free = 0;
        self.free = self.usable;
        self.in_flight = 0;
        self.available = 0;
        self.published = 0;
        self.used = 0;
        self.event_index = event_index;
        self.fault = None;
        self.disable_interrupts();
        Ok(())
    }

    /// Where the parts are for the device, in the layout that a legacy device assumes and a modern one accepts.
    pub fn addresses(&self) -> Addresses {
        self.rings.addresses(self.physical)
    }

    /// Descriptors that are free.
    pub fn free(&self) -> u16 {
        self.free
    }

    /// Chains that the device has, or will have at the next [`Queue::publish`].
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// What the device did wrong, if it has.
    pub fn fault(&self) -> Option<QueueFault> {
        self.fault
    }

    /// Adds a chain of buffers under the driver's name `token`. The device sees it after [`Queue::publish`]; from then
    /// until the token is popped, the buffers are the device's.
    ///
    /// # Errors
    /// As [`AddError`] says.
    pub fn add(&mut self, token: u8, segments: &[Segment]) -> Result<(), AddError> {
        if self.fault.is_some() || self.usable == 0 {
            return Err(AddError::Faulty);
        }
        let Some((last, before)) = segments.split_last() else {
            return Err(AddError::BadChain);
        };
        if !segments.is_sorted_by_key(|segment| segment.writable) {
            return Err(AddError::BadChain);
        }
        if segments.len() > usize::from(self.free) {
            return Err(AddError::Full);
        }
        let descriptors = segments.len() as u16;
        let head = self.first_free;
        let mut writable = 0;
        let mut index = head;
        for segment in before {
            let next = self.slots[usize::from(index)].next;
            writable = self.describe(index, segment, Some(next), writable);
            index = next;
        }
        self.first_free = self.slots[usize::from(index)].next;
        writable = self.describe(index, last, None, writable);
        let slot = &mut self.slots[usize::from(head)];
        slot.descriptors = descriptors;
        slot.token = token;
        slot.position = self.available;
        slot.writable = writable;
        self.free -= descriptors;
        self.in_flight += 1;
        self.rings.write_available(self.available, head);
        self.available = self.available.wrapping_add(1);
        Ok(())
    }

    /// Fills a descriptor that the device does not look at yet. Adds to the bytes that the device may write in its
    /// chain.
    fn describe(&mut self, index: u8, segment: &Segment, next: Option<u8>, writable: u32) -> u32 {
        let mut flags = DescriptorFlags::default();
        flags.set_next(next.is_some());
        flags.set_write(segment.writable);
        let next = next.unwrap_or(0).into();
        self.rings
            .write_descriptor(index, Descriptor { address: segment.address, length: segment.length, flags, next });
        if segment.writable { writable.saturating_add(segment.length) } else { writable }
    }

    /// Shows the device what was added, and says whether it wants to be notified.
    #[must_use = "the device may be waiting for a notification"]
    pub fn publish(&mut self) -> bool {
        let (old, new) = (self.published, self.available);
        if old == new {
            return false;
        }
        self.rings.set_available_index(new);
        self.published = new;
        // Between showing the index and reading what the device wants (section 2.7.13.4.1): without it both sides may
        // read the other's old value, and the device would sleep on a full ring.
        fence(Ordering::SeqCst);
        if self.event_index {
            crosses(self.rings.available_event(), old, new)
        } else {
            !self.rings.notifications_suppressed()
        }
    }

    /// Whether the device claims to have used a chain.
    pub fn has_used(&self) -> bool {
        self.fault.is_none() && self.usable != 0 && self.rings.used_index() != self.used
    }

    /// The next chain that the device has used.
    ///
    /// # Errors
    /// [`QueueFault`], once; afterwards there is nothing to pop.
    pub fn pop(&mut self) -> Option<Result<Used, QueueFault>> {
        if !self.has_used() {
            return None;
        }
        let popped = self.take_used();
        if let Err(fault) = popped {
            self.fault = Some(fault);
        }
        Some(popped)
    }

    fn take_used(&mut self) -> Result<Used, QueueFault> {
        let claimed = self.rings.used_index().wrapping_sub(self.used);
        let in_flight = self.in_flight - self.unpublished();
        if claimed > in_flight {
            return Err(QueueFault::IndexJump { claimed, in_flight });
        }
        let (id, length) = self.rings.used_entry(self.used);
        let head = match u8::try_from(id) {
            Ok(head) if u16::from(head) < self.usable => head,
            _ => return Err(QueueFault::UnknownDescriptor { id }),
        };
        let slot = self.slots[usize::from(head)];
        // A chain that was added and not yet published is not the device's to return.
        let unpublished = self.available.wrapping_sub(slot.position) <= self.unpublished();
        if slot.descriptors == 0 || unpublished {
            return Err(QueueFault::NotOutstanding { id });
        }
        if length > slot.writable {
            return Err(QueueFault::TooLong { claimed: length, writable: slot.writable });
        }
        let mut last = head;
        for _ in 1..slot.descriptors {
            last = self.slots[usize::from(last)].next;
        }
        self.slots[usize::from(last)].next = self.first_free;
        self.slots[usize::from(head)].descriptors = 0;
        self.first_free = head;
        self.free += slot.descriptors;
        self.in_flight -= 1;
        self.used = self.used.wrapping_add(1);
        Ok(Used { token: slot.token, length })
    }

    /// Chains that were added since the last [`Queue::publish`].
    fn unpublished(&self) -> u16 {
        self.available.wrapping_sub(self.published)
    }

    /// Asks for an interrupt when `after` more chains have been used (at least one; a device without
    /// VIRTIO_F_RING_EVENT_IDX always interrupts at the first). True where so many have been already: the device may
    /// not interrupt for them, so pop them and ask again.
    #[must_use = "what is waiting already may never interrupt"]
    pub fn enable_interrupts(&mut self, after: u16) -> bool {
        let after = if self.event_index { after.max(1) } else { 1 };
        if self.event_index {
            self.rings.set_used_event(self.used.wrapping_add(after - 1));
        } else {
            self.rings.set_interrupts_suppressed(false);
        }
        // Between writing our wish and reading the used index again (section 2.7.7.1 and rule 10 of the design).
        fence(Ordering::SeqCst);
        self.has_used() && self.rings.used_index().wrapping_sub(self.used) >= after
    }

    /// Asks for no interrupts. One may still come: this is advice to the device.
    pub fn disable_interrupts(&mut self) {
        if self.event_index {
            // The event farthest away: the flag must stay 0 with this feature (section 2.7.7.1).
            self.rings.set_used_event(self.used.wrapping_sub(1));
        } else {
            self.rings.set_interrupts_suppressed(true);
        }
    }
}

/// Whether an index that moved from `old` to `new` has passed `event` (section 2.7.7.2, vring_need_event).
fn crosses(event: u16, old: u16, new: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests;
