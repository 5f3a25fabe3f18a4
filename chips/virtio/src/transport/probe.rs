//! Finds out whether a PCI function is a virtio device that this crate drives, and where its registers are (sections
//! 4.1.2 and 4.1.4).

use slopos_q35::pci::{Bar, BarError, Device, Msix, MsixTable, VENDOR_SPECIFIC};
use slopos_registers::{Bus, Hardware};

use super::legacy::{Legacy, PORTS_MIN};
use super::modern::{COMMON_BYTES, Modern, Window};
use super::{Attachment, Interrupts, Registers, Transport};

/// Vendor identity of virtio devices.
const VENDOR: u16 = 0x1af4;

/// Values of a virtio capability's `cfg_type` (section 4.1.4).
mod cfg_type {
    pub const COMMON: u8 = 1;
    pub const NOTIFY: u8 = 2;
    pub const ISR: u8 = 3;
    pub const DEVICE: u8 = 4;
}

/// Offsets in a virtio capability (section 4.1.4, struct virtio_pci_cap).
mod capability {
    pub const CFG_TYPE: u16 = 3;
    pub const BAR: u16 = 4;
    pub const OFFSET: u16 = 8;
    pub const LENGTH: u16 = 12;
    /// Only of a notification capability (section 4.1.4.4).
    pub const NOTIFY_MULTIPLIER: u16 = 16;
}

/// Most bytes of a region that are mapped, however long the device says it is: the fields that a driver uses are in its
/// first few hundred, and the notification registers of the first queues in its first pages.
const REGION_MAX: u64 = 64 * 1024;

/// What kind of device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Kind {
    /// A network device (section 5.1): [`crate::net`].
    Network,
    /// A block device (section 5.2): [`crate::blk`].
    Block,
    /// An entropy device (section 5.4): [`crate::rng`].
    Entropy,
}

/// Why a virtio device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ProbeError {
    /// It has neither the registers of a modern device in memory nor those of a legacy one in ports.
    NoRegisters,
    /// A region of registers is not where it can be, or too small.
    BadRegion {
        /// The capability's `cfg_type`.
        cfg_type: u8,
    },
    /// The board did not map a region.
    NotMapped {
        /// Physical address.
        address: u64,
        /// Length in bytes.
        length: u64,
    },
}

/// A region of a device's memory, in physical addresses.
#[derive(Clone, Copy)]
struct Region {
    address: u64,
    length: u64,
}

#[derive(Clone, Copy)]
enum Location {
    Modern { common: Region, notify: Region, notify_multiplier: u32, isr: Region, configuration: Region },
    Legacy { port: u16, ports: u32 },
}

/// A virtio device whose registers have been found and not yet touched.
pub struct Probe<B: Bus = Hardware> {
    device: Device<B>,
    kind: Kind,
    location: Location,
    msix: Option<Msix>,
}

impl<B: Bus> Probe<B> {
    /// Looks at a PCI function; `None` where it is not a virtio device that is driven here. A transitional device is
    /// used as a modern one where it can be.
    ///
    /// # Errors
    /// As [`ProbeError`] says.
    pub fn new(device: &Device<B>) -> Result<Option<Self>, ProbeError> {
        if device.vendor() != VENDOR {
            return Ok(None);
        }
        // Section 4.1.2: 0x1040 and the device type, or one of the transitional identities.
        let (kind, transitional) = match device.device() {
            0x1000 => (Kind::Network, true),
            0x1001 => (Kind::Block, true),
            0x1005 => (Kind::Entropy, true),
            0x1041 => (Kind::Network, false),
            0x1042 => (Kind::Block, false),
            0x1044 => (Kind::Entropy, false),
            _ => return Ok(None),
        };
        let location = match modern(device, kind) {
            Ok(location) => location,
            Err(_) if transitional && has_ports(device) => legacy(device)?,
            Err(error) => return Err(error),
        };
        // A device whose MSI-X table is out of reach still has its pin.
        let msix = device.msix().unwrap_or_else(|error: BarError| {
            defmt::warn!("virtio: MSI-X table unusable: {}", error);
            None
        });
        Ok(Some(Probe { device: *device, kind, location, msix }))
    }

    /// What kind of device it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The PCI function, whose registers the board claims before it attaches.
    pub fn device(&self) -> &Device<B> {
        &self.device
    }

