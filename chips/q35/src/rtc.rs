//! The real-time clock: the time of day, its registers as something that differs from one boot to the next, and a note
//! that outlives a reset in its memory.
//!
//! Intel ICH9 data sheet, section 13.6: an index in port 0x70, the register in 0x71.

mod jump;
mod note;
mod time;

pub use jump::{JUMP_SECONDS, Jump};
pub use note::{Found, Note};

use slopos_registers::{Bus, Hardware, registers};
use tock_registers::interfaces::{Readable, Writeable};

/// First port of the clock.
pub const PORT: u16 = 0x70;

registers! {
    /// The way to the clock's registers (section 13.6.1).
    struct Ports in Port {
        /// Which register `data` is; its highest bit keeps NMIs off.
        (0x0 => index: WriteOnly<u8>),
        /// The register.
        (0x1 => data: ReadWrite<u8>),
    }
}

/// Seconds, minutes, hours, day, month, year; century, where the firmware keeps it there.
const REGISTERS: [u8; 7] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x32];

/// The clock.
pub struct Rtc<B: Bus = Hardware> {
    ports: Ports<B>,
}

impl<B: Bus> Rtc<B> {
    /// The clock at its ports.
    ///
    /// # Safety
    /// The ports 0x70 and 0x71 are the caller's.
    pub unsafe fn new(bus: B) -> Self {
        // SAFETY: by the caller's promise; the clock writes no memory.
        Rtc { ports: unsafe { Ports::new(bus, PORT) } }
    }

    /// What the time registers hold at this moment: not a time, because the clock may move on between two of them.
    /// Without a clock all are ones.
    pub fn registers(&self) -> [u8; REGISTERS.len()] {
        REGISTERS.map(|register| self.read(register))
    }

    fn read(&self, register: u8) -> u8 {
        self.ports.index.set(register);
        self.ports.data.get()
    }

    fn write(&self, register: u8, value: u8) {
        self.ports.index.set(register);
        self.ports.data.set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn each_register_is_selected_and_read() {
        let fake = Fake::default();
        fake.script(PORT + 1, &[1, 2, 3, 4, 5, 6, 7]);
        // SAFETY: the bus is a model in this process's memory.
        let clock = unsafe { Rtc::new(&fake) };
        assert_eq!(clock.registers(), [1, 2, 3, 4, 5, 6, 7]);
        let selected: std::vec::Vec<u32> =
            fake.port_log().iter().filter(|access| access.0 == PORT).map(|access| access.2).collect();
        assert_eq!(selected, [0, 2, 4, 7, 8, 9, 0x32]);
    }
}
