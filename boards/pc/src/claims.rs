//! The memory and the ports that no device may claim, whatever its base address registers or the command line say.

use crate::image::{self, FIRST_MIB};
use crate::modules;
use slopos_q35::acpi::Tables;
use slopos_q35::claims::Claims;
use slopos_q35::pci::{CONFIG_ADDRESS, CONFIG_PORTS};
use slopos_q35::{debug_exit, pic, pvpanic, rtc, uart};
use slopos_x86_64::cpuid::Features;
use slopos_x86_64::paging::KernelSpace;
use slopos_x86_64::start_info::{MemoryKind, StartInfo};
use static_cell::ConstStaticCell;

#[unsafe(link_section = ".owner.kernel")]
static CLAIMS: ConstStaticCell<Claims> = ConstStaticCell::new(Claims::new());

/// From here to 4 GiB are the I/O APICs, timers, interrupt messages and the firmware's flash (Intel ICH9 data sheet,
/// section 9.4); no BAR is placed there.
const CHIPSET: u64 = 0xfec0_0000;
/// Bytes of the high-precision timers' registers (IA-PC HPET specification 1.0a, section 2.3.1).
const HPET_BYTES: u64 = 1024;
/// First port that a PCI device may have. Those below belong to the ISA bus and the chipset.
const PCI_PORTS: u16 = 0x1000;

/// Ports that have names of their own in the log (Intel ICH9 data sheet, section 9.3; QEMU's ISA devices).
const PORTS: [(&str, u16, u16); 13] = [
    ("the DMA controllers", 0x00, 0x20),
    ("the first 8259", pic::FIRST, pic::PORTS),
    ("the interval timer", 0x40, 4),
    ("the keyboard controller", 0x60, 5),
    ("the real-time clock", rtc::PORT, 8),
    ("the second 8259", pic::SECOND, pic::PORTS),
    ("the way out of QEMU", debug_exit::PORT, debug_exit::PORTS),
    ("COM2", uart::COM2, uart::PORTS),
    ("COM1", uart::COM1, uart::PORTS),
    ("the interrupts' trigger control", 0x4d0, 2),
    ("pvpanic", pvpanic::PORT, pvpanic::PORTS),
    ("the firmware's configuration", 0x510, 12),
    ("PCI configuration space", CONFIG_ADDRESS, CONFIG_PORTS),
];

/// Reserves what the loader, the ACPI tables and the processor name. The parts of the board that the kernel itself uses
/// are claimed by [`map`], when they are mapped.
pub fn platform(info: &StartInfo, tables: &Tables, features: &Features) -> &'static mut Claims {
    let claims = CLAIMS.take();
    // The narrowest names come first, because the log names the first entry that is overlapped.
    claims.reserve_memory("the kernel's image", FIRST_MIB, image::physical_end().saturating_sub(FIRST_MIB));
    claims.reserve_memory("the first MiB", 0, FIRST_MIB);
    for (start, length) in modules::usable(info) {
        claims.reserve_memory("a module of the loader's", start, length);
    }
    for range in &info.memory {
        match range.kind {
            MemoryKind::Ram => claims.reserve_memory("RAM", range.start, range.length),
            MemoryKind::Reserved => claims.reserve_for_platform("reserved memory", range.start, range.length),
        }
    }
    claims.reserve_for_platform("the chipset", CHIPSET, (1 << 32) - CHIPSET);
    claims.reserve_memory("what the processor cannot address", 1 << features.physical_bits, u64::MAX);
    for &(first, count) in &tables.power.ports {
        claims.reserve_ports("power management", first, count.into());
    }
    for (name, first, count) in PORTS {
        claims.reserve_ports(name, first, count);
    }
    claims.reserve_ports_for_platform("the chipset's ports", 0, PCI_PORTS);
    // The kernel uses no HPET; devices must not overlap it either.
    if let Some(address) = tables.hpet {
        claims.reserve_memory("the high-precision timers", address, HPET_BYTES);
    }
    claims
}

/// Claims the registers of a part of the board, and maps them for good. `None`, after a line in the log, if they belong
/// to another or there is no room.
pub fn map(
    claims: &mut Claims,
    space: &mut KernelSpace,
    name: &'static str,
    start: u64,
    length: u64,
) -> Option<*mut u8> {
    if let Err(error) = claims.claim_memory(name, start, length) {
        defmt::error!("boot: {}", error);
        return None;
    }
    let base = space.map_device(start, length);
    if base.is_none() {
        defmt::error!("boot: no room to map {=str}", name);
    }
    base
}
