//! Base address registers: where a device answers (section 6.2.5.1).

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::{LocalRegisterCopy, register_bitfields};

use super::device::{Command, Device, offset};
use slopos_registers::Bus;

register_bitfields![u32,
    /// The low bits of a base address register.
    BarBits [
        /// I/O space rather than memory.
        IO OFFSET(0) NUMBITS(1) [],
        /// Width of a memory address.
        WIDTH OFFSET(1) NUMBITS(2) [Bits32 = 0, Bits64 = 2],
        /// Reads have no effects.
        PREFETCHABLE OFFSET(3) NUMBITS(1) []
    ]
];

/// Low bits of a memory BAR that are no address.
const MEMORY_FLAGS: u32 = 0xf;
/// Low bits of an I/O BAR that are no address.
const IO_FLAGS: u32 = 0x3;

/// A place where a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Bar {
    /// In memory space.
    Memory {
        /// Physical address.
        address: u64,
        /// Size in bytes, a power of two.
        size: u64,
        /// Reads have no effects.
        prefetchable: bool,
    },
    /// In I/O space.
    Io {
        /// First port.
        port: u16,
        /// How many ports, a power of two.
        size: u32,
    },
}

/// Why a base address register cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum BarError {
    /// There are six, fewer where some are 64 bits wide; a bridge has two.
    NoSuchBar,
    /// The device does not use this one.
    Unused,
    /// The firmware has given it no address: see [`Device::unplaced`].
    Unassigned,
    /// A type, size or address that the specification does not know.
    Malformed,
}

/// A base address register in memory that has no address yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Size in bytes, a power of two; its address is to be a multiple of it.
    pub size: u64,
    /// Whether it takes an address of 64 bits.
    pub wide: bool,
}

/// The contents of a function's base address registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bars([u32; 6]);

impl<B: Bus> Device<B> {
    /// What its base address registers hold, for [`Device::restore_bars`].
    pub fn save_bars(&self) -> Bars {
        Bars(core::array::from_fn(|index| self.read(offset::BAR0 + 4 * index as u16)))
    }

    /// Makes the device answer where it did: writes its base address registers where they hold something else, and
    /// switches them on. To be called with what [`Device::save_bars`] gave of an ordinary device.
    pub fn restore_bars(&self, bars: &Bars) {
        if self.save_bars() != *bars {
            // It must not answer half here and half there.
            self.command().modify(Command::IO_SPACE::CLEAR + Command::MEMORY_SPACE::CLEAR);
            for (index, value) in bars.0.into_iter().enumerate() {
                self.write(offset::BAR0 + 4 * index as u16, value);
            }
        }
        self.enable_access();
    }

    /// How many base address registers its header has: six, or a bridge's two (PCI-to-PCI Bridge 1.2, section 3.2.5.1).
    pub fn bars(&self) -> u8 {
        if self.is_ordinary() {
            6
        } else if self.is_bridge() {
            2
        } else {
            0
        }
    }

    /// Whether base address register `index` is the lower half of one of 64 bits: the next is its upper half.
    pub fn is_wide_bar(&self, index: u8) -> bool {
        index < self.bars() && is_wide(self.bar_bits(index))
    }

    /// Whether the device answers, as its command register is, where base address register `index` says.
    pub fn answers_at(&self, index: u8) -> bool {
        let (command, bits) = (self.command().extract(), self.bar_bits(index));
        let io = bits.is_set(BarBits::IO);
        let placed = bits.get() & if io { !IO_FLAGS } else { !MEMORY_FLAGS } != 0
            || is_wide(bits) && self.read::<u32>(offset::BAR0 + 4 * (u16::from(index) + 1)) != 0;
        placed && index < self.bars() && command.is_set(if io { Command::IO_SPACE } else { Command::MEMORY_SPACE })
    }

    /// Whether a base address register has an address, of those in memory and of those in I/O space.
    pub(super) fn placed(&self) -> (bool, bool) {
        let (mut memory, mut io, mut upper) = (false, false, false);
        for index in 0..self.bars() {
            let bits = self.bar_bits(index);
            let upper_half = core::mem::take(&mut upper);
            if upper_half {
                memory |= bits.get() != 0;
            } else if bits.is_set(BarBits::IO) {
                io |= bits.get() & !IO_FLAGS != 0;
            } else {
                memory |= bits.get() & !MEMORY_FLAGS != 0;
                upper = is_wide(bits);
            }
        }
        (memory, io)
    }

    /// The base address register `index`, where it is one in memory that has no address.
    pub fn unplaced(&self, index: u8) -> Option<Unplaced> {
        match self.measured(index) {
            Ok(Bar::Memory { address: 0, size, .. }) => Some(Unplaced { size, wide: self.is_wide_bar(index) }),
            _ => None,
        }
    }

