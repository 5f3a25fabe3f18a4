//! QEMU's `isa-debug-exit`: a port that ends QEMU with a status.

use tock_registers::interfaces::{Readable, Writeable};

use slopos_registers::{Bus, Hardware, registers};

/// I/O port of the device, as in `-device isa-debug-exit,iobase=0xf4,iosize=0x04`.
pub const PORT: u16 = 0xf4;

registers! {
    /// The device's only register.
    struct Registers in Port {
        /// Written, ends QEMU with twice the value and one; reads as 0.
        (0x0 => code: ReadWrite<u32>),
    }
}

/// Ports of the device.
pub const PORTS: u16 = Registers::<Hardware>::LENGTH as u16;

/// The device that ends QEMU.
pub struct DebugExit<B: Bus = Hardware> {
    registers: Registers<B>,
}

impl<B: Bus> DebugExit<B> {
    /// The device at [`PORT`].
    ///
    /// # Safety
    /// Ports 0xf4 to 0xf7 are the device's or nobody's.
    pub const unsafe fn new(bus: B) -> Self {
        // SAFETY: the ports are the caller's, and the device writes no memory.
        DebugExit { registers: unsafe { Registers::new(bus, PORT) } }
    }

    /// Whether there is such a device: a port without one reads as ones.
    pub fn is_there(&self) -> bool {
        self.registers.code.get() == 0
    }

    /// Ends QEMU with exit status `code * 2 + 1`. Returns where there is no such device: the caller then halts.
    pub fn exit(&self, code: u8) {
        self.registers.code.set(code.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn exit_writes_the_code_once() {
        let fake = Fake::default();
        // SAFETY: the bus is a model in this process's memory.
        unsafe { DebugExit::new(&fake) }.exit(16);
        assert_eq!(fake.port_log(), [(0xf4, 4, 16)]);
    }

    #[test]
    fn a_port_of_ones_is_no_device() {
        let fake = Fake::default();
        // SAFETY: as above.
        let device = unsafe { DebugExit::new(&fake) };
        assert!(!device.is_there());
        for port in PORT..PORT + PORTS {
            fake.set_port(port, 0);
        }
        assert!(device.is_there());
    }
}
