//! What the firmware's ACPI tables say about this board: where PCI's memory-mapped configuration space is, and how
//! interrupts are wired.
//!
//! From the RSDP (ACPI 6.5, section 5.2.5) by the XSDT or RSDT (5.2.7, 5.2.8) to the MADT (5.2.12), the MCFG (PCI
//! Firmware 3.3, section 4.1.2), the FADT (5.2.9) and the HPET table. No AML is run. Tables are
//! only 2-byte aligned, so they are read byte by byte; a length is believed only within [`TABLE_MAX`], and a table only
//! when its checksum is right.

use bitfield::bitfield;
use heapless::Vec;

use crate::ioapic::{Polarity, Trigger};
use rsdp::root_table;
use table::{HEADER_BYTES, table, u32_at, u64_at};

mod aml;
mod bridge;
mod fadt;
mod generation;
mod rsdp;
mod sleep;
mod table;

pub use bridge::{HostBridge, WINDOWS_MAX, Window, host_bridge};
pub use fadt::{Address, EventBlock, Fadt, POWER_PORTS_MAX};
pub use generation::GENERATION_BYTES;
#[cfg(test)]
pub(crate) use sleep::dsdt_with;
pub use sleep::off_types;
pub use table::{AcpiError, TABLE_MAX};

/// Longest DSDT that is read, in bytes: QEMU's have some 8 KiB, those of real machines several times that.
pub const DSDT_MAX: usize = 256 * 1024;
/// Most I/O APICs that are kept.
pub const IO_APICS_MAX: usize = 4;
/// Most ranges of configuration space that are kept. QEMU has one, Cloud Hypervisor one for each segment.
pub const ECAMS_MAX: usize = 8;
/// Most interrupt overrides that are kept: ISA has sixteen lines.
pub const OVERRIDES_MAX: usize = 16;

/// Offset of the first MADT structure, and of the first MCFG allocation: both follow eight bytes after the header.
const ENTRIES_OFFSET: usize = HEADER_BYTES + 8;

/// The memory-mapped configuration space of a PCI segment, or of some of its buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Ecam {
    /// Physical address of the configuration space of bus 0 of the segment, which need not be in the range.
    pub base: u64,
    /// The segment: each has buses 0 to 255 of its own.
    pub segment: u16,
    /// First bus that it covers.
    pub first_bus: u8,
    /// Last bus that it covers.
    pub last_bus: u8,
}

impl Ecam {
    /// Physical address of the first bus's configuration space: what the board maps.
    pub const fn physical(&self) -> u64 {
        self.base.wrapping_add((self.first_bus as u64) << 20)
    }

    /// Size in bytes: one MiB for each bus.
    pub const fn length(&self) -> u64 {
        (self.last_bus as u64 - self.first_bus as u64 + 1) << 20
    }
}

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

/// What the tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Memory-mapped configuration space; without it, PCI is reached through ports, if at all.
    pub ecams: Vec<Ecam, ECAMS_MAX>,
    /// Processors that may be used, where the firmware has a MADT.
    pub processors: u32,
    /// Physical address of the local APICs, where the firmware has a MADT.
    pub local_apic: Option<u64>,
    /// The I/O APICs.
    pub io_apics: Vec<IoApicEntry, IO_APICS_MAX>,
    /// ISA interrupts that are wired otherwise.
    pub overrides: Vec<InterruptOverride, OVERRIDES_MAX>,
    /// Power management: ports, timer, and the ways to switch the machine off.
    pub power: Fadt,
    /// Physical address of the high-precision timers, where there are any in memory.
    pub hpet: Option<u64>,
    /// Physical address of the identifier of the machine's generation, of [`GENERATION_BYTES`], where it has one.
    pub generation: Option<u64>,
}

impl Tables {
    /// Where an ISA interrupt arrives, and how: one to one, edge and active high, unless the firmware overrides it.
    pub fn isa(&self, isa: u8) -> InterruptOverride {
        let plain =
            || InterruptOverride { isa, gsi: isa.into(), trigger: Trigger::Edge, polarity: Polarity::ActiveHigh };
        self.overrides.iter().find(|entry| entry.isa == isa).copied().unwrap_or_else(plain)
    }
}

/// The tables of the first root pointer that leads to whole ones: the one that the loader gives (0 is none), then those
/// in the firmware's memory. `passed_over` is told why another one does not count. `memory` is as for [`discover`].
pub fn search<'a>(
    given: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
    mut passed_over: impl FnMut(u64, AcpiError),
) -> Option<Tables> {
    let mut attempt = |rsdp: u64| discover(rsdp, &memory).map_err(|error| passed_over(rsdp, error)).ok();
    if given != 0
        && let Some(tables) = attempt(given)
    {
        return Some(tables);
    }
    rsdp::candidates(&memory).filter(|&address| address != given).find_map(attempt)
}

