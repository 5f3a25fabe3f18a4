//! PCI: configuration space, the devices in it, and their interrupts.
//!
//! The firmware has numbered the buses and placed the BARs; this module finds what is there and changes nothing of
//! it, but for [`Device::place`], which gives a BAR without an address one. [`Configuration`] is the way in, [`Configuration::enumerate`] visits each function as a [`Device`].
//!
//! Section numbers are those of PCI Local Bus 3.0 unless they say otherwise.

mod bar;
mod capability;
mod chipset;
mod configuration;
mod device;
mod enumerate;
mod msix;
mod routing;

pub use bar::{Bar, BarError, Bars, Unplaced};
pub use capability::{Capabilities, Capability, VENDOR_SPECIFIC};
pub use configuration::{Address, CONFIG_ADDRESS, CONFIG_PORTS, Configuration, ConfigurationRegister};
pub use device::{Class, Device};
pub use enumerate::EnumerateError;
pub use msix::{Message, Msix, MsixTable, NoSuchVector};
pub use routing::Routing;

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod tests;
