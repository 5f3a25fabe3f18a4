//! The power button of ACPI's fixed hardware: what a person presses, and how a hypervisor asks a guest to end
//! (ACPI 6.4, section 4.8.2.2.1.1).
//!
//! A press sets a bit in the PM1 status register (section 4.8.3.1.1), but only while it is enabled in the PM1 enable
//! register (section 4.8.3.1.2). It is read by the clock: the system control interrupt stays masked.

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use crate::acpi::{EventBlock, Fadt};
use slopos_registers::{Bus, Hardware, registers};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

/// What reads where nothing answers.
const NOBODY: u16 = 0xffff;

register_bitfields![u16,
    /// PM1 status and PM1 enable have the same bits (ACPI 6.4, sections 4.8.3.1.1 and 4.8.3.1.2).
    Pm1Event [
        /// Status: the button was pressed; writing 1 clears it. Enable: a press is to be noted.
        POWER_BUTTON OFFSET(8) NUMBITS(1) []
    ]
];

registers! {
    /// PM1 status or PM1 enable.
    struct Pm1Events in Port {
        /// The events.
        (0x0 => events: ReadWrite<u16, Pm1Event::Register>),
    }
}

/// The button, in one or both of the PM1 event blocks.
pub struct PowerButton<B: Bus = Hardware> {
    bus: B,
    blocks: [Option<EventBlock>; 2],
}

impl<B: Bus> PowerButton<B> {
    /// The button that a FADT names; `None` where its hardware has no fixed one. It does not listen yet.
    ///
    /// # Safety
    /// The event blocks belong to the caller: they are power management's and no PCI device's.
    pub unsafe fn new(bus: B, fadt: &Fadt) -> Option<Self> {
        let blocks = fadt.events;
        blocks.iter().any(Option::is_some).then_some(PowerButton { bus, blocks })
    }

    /// Notes presses from now on; earlier ones are forgotten. Other events stay as they are enabled.
    pub fn listen(&self) {
        for block in self.blocks.iter().flatten() {
            self.register(block.status()).events.write(Pm1Event::POWER_BUTTON::SET);
            self.register(block.enable()).events.modify(Pm1Event::POWER_BUTTON::SET);
        }
    }

    /// Whether it was pressed since the last look. A port where nothing answers is no press.
    pub fn take_press(&self) -> bool {
        let mut pressed = false;
        for block in self.blocks.iter().flatten() {
            let status = self.register(block.status());
            let events = status.events.extract();
            if events.is_set(Pm1Event::POWER_BUTTON) && events.get() != NOBODY {
                status.events.write(Pm1Event::POWER_BUTTON::SET);
                pressed = true;
            }
        }
        pressed
    }

    fn register(&self, port: u16) -> Pm1Events<B> {
        // SAFETY: `new` was promised that the tables' registers are power management's; they write no memory.
        unsafe { Pm1Events::new(self.bus, port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn button(fake: &Fake, blocks: [Option<EventBlock>; 2]) -> Option<PowerButton<&Fake>> {
        let fadt = Fadt { events: blocks, ..Fadt::default() };
        // SAFETY: the bus is a model in this process's memory.
        unsafe { PowerButton::new(fake, &fadt) }
    }

    fn set(fake: &Fake, port: u16, value: u16) {
        let [low, high] = value.to_le_bytes();
        fake.set_port(port, low);
        fake.set_port(port + 1, high);
    }

    #[test]
    fn it_listens_without_touching_other_events() {
        let fake = Fake::default();
        set(&fake, 0x600, 0x8101);
        set(&fake, 0x602, 0x0020);
        button(&fake, [Some(EventBlock { port: 0x600, length: 4 }), None]).expect("a button").listen();
        assert_eq!(fake.port_log(), [(0x600, 2, 0x0100), (0x602, 2, 0x0120)]);
    }

    #[test]
    fn a_press_counts_once_and_only_its_bit_is_cleared() {
        // A status bit is cleared by writing 1 to it.
        let fake = Fake::reacting(
            Some(|ports, port, value| {
                if (port, value) == (0x600, 0x0100) {
                    ports.insert(0x600, 0x01);
                    ports.insert(0x601, 0x80);
                }
            }),
            None,
        );
        let button = button(&fake, [Some(EventBlock { port: 0x600, length: 4 }), None]).expect("a button");
        set(&fake, 0x600, 0x8001);
        assert!(!button.take_press());
        assert_eq!(fake.port_log(), []);
        set(&fake, 0x600, 0x8101);
        assert!(button.take_press());
        assert!(!button.take_press());
        assert_eq!(fake.port_log(), [(0x600, 2, 0x0100)]);
    }

    #[test]
    fn the_second_block_counts_too_and_its_enable_register_lies_in_the_middle() {
        let fake = Fake::default();
        for port in [0x600, 0x604, 0x700, 0x704] {
            set(&fake, port, 0);
        }
        let blocks = [0x600, 0x700].map(|port| Some(EventBlock { port, length: 8 }));
        let button = button(&fake, blocks).expect("a button");
        button.listen();
        assert_eq!(fake.port_log()[2..], [(0x700, 2, 0x0100), (0x704, 2, 0x0100)]);
        set(&fake, 0x600, 0);
        set(&fake, 0x700, 0x0100);
        assert!(button.take_press());
    }

    #[test]
    fn where_nothing_answers_nobody_presses() {
        let fake = Fake::default();
        assert!(button(&fake, [None, None]).is_none());
        let button = button(&fake, [Some(EventBlock { port: 0x600, length: 4 }), None]).expect("a button");
        assert!(!button.take_press());
        assert_eq!(fake.port_log(), []);
    }
}
