//! QEMU's `pvpanic`: a port that tells the host that the guest has panicked (docs/specs/pvpanic in QEMU's sources).

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::register_bitfields;

use slopos_registers::{Bus, Hardware, registers};

/// I/O port of the device (section "ISA Interface").
pub const PORT: u16 = 0x505;

/// Rounds in which the processor can stop; one would do, were it sure that the compiler leaves it a loop.
const ROUNDS: usize = 64;

register_bitfields![u8,
    /// Reading gives the events that the device takes, writing reports them.
    Events [
        /// The guest has panicked.
        PANICKED OFFSET(0) NUMBITS(1) [],
        /// No event has this bit; it reads as one where there is no device.
        NONE OFFSET(7) NUMBITS(1) []
    ]
];

registers! {
    /// The device's only register.
    struct Registers in Port {
        /// Which events the device takes, and which has happened.
        (0x0 => events: ReadWrite<u8, Events::Register>),
    }
}

/// Ports of the device.
pub const PORTS: u16 = Registers::<Hardware>::LENGTH as u16;

/// The device that takes note of a panic.
pub struct PvPanic<B: Bus = Hardware> {
    registers: Registers<B>,
}

impl<B: Bus> PvPanic<B> {
    /// The device at [`PORT`].
    ///
    /// # Safety
    /// Port 0x505 is the device's or nobody's.
    pub const unsafe fn new(bus: B) -> Self {
        // SAFETY: the port is the caller's, and the device writes no memory.
        PvPanic { registers: unsafe { Registers::new(bus, PORT) } }
    }

    /// Reports a panic. What follows is the host's choice: the board may stop here for a while, or not at all. Where
    /// there is no device, nothing happens.
    pub fn report(&self) {
        if !self.is_there() {
            return;
        }
        self.registers.events.write(Events::PANICKED::SET);
        // An emulated processor stops between two blocks of code, not at the write, and what follows in this block
        // might end the machine. A loop is a new block each time round.
        for _ in 0..ROUNDS {
            if !self.is_there() {
                return;
            }
        }
    }

    fn is_there(&self) -> bool {
        let events = self.registers.events.extract();
        events.is_set(Events::PANICKED) && !events.is_set(Events::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    /// What is written where the port reads as this.
    fn written(reads: u8) -> Vec<(u16, usize, u32)> {
        let fake = Fake::default();
        fake.set_port(PORT, reads);
        // SAFETY: the bus is a model in this process's memory.
        unsafe { PvPanic::new(&fake) }.report();
        fake.port_log()
    }

    #[test]
    fn a_panic_is_reported_to_a_device_that_takes_it() {
        assert_eq!(written(0b011), [(0x505, 1, 1)]);
    }

    #[test]
    fn where_there_is_no_such_device_nothing_is_written() {
        assert_eq!(written(0xff), []);
        assert_eq!(written(0b010), []);
    }
}
