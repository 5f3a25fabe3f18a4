//! The registers of a device from before version 1 (section 4.1.4.8): in I/O ports.

use slopos_registers::{Bus, Hardware, Port, ReadOnly, Width, registers};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::{Readable, Writeable};

use super::{DeviceStatus, Doorbell, DoorbellRegister, IsrStatus, NO_VECTOR, TransportError};
use crate::queue::Addresses;

registers! {
    /// The registers before the device's configuration (section 4.1.4.8).
    struct Header in Port {
        /// Features that the device offers.
        (0x00 => device_features: ReadOnly<u32>),
        /// Features that the driver accepts.
        (0x04 => driver_features: WriteOnly<u32>),
        /// Address of the selected queue, in units of [`PAGE`].
        (0x08 => queue_address: WriteOnly<u32>),
        /// Entries of the selected queue; 0 where there is no such queue.
        (0x0c => queue_size: ReadOnly<u16>),
        /// Which queue the registers beside this one are about.
        (0x0e => queue_select: WriteOnly<u16>),
        /// Which queue has new buffers.
        (0x10 => queue_notify: WriteOnly<u16>),
        /// Section 2.1.
        (0x12 => device_status: ReadWrite<u8, DeviceStatus::Register>),
        /// Section 4.1.4.5.
        (0x13 => isr_status: ReadOnly<u8, IsrStatus::Register>),
        /// MSI-X entry of configuration changes; only while MSI-X is on.
        (0x14 => config_msix_vector: ReadWrite<u16>),
        /// MSI-X entry of the selected queue; only while MSI-X is on.
        (0x16 => queue_msix_vector: ReadWrite<u16>),
    }
}

/// Offset of the device's configuration: without MSI-X the two vectors are missing before it.
const fn configuration_offset(msix: bool) -> usize {
    let length = Header::<Hardware>::LENGTH;
    if msix { length } else { length - 2 * size_of::<u16>() }
}

/// Fewest ports that such a device has: up to its configuration.
pub(super) const PORTS_MIN: u32 = configuration_offset(true) as u32;
/// Unit of a queue's address, in bytes.
const PAGE: u64 = 4096;

/// A legacy device's registers.
pub(super) struct Legacy<B: Bus> {
    bus: B,
    base: u16,
    ports: u32,
    header: Header<B>,
}

impl<B: Bus> Legacy<B> {
    /// The registers from port `base` on.
    ///
    /// # Safety
    /// The `ports` ports from `base` on, at least [`PORTS_MIN`], are the device's and belong to the caller.
    pub unsafe fn new(bus: B, base: u16, ports: u32) -> Self {
        // SAFETY: the ports are the caller's. What the device writes by itself are the queues, and they are given to it
        // only by `set_queue`.
        Legacy { bus, base, ports, header: unsafe { Header::new(bus, base) } }
    }

    pub fn status(&self) -> u8 {
        self.header.device_status.get()
    }

    pub fn set_status(&self, status: u8) {
        self.header.device_status.set(status);
    }

    pub fn features(&self) -> u64 {
        self.header.device_features.get().into()
    }

    /// A legacy device cannot refuse; but it has no place for the upper half.
    pub fn accept(&self, features: u64) -> Result<(), TransportError> {
        let low = u32::try_from(features).map_err(|_| TransportError::FeaturesRefused)?;
        self.header.driver_features.set(low);
        Ok(())
    }

    /// Sets the vector of configuration changes and gives back what the device took.
    pub fn set_configuration_vector(&self, vector: u16) -> u16 {
        self.header.config_msix_vector.set(vector);
        self.header.config_msix_vector.get()
    }

    pub fn queue_size(&self, queue: u16) -> u16 {
        self.header.queue_select.set(queue);
        self.header.queue_size.get()
    }

    /// The device knows the rings' layout from the size that it has itself chosen.
    pub fn set_queue(
        &self,
        queue: u16,
        addresses: Addresses,
        vector: Option<u16>,
    ) -> Result<Doorbell<B>, TransportError> {
        self.header.queue_select.set(queue);
        let page = u32::try_from(addresses.descriptors / PAGE).map_err(|_| TransportError::AddressTooHigh { queue })?;
        if let Some(vector) = vector {
            self.header.queue_msix_vector.set(vector);
            if self.header.queue_msix_vector.get() == NO_VECTOR {
                return Err(TransportError::VectorRefused);
            }
        }
        self.header.queue_address.set(page);
        // SAFETY: the ports are those that `new` was promised.
        let Header { queue_notify, .. } = unsafe { Header::new(self.bus, self.base) };
        Ok(Doorbell { register: DoorbellRegister::Port(queue_notify), queue })
    }

    pub fn configuration<T: Width>(&self, offset: usize, msix: bool) -> Option<T> {
        let offset = configuration_offset(msix) + offset;
        if offset + T::BYTES > self.ports as usize {
            return None;
        }
        // SAFETY: the field is within the ports that `new` was promised.
        let register: Port<T, (), ReadOnly, B> = unsafe { Port::new(self.bus, self.base + offset as u16) };
        Some(register.get())
    }

    pub fn interrupt_status(&self) -> LocalRegisterCopy<u8, IsrStatus::Register> {
        self.header.isr_status.extract()
    }
}
