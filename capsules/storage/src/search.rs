//! Where the flash is: looked for in one place after another, a read at a time.
//!
//! On the disk by the type of a partition, else at the beginning of the disk, else in the modules that the loader has
//! put into memory. What cannot be used is told with the reason, and the next place is tried.

use crate::partitions::{self, Header, Partition, TableError};
use slopos_abi::flash::{MAP_MAGIC, MAP_SECTORS, SECTOR};
use slopos_kernel::loader::{FlashMap, MAP_BYTES};

/// What the flash is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// The block device.
    Disk,
    /// A module of the loader's, by its index; it is never written.
    Module(u8),
}

/// Where the flash may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// There is a block device.
    pub disk: bool,
    /// How many modules the loader names.
    pub modules: u8,
}

/// Sectors to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of what.
    pub medium: Medium,
    /// The first.
    pub sector: u64,
    /// How many bytes.
    pub length: usize,
}

/// Which of a partition table's headers, in blocks of so many sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Which {
    block: u64,
    second: bool,
}

/// The headers in the order in which they are tried. A disk whose blocks are 4,096 bytes has its table counted in
/// those, unless it was made for another.
const HEADERS: [Which; 4] = [
    Which { block: 1, second: false },
    Which { block: 8, second: false },
    Which { block: 1, second: true },
    Which { block: 8, second: true },
];

/// What is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// The first sectors of the disk: a flash's map, or what comes before a partition table.
    Beginning,
    /// A header of the partition table, by its index in [`HEADERS`].
    Header(usize),
    /// The entries that this header names.
    Entries(usize, Header),
    /// The beginning of the flash's partition.
    Partition(Partition),
    /// The beginning of a module.
    Module(u8),
}

/// What came of a look.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and there is no heap to put the map on")]
pub enum Found {
    /// The flash.
    Map(Medium, FlashMap),
    /// The next look is due.
    GoOn,
    /// The disk could not be read, and there is nothing else: the same look again, later.
    TryAgain,
    /// There is no flash.
    Nothing,
}

/// The search.
#[derive(Debug)]
pub struct Search {
    modules: u8,
    look: Look,
    disk_sectors: u64,
    /// Most bytes of one read.
    request_bytes: usize,
}

impl Search {
    /// A search that has not begun; `None` where there is nowhere to look.
    pub fn new(sources: Sources, request_bytes: usize) -> Option<Search> {
        let look = match sources {
            Sources { disk: true, .. } => Look::Beginning,
            Sources { modules: 1.., .. } => Look::Module(0),
            _ => return None,
        };
        Some(Search { modules: sources.modules, look, disk_sectors: 0, request_bytes })
    }

    /// What is to be read next.
    pub fn place(&self) -> Place {
        let (medium, sector, length) = match &self.look {
            Look::Beginning => (Medium::Disk, 0, MAP_BYTES),
            Look::Header(index) => (Medium::Disk, self.header_block(*index).1, SECTOR),
            Look::Entries(_, header) => (Medium::Disk, header.sector(), header.length()),
            Look::Partition(partition) => (Medium::Disk, partition.sector, MAP_BYTES),
            Look::Module(index) => (Medium::Module(*index), 0, MAP_BYTES),
        };
        Place { medium, sector, length }
    }

    /// Whether there is something to turn to when the disk does not answer.
    pub fn has_other_than_disk(&self) -> bool {
        self.modules > 0 && !matches!(self.look, Look::Module(_))
    }

    /// Takes what was read in, or that it could not be read, from a medium of so many sectors.
    pub fn take(&mut self, bytes: Option<&[u8]>, medium_sectors: u64) -> Found {
        if !matches!(self.look, Look::Module(_)) {
            self.disk_sectors = medium_sectors;
        }
        match (self.look, bytes) {
            (Look::Module(index), bytes) => self.take_module(index, bytes, medium_sectors),
            (_, None) if self.modules > 0 => {
                defmt::error!("flash: the disk cannot be read");
                self.next_medium()
            }
            // A device that has not run yet shows no sectors.
            (Look::Beginning, None) if (1..MAP_SECTORS as u64).contains(&medium_sectors) => {
                defmt::error!("flash: the disk has {=u64} sectors, too few for a flash", medium_sectors);
                self.next_medium()
            }
            (_, None) => Found::TryAgain,
            (Look::Beginning, Some(bytes)) => self.take_beginning(bytes),
            (Look::Header(index), Some(bytes)) => self.take_header(index, bytes),
            (Look::Entries(index, header), Some(bytes)) => match header.find(bytes, self.disk_sectors) {
                Ok(Ok(partition)) => {
                    self.look = Look::Partition(partition);
                    Found::GoOn
                }
                Ok(Err(error)) => {
                    defmt::error!("flash: the disk has partitions, but no flash: {}", error);
                    self.next_medium()
                }
                Err(error) => self.next_header(index, error),
            },
            (Look::Partition(partition), Some(bytes)) => match self.map(bytes, partition.sectors) {
                Some(map) => {
                    let Partition { number, sector, sectors } = partition;
                    defmt::info!("flash: partition {=u32} of the disk, sectors={=u64}", number, sectors);
                    Found::Map(Medium::Disk, map.moved_to(sector))
                }
                None => self.next_medium(),
            },
        }
    }

