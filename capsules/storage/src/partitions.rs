//! A disk's partition table (UEFI 2.10, section 5.3), read only as far as the flash's partition has to be found.
//!
//! Both headers, the first and the second, have a checksum of their own and one over the entries; what does not match,
//! or names blocks where they cannot be, is refused with the reason.

use slopos_abi::flash::{MAP_SECTORS, PARTITION_TYPE, SECTOR};

/// Bytes of a header that count, and the least that one says it has (section 5.3.2).
const HEADER_BYTES: usize = 92;
/// Bytes of an entry that are read, and the least that one has (section 5.3.3).
const ENTRY_BYTES: usize = 128;
/// The first block of a header or of the entries; the protective MBR lies before.
const FIRST_BLOCK: u64 = 1;

/// Why a partition table is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum TableError {
    /// The header does not begin with `EFI PART`.
    Signature,
    /// The header is of another revision than 1.0; which.
    Revision(u32),
    /// The header says that it has so many bytes.
    HeaderBytes(u32),
    /// The header's checksum is another.
    HeaderChecksum,
    /// The header says that it lies in another block than where it was found; which.
    HeaderBlock(u64),
    /// The entries would lie before the first block or beyond the last.
    EntriesBlock(u64),
    /// An entry would have so many bytes.
    EntryBytes(u32),
    /// There are more entries than are read; how many.
    TooManyEntries(u32),
    /// The checksum of the entries is another.
    EntriesChecksum,
}

/// Why a table names no flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum PartitionError {
    /// No partition is of the flash's type.
    None,
    /// More than one is, and which of them is meant cannot be known; the numbers of the first two.
    Several(u32, u32),
    /// It goes beyond the blocks that the table or the disk has; its number.
    BeyondEnd(u32),
    /// It has no room for a flash's map; its number.
    TooSmall(u32),
}

/// What a header says of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Sectors of a block.
    block: u64,
    first_usable: u64,
    last_usable: u64,
    entries_block: u64,
    entries: u32,
    entry_bytes: u32,
    checksum: u32,
}

/// A partition, by its number and its sectors on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, as people count: from 1.
    pub number: u32,
    /// First sector.
    pub sector: u64,
    /// How many sectors.
    pub sectors: u64,
}

/// Whether the first sector of a disk says that a partition table of this kind follows (section 5.2.3).
pub fn is_protective(sector: &[u8]) -> bool {
    let kinds = [450, 466, 482, 498].map(|at| sector.get(at));
    sector.get(510..512) == Some(&[0x55, 0xaa]) && kinds.contains(&Some(&0xee))
}

impl Header {
    /// Checks a header that was read from a block of `block` sectors each, on a disk of so many sectors. `limit` is how
    /// many bytes of entries can be read.
    ///
    /// # Errors
    /// As [`TableError`] says.
    pub fn parse(
        bytes: &[u8],
        lies_in: u64,
        block: u64,
        disk_sectors: u64,
        limit: usize,
    ) -> Result<Header, TableError> {
        if !bytes.starts_with(b"EFI PART") {
            return Err(TableError::Signature);
        }
        let revision = u32_at(bytes, 8);
        if revision != 0x1_0000 {
            return Err(TableError::Revision(revision));
        }
        let length = u32_at(bytes, 12);
        let own = bytes.get(..length as usize).filter(|own| (HEADER_BYTES..=SECTOR).contains(&own.len()));
        let own = own.ok_or(TableError::HeaderBytes(length))?;
        // The checksum's own field counts as zeros.
        let sum = [own.get(..16), Some(&[0; 4][..]), own.get(20..)].into_iter().flatten().fold(!0, crc32);
        if !sum != u32_at(own, 16) {
            return Err(TableError::HeaderChecksum);
        }
        let place = u64_at(own, 24);
        if place != lies_in {
            return Err(TableError::HeaderBlock(place));
        }
        let header = Header {
            block,
            first_usable: u64_at(own, 40),
            last_usable: u64_at(own, 48),
            entries_block: u64_at(own, 72),
            entries: u32_at(own, 80),
            entry_bytes: u32_at(own, 84),
            checksum: u32_at(own, 88),
        };
        // 128 times a power of two (section 5.3.2, table 5.5).
        let entry_bytes = header.entry_bytes as usize;
        if !entry_bytes.is_multiple_of(ENTRY_BYTES) || !(entry_bytes / ENTRY_BYTES).is_power_of_two() {
            return Err(TableError::EntryBytes(header.entry_bytes));
        }
        if header.entries as usize > limit / entry_bytes || header.entries == 0 {
            return Err(TableError::TooManyEntries(header.entries));
        }
        let end = header.entries_sector().and_then(|start| start.checked_add((header.length() / SECTOR) as u64));
        if header.entries_block <= FIRST_BLOCK || end.is_none_or(|end| end > disk_sectors) {
            return Err(TableError::EntriesBlock(header.entries_block));
        }
        Ok(header)
    }

