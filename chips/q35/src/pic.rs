//! The two 8259 interrupt controllers, switched off: interrupts come through the I/O APIC.
//!
//! Intel ICH9 data sheet, section 13.4. They are moved before they are masked, because a spurious interrupt comes
//! even from a masked controller, and the firmware's vectors are those of processor exceptions.

use tock_registers::interfaces::Writeable;
use tock_registers::register_bitfields;

use slopos_registers::{Bus, Hardware, registers};

register_bitfields![u8,
    /// Initialisation command word 1 (section 13.4.2).
    Icw1 [
        /// A fourth command word follows.
        ICW4_NEEDED OFFSET(0) NUMBITS(1) [],
        /// Starts the initialisation.
        INITIALISE OFFSET(4) NUMBITS(1) []
    ],
    /// Initialisation command word 4 (section 13.4.6).
    Icw4 [
        /// For a processor of this family; must be set.
        MICROPROCESSOR OFFSET(0) NUMBITS(1) []
    ]
];

/// Input of the first controller that the second hangs on (section 13.4.4).
const CASCADE_INPUT: u8 = 2;

registers! {
    /// The registers of a controller (section 13.4.1).
    struct Controller in Port {
        /// Initialisation command word 1 (section 13.4.2).
        (0x0 => command: WriteOnly<u8, Icw1::Register>),
        /// Initialisation command words 2 to 4, then the mask of the inputs (sections 13.4.3 to 13.4.7).
        (0x1 => data: WriteOnly<u8>),
    }
}

/// First port of the first controller.
pub const FIRST: u16 = 0x20;
/// First port of the second controller.
pub const SECOND: u16 = 0xa0;
/// Ports of a controller.
pub const PORTS: u16 = Controller::<Hardware>::LENGTH as u16;

/// Both controllers.
pub struct Pic<B: Bus = Hardware> {
    first: Controller<B>,
    second: Controller<B>,
}

impl<B: Bus> Pic<B> {
    /// The board's controllers.
    ///
    /// # Safety
    /// The [`PORTS`] ports from [`FIRST`] on and those from [`SECOND`] on are the caller's.
    pub const unsafe fn new(bus: B) -> Self {
        // SAFETY: the ports are the caller's, and the controllers write no memory.
        unsafe { Pic { first: Controller::new(bus, FIRST), second: Controller::new(bus, SECOND) } }
    }

    /// Gives the controllers the sixteen vectors from `vector` (its low three bits do not count), then masks every
    /// input. A spurious interrupt may still come on `vector + 7` and `vector + 15`; it wants no acknowledgement.
    pub fn disable(&self, vector: u8) {
        let base = vector & !7;
        let icw1 = Icw1::ICW4_NEEDED::SET + Icw1::INITIALISE::SET;
        let icw4 = u8::from(Icw4::MICROPROCESSOR::SET);
        self.first.command.write(icw1);
        self.first.data.set(base);
        self.first.data.set(1 << CASCADE_INPUT);
        self.first.data.set(icw4);
        self.second.command.write(icw1);
        self.second.data.set(base.wrapping_add(8));
        self.second.data.set(CASCADE_INPUT);
        self.second.data.set(icw4);
        self.first.data.set(0xff);
        self.second.data.set(0xff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn controllers_are_moved_then_masked() {
        let fake = Fake::default();
        // SAFETY: the bus is a model in this process's memory.
        unsafe { Pic::new(&fake) }.disable(0xe7);
        let first = [(0x20, 1, 0x11), (0x21, 1, 0xe0), (0x21, 1, 4), (0x21, 1, 1)];
        let second = [(0xa0, 1, 0x11), (0xa1, 1, 0xe8), (0xa1, 1, 2), (0xa1, 1, 1)];
        let masks = [(0x21, 1, 0xff), (0xa1, 1, 0xff)];
        assert_eq!(fake.port_log(), [&first[..], &second, &masks].concat());
    }
}
