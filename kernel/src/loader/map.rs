//! The flash map: the slot of each app and data region.

use super::Extent;
use heapless::Vec;
use sha2::{Digest, Sha256};
use slopos_abi::flash::{self, KIND_APP, KIND_DATA, MAP_ENTRIES, MAP_SECTORS, MapEntry, MapHeader, SECTOR, Slot};
use zerocopy::FromBytes;

/// Bytes of a map, at the beginning of the flash.
pub const MAP_BYTES: usize = MAP_SECTORS * SECTOR;

/// Why the flash map cannot be used: no app can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum MapError {
    /// It does not begin with the map's magic number: the flash is empty.
    Magic,
    /// Written for another version of the layout; its number.
    Version(u32),
    /// More entries than a map can have; how many.
    Entries(u32),
    /// The digest is not that of the board's name and the entries: the map is damaged.
    Digest,
}

/// The flash map.
#[derive(Debug, Default)]
pub struct FlashMap {
    entries: Vec<MapEntry, MAP_ENTRIES>,
    /// The valid entries, a bit for each.
    usable: u64,
    /// Where the flash begins on its medium, in sectors.
    base: u64,
}

impl FlashMap {
    /// Checks the map in these bytes, the first [`MAP_BYTES`] of a flash of so many sectors. An invalid entry is
    /// refused, with the reason in the log, and the others are used.
    ///
    /// # Errors
    /// As [`MapError`] says.
    pub fn parse(bytes: &[u8], flash_sectors: u64) -> Result<FlashMap, MapError> {
        let (header, rest) = MapHeader::read_from_prefix(bytes).map_err(|_| MapError::Magic)?;
        if header.magic != flash::MAP_MAGIC {
            return Err(MapError::Magic);
        }
        if header.version != flash::MAP_VERSION {
            return Err(MapError::Version(header.version));
        }
        let length = (header.entries as usize).checked_mul(size_of::<MapEntry>());
        let table = length.and_then(|length| rest.get(..length)).filter(|_| header.entries as usize <= MAP_ENTRIES);
        let Some(table) = table else { return Err(MapError::Entries(header.entries)) };
        let digest = Sha256::new().chain_update(header.board).chain_update(table).finalize();
        if digest.as_slice() != header.sha256 {
            return Err(MapError::Digest);
        }
        let mut entries = Vec::new();
        for entry in table.chunks_exact(size_of::<MapEntry>()) {
            // Their number was checked, and any bytes of the right length are an entry.
            let entry = MapEntry::read_from_bytes(entry).map_err(|_| MapError::Entries(header.entries))?;
            entries.push(entry).map_err(|_| MapError::Entries(header.entries))?;
        }
        let usable = flash::check_map(&entries, flash_sectors, |index, fault| {
            let entry = entries.get(index);
            let name = entry.and_then(|entry| flash::name_text(&entry.name)).unwrap_or("");
            let kind = match entry.map_or(0, |entry| entry.kind) {
                KIND_APP => "app",
                KIND_DATA => "region",
                _ => "entry",
            };
            defmt::error!("flash: {=str} {=str} rejected: {=str}", kind, name, fault.text());
        });
        Ok(FlashMap { entries, usable, base: 0 })
    }

    /// The same map, of a flash that begins at this sector of its medium.
    pub fn moved_to(self, base: u64) -> FlashMap {
        FlashMap { base, ..self }
    }

    /// Where the flash begins on its medium, in sectors.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The sector after the last slot, by the map's own count from the beginning of the flash.
    pub fn end(&self) -> u64 {
        self.entries.iter().map(|entry| entry.range().end).max().unwrap_or(0)
    }

    /// An app's index, and its two slots by the sectors of the medium.
    pub fn app(&self, name: &str) -> Option<(usize, [Extent; 2])> {
        let (index, entry) = self.find(name, KIND_APP)?;
        Some((index, Slot::ALL.map(|slot| self.extent(entry, slot))))
    }

    /// A data region's index.
    pub fn data(&self, name: &str) -> Option<usize> {
        self.find(name, KIND_DATA).map(|(index, _)| index)
    }

    /// The sectors of the data region at an index, by those of the medium.
    pub fn region(&self, index: usize) -> Option<Extent> {
        let entry = self.entries.get(index).filter(|entry| entry.kind == KIND_DATA && self.is_usable(index))?;
        Some(self.extent(entry, Slot::First))
    }

    fn is_usable(&self, index: usize) -> bool {
        index < MAP_ENTRIES && self.usable >> index & 1 != 0
    }

    fn find(&self, name: &str, kind: u32) -> Option<(usize, &MapEntry)> {
        let matches = |&(index, entry): &(usize, &MapEntry)| {
            self.is_usable(index) && entry.kind == kind && flash::name_text(&entry.name) == Some(name)
        };
        self.entries.iter().enumerate().find(matches)
    }

    fn extent(&self, entry: &MapEntry, slot: Slot) -> Extent {
        Extent { sector: self.base.saturating_add(entry.slot(slot).start), sectors: entry.sectors.into() }
    }
}
