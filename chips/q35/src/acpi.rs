//! What the firmware's ACPI tables say about this board: where PCI's memory-mapped configuration space is, and how
//! interrupts are wired.
//!
//! From the RSDP (ACPI 6.5, section 5.2.5) by the XSDT or RSDT (5.2.7, 5.2.8) to the MADT (5.2.12), the MCFG (PCI
//! Firmware 3.3, section 4.1.2), the FADT (5.2.9) and the HPET table. No AML is run. Tables are
//! only 2-byte aligned, so they are read byte by byte; a length is believed only within [`TABLE_MAX`], and a table only
//! when its checksum is right.

use heapless::Vec;

use crate::ioapic::{Polarity, Trigger};
use madt::Madt;
use rsdp::root_tables;
use table::{ENTRIES_OFFSET, HEADER_BYTES, table, u32_at, u64_at};

mod aml;
mod bridge;
mod fadt;
mod generation;
mod madt;
mod rsdp;
mod sleep;
mod table;

pub use bridge::{HostBridge, WINDOWS_MAX, Window, host_bridge};
pub use fadt::{Address, EventBlock, Fadt, POWER_PORTS_MAX};
pub use generation::GENERATION_BYTES;
pub use madt::{IO_APICS_MAX, InterruptOverride, IoApicEntry, OVERRIDES_MAX};
#[cfg(test)]
pub(crate) use sleep::dsdt_with;
pub use sleep::off_types;
pub use table::{AcpiError, TABLE_MAX};

/// Longest DSDT that is read, in bytes: QEMU's have some 8 KiB, those of real machines several times that.
pub const DSDT_MAX: usize = 256 * 1024;
/// Most ranges of configuration space that are kept. QEMU has one, Cloud Hypervisor one for each segment.
pub const ECAMS_MAX: usize = 8;

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
    fn take_madt(&mut self, madt: Madt) {
        let Madt { processors, local_apic, io_apics, overrides } = madt;
        (self.processors, self.local_apic) = (processors, Some(local_apic));
        (self.io_apics, self.overrides) = (io_apics, overrides);
    }

    /// Where an ISA interrupt arrives, and how: one to one, edge and active high, unless the firmware overrides it.
    pub fn isa(&self, isa: u8) -> InterruptOverride {
        let plain =
            || InterruptOverride { isa, gsi: isa.into(), trigger: Trigger::Edge, polarity: Polarity::ActiveHigh };
        self.overrides.iter().find(|entry| entry.isa == isa).copied().unwrap_or_else(plain)
    }
}

/// What does not count, because something is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A root pointer, and all that it leads to.
    Root,
    /// A table, and nothing but what it says.
    Table,
}

/// The tables of the first root pointer that leads to some: the one that the loader gives (0 is none), then those in
/// the firmware's memory. `lost` is told what does not count, at which physical address, and why. `memory` is as for
/// [`discover`].
pub fn search<'a>(
    given: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
    mut lost: impl FnMut(Lost, u64, AcpiError),
) -> Option<Tables> {
    let mut attempt = |rsdp: u64| {
        discover(rsdp, &memory, |address, error| lost(Lost::Table, address, error))
            .map_err(|error| lost(Lost::Root, rsdp, error))
            .ok()
    };
    if given != 0
        && let Some(tables) = attempt(given)
    {
        return Some(tables);
    }
    rsdp::candidates(&memory).filter(|&address| address != given).find_map(attempt)
}

/// Reads the tables that the RSDP at a physical address leads to. `memory` gives the bytes at a physical address, or
/// `None` where it cannot reach all of them. The first sound table of a kind counts. One that is damaged is passed over,
/// after `lost` was told its address and what is wrong with it: nothing that it says is used, and all that the others say.
///
/// # Errors
/// The root pointer or the root table is damaged, as [`AcpiError`] says.
pub fn discover<'a>(
    rsdp: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
    mut lost: impl FnMut(u64, AcpiError),
) -> Result<Tables, AcpiError> {
    let reach = |address: u64, length: usize| memory(address, length).ok_or(AcpiError::Unreachable { address, length });
    let (first, older) = root_tables(rsdp, &reach)?;
    let (root, entry_bytes) = match (table(first.address, first.signature, &reach), older) {
        (Ok(root), _) => (root, first.entry_bytes),
        (Err(error), None) => return Err(error),
        (Err(error), Some(older)) => {
            lost(first.address, error);
            (table(older.address, older.signature, &reach)?, older.entry_bytes)
        }
    };

    let mut found = Tables::default();
    let (mut mcfg_seen, mut fadt_seen) = (false, false);
    for entry in root[HEADER_BYTES..].chunks_exact(entry_bytes) {
        let address = if entry_bytes == 8 { u64_at(entry, 0) } else { u32_at(entry, 0).into() };
        let read = reach(address, 4).and_then(|signature| {
            match signature {
                b"APIC" if found.local_apic.is_none() => {
                    found.take_madt(madt::read(table(address, *b"APIC", &reach)?)?);
                }
                b"MCFG" if !mcfg_seen => {
                    found.ecams = read_mcfg(table(address, *b"MCFG", &reach)?)?;
                    mcfg_seen = true;
                }
                b"FACP" if !fadt_seen => {
                    found.power = fadt::read(table(address, *b"FACP", &reach)?);
                    fadt_seen = true;
                }
                b"SSDT" if found.generation.is_none() => {
                    found.generation = generation::address(table(address, *b"SSDT", &reach)?)?;
                }
                b"HPET" if found.hpet.is_none() => {
                    found.hpet = read_hpet(table(address, *b"HPET", &reach)?)?;
                }
                _ => {}
            }
            Ok(())
        });
        if let Err(error) = read {
            lost(address, error);
        }
    }
    // The DSDT hangs on the FADT, and what else is wanted of it is read when it is.
    if let Some(address) = found.power.dsdt {
        match dsdt_length(address, &memory).and_then(|length| reach(address, length)) {
            Ok(dsdt) if found.generation.is_none() => match generation::address(dsdt) {
                Ok(generation) => found.generation = generation,
                Err(error) => lost(address, error),
            },
            Ok(_) => {}
            Err(error) => lost(address, error),
        }
    }
    Ok(found)
}

/// The length in bytes of the DSDT at a physical address, by its header; its contents are verified when they are read.
///
/// # Errors
/// As [`AcpiError`] says.
pub fn dsdt_length<'a>(address: u64, memory: impl Fn(u64, usize) -> Option<&'a [u8]>) -> Result<usize, AcpiError> {
    let signature = *b"DSDT";
    let header = memory(address, HEADER_BYTES).ok_or(AcpiError::Unreachable { address, length: HEADER_BYTES })?;
    if !header.starts_with(&signature) {
        return Err(AcpiError::Signature { expected: signature });
    }
    let length = u32_at(header, 4) as usize;
    if (HEADER_BYTES..=DSDT_MAX).contains(&length) { Ok(length) } else { Err(AcpiError::Length { signature }) }
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

/// The registers' address in an HPET table (IA-PC HPET specification 1.0a, section 3.2.4), where it is in memory.
fn read_hpet(hpet: &[u8]) -> Result<Option<u64>, AcpiError> {
    let hpet = hpet.get(..52).ok_or(AcpiError::Length { signature: *b"HPET" })?;
    Ok(Some(u64_at(hpet, 44)).filter(|address| hpet[40] == 0 && *address != 0))
}

#[cfg(test)]
mod tests;
