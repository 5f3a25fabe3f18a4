//! Virtio devices on PCI: claims what each function's base address registers name, and finds those that are driven.

use crate::claims;
use crate::devices::{Devices, Found};
use crate::machine::{Ground, Machine};
use crate::watchdog;
use slopos_q35::acpi::Tables;
use slopos_q35::claims::{Claims, Extent};
use slopos_q35::pci::Configuration;
use slopos_registers::Hardware;
use slopos_virtio::transport::{Probe, Transport};
use slopos_x86_64::paging::KernelSpace;

/// Access to PCI configuration space, with the addresses of each function claimed.
pub fn find(ground: Ground<'_>) -> Configuration<Hardware> {
    let Ground { space, claims, tables, .. } = ground;
    let pci = configuration_space(tables, claims, space);
    claim(&pci, claims);
    pci
}

/// Looks at every PCI function, and starts the drivers.
pub fn start(pci: &Configuration<Hardware>, machine: &mut Machine) -> Devices {
    let mut devices = Found::new();
    let found = pci.enumerate(|device| match Probe::new(&device) {
        Ok(Some(probe)) => devices.note("pci", probe.kind(), probe),
        Ok(None) => {}
        Err(error) => defmt::error!("pci: a virtio device cannot be used: {}", error),
    });
    if let Err(error) = found {
        defmt::warn!("pci: {}", error);
    }
    let watchdog = watchdog::find(pci, machine.claims, &mut machine.space);
    Devices { watchdog, ..devices.start(machine, attach) }
}

/// Claims the addresses of each PCI function. A function whose registers overlap another's is switched off.
fn claim(pci: &Configuration<Hardware>, claims: &mut Claims) {
    // A bus that could not be visited is reported when the devices are started.
    let _ = pci.enumerate(|device| {
        let driven = watchdog::is_driven(&device) || matches!(Probe::new(&device), Ok(Some(_)));
        let extent = if driven { Extent::All } else { Extent::Enabled };
        if let Err(error) = claims.claim_device(&device, extent) {
            defmt::error!("pci: {}", error);
            device.switch_off();
        }
    });
}

/// Takes a device over if its registers overlap no other's; otherwise switches it off.
fn attach(probe: Probe, machine: &mut Machine) -> Option<Transport> {
    let device = probe.device();
    if !machine.claims.holds(device.address()) {
        device.switch_off();
        defmt::error!("virtio: the {} device is not used, its registers are not its own", probe.kind());
        return None;
    }
    // SAFETY: `map_device` maps for ever and keeps the offset. The device holds its claims, so what is mapped is its
    // own and no RAM; each device is probed once.
    let attached = unsafe { probe.attach(|physical, length| machine.space.map_device(physical, length)) };
    attached.inspect_err(|error| defmt::error!("virtio: {}", error)).ok()
}

/// The memory-mapped configuration space that ACPI names, or the ports.
fn configuration_space(tables: &Tables, claims: &mut Claims, space: &mut KernelSpace) -> Configuration<Hardware> {
    if let Some(ecam) = tables.ecam
        && let Some(base) = claims::map(claims, space, "PCI configuration space", ecam.physical(), ecam.length())
    {
        // SAFETY: just mapped, for ever; this is the only one.
        return unsafe { Configuration::ecam(Hardware, base.expose_provenance(), ecam.first_bus, ecam.last_bus) };
    }
    defmt::warn!("pci: no memory-mapped configuration space, using the ports");
    // SAFETY: nobody else uses the ports.
    unsafe { Configuration::ports(Hardware) }
}
