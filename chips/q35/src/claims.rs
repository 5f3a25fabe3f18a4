//! Who owns which range of memory and of ports: a range has one owner, and a device's base address register is a claim
//! like any other.
//!
//! The board first notes what is there whatever devices say ([`Claims::reserve_memory`], [`Claims::reserve_ports`]: RAM
//! above all) and claims the registers of its own parts ([`Claims::claim_memory`]). Then each PCI function's registers
//! are claimed ([`Claims::claim_device`]). Only a device that [`Claims::holds`] all of its own alone may be driven.
//!
//! Of two devices that claim the same range neither holds it: which of them answers there cannot be known.

use heapless::Vec;

use crate::pci::{Address, Bar, BarError, Device};
use slopos_registers::Bus;

/// Most ranges of memory that are noted, and most of ports.
pub const RANGES_MAX: usize = 160;

/// Whom a range belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The board: RAM, a chip of the platform, what must be left alone.
    Platform(&'static str),
    /// A PCI function, by one of its base address registers.
    Device {
        /// The function.
        address: Address,
        /// The register, 0 to 5.
        bar: u8,
    },
}

impl defmt::Format for Owner {
    fn format(&self, formatter: defmt::Formatter<'_>) {
        match *self {
            Owner::Platform(name) => defmt::write!(formatter, "{=str}", name),
            Owner::Device { address, bar } => {
                defmt::write!(formatter, "BAR {=u8} of device {}", bar, address);
            }
        }
    }
}

/// Why a claim failed. The range is not the claimant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// Another has it, or a part of it.
    Taken {
        /// Who claims it.
        claimant: Owner,
        /// First address, or port.
        start: u64,
        /// Last address, or port.
        last: u64,
        /// Whose it is.
        owner: Owner,
    },
    /// The range is empty, or goes beyond the last address.
    NoRange {
        /// Who claims it.
        claimant: Owner,
    },
    /// There are more ranges than are noted, so nothing can be said of this one.
    Full {
        /// Who claims it.
        claimant: Owner,
    },
}

impl defmt::Format for ClaimError {
    fn format(&self, formatter: defmt::Formatter<'_>) {
        match *self {
            ClaimError::Taken { claimant, start, last, owner } => {
                defmt::write!(formatter, "{} ({=u64:#x} to {=u64:#x}) overlaps {}", claimant, start, last, owner);
            }
            ClaimError::NoRange { claimant } => defmt::write!(formatter, "{} is no range of addresses", claimant),
            ClaimError::Full { claimant } => defmt::write!(formatter, "{} is one range more than are noted", claimant),
        }
    }
}

/// How much a range keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nobody else has it.
    Sole,
    /// Devices are kept out, the platform's own parts may lie there: what the firmware calls reserved.
    Reserved,
    /// More than one device claims it, so none has it.
    Disputed,
}

/// A range with its owner.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    last: u64,
    owner: Owner,
    hold: Hold,
}

/// The ranges of one space.
struct Space {
    ranges: Vec<Range, RANGES_MAX>,
    /// A range found no place: from then on no claim can be granted.
    overflowed: bool,
}

impl Space {
    const fn new() -> Self {
        Space { ranges: Vec::new(), overflowed: false }
    }

    fn note(&mut self, range: Range) -> bool {
        let noted = self.ranges.push(range).is_ok();
        self.overflowed |= !noted;
        noted
    }

    /// Notes a range, and says whose it is already. Devices that claim it are no longer its owners.
    /// `platform` are those who may have what is reserved for the platform.
    fn claim(&mut self, owner: Owner, start: u64, length: u64, platform: bool) -> Result<(), ClaimError> {
        let last = length.checked_sub(1).and_then(|rest| start.checked_add(rest));
        let last = last.ok_or(ClaimError::NoRange { claimant: owner })?;
        let mut other = None;
        for range in self.ranges.iter_mut().filter(|range| range.start <= last && start <= range.last) {
            if platform && range.hold == Hold::Reserved {
                continue;
            }
            other = other.or(Some(range.owner));
            if matches!(range.owner, Owner::Device { .. }) {
                range.hold = Hold::Disputed;
            }
        }
        let full = self.overflowed;
        let hold = if other.is_some() || full { Hold::Disputed } else { Hold::Sole };
        // A device is noted even where it does not get the range: it may answer there all the same.
        let noted = hold == Hold::Sole || matches!(owner, Owner::Device { .. });
        if noted && !self.note(Range { start, last, owner, hold }) || full {
            return Err(ClaimError::Full { claimant: owner });
        }
        match other {
            Some(other) => Err(ClaimError::Taken { claimant: owner, start, last, owner: other }),
            None => Ok(()),
        }
    }
}

/// Which of a device's base address registers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that have an address: the device will be told to answer there.
    All,
    /// Those at which it answers already.
    Enabled,
}

/// The ranges of memory and ports with their owners. All zeros is a valid start.
pub struct Claims {
    memory: Space,
    ports: Space,
}

impl Claims {
    /// Nothing belongs to anybody.
    pub const fn new() -> Self {
        Claims { memory: Space::new(), ports: Space::new() }
    }

