//! Gives addresses to base address registers that the firmware has left without: qboot does so to all of them.
//!
//! An address comes out of a window of the host bridge, and is claimed: what anybody has already is never given. A window
//! that covers RAM, another window or the whole of memory therefore does no harm. A register of 64 bits gets an address
//! above 4 GiB where there is one, so that those of 32 bits find room below.

use crate::acpi::Window;
use crate::claims::{ClaimError, Claims, Owner};
use crate::pci::{Address, BarError, Device, Unplaced};
use slopos_registers::Bus;

/// Registers of different devices do not share a page.
const PAGE: u64 = 4096;
/// The last address of 32 bits.
const LAST_32: u64 = u32::MAX as u64;

/// A base address register that was given an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The register, 0 to 5.
    pub bar: u8,
    /// Physical address.
    pub address: u64,
}

/// Why a device has a base address register without an address still. It must not be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum PlaceError {
    /// It is behind a bridge, which would have to pass its addresses on.
    BehindBridge {
        /// The function.
        device: Address,
    },
    /// No window has that much room.
    NoRoom {
        /// The function.
        device: Address,
        /// The register, 0 to 5.
        bar: u8,
        /// Its size in bytes.
        size: u64,
    },
    /// The register cannot be understood.
    Malformed {
        /// The function.
        device: Address,
        /// The register, 0 to 5.
        bar: u8,
    },
    /// The device does not keep the address that it is given.
    NotKept {
        /// The function.
        device: Address,
        /// The register, 0 to 5.
        bar: u8,
        /// What is wrong with what it shows.
        error: BarError,
    },
    /// The address is another's after all.
    Claimed(ClaimError),
}

/// Whether a device has a base address register in memory without an address.
pub fn is_needed<B: Bus>(device: &Device<B>) -> bool {
    (0..device.bars()).any(|bar| !is_upper_half(device, bar) && device.unplaced(bar).is_some())
}

/// Places the registers of a device that have no address, and claims where they are. `placed` is told of each. The device
/// answers nowhere afterwards, until it is told to. Those in I/O space are left alone.
///
/// # Errors
/// As [`PlaceError`] says, the first of them.
pub fn place<B: Bus>(
    device: &Device<B>,
    windows: &[Window],
    claims: &mut Claims,
    mut placed: impl FnMut(Placed),
) -> Result<(), PlaceError> {
    let address = device.address();
    let mut own = (0..device.bars()).filter(|&bar| !is_upper_half(device, bar));
    if let Some(bar) = own.find(|&bar| device.bar(bar) == Err(BarError::Malformed)) {
        return Err(PlaceError::Malformed { device: address, bar });
    }
    for bar in 0..device.bars() {
        if is_upper_half(device, bar) {
            continue;
        }
        let Some(unplaced) = device.unplaced(bar) else { continue };
        if !device.is_on_root_bus() {
            return Err(PlaceError::BehindBridge { device: address });
        }
        let no_room = PlaceError::NoRoom { device: address, bar, size: unplaced.size };
        let start = find(unplaced, windows, claims).ok_or(no_room)?;
        claims.claim_placed(Owner::Device { address, bar }, start, unplaced.size).map_err(PlaceError::Claimed)?;
        // SAFETY: the claim says that nobody else is there.
        let kept = unsafe { device.place(bar, start) };
        kept.map_err(|error| PlaceError::NotKept { device: address, bar, error })?;
        placed(Placed { bar, address: start });
    }
    Ok(())
}

/// Whether a base address register is the second half of the one before it. Two halves never follow each other's.
fn is_upper_half<B: Bus>(device: &Device<B>, bar: u8) -> bool {
    let mut upper = false;
    for index in 0..bar {
        upper = !upper && device.is_wide_bar(index);
    }
    upper
}

/// An address for a register: above 4 GiB if it can be, else below.
fn find(unplaced: Unplaced, windows: &[Window], claims: &Claims) -> Option<u64> {
    let within = |least: u64, most: u64| {
        let alignment = unplaced.size.max(PAGE);
        windows.iter().find_map(|window| {
            claims.free_memory(window.first.max(least), window.last.min(most), unplaced.size, alignment)
        })
    };
    // Not at 0, which is no address.
    let high = if unplaced.wide { within(LAST_32 + 1, u64::MAX) } else { None };
    high.or_else(|| within(PAGE, LAST_32))
}

#[cfg(test)]
mod tests;
