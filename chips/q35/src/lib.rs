//! The q35 board's chips: what is around the processor, behind typed registers.
//!
//! Each driver takes a [`slopos_registers::Bus`]: [`slopos_registers::Hardware`] in the kernel, a model of the device
//! in a host test. A constructor is `unsafe` where it claims registers; what it returns is safe to use.
//!
//! | module | device | specification |
//! |---|---|---|
//! | [`uart`] | serial ports | National PC16550D data sheet |
//! | [`debug_exit`] | QEMU's way out | QEMU `isa-debug-exit` |
//! | [`pit`] | interval timer | Intel ICH9 data sheet, sections 13.3 and 13.7 |
//! | [`pm_timer`] | ACPI's timer | ACPI 6.5, section 4.8.3.3 |
//! | [`power`] | off and reset | ACPI 6.5, section 4.8.3 |
//! | [`power_button`] | the power button | ACPI 6.4, section 4.8.3.1 |
//! | [`pic`] | 8259 pair | Intel ICH9 data sheet, section 13.4 |
//! | [`ioapic`] | I/O APIC | Intel ICH9 data sheet, section 13.5 |
//! | [`rtc`] | real-time clock | Intel ICH9 data sheet, section 13.6 |
//! | [`watchdog`] | timers that reset the machine | Intel ICH9 data sheet, section 13.9; Intel 6300ESB data sheet |
//! | [`acpi`] | firmware tables | ACPI 6.5, chapter 5; PCI Firmware 3.3, section 4.1.2 |
//! | [`claims`] | who owns which memory and ports | |
//! | [`placement`] | addresses for devices without | |
//! | [`pci`] | configuration space | PCI Local Bus 3.0, chapter 6; PCI Express Base, chapter 7 |
#![cfg_attr(not(test), no_std)]

#[cfg(test)]
use slopos_host_log as _;

pub mod acpi;
pub mod claims;
pub mod debug_exit;
pub mod ioapic;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod placement;
pub mod pm_timer;
pub mod power;
pub mod power_button;
pub mod pvpanic;
pub mod reference;
pub mod rtc;
pub mod uart;
pub mod watchdog;

#[cfg(test)]
mod fake;
