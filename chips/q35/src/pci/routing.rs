//! How a chipset joins the interrupt pins of its root bus to lines. Only fixed rules are known: what ACPI's `_PRT` says is
//! not interpreted. Where nothing is known a device interrupts by messages, or is polled.

use super::configuration::{Address, Configuration};
use super::device::offset;
use slopos_registers::Bus;

/// Vendor and device of the host bridges that are known, and of the PIIX3's ISA bridge.
const Q35: (u16, u16) = (0x8086, 0x29c0);
const I440FX: (u16, u16) = (0x8086, 0x1237);
const PIIX3: (u16, u16) = (0x8086, 0x7000);
/// Slot of the PIIX3 on its bus.
const PIIX3_SLOT: u8 = 1;
/// First of its four registers that route the lines PIRQ A to D to ISA interrupts (Intel 82371SB data sheet, section
/// 2.2.12).
const PIRQ_ROUTE: u16 = 0x60;
/// In such a register: the line is not routed; and the interrupt.
const NOT_ROUTED: u8 = 0x80;
const ISA_MASK: u8 = 0x0f;
/// The interrupts that can be meant: 0, 1, 2, 8 and 13 are the board's own.
const ROUTABLE: u16 = 0b1101_1110_1111_1000;

/// A rule for the pins of a root bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// None is known.
    Unknown,
    /// Pins are joined to the lines PIRQ A to H, which are global interrupts 16 to 23: slots 0 to 24 to E to H, swizzled by
    /// the slot; slot 30 to E to H, not swizzled; the chipset's own slots 25 to 29 and 31 to A to D, not swizzled (Intel
    /// ICH9 data sheet, section 10.1, registers D25IR to D31IR, as QEMU resets them and its ACPI tables agree).
    Q35,
    /// Pins are joined to the lines PIRQ A to D, swizzled by the slot, slot 1 being the first; these are the global
    /// interrupts of the lines, as the PIIX3 routes them and the MADT overrides that.
    I440fx([Option<u32>; 4]),
}

impl Routing {
    /// The rule of the chipset whose host bridge is at the root of `configuration`. `isa` gives the global interrupt of an
    /// ISA interrupt.
    pub fn find<B: Bus>(configuration: &Configuration<B>, isa: impl Fn(u8) -> u32) -> Routing {
        if (configuration.segment(), configuration.first_bus()) != (0, 0) {
            return Routing::Unknown;
        }
        let at = |slot| Address::new(0, slot, 0).map(|address| (address, identity(configuration, address)));
        match (at(0), at(PIIX3_SLOT)) {
            (Some((_, Q35)), _) => Routing::Q35,
            (Some((_, I440FX)), Some((bridge, PIIX3))) => Routing::I440fx(core::array::from_fn(|line| {
                let route: u8 = configuration.read(bridge, PIRQ_ROUTE + line as u16);
                let routed = route & NOT_ROUTED == 0 && ROUTABLE >> (route & ISA_MASK) & 1 != 0;
                routed.then(|| isa(route & ISA_MASK))
            })),
            _ => Routing::Unknown,
        }
    }

    /// The global system interrupt of a pin, 0 to 3, of a slot on the root bus.
    pub(super) fn gsi(self, slot: u8, pin: u8) -> Option<u32> {
        let (slot, pin) = (u32::from(slot), u32::from(pin));
        match self {
            Routing::Unknown => None,
            Routing::Q35 => Some(match slot {
                0..=24 => 20 + (slot + pin) % 4,
                30 => 20 + pin,
                _ => 16 + pin,
            }),
            // Slot 0 is the host bridge, which has no pin; 3 is -1 modulo 4.
            Routing::I440fx(lines) => lines[((slot + 3 + pin) % 4) as usize],
        }
    }
}

fn identity<B: Bus>(configuration: &Configuration<B>, address: Address) -> (u16, u16) {
    (configuration.read(address, offset::VENDOR), configuration.read(address, offset::DEVICE))
}
