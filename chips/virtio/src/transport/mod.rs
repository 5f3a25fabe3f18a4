//! The two PCI transports (section 4.1) and the one by a window of memory (section 4.2) behind one type: what a driver
//! asks of any.
//!
//! A driver follows section 3.1.1: [`Transport::start_reset`], [`Transport::reset_progress`] until it is done,
//! [`Transport::announce_driver`], read features, [`Transport::accept`], set up the queues,
//! [`Transport::run`].

mod doorbell;
mod error;
mod legacy;
mod mapped;
mod modern;
mod probe;
mod reset;
mod status;
mod window;

use slopos_q35::pci::{Bars, Device, Message, Msix, MsixTable};
use slopos_registers::{Bus, Hardware, Width};

pub use doorbell::Doorbell;
pub use error::TransportError;
use legacy::Legacy;
use mapped::Mapped;
use modern::Modern;
pub use probe::{Kind, Probe, ProbeError};
pub(crate) use reset::Recovered;
pub use reset::ResetProgress;
use status::{DeviceStatus, IsrStatus};
pub use window::{Window, WindowError, WindowProbe, WindowProbeError};

use crate::queue::{Addresses, SIZE_MAX};

/// MSI-X table entry of configuration changes.
const CONFIGURATION_VECTOR: u16 = 0;
/// MSI-X table entry of all queues.
const QUEUE_VECTOR: u16 = 1;

/// Features that are accepted wherever they are offered (section 6): VIRTIO_F_ACCESS_PLATFORM, that the device's
/// addresses are the platform's, and VIRTIO_F_ORDER_PLATFORM, that its accesses are ordered as the platform orders
/// them. Where nothing translates, addresses are physical with and without the first; and the second holds of this
/// processor's memory and of the fences that the queue has anyway. A device may refuse to work without them.
const PLATFORM_FEATURES: u64 = 1 << 33 | 1 << 36;

/// Most times that a configuration field is read before it counts as never stable.
const STABLE_READS: u32 = 16;

/// What a device with MSI-X writes to interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Messages {
    /// On a change of its configuration.
    pub configuration: Message,
    /// On used buffers in any queue.
    pub queues: Message,
}

/// How the device interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Interrupts {
    /// Not at all.
    Off,
    /// By its pin.
    Pin,
    /// By messages.
    Messages,
}

/// Why the device interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Cause {
    /// There may be used buffers.
    pub queues: bool,
    /// The configuration may have changed.
    pub configuration: bool,
}

/// What a look at the device's status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Health {
    /// It runs, as its driver has told it to.
    Running,
    /// It asks for a reset.
    NeedsReset,
    /// It does not run: something else than its driver has reset it.
    Stopped,
    /// Nothing answers.
    Gone,
}

/// Status that is read where no device answers.
const ONES: u8 = u8::MAX;

/// A virtio device.
pub struct Transport<B: Bus = Hardware> {
    registers: Registers<B>,
    attachment: Attachment<B>,
    messages: Option<Messages>,
    interrupts: Interrupts,
}

enum Registers<B: Bus> {
    Modern(Modern<B>),
    Legacy(Legacy<B>),
    Mapped(Mapped<B>),
}

/// What the device is attached to.
enum Attachment<B: Bus> {
    /// PCI.
    Pci {
        device: Device<B>,
        /// Where it answers: what it is told again where it has forgotten.
        bars: Bars,
        msix: Option<(Msix, MsixTable<B>)>,
    },
    /// Nothing: it is where it is, has a line of its own, and always reaches memory.
    Window { gsi: u32 },
}

impl<B: Bus> Transport<B> {
    /// Whether the device follows version 1 of the specification.
    pub fn is_modern(&self) -> bool {
        !matches!(self.registers, Registers::Legacy(_))
    }