    /// Takes the device over. `map` is called for each region of registers (physical address and length in bytes; at
    /// most five) and gives its virtual address, or `None`. The device stays cut off from memory until its driver has
    /// reset it, and its interrupt pin is off.
    ///
    /// # Errors
    /// [`ProbeError::NotMapped`].
    ///
    /// # Safety
    /// What `map` gives is mapped as device memory in its whole length for as long as the transport lives, with the
    /// same offset in the page as the physical address, and is the device's alone: no RAM, and no other device's
    /// registers. So are its ports. Nobody else drives the device.
    pub unsafe fn attach(self, mut map: impl FnMut(u64, u64) -> Option<*mut u8>) -> Result<Transport<B>, ProbeError> {
        let mut map = |region: Region| match map(region.address, region.length) {
            Some(base) => Ok(Window { base: base.expose_provenance(), length: region.length }),
            None => Err(ProbeError::NotMapped { address: region.address, length: region.length }),
        };
        let bus = self.device.bus();
        let msix = match self.msix {
            None => None,
            Some(msix) => {
                let (address, length) = msix.table();
                Some((msix, map(Region { address, length })?))
            }
        };
        let registers = match self.location {
            Location::Modern { common, notify, notify_multiplier, isr, configuration } => {
                let (common, isr) = (map(common)?, map(isr)?);
                let (notify, configuration) = (map(notify)?, map(configuration)?);
                // SAFETY: the caller promises the mappings; sizes and alignment were checked by `modern`.
                Registers::Modern(unsafe {
                    Modern::new(bus, common.base, isr.base, notify, notify_multiplier, configuration)
                })
            }
            Location::Legacy { port, ports } => {
                // SAFETY: the ports are the device's, by its base address register, and the caller owns the device.
                Registers::Legacy(unsafe { Legacy::new(bus, port, ports) })
            }
        };
        self.device.set_interrupt_pin_enabled(false);
        self.device.set_bus_master(false);
        self.device.enable_access();
        let msix = msix.map(|(msix, window)| {
            self.device.set_msix_enabled(&msix, false);
            // SAFETY: the caller promises the mapping of the table, and the device answers in memory space now.
            let table = unsafe { MsixTable::new(bus, core::ptr::with_exposed_provenance_mut(window.base), &msix) };
            (msix, table)
        });
        let bars = self.device.save_bars();
        let attachment = Attachment::Pci { device: self.device, bars, msix };
        Ok(Transport { registers, attachment, messages: None, interrupts: Interrupts::Off })
    }
}

/// Finds the regions of a modern device. Of several capabilities of a type, the first that can be used counts (section
/// 4.1.4.1).
fn modern<B: Bus>(device: &Device<B>, kind: Kind) -> Result<Location, ProbeError> {
    let find = |wanted: u8, least: u64, alignment: u64| {
        let mut outcome = Err(ProbeError::NoRegisters);
        for entry in device.capabilities().filter(|entry| entry.id == VENDOR_SPECIFIC) {
            if device.read::<u8>(entry.offset + capability::CFG_TYPE) != wanted {
                continue;
            }
            match region(device, entry.offset) {
                Some(region) if region.length >= least && region.address.is_multiple_of(alignment) => {
                    return Ok((region, entry.offset));
                }
                _ => outcome = Err(ProbeError::BadRegion { cfg_type: wanted }),
            }
        }
        outcome
    };
    let (common, _) = find(cfg_type::COMMON, COMMON_BYTES, 4)?;
    let (notify, notify_capability) = find(cfg_type::NOTIFY, 2, 2)?;
    let (isr, _) = find(cfg_type::ISR, 1, 1)?;
    // An entropy device has no configuration of its own, so it need not name a place for it (section 4.1.4.6).
    let configuration = match find(cfg_type::DEVICE, 1, 4) {
        Ok((configuration, _)) => configuration,
        Err(_) if kind == Kind::Entropy => Region { address: common.address, length: 0 },
        Err(error) => return Err(error),
    };
    let notify_multiplier = device.read(notify_capability + capability::NOTIFY_MULTIPLIER);
    Ok(Location::Modern { common, notify, notify_multiplier, isr, configuration })
}

/// The memory that a virtio capability names; `None` where it is not in a memory BAR.
fn region<B: Bus>(device: &Device<B>, at: u16) -> Option<Region> {
    let offset = u64::from(device.read::<u32>(at + capability::OFFSET));
    let length = u64::from(device.read::<u32>(at + capability::LENGTH));
    match device.bar(device.read(at + capability::BAR)) {
        Ok(Bar::Memory { address, size, .. }) if offset + length <= size => {
            Some(Region { address: address + offset, length: length.min(REGION_MAX) })
        }
        _ => None,
    }
}

fn has_ports<B: Bus>(device: &Device<B>) -> bool {
    matches!(device.bar(0), Ok(Bar::Io { .. }))
}

fn legacy<B: Bus>(device: &Device<B>) -> Result<Location, ProbeError> {
    match device.bar(0) {
        Ok(Bar::Io { port, size }) if size >= PORTS_MIN => Ok(Location::Legacy { port, ports: size }),
        _ => Err(ProbeError::NoRegisters),
    }
}
