//! The list of capabilities (section 6.7).

use tock_registers::interfaces::Readable;

use super::device::{Device, Status, offset};
use slopos_registers::{Bus, Hardware};

/// Identity of a capability that the vendor defines (section 6.7, appendix H).
pub const VENDOR_SPECIFIC: u8 = 0x09;

/// Most capabilities that fit: 192 bytes after the header, at least four each. A longer list is a loop.
const CAPABILITIES_MAX: u8 = 48;

/// One capability of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Where it begins in the device's configuration space, in bytes.
    pub offset: u16,
}

/// A device's capabilities, in the list's order.
pub struct Capabilities<B: Bus = Hardware> {
    device: Device<B>,
    next: u8,
    left: u8,
}

impl<B: Bus> Device<B> {
    /// Its capabilities. The walk ends at a pointer into the header, or when the list is too long to be one.
    pub fn capabilities(&self) -> Capabilities<B> {
        let listed = self.status().is_set(Status::CAPABILITIES);
        let next = if listed { self.read(offset::CAPABILITIES) } else { 0 };
        Capabilities { device: *self, next, left: CAPABILITIES_MAX }
    }

    /// The first capability of a kind.
    pub fn capability(&self, id: u8) -> Option<Capability> {
        self.capabilities().find(|capability| capability.id == id)
    }
}

impl<B: Bus> Iterator for Capabilities<B> {
    type Item = Capability;

    fn next(&mut self) -> Option<Capability> {
        // The two low bits are reserved and must be masked.
        let offset = u16::from(self.next & !3);
        if offset < 0x40 || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let [id, next] = self.device.read::<u16>(offset).to_le_bytes();
        self.next = next;
        Some(Capability { id, offset })
    }
}
