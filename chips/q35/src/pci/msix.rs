//! Message-signalled interrupts, extended (section 6.8.2): the device writes a word to the local APIC.

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

use super::bar::{Bar, BarError};
use super::device::Device;
use slopos_registers::{Bus, Hardware, registers};

/// Identity of the capability.
const MSIX: u8 = 0x11;

register_bitfields![u16,
    /// Message control (section 6.8.2.3), offset 2 of the capability.
    MessageControl [
        /// Entries in the table, less one.
        LAST_ENTRY OFFSET(0) NUMBITS(11) [],
        /// Nothing is sent while this is set.
        FUNCTION_MASK OFFSET(14) NUMBITS(1) [],
        /// The device uses messages, not its pin.
        ENABLE OFFSET(15) NUMBITS(1) []
    ]
];

register_bitfields![u32,
    /// Where the table is (section 6.8.2.4), offset 4 of the capability.
    TableOffset [
        /// Which base address register.
        BAR OFFSET(0) NUMBITS(3) [],
        /// Offset there, in units of 8 bytes.
        OFFSET OFFSET(3) NUMBITS(29) []
    ],
    /// Vector control of a table entry (section 6.8.2.9).
    VectorControl [
        /// Nothing is sent for this entry while this is set.
        MASKED OFFSET(0) NUMBITS(1) []
    ]
];

registers! {
    /// An entry of the table (section 6.8.2, figure 6-11).
    struct Entry in Mmio {
        /// Low half of the message's address (section 6.8.2.7).
        (0x0 => address_low: WriteOnly<u32>),
        /// High half (section 6.8.2.8).
        (0x4 => address_high: WriteOnly<u32>),
        /// What is written there (section 6.8.2.6).
        (0x8 => data: WriteOnly<u32>),
        /// Section 6.8.2.9.
        (0xc => control: ReadWrite<u32, VectorControl::Register>),
    }
}

/// Size of a table entry in bytes.
const ENTRY_BYTES: u64 = Entry::<Hardware>::LENGTH as u64;

/// What a device writes to interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Message {
    /// Physical address, a multiple of 4: that of the local APIC, with the destination.
    pub address: u64,
    /// The word written there: the vector, with how it is delivered.
    pub data: u32,
}

/// The table has no such entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct NoSuchVector;

/// A device's MSI-X capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msix {
    offset: u16,
    vectors: u16,
    table: u64,
}

impl Msix {
    /// Entries of the table, 1 to 2048.
    pub fn vectors(&self) -> u16 {
        self.vectors
    }

    /// Where the table is: physical address and length in bytes. The board maps it for [`MsixTable::new`].
    pub fn table(&self) -> (u64, u64) {
        (self.table, u64::from(self.vectors) * ENTRY_BYTES)
    }
}

impl<B: Bus> Device<B> {
    /// Its MSI-X capability; `None` where it has none.
    ///
    /// # Errors
    /// As [`BarError`] says, where the table is not in memory that the device answers at.
    pub fn msix(&self) -> Result<Option<Msix>, BarError> {
        let Some(capability) = self.capability(MSIX) else {
            return Ok(None);
        };
        let vectors =
            self.register::<u16, MessageControl::Register>(capability.offset + 2).read(MessageControl::LAST_ENTRY) + 1;
        let offset = self.register::<u32, TableOffset::Register>(capability.offset + 4).extract();
        let start = u64::from(offset.read(TableOffset::OFFSET)) * 8;
        match self.bar(offset.read(TableOffset::BAR) as u8)? {
            Bar::Memory { address, size, .. } if start + u64::from(vectors) * ENTRY_BYTES <= size => {
                Ok(Some(Msix { offset: capability.offset, vectors, table: address + start }))
            }
            _ => Err(BarError::Malformed),
        }
    }

    /// Turns messages on instead of the pin, or off.
    pub fn set_msix_enabled(&self, msix: &Msix, enabled: bool) {
        self.register::<u16, MessageControl::Register>(msix.offset + 2)
            .modify(MessageControl::ENABLE.val(enabled.into()) + MessageControl::FUNCTION_MASK::CLEAR);
    }
}

/// A device's MSI-X table, mapped.
pub struct MsixTable<B: Bus = Hardware> {
    bus: B,
    base: usize,
    vectors: u16,
}

impl<B: Bus> MsixTable<B> {
    /// The table that `msix` describes, at the virtual address `base`, with every entry masked.
    ///
    /// # Safety
    /// `base` maps [`Msix::table`] as device memory for as long as the value lives, and the caller owns the device.
    pub unsafe fn new(bus: B, base: *mut u8, msix: &Msix) -> Self {
        let table = MsixTable { bus, base: base.expose_provenance(), vectors: msix.vectors };
        for vector in 0..table.vectors {
            table.entry(vector).control.write(VectorControl::MASKED::SET);
        }
        table
    }

    /// Sets what an entry sends, and lets it send.
    ///
    /// # Errors
    /// [`NoSuchVector`] beyond the table's end.
    pub fn set(&self, vector: u16, message: Message) -> Result<(), NoSuchVector> {
        self.set_masked(vector, true)?;
        let entry = self.entry(vector);
        entry.address_low.set(message.address as u32);
        entry.address_high.set((message.address >> 32) as u32);
        entry.data.set(message.data);
        self.set_masked(vector, false)
    }

    /// Masks an entry or lets it send.
    ///
    /// # Errors
    /// [`NoSuchVector`] beyond the table's end.
    pub fn set_masked(&self, vector: u16, masked: bool) -> Result<(), NoSuchVector> {
        if vector >= self.vectors {
            return Err(NoSuchVector);
        }
        let control = self.entry(vector).control;
        control.modify(VectorControl::MASKED.val(masked.into()));
        // The read makes the posted write reach the device before the caller goes on.
        control.get();
        Ok(())
    }

    fn entry(&self, vector: u16) -> Entry<B> {
        // SAFETY: the callers have checked the vector, so the entry is in the table that `new` was promised to be
        // mapped. Messages go to the local APIC because the board says so.
        unsafe { Entry::new(self.bus, self.base + usize::from(vector) * ENTRY_BYTES as usize) }
    }
}