/// Reads the tables that the RSDP at a physical address leads to. `memory` gives the bytes at a physical address, or
/// `None` where it cannot reach all of them. The first MADT and the first MCFG count; other tables are passed over.
///
/// # Errors
/// As [`AcpiError`] says. What a damaged table says is not used in part.
pub fn discover<'a>(rsdp: u64, memory: impl Fn(u64, usize) -> Option<&'a [u8]>) -> Result<Tables, AcpiError> {
    let reach = |address: u64, length: usize| memory(address, length).ok_or(AcpiError::Unreachable { address, length });
    let (root, entry_bytes) = root_table(rsdp, &reach)?;
    let root_signature = if entry_bytes == 8 { *b"XSDT" } else { *b"RSDT" };
    let root = table(root, root_signature, &reach)?;

    let mut found = Tables::default();
    let (mut madt_seen, mut mcfg_seen, mut fadt_seen) = (false, false, false);
    for entry in root[HEADER_BYTES..].chunks_exact(entry_bytes) {
        let address = if entry_bytes == 8 { u64_at(entry, 0) } else { u32_at(entry, 0).into() };
        match reach(address, 4)? {
            b"APIC" if !madt_seen => {
                madt_seen = true;
                read_madt(table(address, *b"APIC", &reach)?, &mut found)?;
            }
            b"MCFG" if !mcfg_seen => {
                mcfg_seen = true;
                found.ecams = read_mcfg(table(address, *b"MCFG", &reach)?)?;
            }
            // Nothing depends on these two alone: where one is damaged the rest counts all the same.
            b"FACP" if !fadt_seen => {
                fadt_seen = true;
                found.power = table(address, *b"FACP", &reach).map(fadt::read).unwrap_or_default();
            }
            b"SSDT" if found.generation.is_none() => {
                found.generation = table(address, *b"SSDT", &reach).ok().and_then(generation::address);
            }
            b"HPET" if found.hpet.is_none() => {
                found.hpet = table(address, *b"HPET", &reach).ok().and_then(read_hpet);
            }
            _ => {}
        }
    }
    if found.generation.is_none() {
        let dsdt = found.power.dsdt.and_then(|address| memory(address, dsdt_length(address, &memory)?));
        found.generation = dsdt.and_then(generation::address);
    }
    Ok(found)
}

/// The length in bytes of the DSDT at a physical address, by its header; its contents are verified when they are read.
pub fn dsdt_length<'a>(address: u64, memory: impl Fn(u64, usize) -> Option<&'a [u8]>) -> Option<usize> {
    let header = memory(address, HEADER_BYTES).filter(|header| header.starts_with(b"DSDT"))?;
    Some(u32_at(header, 4) as usize).filter(|length| (HEADER_BYTES..=DSDT_MAX).contains(length))
}

/// The ranges of an MCFG. One that goes backwards is passed over, and those that are too many.
fn read_mcfg(mcfg: &[u8]) -> Result<Vec<Ecam, ECAMS_MAX>, AcpiError> {
    let signature = *b"MCFG";
    let mut found = Vec::new();
    for allocation in mcfg.get(ENTRIES_OFFSET..).ok_or(AcpiError::Length { signature })?.chunks_exact(16) {
        let ecam = Ecam {
            base: u64_at(allocation, 0),
            segment: u16::from_le_bytes([allocation[8], allocation[9]]),
            first_bus: allocation[10],
            last_bus: allocation[11],
        };
        if ecam.last_bus < ecam.first_bus {
            defmt::warn!("pci: passed over, its last bus comes before its first: {}", ecam);
        } else if found.push(ecam).is_err() {
            defmt::warn!("pci: passed over, more ranges of configuration space than are used: {}", ecam);
        }
    }
    Ok(found)
}

fn read_madt(madt: &[u8], found: &mut Tables) -> Result<(), AcpiError> {
    let signature = *b"APIC";
    let mut rest = madt.get(ENTRIES_OFFSET..).ok_or(AcpiError::Length { signature })?;
    let mut local_apic = u64::from(u32_at(madt, HEADER_BYTES));
    while let [kind, length, ..] = *rest {
        let entry = rest.get(..usize::from(length)).filter(|_| length >= 2).ok_or(AcpiError::Length { signature })?;
        rest = &rest[usize::from(length)..];
        match (kind, entry.len()) {
            // A local APIC, an x2APIC: the processor may be used (table 5.22).
            (0, 8..) => found.processors = found.processors.saturating_add(u32_at(entry, 4) & 1),
            (9, 16..) => found.processors = found.processors.saturating_add(u32_at(entry, 8) & 1),
            (1, 12..) => {
                let io_apic = IoApicEntry { address: u32_at(entry, 4).into(), first_gsi: u32_at(entry, 8) };
                found.io_apics.push(io_apic).map_err(|_| AcpiError::TooMany { signature })?;
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
                found.overrides.push(line).map_err(|_| AcpiError::TooMany { signature })?;
            }
            (5, 12..) => local_apic = u64_at(entry, 4),
            (1 | 2 | 5, length) if length < 10 => return Err(AcpiError::Length { signature }),
            (1 | 5, _) => return Err(AcpiError::Length { signature }),
            _ => {}
        }
    }
    found.local_apic = Some(local_apic);
    Ok(())
}

/// The registers' address in an HPET table (IA-PC HPET specification 1.0a, section 3.2.4), where it is in memory.
fn read_hpet(hpet: &[u8]) -> Option<u64> {
    hpet.get(..52).filter(|hpet| hpet[40] == 0).map(|hpet| u64_at(hpet, 44)).filter(|address| *address != 0)
}

#[cfg(test)]
mod tests;
