//! The I/O APIC: turns interrupt lines into vectors. Intel ICH9 data sheet, section 13.5.
//!
//! Lines are named by global system interrupt (GSI), as ACPI and the PCI routing do. ISA lines are edge, active
//! high, except where an override of the MADT says otherwise. PCI lines are level; the firmware of this board declares
//! them active high, though PCI's own wires are active low: the chipset inverts them.

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::{LocalRegisterCopy, register_bitfields};

use slopos_registers::{Bus, Hardware, registers};

/// Index of the version register (section 13.5.5).
const VERSION_INDEX: u32 = 0x01;
/// Index of the first redirection register (section 13.5.6), two for each input.
const REDIRECTION_INDEX: u32 = 0x10;

/// Bytes of device memory that an I/O APIC has at most.
pub const MEMORY_BYTES: u64 = 4096;

register_bitfields![u32,
    /// Version register (section 13.5.5).
    Version [
        /// Number of the last input.
        LAST_INPUT OFFSET(16) NUMBITS(8) []
    ],
    /// Low half of a redirection table entry (section 13.5.6).
    RedirectionLow [
        /// The vector that is delivered.
        VECTOR OFFSET(0) NUMBITS(8) [],
        /// How it is delivered.
        DELIVERY OFFSET(8) NUMBITS(3) [Fixed = 0],
        /// Level of the line that means a request.
        POLARITY OFFSET(13) NUMBITS(1) [ActiveHigh = 0, ActiveLow = 1],
        /// A level-triggered request was delivered and not yet ended.
        REMOTE_IRR OFFSET(14) NUMBITS(1) [],
        /// Whether the edge or the level requests.
        TRIGGER OFFSET(15) NUMBITS(1) [Edge = 0, Level = 1],
        /// Nothing is delivered while this is set.
        MASKED OFFSET(16) NUMBITS(1) []
    ],
    /// High half of a redirection table entry.
    RedirectionHigh [
        /// Local APIC identity of the processor.
        DESTINATION OFFSET(24) NUMBITS(8) []
    ]
];

/// What requests an interrupt on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Trigger {
    /// A change of the line, as ISA devices do.
    Edge,
    /// The level of the line, which devices may share, as PCI devices do.
    Level,
}

/// Which level of a line means a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Polarity {
    /// High.
    ActiveHigh,
    /// Low.
    ActiveLow,
}

/// Where an interrupt line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Route {
    /// The processor's vector, 16 to 254.
    pub vector: u8,
    /// Local APIC identity of the processor that takes it.
    pub destination: u8,
    /// Edge or level.
    pub trigger: Trigger,
    /// High or low.
    pub polarity: Polarity,
    /// Whether the line starts masked.
    pub masked: bool,
}

/// This I/O APIC has no input for that global system interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct NoSuchInput {
    /// The interrupt asked for.
    pub gsi: u32,
}

registers! {
    /// The way to the registers (section 13.5.1): the window is the one that the index names.
    struct Window in Mmio {
        /// IND (section 13.5.2).
        (0x00 => index: WriteOnly<u32>),
        /// DAT (section 13.5.3), where the index names the version register.
        (0x10 => version: ReadOnly<u32, Version::Register>),
        /// DAT, where the index names the low half of a redirection table entry.
        (0x10 => low: ReadWrite<u32, RedirectionLow::Register>),
        /// DAT, where the index names the high half.
        (0x10 => high: WriteOnly<u32, RedirectionHigh::Register>),
    }
}

/// An I/O APIC.
pub struct IoApic<B: Bus = Hardware> {
    window: Window<B>,
    first_gsi: u32,
    inputs: u32,
}

impl<B: Bus> IoApic<B> {
    /// The I/O APIC whose registers are at `base`, with every input masked. `first_gsi` is the global system
    /// interrupt of its input 0, as the MADT gives it.
    ///
    /// # Safety
    /// `base` maps the 32 bytes of its register window as device memory for as long as the value lives, aligned to
    /// 16, and nobody else uses it.
    pub unsafe fn new(bus: B, base: *mut u8, first_gsi: u32) -> Self {
        // SAFETY: the window is the caller's; an I/O APIC sends interrupts and writes no memory.
        let window = unsafe { Window::new(bus, base.expose_provenance()) };
        window.index.set(VERSION_INDEX);
        let inputs = window.version.read(Version::LAST_INPUT) + 1;
        for input in 0..inputs {
            window.index.set(REDIRECTION_INDEX + 2 * input);
            window.low.write(RedirectionLow::MASKED::SET);
        }
        IoApic { window, first_gsi, inputs }
    }

    /// How many inputs there are, 1 to 256.
    pub fn inputs(&self) -> u32 {
        self.inputs
    }

