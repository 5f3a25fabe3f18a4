//! Virtio devices on PCI: every way into configuration space that the firmware names, and whose addresses are whose.

use crate::claims;
use crate::devices::{Devices, Found};
use crate::machine::{Ground, Machine};
use crate::watchdog;
use slopos_q35::acpi::{self, ECAMS_MAX, Ecam, HostBridge, Tables};
use slopos_q35::claims::{Claims, Extent};
use slopos_q35::pci::{Configuration, Device, EnumerateError};
use slopos_q35::placement;
use slopos_registers::Hardware;
use slopos_virtio::transport::{Kind, Probe, Transport};
use slopos_x86_64::paging::KernelSpace;

/// Access to PCI configuration space, with the addresses of each function claimed.
pub fn find(ground: Ground<'_>) -> Pci {
    let Ground { space, claims, tables, dsdt, .. } = ground;
    let pci = Pci::find(tables, dsdt, claims, space);
    pci.claim_devices(dsdt, claims);
    pci
}

/// Looks at every PCI function, and starts the drivers.
pub fn start(pci: &Pci, machine: &mut Machine) -> Devices {
    let mut devices = Found::new();
    let found = pci.enumerate(|device| match Probe::new(&device) {
        Ok(Some(probe)) => devices.note("pci", probe.kind(), probe),
        Ok(None) => {}
        Err(error) => defmt::error!("pci: a virtio device cannot be used: {}", error),
    });
    if let Err(error) = found {
        defmt::warn!("pci: {}", error);
    }
    // A bus that could not be visited is reported already.
    let each = |visit: &mut dyn FnMut(Device)| {
        let _ = pci.enumerate(visit);
    };
    let watchdog = watchdog::find(each, machine.claims, &mut machine.space);
    Devices { watchdog, ..devices.start(machine, attach) }
}

/// PCI's segments.
#[derive(Default)]
pub struct Pci {
    segments: heapless::Vec<Configuration<Hardware>, ECAMS_MAX>,
}

impl Pci {
    /// Finds the ways into configuration space: those that the MCFG table names, else the one that the DSDT names, else
    /// the ports, where anything answers there. A machine may have no PCI at all.
    fn find(tables: &Tables, dsdt: &[u8], claims: &mut Claims, space: &mut KernelSpace) -> Pci {
        let mut pci = Pci::default();
        for ecam in &tables.ecams {
            pci.add(ecam, claims, space);
        }
        if pci.segments.is_empty()
            && let Some(ecam) = acpi::host_bridge(dsdt).ecam
        {
            pci.add(&ecam, claims, space);
        }
        if pci.segments.is_empty() {
            // SAFETY: nobody else uses the ports.
            let ports = unsafe { Configuration::ports(Hardware) };
            if ports.answers() {
                defmt::warn!("pci: no memory-mapped configuration space, using the ports");
                pci.segments.extend([ports]);
            } else {
                defmt::warn!("pci: none on this machine, by its tables and its ports");
            }
        }
        for segment in &mut pci.segments {
            *segment = segment.with_routing(segment.find_routing(|isa| tables.isa(isa).gsi));
        }
        pci
    }

    fn add(&mut self, ecam: &Ecam, claims: &mut Claims, space: &mut KernelSpace) {
        if let Some(base) = claims::map(claims, space, "PCI configuration space", ecam.physical(), ecam.length()) {
            let Ecam { segment, first_bus, last_bus, .. } = *ecam;
            // SAFETY: just mapped, for ever; nobody else claims it, so this is the only one.
            let way = unsafe { Configuration::ecam(Hardware, base.expose_provenance(), segment, first_bus, last_bus) };
            // As many as the table's ranges.
            self.segments.extend([way]);
        }
    }

    /// Calls `visit` for each function of each segment.
    ///
    /// # Errors
    /// The first of [`Configuration::enumerate`]; the rest has been visited nevertheless.
    fn enumerate(&self, mut visit: impl FnMut(Device)) -> Result<(), EnumerateError> {
        let mut outcome = Ok(());
        for segment in &self.segments {
            outcome = outcome.and(segment.enumerate(&mut visit).map(|_| ()));
        }
        outcome
    }

    /// Claims the addresses of each function. A function whose registers overlap another's is switched off. One that is
    /// driven here and that the firmware has left without addresses is given some.
    fn claim_devices(&self, dsdt: &[u8], claims: &mut Claims) {
        let mut unplaced = 0_u32;
        // A bus that could not be visited is reported when the devices are started.
        let _ = self.enumerate(|device| {
            let probed = Probe::new(&device);
            let bare = probed.is_err() && Kind::of(&device).is_some() && placement::is_needed(&device);
            unplaced += u32::from(bare);
            let driven = bare || watchdog::is_driven(&device) || matches!(probed, Ok(Some(_)));
            let extent = if driven { Extent::All } else { Extent::Enabled };
            claim(&device, extent, claims);
        });
        if unplaced == 0 {
            return;
        }
        // When all that has an address has claimed it.
        let HostBridge { windows, .. } = acpi::host_bridge(dsdt);
        let _ = self.enumerate(|device| {
            if Kind::of(&device).is_some() && placement::is_needed(&device) {
                place(&device, &windows, claims);
            }
        });
    }
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

fn claim(device: &Device, extent: Extent, claims: &mut Claims) {
    if let Err(error) = claims.claim_device(device, extent) {
        defmt::error!("pci: {}", error);
        device.switch_off();
    }
}

fn place(device: &Device, windows: &[acpi::Window], claims: &mut Claims) {
    let placed = placement::place(device, windows, claims, |placed| {
        defmt::info!(
            "pci: BAR {=u8} of device {} is placed at {=u64:#x}",
            placed.bar,
            device.address(),
            placed.address
        );
    });
    if let Err(error) = placed {
        defmt::error!("pci: a device is without addresses: {}", error);
        device.switch_off();
    }
}
