//! The steps of a reset, each of which returns at once: what a driver does that has other things to do meanwhile.

use slopos_registers::Bus;

use super::status::DeviceStatus;
use super::{Attachment, CONFIGURATION_VECTOR, Interrupts, ONES, Registers, Transport, TransportError};
use crate::recovery::{Recovery, Step};

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

/// What a step of a broken device's recovery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing is due.
    Rest,
    /// Its reset is done: the driver may start it.
    Reset,
    /// Its reset was not done in time.
    Timeout,
    /// There is no device any more.
    Gone,
}

impl<B: Bus> Transport<B> {
    /// Does what is due of a reset that `recovery` wants, without waiting. The driver tells `recovery` what came of it,
    /// and calls again until nothing is due.
    pub(crate) fn recover(&self, recovery: &mut Recovery, now_us: u64) -> Recovered {
        loop {
            let late = match recovery.step(now_us) {
                Step::Rest => return Recovered::Rest,
                Step::Begin => {
                    self.start_reset();
                    continue;
                }
                Step::Look => false,
                Step::LastLook => true,
            };
            return match self.reset_progress() {
                ResetProgress::Done => Recovered::Reset,
                ResetProgress::Pending if late => Recovered::Timeout,
                ResetProgress::Pending => continue,
                ResetProgress::Gone => Recovered::Gone,
            };
        }
    }

    /// Tells the device to reset itself (section 4.1.4.3.2); [`Transport::reset_progress`] says when it has. One that
    /// was pulled out and put back, or was reset by something else, is told first where it answers.
    pub fn start_reset(&self) {
        if self.is_present() {
            if let Attachment::Pci { device, bars, .. } = &self.attachment {
                device.restore_bars(bars);
            }
            self.set_status(0);
        }
    }

    /// Whether anything answers where the device was.
    fn is_present(&self) -> bool {
        match (&self.attachment, &self.registers) {
            (Attachment::Pci { device, .. }, _) => device.is_present(),
            (Attachment::Window { .. }, Registers::Mapped(mapped)) => mapped.is_present(),
            (Attachment::Window { .. }, Registers::Modern(_) | Registers::Legacy(_)) => false,
        }
    }

    /// Looks once whether the device has finished its reset. Until it has, it may still use the memory that it was
    /// given.
    pub fn reset_progress(&self) -> ResetProgress {
        match self.status() {
            0 if self.is_present() => ResetProgress::Done,
            0 | ONES => ResetProgress::Gone,
            _ => ResetProgress::Pending,
        }
    }

    /// Keeps the device from memory and from interrupting, until [`Transport::announce_driver`]. Behind a window nothing
    /// but the device itself can do that, so it is told to reset itself.
    pub fn cut_off(&self) {
        match &self.attachment {
            Attachment::Pci { device, .. } => {
                device.set_bus_master(false);
                device.set_interrupt_pin_enabled(false);
            }
            Attachment::Window { .. } => self.set_status(0),
        }
    }

    /// Tells a device that has been reset that there is a driver, and lets it interrupt and reach memory.
    ///
    /// # Errors
    /// [`TransportError::VectorRefused`].
    pub fn announce_driver(&self) -> Result<(), TransportError> {
        match self.interrupts {
            Interrupts::Messages if !self.set_messages() => return Err(TransportError::VectorRefused),
            Interrupts::Pin => self.set_pin_enabled(true),
            Interrupts::Messages | Interrupts::Off => {}
        }
        if let Attachment::Pci { device, .. } = &self.attachment {
            device.set_bus_master(true);
        }
        self.add_status(u8::from(DeviceStatus::ACKNOWLEDGE::SET));
        self.add_status(u8::from(DeviceStatus::DRIVER::SET));
        if self.interrupts == Interrupts::Messages {
            let taken = match &self.registers {
                Registers::Modern(modern) => modern.set_configuration_vector(CONFIGURATION_VECTOR),
                Registers::Legacy(legacy) => legacy.set_configuration_vector(CONFIGURATION_VECTOR),
                Registers::Mapped(_) => return Err(TransportError::VectorRefused),
            };
            if taken != CONFIGURATION_VECTOR {
                return Err(TransportError::VectorRefused);
            }
        }
        Ok(())
    }
}
