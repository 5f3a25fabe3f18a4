//! Which chipset it is, by its host bridge, and so which rule its interrupt pins follow.

use super::configuration::{Address, Configuration};
use super::device::offset;
use super::routing::Routing;
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

impl<B: Bus> Configuration<B> {
    /// The rule of the chipset whose host bridge is at the root. `isa` gives the global interrupt of an ISA interrupt.
    pub fn find_routing(&self, isa: impl Fn(u8) -> u32) -> Routing {
        if (self.segment(), self.first_bus()) != (0, 0) {
            return Routing::Unknown;
        }
        let at = |slot| Address::new(0, slot, 0).map(|address| (address, identity(self, address)));
        match (at(0), at(PIIX3_SLOT)) {
            (Some((_, Q35)), _) => Routing::Q35,
            (Some((_, I440FX)), Some((bridge, PIIX3))) => Routing::I440fx(core::array::from_fn(|line| {
                let route: u8 = self.read(bridge, PIRQ_ROUTE + line as u16);
                let routed = route & NOT_ROUTED == 0 && ROUTABLE >> (route & ISA_MASK) & 1 != 0;
                routed.then(|| isa(route & ISA_MASK))
            })),
            _ => Routing::Unknown,
        }
    }
}

fn identity<B: Bus>(configuration: &Configuration<B>, address: Address) -> (u16, u16) {
    (configuration.read(address, offset::VENDOR), configuration.read(address, offset::DEVICE))
}
