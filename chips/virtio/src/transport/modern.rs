//! The registers of a device that follows version 1 (sections 4.1.4.3 to 4.1.4.6): in memory, found by capabilities.

use slopos_registers::{Bus, Hardware, Mmio, ReadOnly, Width, registers};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::{Readable, Writeable};

use super::{DeviceStatus, Doorbell, DoorbellRegister, IsrStatus, TransportError};
use crate::queue::Addresses;

/// A mapped region of the device's registers.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub base: usize,
    pub length: u64,
}

registers! {
    /// Common configuration structure (section 4.1.4.3). A 64-bit field is written as two halves, as section 4.1.3.1
    /// has it.
    struct Common in Mmio {
        /// Which half of the offered features the next register shows.
        (0x00 => device_feature_select: WriteOnly<u32>),
        /// Features that the device offers.
        (0x04 => device_feature: ReadOnly<u32>),
        /// Which half of the accepted features the next register is.
        (0x08 => driver_feature_select: WriteOnly<u32>),
        /// Features that the driver accepts.
        (0x0c => driver_feature: WriteOnly<u32>),
        /// MSI-X entry of configuration changes.
        (0x10 => config_msix_vector: ReadWrite<u16>),
        /// Section 2.1.
        (0x14 => device_status: ReadWrite<u8, DeviceStatus::Register>),
        /// Changes with the device's configuration (section 2.5.1).
        (0x15 => config_generation: ReadOnly<u8>),
        /// Which queue the registers from here on are about.
        (0x16 => queue_select: WriteOnly<u16>),
        /// Entries of the queue, at reset the most that it can have; 0 where there is no such queue.
        (0x18 => queue_size: ReadWrite<u16>),
        /// MSI-X entry of the queue.
        (0x1a => queue_msix_vector: ReadWrite<u16>),
        /// Whether the device uses the queue.
        (0x1c => queue_enable: WriteOnly<u16>),
        /// Where the queue's notification register is, in units of the multiplier (section 4.1.4.4).
        (0x1e => queue_notify_off: ReadOnly<u16>),
        /// Physical address of the descriptor table.
        (0x20 => queue_desc_low: WriteOnly<u32>),
        /// Its high half.
        (0x24 => queue_desc_high: WriteOnly<u32>),
        /// Physical address of the available ring.
        (0x28 => queue_driver_low: WriteOnly<u32>),
        /// Its high half.
        (0x2c => queue_driver_high: WriteOnly<u32>),
        /// Physical address of the used ring.
        (0x30 => queue_device_low: WriteOnly<u32>),
        /// Its high half.
        (0x34 => queue_device_high: WriteOnly<u32>),
    }
}

/// Size of the common configuration that the driver uses, in bytes.
pub(super) const COMMON_BYTES: u64 = Common::<Hardware>::LENGTH as u64;

/// A modern device's registers.
pub(super) struct Modern<B: Bus> {
    bus: B,
    common: Common<B>,
    isr: Mmio<u8, IsrStatus::Register, ReadOnly, B>,
    notify: Window,
    notify_multiplier: u32,
    configuration: Window,
}

impl<B: Bus> Modern<B> {
    /// The registers in these regions.
    ///
    /// # Safety
    /// Each region is mapped as device memory for as long as the value or a doorbell of it lives, and belongs to the
    /// caller. `common` has at least [`COMMON_BYTES`] and is aligned to 4, `isr` has a byte, `notify` is aligned to 2
    /// and `configuration` to 4.
    pub unsafe fn new(
        bus: B,
        common: usize,
        isr: usize,
        notify: Window,
        notify_multiplier: u32,
        configuration: Window,
    ) -> Self {
        // SAFETY: the common configuration has the length that the caller has checked, and is aligned. What the device
        // writes by itself are the queues, and they are given to it only by `set_queue`.
        unsafe {
            Modern {
                bus,
                common: Common::new(bus, common),
                isr: Mmio::new(bus, isr),
                notify,
                notify_multiplier,
                configuration,
            }
        }
    }

    pub fn status(&self) -> u8 {
        self.common.device_status.get()
    }

    pub fn set_status(&self, status: u8) {
        self.common.device_status.set(status);
    }

    pub fn features(&self) -> u64 {
        let half = |select| {
            self.common.device_feature_select.set(select);
            u64::from(self.common.device_feature.get())
        };
        half(0) | half(1) << 32
    }

    pub fn accept(&self, features: u64) {
        for (select, half) in [features as u32, (features >> 32) as u32].into_iter().enumerate() {
            self.common.driver_feature_select.set(select as u32);
            self.common.driver_feature.set(half);
        }
    }

    /// Sets the vector of configuration changes and gives back what the device took.
    pub fn set_configuration_vector(&self, vector: u16) -> u16 {
        self.common.config_msix_vector.set(vector);
        self.common.config_msix_vector.get()
    }

    pub fn queue_size(&self, queue: u16) -> u16 {
        self.common.queue_select.set(queue);
        self.common.queue_size.get()
    }

    pub fn set_queue(
        &self,
        queue: u16,
        size: u16,
        addresses: Addresses,
        vector: Option<u16>,
    ) -> Result<Doorbell<B>, TransportError> {
        let common = &self.common;
        common.queue_select.set(queue);
        // Section 4.1.4.4: the register of a queue is at its offset times the multiplier.
        let offset = u64::from(common.queue_notify_off.get()) * u64::from(self.notify_multiplier);
        if offset % 2 != 0 || offset + 2 > self.notify.length {
            return Err(TransportError::BadNotifyOffset { queue });
        }
        common.queue_size.set(size);
        if let Some(vector) = vector {
            common.queue_msix_vector.set(vector);
            if common.queue_msix_vector.get() != vector {
                return Err(TransportError::VectorRefused);
            }
        }
        let places = [
            (&common.queue_desc_low, &common.queue_desc_high, addresses.descriptors),
            (&common.queue_driver_low, &common.queue_driver_high, addresses.available),
            (&common.queue_device_low, &common.queue_device_high, addresses.used),
        ];
        for (low, high, address) in places {
            low.set(address as u32);
            high.set((address >> 32) as u32);
        }
        common.queue_enable.set(1);
        // SAFETY: the offset is within the notification region, which `new` was promised to be mapped and aligned.
        let register = unsafe { Mmio::new(self.bus, self.notify.base + offset as usize) };
        Ok(Doorbell { register: DoorbellRegister::Memory(register), queue })
    }

    pub fn generation(&self) -> u8 {
        self.common.config_generation.get()
    }

    pub fn configuration<T: Width>(&self, offset: usize) -> Option<T> {
        if (offset + T::BYTES) as u64 > self.configuration.length || !offset.is_multiple_of(T::BYTES) {
            return None;
        }
        // SAFETY: the field is within the region and aligned, by the check above and what `new` was promised.
        let register: Mmio<T, (), ReadOnly, B> = unsafe { Mmio::new(self.bus, self.configuration.base + offset) };
        Some(register.get())
    }

    pub fn interrupt_status(&self) -> LocalRegisterCopy<u8, IsrStatus::Register> {
        self.isr.extract()
    }
}
