//! The steps of a reset, each of which returns at once: what a driver does that has other things to do meanwhile.

use slopos_q35::register::Bus;

use super::{CONFIGURATION_VECTOR, DeviceStatus, Interrupts, Registers, Transport, TransportError};

/// How a reset stands that [`Transport::start_reset`] began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ResetProgress {
    /// It is done: the device uses no queue, and memory that it was given is the driver's again.
    Done,
    /// The device is still at it.
    Pending,
    /// Every bit of the status reads as one: there is no device any more.
    Gone,
}

impl<B: Bus> Transport<B> {
    /// Tells the device to reset itself (section 4.1.4.3.2); [`Transport::reset_progress`] says when it has.
    pub fn start_reset(&self) {
        self.set_status(0);
    }

    /// Looks once whether the device has finished its reset.
    pub fn reset_progress(&self) -> ResetProgress {
        match self.status() {
            0 => ResetProgress::Done,
            u8::MAX => ResetProgress::Gone,
            _ => ResetProgress::Pending,
        }
    }

    /// Keeps the device from memory, where its reset does not end.
    pub fn cut_off(&self) {
        self.device.set_bus_master(false);
    }

    /// Tells a device that has been reset that there is a driver: the steps of [`Transport::begin`] behind the reset.
    ///
    /// # Errors
    /// [`TransportError::VectorRefused`].
    pub fn greet(&self) -> Result<(), TransportError> {
        self.device.set_bus_master(true);
        self.add_status(u8::from(DeviceStatus::ACKNOWLEDGE::SET));
        self.add_status(u8::from(DeviceStatus::DRIVER::SET));
        if self.interrupts == Interrupts::Messages {
            let taken = match &self.registers {
                Registers::Modern(modern) => modern.set_configuration_vector(CONFIGURATION_VECTOR),
                Registers::Legacy(legacy) => legacy.set_configuration_vector(CONFIGURATION_VECTOR),
            };
            if taken != CONFIGURATION_VECTOR {
                return Err(TransportError::VectorRefused);
            }
        }
        Ok(())
    }
}
