//! The registers of a device in a window of memory (section 4.2.2): each of 32 bits, then the device's configuration.

use slopos_registers::{Bus, Hardware, Mmio, ReadOnly, Width, registers};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::{Readable, Writeable};

use super::doorbell::{Doorbell, DoorbellRegister};
use super::error::TransportError;
use super::status::IsrStatus;
use crate::queue::Addresses;

registers! {
    /// Section 4.2.2, without what concerns shared memory and the reset of single queues.
    struct Control in Mmio {
        /// [`MAGIC`].
        (0x000 => magic_value: ReadOnly<u32>),
        /// [`VERSION`], or 1 for what was before it.
        (0x004 => version: ReadOnly<u32>),
        /// The device's type (section 5); 0 where no device is behind the window.
        (0x008 => device_id: ReadOnly<u32>),
        /// Features that the device offers: the half that the next register says.
        (0x010 => device_features: ReadOnly<u32>),
        /// Which half.
        (0x014 => device_features_sel: WriteOnly<u32>),
        /// Features that the driver accepts: the half that the next register says.
        (0x020 => driver_features: WriteOnly<u32>),
        /// Which half.
        (0x024 => driver_features_sel: WriteOnly<u32>),
        /// Which queue the registers from here on are about.
        (0x030 => queue_sel: WriteOnly<u32>),
        /// Most entries that the queue can have; 0 where there is no such queue.
        (0x034 => queue_num_max: ReadOnly<u32>),
        /// Entries of the queue.
        (0x038 => queue_num: WriteOnly<u32>),
        /// Whether the device uses the queue.
        (0x044 => queue_ready: ReadWrite<u32>),
        /// Which queue has new buffers.
        (0x050 => queue_notify: WriteOnly<u32>),
        /// Why the device interrupts: the bits of the ISR status.
        (0x060 => interrupt_status: ReadOnly<u32>),
        /// The same bits: they have been seen.
        (0x064 => interrupt_ack: WriteOnly<u32>),
        /// Section 2.1. Writing 0 resets the device.
        (0x070 => status: ReadWrite<u32>),
        /// Physical address of the descriptor table.
        (0x080 => queue_desc_low: WriteOnly<u32>),
        /// Its high half.
        (0x084 => queue_desc_high: WriteOnly<u32>),
        /// Physical address of the available ring.
        (0x090 => queue_driver_low: WriteOnly<u32>),
        /// Its high half.
        (0x094 => queue_driver_high: WriteOnly<u32>),
        /// Physical address of the used ring.
        (0x0a0 => queue_device_low: WriteOnly<u32>),
        /// Its high half.
        (0x0a4 => queue_device_high: WriteOnly<u32>),
        /// Changes with the device's configuration (section 2.5.1).
        (0x0fc => config_generation: ReadOnly<u32>),
    }
}

/// Bytes of the registers; the device's configuration follows them.
pub(super) const CONTROL_BYTES: u64 = Control::<Hardware>::LENGTH as u64;
/// What a window begins with: `virt`.
pub(super) const MAGIC: u32 = 0x7472_6976;
/// The version of the registers that is driven.
pub(super) const VERSION: u32 = 2;

/// A device's registers in its window.
pub(super) struct Mapped<B: Bus> {
    bus: B,
    base: usize,
    length: u64,
    control: Control<B>,
}

impl<B: Bus> Mapped<B> {
    /// The registers in this window.
    ///
    /// # Safety
    /// The `length` bytes from `base` on, a multiple of 4 and at least [`CONTROL_BYTES`], are mapped as device memory for
    /// as long as the value or a doorbell of it lives, and belong to the caller.
    pub unsafe fn new(bus: B, base: usize, length: u64) -> Self {
        // SAFETY: the window is the caller's and long enough. What the device writes by itself are the queues, and they are
        // given to it only by `set_queue`.
        Mapped { bus, base, length, control: unsafe { Control::new(bus, base) } }
    }

    pub fn magic(&self) -> u32 {
        self.control.magic_value.get()
    }

    pub fn version(&self) -> u32 {
        self.control.version.get()
    }

    pub fn device_id(&self) -> u32 {
        self.control.device_id.get()
    }

    /// Whether a device answers in the window.
    pub fn is_present(&self) -> bool {
        self.magic() == MAGIC
    }

    pub fn status(&self) -> u8 {
        self.control.status.get() as u8
    }

    pub fn set_status(&self, status: u8) {
        self.control.status.set(status.into());
    }

    pub fn features(&self) -> u64 {
        let half = |select| {
            self.control.device_features_sel.set(select);
            u64::from(self.control.device_features.get())
        };
        half(0) | half(1) << 32
    }

    pub fn accept(&self, features: u64) {
        for (select, half) in [features as u32, (features >> 32) as u32].into_iter().enumerate() {
            self.control.driver_features_sel.set(select as u32);
            self.control.driver_features.set(half);
        }
    }

    /// Most entries of a queue. A number that no queue can have counts as the most that a word holds.
    pub fn queue_size(&self, queue: u16) -> u16 {
        self.control.queue_sel.set(queue.into());
        u16::try_from(self.control.queue_num_max.get()).unwrap_or(u16::MAX)
    }

    /// The order is that of section 4.2.3.2.
    pub fn set_queue(&self, queue: u16, size: u16, addresses: Addresses) -> Result<Doorbell<B>, TransportError> {
        let control = &self.control;
        control.queue_sel.set(queue.into());
        if control.queue_ready.get() != 0 {
            return Err(TransportError::QueueInUse { queue });
        }
        control.queue_num.set(size.into());
        let places = [
            (&control.queue_desc_low, &control.queue_desc_high, addresses.descriptors),
            (&control.queue_driver_low, &control.queue_driver_high, addresses.available),
            (&control.queue_device_low, &control.queue_device_high, addresses.used),
        ];
        for (low, high, address) in places {
            low.set(address as u32);
            high.set((address >> 32) as u32);
        }
        control.queue_ready.set(1);
        // SAFETY: the window is the one that `new` was promised.
        let Control { queue_notify, .. } = unsafe { Control::new(self.bus, self.base) };
        Ok(Doorbell { register: DoorbellRegister::Window(queue_notify), queue })
    }

    pub fn generation(&self) -> u32 {
        self.control.config_generation.get()
    }

    pub fn configuration<T: Width>(&self, offset: usize) -> Option<T> {
        let place = (CONTROL_BYTES as usize).checked_add(offset)?;
        if place.checked_add(T::BYTES)? as u64 > self.length || !offset.is_multiple_of(T::BYTES) {
            return None;
        }
        // SAFETY: the field is within the window and aligned, by the check above and what `new` was promised.
        let register: Mmio<T, (), ReadOnly, B> = unsafe { Mmio::new(self.bus, self.base + place) };
        Some(register.get())
    }

    /// Why the device interrupts, which is acknowledged by this: a device that has more to say afterwards interrupts again.
    pub fn interrupt_status(&self) -> LocalRegisterCopy<u8, IsrStatus::Register> {
        let status = self.control.interrupt_status.get();
        if status != 0 {
            self.control.interrupt_ack.set(status);
        }
        LocalRegisterCopy::new(status as u8)
    }
}
