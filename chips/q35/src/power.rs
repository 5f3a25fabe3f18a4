//! Switches the machine off, and starts it anew: by the registers that ACPI's tables name, or by the keyboard
//! controller's line.
//!
//! None of these ways answers whether it worked: the machine is gone, or the call returns and the next way is tried.

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use crate::acpi::{Address, Fadt, off_types};
use slopos_registers::{Bus, Hardware, registers};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

/// Looks at a register while the machine switches off or ACPI comes on. Each leaves a virtual machine, so this takes
/// tens of milliseconds there, and less than a second on hardware.
const LOOKS: u32 = 100_000;
/// What the keyboard controller pulses the processor's reset line with (Intel ICH9 data sheet, section 13.7.1).
const PULSE_RESET: u8 = 0xfe;
/// First port of the keyboard controller.
const KEYBOARD: u16 = 0x60;

register_bitfields![u16,
    /// PM1 control (ACPI 6.5, section 4.8.3.2.1).
    Pm1 [
        /// ACPI is on: power events raise system control interrupts.
        SCI_EN OFFSET(0) NUMBITS(1) [],
        /// The state to go to.
        SLP_TYP OFFSET(10) NUMBITS(3) [],
        /// Goes there.
        SLP_EN OFFSET(13) NUMBITS(1) []
    ]
];

register_bitfields![u8,
    /// Sleep control (ACPI 6.5, section 4.8.3.7).
    Sleep [
        /// The state to go to.
        SLP_TYP OFFSET(2) NUMBITS(3) [],
        /// Goes there.
        SLP_EN OFFSET(5) NUMBITS(1) []
    ],
    /// The keyboard controller's status.
    Keyboard [
        /// It has not taken the last command.
        INPUT_FULL OFFSET(1) NUMBITS(1) []
    ]
];

registers! {
    /// PM1a or PM1b control.
    struct Pm1Control in Port {
        /// ACPI 6.5, section 4.8.3.2.1.
        (0x0 => control: ReadWrite<u16, Pm1::Register>),
    }
}

registers! {
    /// A register of one byte in a port: sleep control, reset, commands to the firmware.
    struct PortByte in Port {
        /// What it is depends on the table's field.
        (0x0 => value: WriteOnly<u8>),
    }
}

registers! {
    /// The same in memory.
    struct MemoryByte in Mmio {
        /// What it is depends on the table's field.
        (0x0 => value: WriteOnly<u8>),
    }
}

registers! {
    /// The keyboard controller (Intel ICH9 data sheet, section 13.7).
    struct KeyboardController in Port {
        /// Commands are written, the status is read.
        (0x4 => command: ReadWrite<u8, Keyboard::Register>),
    }
}

/// A register of one byte, where the board has mapped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An I/O port.
    Port(u16),
    /// A virtual address.
    Memory(usize),
}

/// The ways to switch off and to reset.
pub struct Power<B: Bus = Hardware> {
    bus: B,
    control: [Option<u16>; 2],
    enable: Option<(u16, u8)>,
    sleep: Option<Place>,
    reset: Option<(Place, u8)>,
    dsdt: &'static [u8],
}

impl<B: Bus> Power<B> {
    /// The ways that a FADT names. `map` makes a register in memory accessible, or leaves it out; `dsdt` is the table
    /// with the sleep types, as far as it can be read.
    ///
    /// # Safety
    /// The registers belong to the caller: they are power management's and no PCI device's. What `map` gives stays
    /// mapped.
    pub unsafe fn new(bus: B, fadt: &Fadt, dsdt: &'static [u8], mut map: impl FnMut(u64) -> Option<usize>) -> Self {
        let mut place = |address: Address| match address {
            Address::Port(port) => Some(Place::Port(port)),
            Address::Memory(address) => map(address).map(Place::Memory),
        };
        let sleep = fadt.sleep.and_then(&mut place);
        let reset = fadt.reset.and_then(|(address, value)| Some((place(address)?, value)));
        Power { bus, control: fadt.control, enable: fadt.enable, sleep, reset, dsdt }
    }

    /// Whether the tables name a way to switch the machine off.
    pub fn has_off(&self) -> bool {
        (self.sleep.is_some() || self.control[0].is_some()) && off_types(self.dsdt).is_some()
    }

    /// Switches the machine off. Returns where the tables name no way, or it did not work.
    pub fn off(&self) {
        // Read only now: most boards end in another way, and the table is long.
        let Some(types) = off_types(self.dsdt) else { return };
        if let Some(place) = self.sleep {
            self.write(place, (Sleep::SLP_TYP.val(types[0]) + Sleep::SLP_EN::SET).value);
        }
        let [Some(first), second] = self.control else { return };
        let first = self.pm1(first);
        self.enable_acpi(&first);
        let go = |kind: u8| Pm1::SLP_TYP.val(kind.into()) + Pm1::SLP_EN::SET;
        first.control.modify(go(types[0]));
        if let Some(second) = second {
            self.pm1(second).control.modify(go(types[1]));
        }
        // An emulated machine goes on for a moment.
        for _ in 0..LOOKS {
            first.control.get();
        }
    }

    /// Starts the machine anew. Returns where that did not work.
    pub fn reset(&self) {
        if let Some((place, value)) = self.reset {
            self.write(place, value);
        }
        // SAFETY: the ports are the keyboard controller's, which the kernel does not use; it writes no memory.
        let keyboard: KeyboardController<B> = unsafe { KeyboardController::new(self.bus, KEYBOARD) };
        let taken = (0..LOOKS).any(|_| !keyboard.command.is_set(Keyboard::INPUT_FULL));
        if taken {
            keyboard.command.set(PULSE_RESET);
            for _ in 0..LOOKS {
                keyboard.command.get();
            }
        }
    }