    /// Gives base address register `index`, which has to be one that [`Device::unplaced`] gave, an address. The device does
    /// not answer at any of its addresses until it is told to.
    ///
    /// # Errors
    /// [`BarError::Malformed`] where the device does not keep it.
    ///
    /// # Safety
    /// Nobody else answers there, in the size of the register.
    pub unsafe fn place(&self, index: u8, address: u64) -> Result<(), BarError> {
        let at = offset::BAR0 + 4 * u16::from(index);
        self.command().modify(Command::IO_SPACE::CLEAR + Command::MEMORY_SPACE::CLEAR);
        self.write(at, address as u32);
        if self.is_wide_bar(index) {
            self.write(at + 4, (address >> 32) as u32);
        }
        match self.bar(index)? {
            Bar::Memory { address: kept, .. } if kept == address => Ok(()),
            _ => Err(BarError::Malformed),
        }
    }

    fn bar_bits(&self, index: u8) -> LocalRegisterCopy<u32, BarBits::Register> {
        self.register::<u32, BarBits::Register>(offset::BAR0 + 4 * u16::from(index)).extract()
    }

    /// The place that base address register `index` names. The device does not answer while it is measured, so this
    /// belongs before its driver starts.
    ///
    /// # Errors
    /// As [`BarError`] says.
    pub fn bar(&self, index: u8) -> Result<Bar, BarError> {
        match self.measured(index)? {
            Bar::Memory { address: 0, .. } | Bar::Io { port: 0, .. } => Err(BarError::Unassigned),
            bar => Ok(bar),
        }
    }

    /// The same, 0 standing for no address.
    fn measured(&self, index: u8) -> Result<Bar, BarError> {
        if index >= self.bars() {
            return Err(BarError::NoSuchBar);
        }
        let place = offset::BAR0 + 4 * u16::from(index);
        let low = self.bar_bits(index);
        let wide = is_wide(low);
        if wide && index + 1 == self.bars() {
            return Err(BarError::Malformed);
        }
        let command = self.command().extract();
        self.command().modify(Command::IO_SPACE::CLEAR + Command::MEMORY_SPACE::CLEAR);
        let low_mask = self.mask(place);
        let high_mask = if wide { self.mask(place + 4) } else { u32::MAX };
        self.command().set(command.get());

        if low_mask == 0 {
            return Err(BarError::Unused);
        }
        if low.is_set(BarBits::IO) { io_bar(low, low_mask) } else { self.memory_bar(low, low_mask, high_mask, place) }
    }

    /// What sticks of all ones: the bits of the address that the device decodes, and its flags.
    fn mask(&self, place: u16) -> u32 {
        let kept: u32 = self.read(place);
        self.write(place, u32::MAX);
        let mask = self.read(place);
        self.write(place, kept);
        mask
    }

    fn memory_bar(
        &self,
        low: LocalRegisterCopy<u32, BarBits::Register>,
        low_mask: u32,
        high_mask: u32,
        place: u16,
    ) -> Result<Bar, BarError> {
        use BarBits::WIDTH::Value;
        let high = match low.read_as_enum(BarBits::WIDTH) {
            Some(Value::Bits32) => 0,
            Some(Value::Bits64) => self.read::<u32>(place + 4),
            None => return Err(BarError::Malformed),
        };
        let address = u64::from(high) << 32 | u64::from(low.get() & !MEMORY_FLAGS);
        let size = (!(u64::from(high_mask) << 32 | u64::from(low_mask & !MEMORY_FLAGS))).wrapping_add(1);
        // A device decodes the upper bits of an address only, so it lies at a multiple of its size.
        if !size.is_power_of_two() || !address.is_multiple_of(size) {
            return Err(BarError::Malformed);
        }
        Ok(Bar::Memory { address, size, prefetchable: low.is_set(BarBits::PREFETCHABLE) })
    }
}

fn is_wide(low: LocalRegisterCopy<u32, BarBits::Register>) -> bool {
    !low.is_set(BarBits::IO) && low.matches_all(BarBits::WIDTH::Bits64)
}

fn io_bar(low: LocalRegisterCopy<u32, BarBits::Register>, mask: u32) -> Result<Bar, BarError> {
    // The upper half may be wired to zero: this processor has 16 bits of ports.
    let size = (!(mask & !IO_FLAGS | 0xffff_0000)).wrapping_add(1);
    let first = low.get() & !IO_FLAGS;
    let port = u16::try_from(first).map_err(|_| BarError::Malformed)?;
    if !size.is_power_of_two() || first + size > 0x1_0000 || !first.is_multiple_of(size) {
        return Err(BarError::Malformed);
    }
    Ok(Bar::Io { port, size })
}
