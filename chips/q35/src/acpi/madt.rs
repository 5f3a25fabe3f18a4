//! What the multiple APIC description table says (ACPI 6.5, section 5.2.12): processors, interrupt controllers, and ISA's
//! interrupts.

use super::table::{AcpiError, ENTRIES_OFFSET, HEADER_BYTES, u32_at, u64_at};
use crate::ioapic::{Polarity, Trigger};
use bitfield::bitfield;
use heapless::Vec;

/// Most I/O APICs that are kept.
pub const IO_APICS_MAX: usize = 4;
/// Most interrupt overrides that are kept: ISA has sixteen lines.
pub const OVERRIDES_MAX: usize = 16;

/// An I/O APIC (ACPI 6.5, section 5.2.12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct IoApicEntry {
    /// Physical address of its registers.
    pub address: u64,
    /// Global system interrupt of its input 0.
    pub first_gsi: u32,
}

/// An ISA interrupt that is wired differently from one to one (ACPI 6.5, section 5.2.12.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct InterruptOverride {
    /// The ISA interrupt, 0 to 15.
    pub isa: u8,
    /// The global system interrupt that it arrives on.
    pub gsi: u32,
    /// Level or edge.
    pub trigger: Trigger,
    /// High or low.
    pub polarity: Polarity,
}

bitfield! {
    /// MPS INTI flags (ACPI 6.5, table 5.26).
    #[derive(Clone, Copy)]
    struct IntiFlags(u16);
    /// 0 as the bus does, 1 active high, 3 active low.
    polarity, _: 1, 0;
    /// 0 as the bus does, 1 edge, 3 level.
    trigger, _: 3, 2;
}

/// The table's contents.
#[derive(Default)]
pub(super) struct Madt {
    /// Processors that may be used.
    pub processors: u32,
    /// Physical address of the local APICs.
    pub local_apic: u64,
    /// The I/O APICs.
    pub io_apics: Vec<IoApicEntry, IO_APICS_MAX>,
    /// ISA interrupts that are wired otherwise.
    pub overrides: Vec<InterruptOverride, OVERRIDES_MAX>,
}

/// Reads the table, whose length and checksum are verified. Of I/O APICs and overrides the first ones are kept.
pub(super) fn read(madt: &[u8]) -> Result<Madt, AcpiError> {
    let signature = *b"APIC";
    let mut rest = madt.get(ENTRIES_OFFSET..).ok_or(AcpiError::Length { signature })?;
    let mut found = Madt { local_apic: u32_at(madt, HEADER_BYTES).into(), ..Madt::default() };
    while let [kind, length, ..] = *rest {
        let entry = rest.get(..usize::from(length)).filter(|_| length >= 2).ok_or(AcpiError::Length { signature })?;
        rest = &rest[usize::from(length)..];
        match (kind, entry.len()) {
            // A local APIC, an x2APIC: the processor may be used (table 5.22).
            (0, 8..) => found.processors = found.processors.saturating_add(u32_at(entry, 4) & 1),
            (9, 16..) => found.processors = found.processors.saturating_add(u32_at(entry, 8) & 1),
            (1, 12..) => {
                let io_apic = IoApicEntry { address: u32_at(entry, 4).into(), first_gsi: u32_at(entry, 8) };
                if found.io_apics.push(io_apic).is_err() {
                    defmt::warn!("acpi: passed over, more I/O APICs than are used: {}", io_apic);
                }
            }
            // Bus 0 is ISA; the field has no other value.
            (2, 10..) if entry[2] == 0 => {
                let flags = IntiFlags(u16::from_le_bytes([entry[8], entry[9]]));
                let line = InterruptOverride {
                    isa: entry[3],
                    gsi: u32_at(entry, 4),
                    trigger: if flags.trigger() == 3 { Trigger::Level } else { Trigger::Edge },
                    polarity: if flags.polarity() == 3 { Polarity::ActiveLow } else { Polarity::ActiveHigh },
                };
                if found.overrides.push(line).is_err() {
                    defmt::warn!("acpi: passed over, more interrupt overrides than ISA has lines: {}", line);
                }
            }
            (5, 12..) => found.local_apic = u64_at(entry, 4),
            (1 | 2 | 5, length) if length < 10 => return Err(AcpiError::Length { signature }),
            (1 | 5, _) => return Err(AcpiError::Length { signature }),
            _ => {}
        }
    }
    Ok(found)
}