    /// Takes power management from the firmware: what happens there is noted in registers from now on, and the firmware
    /// does not act on it.
    pub fn take_over(&self) {
        if let [Some(port), _] = self.control {
            self.enable_acpi(&self.pm1(port));
        }
    }

    /// Switches ACPI on where it is off: PM1 control may not listen before (ACPI 6.5, section 4.8.2.5).
    fn enable_acpi(&self, control: &Pm1Control<B>) {
        let Some((port, value)) = self.enable else { return };
        if control.control.is_set(Pm1::SCI_EN) {
            return;
        }
        self.write(Place::Port(port), value);
        // Whether or not it comes on, the next step is the same.
        let _ = (0..LOOKS).any(|_| control.control.is_set(Pm1::SCI_EN));
    }

    fn pm1(&self, port: u16) -> Pm1Control<B> {
        // SAFETY: `new` was promised that the tables' registers are power management's; they write no memory.
        unsafe { Pm1Control::new(self.bus, port) }
    }

    fn write(&self, place: Place, value: u8) {
        match place {
            // SAFETY: as in `pm1`.
            Place::Port(port) => unsafe { PortByte::new(self.bus, port) }.value.set(value),
            // SAFETY: as in `pm1`; `new` was promised that the address stays mapped.
            Place::Memory(address) => unsafe { MemoryByte::new(self.bus, address) }.value.set(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    /// The sleep types 3 and 4, as AML.
    const AML: &[u8] = b"\x08_S5_\x12\x06\x02\x0a\x03\x0a\x04";

    fn power<'a>(fake: &'a Fake, fadt: &Fadt, aml: &[u8]) -> Power<&'a Fake> {
        let dsdt = Box::leak(crate::acpi::dsdt_with(aml).into_boxed_slice());
        // SAFETY: the bus is a model in this process's memory.
        unsafe { Power::new(fake, fadt, dsdt, |address| Some(address as usize)) }
    }

    fn pc() -> Fadt {
        Fadt { control: [Some(0x604), Some(0x704)], enable: Some((0xb2, 2)), ..Fadt::default() }
    }

    #[test]
    fn pm1_control_gets_the_types_of_off() {
        let fake = Fake::default();
        fake.set_port(0x604, 1);
        fake.set_port(0x605, 0);
        fake.set_port(0x704, 0);
        fake.set_port(0x705, 0);
        power(&fake, &pc(), AML).off();
        let expected = [(0x604, 2, 1 | 3 << 10 | 1 << 13), (0x704, 2, 4 << 10 | 1 << 13)];
        assert_eq!(fake.port_log(), expected);
    }

    #[test]
    fn acpi_is_switched_on_first() {
        let fake = Fake::reacting(
            Some(|ports, port, value| {
                if (port, value) == (0xb2, 2) {
                    ports.insert(0x604, 1);
                }
            }),
            None,
        );
        for port in [0x604, 0x605, 0x704, 0x705] {
            fake.set_port(port, 0);
        }
        power(&fake, &pc(), AML).off();
        assert_eq!(fake.port_log()[..2], [(0xb2, 1, 2), (0x604, 2, 1 | 3 << 10 | 1 << 13)]);
    }

    #[test]
    fn the_firmware_is_told_once_that_power_management_is_ours() {
        let fake = Fake::default();
        fake.set_port(0x604, 0);
        fake.set_port(0x605, 0);
        power(&fake, &pc(), b"").take_over();
        fake.set_port(0x604, 1);
        power(&fake, &pc(), b"").take_over();
        power(&fake, &Fadt { control: [None, None], ..pc() }, b"").take_over();
        assert_eq!(fake.port_log(), [(0xb2, 1, 2)]);
    }

    #[test]
    fn reduced_hardware_has_a_sleep_control_register() {
        let fake = Fake::default();
        let fadt = Fadt { sleep: Some(Address::Port(0x600)), ..Fadt::default() };
        power(&fake, &fadt, AML).off();
        assert_eq!(fake.port_log(), [(0x600, 1, 3 << 2 | 1 << 5)]);
        let fadt = Fadt { sleep: Some(Address::Memory(0x1000)), ..Fadt::default() };
        power(&fake, &fadt, AML).off();
        assert_eq!(fake.memory_u32(0x1000) & 0xff, 3 << 2 | 1 << 5);
    }

    #[test]
    fn without_the_types_nothing_is_written() {
        let fake = Fake::default();
        power(&fake, &pc(), b"").off();
        power(&fake, &Fadt::default(), AML).off();
        assert_eq!(fake.port_log(), []);
    }

    #[test]
    fn a_reset_takes_the_register_then_the_keyboard_controller() {
        let fake = Fake::default();
        fake.set_port(0x64, 0);
        let fadt = Fadt { reset: Some((Address::Port(0xcf9), 0x0f)), ..Fadt::default() };
        power(&fake, &fadt, b"").reset();
        assert_eq!(fake.port_log(), [(0xcf9, 1, 0x0f), (0x64, 1, 0xfe)]);

        // Where no keyboard controller is, its port reads as ones: it never takes a command.
        let fake = Fake::default();
        power(&fake, &Fadt::default(), b"").reset();
        assert_eq!(fake.port_log(), []);
    }
}