    /// Notes memory that is no device's, whatever else is noted there already. A range that goes beyond the last
    /// address ends there; an empty one is nothing.
    pub fn reserve_memory(&mut self, name: &'static str, start: u64, length: u64) {
        if let Some(rest) = length.checked_sub(1) {
            let (last, owner) = (start.saturating_add(rest), Owner::Platform(name));
            self.memory.note(Range { start, last, owner, hold: Hold::Sole });
        }
    }

    /// Notes memory in which only parts of the platform may lie, likewise.
    pub fn reserve_for_platform(&mut self, name: &'static str, start: u64, length: u64) {
        if let Some(rest) = length.checked_sub(1) {
            let (last, owner) = (start.saturating_add(rest), Owner::Platform(name));
            self.memory.note(Range { start, last, owner, hold: Hold::Reserved });
        }
    }

    /// Notes ports that are no device's, likewise.
    pub fn reserve_ports(&mut self, name: &'static str, first: u16, count: u16) {
        self.note_ports(name, first, count, Hold::Sole);
    }

    /// Notes ports that no device may be given, but that those may have which the firmware has put there.
    pub fn reserve_ports_for_platform(&mut self, name: &'static str, first: u16, count: u16) {
        self.note_ports(name, first, count, Hold::Reserved);
    }

    fn note_ports(&mut self, name: &'static str, first: u16, count: u16, hold: Hold) {
        if let Some(rest) = count.checked_sub(1) {
            let (start, last) = (first.into(), u64::from(first) + u64::from(rest));
            self.ports.note(Range { start, last, owner: Owner::Platform(name), hold });
        }
    }

    /// Claims memory for a part of the platform.
    ///
    /// # Errors
    /// As [`ClaimError`] says; the part must not be used there.
    pub fn claim_memory(&mut self, name: &'static str, start: u64, length: u64) -> Result<(), ClaimError> {
        self.memory.claim(Owner::Platform(name), start, length, true)
    }

    /// Claims what a PCI function's base address registers name. A register without an address claims nothing; nor does
    /// one that cannot be understood, of a device that is not driven.
    ///
    /// # Errors
    /// The first of the failures, as [`ClaimError`] says; [`Claims::holds`] is false of the device then, and of each
    /// device that it overlaps.
    pub fn claim_device<B: Bus>(&mut self, device: &Device<B>, extent: Extent) -> Result<(), ClaimError> {
        // Where the firmware has switched a device on, and nobody will drive it, it may lie among the platform's parts.
        let settled = extent == Extent::Enabled;
        let mut outcome = Ok(());
        let mut skip = false;
        for bar in 0..device.bars() {
            // The upper half of a wide register is not a register of its own.
            if core::mem::take(&mut skip) {
                continue;
            }
            skip = device.is_wide_bar(bar);
            if settled && !device.answers_at(bar) {
                continue;
            }
            let owner = Owner::Device { address: device.address(), bar };
            let claimed = match device.bar(bar) {
                Ok(Bar::Memory { address, size, .. }) => self.memory.claim(owner, address, size, settled),
                Ok(Bar::Io { port, size }) => self.ports.claim(owner, port.into(), size.into(), settled),
                Err(BarError::Malformed) if !settled => Err(ClaimError::NoRange { claimant: owner }),
                Err(BarError::NoSuchBar | BarError::Unused | BarError::Unassigned | BarError::Malformed) => Ok(()),
            };
            outcome = outcome.and(claimed);
        }
        if outcome.is_err() {
            // Not in part either: a device answers at all of its registers, or at none.
            self.each_of(device.address(), |range| range.hold = Hold::Disputed);
        }
        outcome
    }

    /// The first address in a window, from `first` to `last`, that is a multiple of `alignment`, a power of two, and where
    /// nothing of `size` bytes is noted.
    pub(crate) fn free_memory(&self, first: u64, last: u64, size: u64, alignment: u64) -> Option<u64> {
        let ranges = &self.memory.ranges;
        let mut start = first.checked_next_multiple_of(alignment)?;
        // Each look that does not end goes beyond a range for good.
        for _ in 0..=ranges.len() {
            let end = start.checked_add(size.checked_sub(1)?).filter(|end| *end <= last)?;
            match ranges.iter().find(|range| range.start <= end && start <= range.last) {
                None => return Some(start).filter(|_| !self.memory.overflowed),
                Some(range) => start = range.last.checked_add(1)?.checked_next_multiple_of(alignment)?,
            }
        }
        None
    }

    /// Claims memory for a device's base address register that is to be placed there.
    pub(crate) fn claim_placed(&mut self, owner: Owner, start: u64, size: u64) -> Result<(), ClaimError> {
        self.memory.claim(owner, start, size, false)
    }

    /// Whether a device claimed something, and has all of it alone.
    pub fn holds(&mut self, device: Address) -> bool {
        let (mut any, mut all) = (false, true);
        self.each_of(device, |range| {
            any = true;
            all &= range.hold == Hold::Sole;
        });
        any && all
    }

    fn each_of(&mut self, device: Address, mut visit: impl FnMut(&mut Range)) {
        for range in self.memory.ranges.iter_mut().chain(&mut self.ports.ranges) {
            if matches!(range.owner, Owner::Device { address, .. } if address == device) {
                visit(range);
            }
        }
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
