//! How a chipset joins the interrupt pins of its root bus to lines. Only fixed rules are known: what ACPI's `_PRT` says is
//! not interpreted. Where nothing is known a device interrupts by messages, or is polled.

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
