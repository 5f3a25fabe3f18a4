//! Virtio devices over PCI and in windows of memory: the transports, the split virtqueue, and the drivers for network, block and
//! entropy devices.
//!
//! Section numbers are those of the OASIS VIRTIO specification, version 1.2. The device is hostile (rule 10 of the
//! system's design): whatever it writes into a ring or a register is checked before use, a device that breaks the
//! rules is marked broken and counted, and nothing outside the driver's own static memory is ever given to it.
//!
//! The way to a driver has two steps. [`transport::Probe`] looks at a PCI function; the board maps the regions that it
//! asks for and gets a [`transport::Transport`]. [`transport::WindowProbe`] does the same with a window of memory. That goes to [`net::Net::start`], [`blk::Block::start`] or
//! [`rng::Rng::start`] together with the driver's static memory.
#![cfg_attr(not(test), no_std)]

#[cfg(test)]
use slopos_host_log as _;

pub mod blk;
pub mod net;
pub mod queue;
pub mod recovery;
pub mod rng;
pub mod transport;

#[cfg(test)]
mod fake;

/// Tells where static memory is for a device: the physical address of a byte of the kernel's image.
pub type Physical = fn(*const u8) -> u64;