    /// Gives the disk up for a module.
    pub fn give_disk_up(&mut self) {
        defmt::error!("flash: the disk does not answer");
        self.look = Look::Module(0);
    }

    fn take_beginning(&mut self, bytes: &[u8]) -> Found {
        let header = bytes.get(SECTOR..).unwrap_or(&[]);
        if !bytes.starts_with(&MAP_MAGIC) && (partitions::is_protective(bytes) || header.starts_with(b"EFI PART")) {
            return self.take_header(0, header);
        }
        match self.map(bytes, self.disk_sectors) {
            Some(map) => {
                defmt::info!("flash: the whole disk, sectors={=u64}", self.disk_sectors);
                Found::Map(Medium::Disk, map)
            }
            None => self.next_medium(),
        }
    }

    fn take_module(&mut self, index: u8, bytes: Option<&[u8]>, sectors: u64) -> Found {
        let number = index.saturating_add(1);
        // Why it cannot be read was told by who looked.
        let Some(bytes) = bytes else { return self.next_medium() };
        if bytes.len() < MAP_BYTES {
            defmt::error!("flash: module {=u8} is cut short: not even a map fits it", number);
            return self.next_medium();
        }
        let Some(map) = self.map(bytes, sectors) else { return self.next_medium() };
        let need = map.end();
        if need > sectors {
            defmt::error!("flash: module {=u8} is cut short: sectors={=u64}, of {=u64}", number, sectors, need);
            // Its whole records are better than nothing.
            if number < self.modules {
                return self.next_medium();
            }
        }
        defmt::info!("flash: module {=u8} of the loader, read-only, sectors={=u64}", number, sectors);
        Found::Map(Medium::Module(index), map)
    }

    fn map(&self, bytes: &[u8], sectors: u64) -> Option<FlashMap> {
        FlashMap::parse(bytes, sectors).inspect_err(|error| defmt::error!("flash: the map is rejected: {}", error)).ok()
    }

    /// The block of a header, and its first sector.
    fn header_block(&self, index: usize) -> (u64, u64) {
        let Which { block, second } = HEADERS.get(index).copied().unwrap_or(HEADERS[0]);
        let number = if second { (self.disk_sectors / block).saturating_sub(1) } else { 1 };
        (number, number * block)
    }

    fn take_header(&mut self, index: usize, bytes: &[u8]) -> Found {
        let (number, _) = self.header_block(index);
        let block = HEADERS.get(index).map_or(1, |which| which.block);
        match Header::parse(bytes, number, block, self.disk_sectors, self.request_bytes) {
            Ok(header) => {
                self.look = Look::Entries(index, header);
                Found::GoOn
            }
            Err(error) => self.next_header(index, error),
        }
    }

    fn next_header(&mut self, index: usize, error: TableError) -> Found {
        let Which { block, second } = HEADERS.get(index).copied().unwrap_or(HEADERS[0]);
        // Where blocks are not so large there is none, and nothing to say of it.
        if block == 1 || error != TableError::Signature {
            let which = if second { "second" } else { "first" };
            defmt::error!("flash: the {=str} partition table is not used: {}", which, error);
        }
        // A disk may end before the block in which a header would be.
        let next = (index + 1..HEADERS.len()).find(|&next| self.header_block(next).1 < self.disk_sectors);
        match next {
            Some(next) => {
                self.look = Look::Header(next);
                Found::GoOn
            }
            None => self.next_medium(),
        }
    }

    fn next_medium(&mut self) -> Found {
        let next = match self.look {
            Look::Module(index) => index.saturating_add(1),
            _ => 0,
        };
        if next < self.modules {
            self.look = Look::Module(next);
            return Found::GoOn;
        }
        defmt::error!("flash: no usable flash, so there are no apps");
        Found::Nothing
    }
}
