//! Telling the device that there is something in a queue.

use slopos_registers::{Bus, Hardware, Mmio, Port, WriteOnly};
use tock_registers::interfaces::Writeable;

/// What a driver writes to when there are buffers in a queue (sections 4.1.5.2 and 4.2.3.3).
pub struct Doorbell<B: Bus = Hardware> {
    pub(super) register: DoorbellRegister<B>,
    pub(super) queue: u16,
}

/// The register that it is.
pub(super) enum DoorbellRegister<B: Bus> {
    Memory(Mmio<u16, (), WriteOnly, B>),
    Port(Port<u16, (), WriteOnly, B>),
    Window(Mmio<u32, (), WriteOnly, B>),
}

impl<B: Bus> Doorbell<B> {
    /// Tells the device to look at the queue.
    pub fn ring(&self) {
        match &self.register {
            DoorbellRegister::Memory(register) => register.set(self.queue),
            DoorbellRegister::Port(register) => register.set(self.queue),
            DoorbellRegister::Window(register) => register.set(self.queue.into()),
        }
    }
}