    fn entries_sector(&self) -> Option<u64> {
        self.entries_block.checked_mul(self.block)
    }

    /// The first sector of the entries.
    pub fn sector(&self) -> u64 {
        self.entries_sector().unwrap_or(u64::MAX)
    }

    /// Bytes of the entries, as whole sectors.
    pub fn length(&self) -> usize {
        (self.entries as usize).saturating_mul(self.entry_bytes as usize).next_multiple_of(SECTOR)
    }

    /// The one partition of the flash's type, on a disk of so many sectors.
    ///
    /// # Errors
    /// The table cannot be used, or it names no such partition.
    pub fn find(&self, entries: &[u8], disk_sectors: u64) -> Result<Result<Partition, PartitionError>, TableError> {
        let length = (self.entries as usize).saturating_mul(self.entry_bytes as usize);
        let entries = entries.get(..length).ok_or(TableError::EntriesChecksum)?;
        if !crc32(!0, entries) != self.checksum {
            return Err(TableError::EntriesChecksum);
        }
        let ours = |(_, entry): &(u32, &[u8])| entry.starts_with(&PARTITION_TYPE);
        let mut found = (1..).zip(entries.chunks_exact(self.entry_bytes as usize)).filter(ours);
        let Some((number, entry)) = found.next() else { return Ok(Err(PartitionError::None)) };
        if let Some((other, _)) = found.next() {
            return Ok(Err(PartitionError::Several(number, other)));
        }
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let sector = first.checked_mul(self.block);
        let end = last.checked_add(1).and_then(|end| end.checked_mul(self.block));
        let within = first >= self.first_usable && last <= self.last_usable && first <= last;
        Ok(match (sector, end) {
            (Some(sector), Some(end)) if within && end <= disk_sectors => match end.saturating_sub(sector) {
                sectors if sectors < MAP_SECTORS as u64 => Err(PartitionError::TooSmall(number)),
                sectors => Ok(Partition { number, sector, sectors }),
            },
            _ => Err(PartitionError::BeyondEnd(number)),
        })
    }
}

/// Goes on with a CRC-32 (ISO 3309, the reflected polynomial), half a byte at a time. It begins with ones and is
/// inverted at the end.
fn crc32(sum: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut index = 0;
        while index < 16 {
            let (mut value, mut bit) = (index as u32, 0);
            while bit < 4 {
                value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    bytes.iter().fold(sum, |sum, byte| {
        let sum = sum ^ u32::from(*byte);
        let sum = TABLE[(sum & 15) as usize] ^ sum >> 4;
        TABLE[(sum & 15) as usize] ^ sum >> 4
    })
}

/// A number at an offset, little-endian; what lies beyond the end counts as zeros.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(core::array::from_fn(|index| bytes.get(at + index).copied().unwrap_or(0)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u64_at(bytes, at) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        // The check value of the catalogue of parametrised CRC algorithms.
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
        assert_eq!(!crc32(crc32(!0, b"1234"), b"56789"), 0xcbf4_3926);
    }

    #[test]
    fn an_mbr_is_protective_by_its_signature_and_a_partition_type() {
        let mut sector = [0; SECTOR];
        assert!(!is_protective(&sector) && !is_protective(&[]));
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert!(!is_protective(&sector));
        sector[498] = 0xee;
        assert!(is_protective(&sector));
    }
}
