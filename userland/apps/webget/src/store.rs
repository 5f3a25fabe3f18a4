//! How a download lies in a flash region: a record in the first sector, the bytes from the second on.
//!
//! The record says how many bytes count, for a region has no length of its own but its size. It is written with a length
//! of 0 before the first byte and with the true one behind the last, so that a power cut between the two leaves a region
//! that holds nothing, never one that lies.

use libslop::abi::flash::SECTOR;

/// What the record begins with.
const MAGIC: [u8; 16] = *b"slopos:download\n";

/// What the first sector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Bytes that count, from the second sector on.
    pub length: u64,
    /// Whether they are all that the server has.
    pub complete: bool,
}

impl Record {
    /// Reads a sector; `None` where it is no record.
    pub fn read(sector: &[u8]) -> Option<Record> {
        let (magic, rest) = sector.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (&complete, rest) = rest.split_first()?;
        let clean = *magic == MAGIC && complete <= 1 && rest.iter().all(|&byte| byte == 0);
        clean.then_some(Record { length: u64::from_le_bytes(*length), complete: complete == 1 })
    }

    /// The sector: magic, length (little-endian), 1 or 0, zeros.
    pub fn sector(self) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[..16].copy_from_slice(&MAGIC);
        sector[16..24].copy_from_slice(&self.length.to_le_bytes());
        sector[24] = u8::from(self.complete);
        sector
    }

    /// Where a download goes on that stopped here: at the last whole sector, for a sector is written at once.
    pub const fn resume_at(self) -> u64 {
        self.length - self.length % SECTOR as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for record in [Record { length: 0, complete: false }, Record { length: u64::MAX, complete: true }] {
            assert_eq!(Record::read(&record.sector()), Some(record));
        }
        assert_eq!(
            [0, 1, 511, 512, 1_025].map(|length| Record { length, complete: false }.resume_at()),
            [0, 0, 0, 512, 1_024]
        );
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert_eq!(Record::read(&[0; SECTOR]), None);
        assert_eq!(Record::read(b""), None);
        let sector = Record { length: 5, complete: true }.sector();
        for (at, byte) in [(0, b'S'), (24, 2), (25, 1), (511, 1)] {
            let mut other = sector;
            other[at] = byte;
            assert_eq!(Record::read(&other), None, "{at}");
        }
        assert_eq!(Record::read(&sector[..24]), None);
    }
}