    /// Sends a line to a vector.
    ///
    /// # Errors
    /// [`NoSuchInput`] where the line is another I/O APIC's, or nobody's.
    pub fn route(&self, gsi: u32, route: Route) -> Result<(), NoSuchInput> {
        let low_index = self.low_index(gsi)?;
        // Masked while it changes, so that no interrupt goes out by half of an entry.
        self.window.index.set(low_index);
        self.window.low.write(RedirectionLow::MASKED::SET);
        self.window.index.set(low_index + 1);
        self.window.high.write(RedirectionHigh::DESTINATION.val(route.destination.into()));
        self.window.index.set(low_index);
        self.window.low.write(
            RedirectionLow::VECTOR.val(route.vector.into())
                + RedirectionLow::DELIVERY::Fixed
                + match route.polarity {
                    Polarity::ActiveHigh => RedirectionLow::POLARITY::ActiveHigh,
                    Polarity::ActiveLow => RedirectionLow::POLARITY::ActiveLow,
                }
                + match route.trigger {
                    Trigger::Edge => RedirectionLow::TRIGGER::Edge,
                    Trigger::Level => RedirectionLow::TRIGGER::Level,
                }
                + RedirectionLow::MASKED.val(route.masked.into()),
        );
        Ok(())
    }

    /// Masks a line or lets it through; its route stays.
    ///
    /// # Errors
    /// As [`IoApic::route`].
    pub fn set_masked(&self, gsi: u32, masked: bool) -> Result<(), NoSuchInput> {
        self.window.index.set(self.low_index(gsi)?);
        let mut entry: LocalRegisterCopy<u32, RedirectionLow::Register> = self.window.low.extract();
        entry.modify(RedirectionLow::MASKED.val(masked.into()));
        self.window.low.set(entry.get());
        Ok(())
    }

    fn low_index(&self, gsi: u32) -> Result<u32, NoSuchInput> {
        match gsi.checked_sub(self.first_gsi) {
            Some(input) if input < self.inputs => Ok(REDIRECTION_INDEX + 2 * input),
            _ => Err(NoSuchInput { gsi }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    const BASE: usize = 0x1000;
    /// Where the model keeps register `index`: the window shows one of them at a time.
    const STORE: usize = 0x10_0000;

    /// Selecting a register loads the window; writing the window stores it.
    fn model() -> Fake {
        let fake = Fake::reacting(
            None,
            Some(|memory, address, value| {
                if address == BASE {
                    for byte in 0..4 {
                        let stored = memory.get(&(STORE + 4 * value as usize + byte)).copied().unwrap_or(0);
                        memory.insert(BASE + 0x10 + byte, stored);
                    }
                } else if address == BASE + 0x10 {
                    let index = memory[&BASE] as usize;
                    for byte in 0..4 {
                        memory.insert(STORE + 4 * index + byte, value.to_le_bytes()[byte]);
                    }
                }
            }),
        );
        fake.set_memory(STORE + 4, &0x0017_0020_u32.to_le_bytes());
        fake
    }

    fn register(fake: &Fake, index: usize) -> u32 {
        fake.memory_u32(STORE + 4 * index)
    }

    #[test]
    fn starts_masked_and_routes_a_line() {
        let fake = model();
        // SAFETY: the bus is a model in this process's memory.
        let apic = unsafe { IoApic::new(&fake, BASE as *mut u8, 0) };
        assert_eq!(apic.inputs(), 24);
        assert!((0..24).all(|input| register(&fake, 0x10 + 2 * input) == 0x1_0000));

        let route = Route {
            vector: 0x41,
            destination: 3,
            trigger: Trigger::Level,
            polarity: Polarity::ActiveLow,
            masked: false,
        };
        assert_eq!(apic.route(22, route), Ok(()));
        assert_eq!(register(&fake, 0x10 + 44), 0xa041);
        assert_eq!(register(&fake, 0x10 + 45), 0x0300_0000);

        assert_eq!(apic.set_masked(22, true), Ok(()));
        assert_eq!(register(&fake, 0x10 + 44), 0x1_a041);
        assert_eq!(apic.set_masked(22, false), Ok(()));
        assert_eq!(register(&fake, 0x10 + 44), 0xa041);
    }

    #[test]
    fn a_line_of_another_apic_is_refused() {
        let fake = model();
        // SAFETY: the bus is a model in this process's memory.
        let apic = unsafe { IoApic::new(&fake, BASE as *mut u8, 24) };
        assert_eq!(apic.set_masked(23, true), Err(NoSuchInput { gsi: 23 }));
        assert_eq!(apic.set_masked(48, true), Err(NoSuchInput { gsi: 48 }));
        assert_eq!(apic.set_masked(47, false), Ok(()));
    }
}