    /// The transport's name, for the log.
    pub fn name(&self) -> &'static str {
        match self.registers {
            Registers::Modern(_) => "modern",
            Registers::Legacy(_) => "legacy",
            Registers::Mapped(_) => "mmio",
        }
    }

    /// How the device interrupts.
    pub fn interrupts(&self) -> Interrupts {
        self.interrupts
    }

    /// The global system interrupt of the device's pin, where it interrupts by that.
    pub fn interrupt_gsi(&self) -> Option<u32> {
        if self.interrupts == Interrupts::Pin { self.pin() } else { None }
    }

    /// The global system interrupt of the device's pin, where it has one.
    fn pin(&self) -> Option<u32> {
        match &self.attachment {
            Attachment::Pci { device, .. } => device.interrupt_gsi(),
            Attachment::Window { gsi } => Some(*gsi),
        }
    }

    /// Whether the device may raise its pin. The line of a window cannot be switched off.
    fn set_pin_enabled(&self, enabled: bool) {
        if let Attachment::Pci { device, .. } = &self.attachment {
            device.set_interrupt_pin_enabled(enabled);
        }
    }

    /// Lets the device interrupt: by messages where they are given and it has vectors enough, by its pin where it has
    /// one, else not at all. To be called once, before [`Transport::start_reset`]: the place of a legacy device's
    /// configuration depends on it.
    pub fn choose_interrupts(&mut self, messages: Option<Messages>) {
        self.messages = messages;
        if self.set_messages() {
            self.interrupts = Interrupts::Messages;
        } else if self.pin().is_some() {
            self.set_pin_enabled(true);
            self.interrupts = Interrupts::Pin;
        }
    }

    /// Makes the device interrupt by messages, where that is possible.
    fn set_messages(&self) -> bool {
        let Attachment::Pci { device, msix: Some((msix, table)), .. } = &self.attachment else { return false };
        let Some(messages) = self.messages else { return false };
        let set = table.set(CONFIGURATION_VECTOR, messages.configuration);
        let set = set.and_then(|()| table.set(QUEUE_VECTOR, messages.queues)).is_ok();
        if set {
            device.set_msix_enabled(msix, true);
        }
        set
    }

    /// The features that the device offers.
    pub fn offered(&self) -> u64 {
        match &self.registers {
            Registers::Modern(modern) => modern.features(),
            Registers::Legacy(legacy) => legacy.features(),
            Registers::Mapped(mapped) => mapped.features(),
        }
    }

    /// Agrees on features. What a modern device says of how it reaches memory is accepted beside them: see
    /// `PLATFORM_FEATURES`.
    ///
    /// # Errors
    /// [`TransportError::FeaturesRefused`].
    pub fn accept(&self, features: u64) -> Result<(), TransportError> {
        let platform = |offered: u64| features | offered & PLATFORM_FEATURES;
        match &self.registers {
            Registers::Modern(modern) => modern.accept(platform(modern.features())),
            Registers::Mapped(mapped) => mapped.accept(platform(mapped.features())),
            Registers::Legacy(legacy) => return legacy.accept(features),
        }
        let agreed = u8::from(DeviceStatus::FEATURES_OK::SET);
        self.add_status(agreed);
        if self.status() & agreed == 0 { Err(TransportError::FeaturesRefused) } else { Ok(()) }
    }

    /// The size to give a queue: what the device offers, but at most [`SIZE_MAX`] on a modern device, which takes any
    /// size below its own.
    ///
    /// # Errors
    /// [`TransportError::NoSuchQueue`].
    pub fn queue_size(&self, queue: u16) -> Result<u16, TransportError> {
        let size = match &self.registers {
            Registers::Modern(modern) => modern.queue_size(queue).min(SIZE_MAX),
            Registers::Legacy(legacy) => legacy.queue_size(queue),
            Registers::Mapped(mapped) => mapped.queue_size(queue).min(SIZE_MAX),
        };
        if size == 0 { Err(TransportError::NoSuchQueue { queue }) } else { Ok(size) }
    }

    /// Gives the device a queue of `size` entries, and gives back what to ring when there are buffers in it. On a
    /// legacy device the size must be [`Transport::queue_size`].
    ///
    /// # Errors
    /// As [`TransportError`] says.
    pub fn set_queue(&self, queue: u16, size: u16, addresses: Addresses) -> Result<Doorbell<B>, TransportError> {
        let vector = if self.interrupts == Interrupts::Messages { Some(QUEUE_VECTOR) } else { None };
        match &self.registers {
            Registers::Modern(modern) => modern.set_queue(queue, size, addresses, vector),
            Registers::Legacy(legacy) => legacy.set_queue(queue, addresses, vector),
            Registers::Mapped(mapped) => mapped.set_queue(queue, size, addresses),
        }
    }

    /// Lets the device use its queues.
    pub fn run(&self) {
        self.add_status(u8::from(DeviceStatus::DRIVER_OK::SET));
    }

    /// Tells the device that the driver has given up.
    pub fn fail(&self) {
        self.add_status(u8::from(DeviceStatus::FAILED::SET));
    }

    /// How a device is that was told to run.
    pub fn health(&self) -> Health {
        let status = self.status();
        if status == ONES {
            Health::Gone
        } else if status & u8::from(DeviceStatus::DEVICE_NEEDS_RESET::SET) != 0 {
            Health::NeedsReset
        } else if status & u8::from(DeviceStatus::DRIVER_OK::SET) == 0 {
            Health::Stopped
        } else {
            Health::Running
        }
    }

    /// Reads a field of the device's configuration with the width that it has (sections 4.1.3.1 and 4.2.2.2).
    ///
    /// # Errors
    /// [`TransportError::BadConfiguration`] where the device has no such field.
    pub fn configuration<T: Width>(&self, offset: usize) -> Result<T, TransportError> {
        match &self.registers {
            Registers::Modern(modern) => modern.configuration(offset),
            Registers::Legacy(legacy) => {
                // Section 4.1.4.8: with MSI-X on, two vector registers stand before the configuration.
                legacy.configuration(offset, self.interrupts == Interrupts::Messages)
            }
            Registers::Mapped(mapped) => mapped.configuration(offset),
        }
        .ok_or(TransportError::BadConfiguration)
    }

    /// Reads several fields as they were at one time: again, while the device changes them (section 2.5.1). A legacy
    /// device has no generation, so there two readings must agree.
    ///
    /// # Errors
    /// [`TransportError::BadConfiguration`] where they are missing or never stable.
    pub fn read_stable<R: PartialEq>(
        &self,
        read: impl Fn(&Self) -> Result<R, TransportError>,
    ) -> Result<R, TransportError> {
        for _ in 0..STABLE_READS {
            let (stable, value) = match &self.registers {
                Registers::Modern(modern) => {
                    let before = modern.generation();
                    let value = read(self)?;
                    (modern.generation() == before, value)
                }
                Registers::Mapped(mapped) => {
                    let before = mapped.generation();
                    let value = read(self)?;
                    (mapped.generation() == before, value)
                }
                Registers::Legacy(_) => {
                    let first = read(self)?;
                    let second = read(self)?;
                    (first == second, second)
                }
            };
            if stable {
                return Ok(value);
            }
        }
        Err(TransportError::BadConfiguration)
    }

    /// Why the device interrupted by its pin, which is lowered by this; neither, where another device on the same line
    /// did. With messages the vector tells, and this says "queues" without asking the device.
    pub fn acknowledge_interrupt(&self) -> Cause {
        if self.interrupts == Interrupts::Messages {
            return Cause { queues: true, configuration: false };
        }
        let status = match &self.registers {
            Registers::Modern(modern) => modern.interrupt_status(),
            Registers::Legacy(legacy) => legacy.interrupt_status(),
            Registers::Mapped(mapped) => mapped.interrupt_status(),
        };
        Cause { queues: status.is_set(IsrStatus::QUEUE), configuration: status.is_set(IsrStatus::CONFIGURATION) }
    }

    fn status(&self) -> u8 {
        match &self.registers {
            Registers::Modern(modern) => modern.status(),
            Registers::Legacy(legacy) => legacy.status(),
            Registers::Mapped(mapped) => mapped.status(),
        }
    }

    fn set_status(&self, status: u8) {
        match &self.registers {
            Registers::Modern(modern) => modern.set_status(status),
            Registers::Legacy(legacy) => legacy.set_status(status),
            Registers::Mapped(mapped) => mapped.set_status(status),
        }
    }

    fn add_status(&self, bits: u8) {
        self.set_status(self.status() | bits);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
