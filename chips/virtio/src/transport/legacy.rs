//! The registers of a device from before version 1 (section 4.1.4.8): in I/O ports.

use slopos_q35::register::{Bus, Port, Width};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::{Readable, Writeable};

use super::{DeviceStatus, Doorbell, DoorbellRegister, IsrStatus, NO_VECTOR, TransportError};
use crate::queue::Addresses;

/// Offset of the device's configuration, without MSI-X and with it.
const CONFIGURATION: [u16; 2] = [0x14, 0x18];
/// Fewest ports that such a device has: up to its configuration.
pub(super) const PORTS_MIN: u32 = 0x18;
/// Unit of a queue's address, in bytes.
const PAGE: u64 = 4096;

/// A legacy device's registers.
pub(super) struct Legacy<B: Bus> {
    bus: B,
    base: u16,
    ports: u32,
    device_features: Port<u32, (), B>,
    driver_features: Port<u32, (), B>,
    queue_address: Port<u32, (), B>,
    queue_size: Port<u16, (), B>,
    queue_select: Port<u16, (), B>,
    device_status: Port<u8, DeviceStatus::Register, B>,
    isr: Port<u8, IsrStatus::Register, B>,
    config_msix_vector: Port<u16, (), B>,
    queue_msix_vector: Port<u16, (), B>,
}

impl<B: Bus> Legacy<B> {
    /// The registers from port `base` on.
    ///
    /// # Safety
    /// The `ports` ports from `base` on, at least [`PORTS_MIN`], are the device's and belong to the caller.
    pub unsafe fn new(bus: B, base: u16, ports: u32) -> Self {
        // SAFETY: the ports are the caller's. What the device writes by itself are the queues, and they are given to it
        // only by `set_queue`.
        unsafe {
            Legacy {
                bus,
                base,
                ports,
                device_features: Port::new(bus, base),
                driver_features: Port::new(bus, base + 0x04),
                queue_address: Port::new(bus, base + 0x08),
                queue_size: Port::new(bus, base + 0x0c),
                queue_select: Port::new(bus, base + 0x0e),
                device_status: Port::new(bus, base + 0x12),
                isr: Port::new(bus, base + 0x13),
                config_msix_vector: Port::new(bus, base + 0x14),
                queue_msix_vector: Port::new(bus, base + 0x16),
            }
        }
    }

    pub fn status(&self) -> u8 {
        self.device_status.get()
    }

    pub fn set_status(&self, status: u8) {
        self.device_status.set(status);
    }

    pub fn features(&self) -> u64 {
        self.device_features.get().into()
    }

    /// A legacy device cannot refuse; but it has no place for the upper half.
    pub fn accept(&self, features: u64) -> Result<(), TransportError> {
        let low = u32::try_from(features).map_err(|_| TransportError::FeaturesRefused)?;
        self.driver_features.set(low);
        Ok(())
    }

    /// Sets the vector of configuration changes and gives back what the device took.
    pub fn set_configuration_vector(&self, vector: u16) -> u16 {
        self.config_msix_vector.set(vector);
        self.config_msix_vector.get()
    }

    pub fn queue_size(&self, queue: u16) -> u16 {
        self.queue_select.set(queue);
        self.queue_size.get()
    }

    /// The device knows the rings' layout from the size that it has itself chosen.
    pub fn set_queue(
        &self,
        queue: u16,
        addresses: Addresses,
        vector: Option<u16>,
    ) -> Result<Doorbell<B>, TransportError> {
        self.queue_select.set(queue);
        let page = u32::try_from(addresses.descriptors / PAGE).map_err(|_| TransportError::AddressTooHigh { queue })?;
        if let Some(vector) = vector {
            self.queue_msix_vector.set(vector);
            if self.queue_msix_vector.get() == NO_VECTOR {
                return Err(TransportError::VectorRefused);
            }
        }
        self.queue_address.set(page);
        // SAFETY: the port is one of those that `new` was promised.
        let register = unsafe { Port::new(self.bus, self.base + 0x10) };
        Ok(Doorbell { register: DoorbellRegister::Port(register), queue })
    }

    pub fn configuration<T: Width>(&self, offset: usize, msix: bool) -> Option<T> {
        let place = usize::from(CONFIGURATION[usize::from(msix)]) + offset;
        if place + T::BYTES > self.ports as usize {
            return None;
        }
        // SAFETY: the field is within the ports that `new` was promised.
        let register: Port<T, (), B> = unsafe { Port::new(self.bus, self.base + place as u16) };
        Some(register.get())
    }

    pub fn interrupt_status(&self) -> LocalRegisterCopy<u8, IsrStatus::Register> {
        self.isr.extract()
    }
}
