//! What the fixed ACPI description table says (ACPI 6.5, section 5.2.9, table 5.9): the ports of power management, the
//! timer, and the registers that switch the machine off or reset it.

use super::table::{u32_at, u64_at};
use heapless::Vec;

/// Most blocks of ports for power management: PM1a and PM1b events and control, PM2, timer, GPE0, GPE1.
pub const POWER_PORTS_MAX: usize = 8;

/// A register that a generic address structure names (ACPI 6.5, section 5.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Address {
    /// An I/O port.
    Port(u16),
    /// A physical address.
    Memory(u64),
}

/// A block of PM1 registers for events: status in its first half, enable in its second (section 4.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct EventBlock {
    /// First port.
    pub port: u16,
    /// Ports of the block, 4 or more.
    pub length: u8,
}

impl EventBlock {
    /// The port of the status register.
    pub const fn status(self) -> u16 {
        self.port
    }

    /// The port of the enable register.
    pub const fn enable(self) -> u16 {
        self.port.wrapping_add(self.length as u16 / 2)
    }
}

/// The registers and values of the table. A register that is neither a port nor in memory counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fadt {
    /// Ports of power management, to be kept clear of: first, and how many.
    pub ports: Vec<(u16, u8), POWER_PORTS_MAX>,
    /// The power management timer (section 4.8.3.3).
    pub timer: Option<u16>,
    /// PM1a and PM1b events, where the power button is among them: otherwise AML would have to be run for it.
    pub events: [Option<EventBlock>; 2],
    /// PM1a and PM1b control (section 4.8.3.2.1).
    pub control: [Option<u16>; 2],
    /// The port that takes commands to the firmware, and the one that switches ACPI on (section 5.2.9).
    pub enable: Option<(u16, u8)>,
    /// The sleep control register of hardware-reduced ACPI (section 4.8.3.7).
    pub sleep: Option<Address>,
    /// The reset register and what is written to it (section 4.8.3.6).
    pub reset: Option<(Address, u8)>,
    /// Physical address of the DSDT.
    pub dsdt: Option<u64>,
}

/// Flag: there is no power button, or it is a device of the firmware's namespace.
pub(super) const NO_FIXED_BUTTON: u32 = 1 << 4;
/// Flag: the table's reset register works.
pub(super) const RESET_SUPPORTED: u32 = 1 << 10;

/// Reads the table, whose length and checksum are verified. What is shorter than a field does not have it.
pub(super) fn read(fadt: &[u8]) -> Fadt {
    let mut found = Fadt::default();
    for (place, length) in [(56, 88), (60, 88), (64, 89), (68, 89), (72, 90), (76, 91), (80, 92), (84, 93)] {
        let Some(&length) = fadt.get(length).filter(|length| **length != 0) else { continue };
        if let Some(port) = port(fadt, place) {
            // There is room for each of the eight.
            let _ = found.ports.push((port, length));
        }
    }
    found.timer = port_or_address(fadt, 76, 208);
    found.control = [port_or_address(fadt, 64, 172), port_or_address(fadt, 68, 184)];
    found.enable = port(fadt, 48).zip(fadt.get(52).copied()).filter(|(_, value)| *value != 0);
    found.sleep = address(fadt, 244);
    let flags = fadt.get(112..116).map(|_| u32_at(fadt, 112));
    if flags.is_some_and(|flags| flags & NO_FIXED_BUTTON == 0) {
        found.events = [event_block(fadt, 56, 148), event_block(fadt, 60, 160)];
    }
    let flags = flags.unwrap_or(0);
    if flags & RESET_SUPPORTED != 0 {
        found.reset = address(fadt, 116).zip(fadt.get(128).copied());
    }
    let long = fadt.get(140..148).map(|_| u64_at(fadt, 140)).filter(|dsdt| *dsdt != 0);
    let short = fadt.get(40..44).map(|_| u64::from(u32_at(fadt, 40))).filter(|dsdt| *dsdt != 0);
    found.dsdt = long.or(short);
    found
}

/// The port that a 32-bit field names; 0 is none.
fn port(fadt: &[u8], at: usize) -> Option<u16> {
    fadt.get(at..at + 4)?;
    u16::try_from(u32_at(fadt, at)).ok().filter(|port| *port != 0)
}

/// The port that a 32-bit field names, or the later field with a generic address.
fn port_or_address(fadt: &[u8], at: usize, generic: usize) -> Option<u16> {
    port(fadt, at).or_else(|| match address(fadt, generic)? {
        Address::Port(port) => Some(port),
        Address::Memory(_) => None,
    })
}

/// The event block that a 32-bit field names, or the later field with a generic address. Both have one length.
fn event_block(fadt: &[u8], at: usize, generic: usize) -> Option<EventBlock> {
    let port = port_or_address(fadt, at, generic)?;
    fadt.get(88).filter(|length| **length >= 4).map(|&length| EventBlock { port, length })
}

/// A generic address structure; all zeros is none.
fn address(fadt: &[u8], at: usize) -> Option<Address> {
    let structure = fadt.get(at..at + 12)?;
    match (structure[0], u64_at(structure, 4)) {
        (_, 0) => None,
        (0, address) => Some(Address::Memory(address)),
        (1, address) => u16::try_from(address).ok().map(Address::Port),
        _ => None,
    }
}
