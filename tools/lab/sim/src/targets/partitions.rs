//! The search for the flash on a disk: a partition table, its second copy, a map.
//!
//! The input is how many sectors the disk has, what is made right, and the disk's first bytes. Checksums are made right on
//! demand, or no mutation would get behind them.

use sha2::{Digest, Sha256};
use slopos_abi::flash::{MAP_SECTORS, SECTOR};
use slopos_kernel::time::Instant;
use slopos_storage::{Call, Medium, Owner, Request, Sources, Storage};

/// Least sectors of a disk.
const SECTORS_MIN: usize = 1;
/// Most bytes of a request, as the board's.
const REQUEST_BYTES: usize = 32 << 10;
/// Most reads: the beginning, four headers with their entries, the partition, two modules.
const READS_MAX: usize = 12;

/// Bits of the second byte.
const HEADERS: u8 = 1;
const SECOND: u8 = 2;
const MAP: u8 = 4;
const MODULE: u8 = 8;

/// Where the partition's map is, where it is made right.
pub(crate) const MAP_SECTOR: usize = 3;
/// The region by which the flash is known.
pub(crate) const REGION: &str = "scratch";

/// A disk, looked at as the board does.
pub fn partitions(data: &[u8]) {
    let [sectors, kinds, head @ ..] = data else { return };
    let sectors = SECTORS_MIN + usize::from(*sectors);
    let mut disk = vec![0; sectors * SECTOR];
    let count = head.len().min(disk.len());
    disk[..count].copy_from_slice(&head[..count]);
    if kinds & SECOND != 0 && sectors > 2 {
        let (first, last) = (SECTOR..2 * SECTOR, (sectors - 1) * SECTOR);
        disk.copy_within(first, last);
        disk[last + 24..last + 32].copy_from_slice(&(sectors as u64 - 1).to_le_bytes());
    }
    if kinds & MAP != 0 {
        seal_map(&mut disk);
    }
    if kinds & HEADERS != 0 {
        for sector in [1, 8, sectors - 1] {
            seal_header(&mut disk, sector * SECTOR, if sector == 8 { 4096 } else { SECTOR });
        }
    }
    let module = kinds & MODULE != 0;
    let mut calls = [const { Call::NONE }; 1];
    let mut storage = Storage::new(&mut calls, REQUEST_BYTES, Sources { disk: true, modules: module.into() });
    let mut reads = 0;
    while let Some(Request { owner: Owner::Map(place), .. }) = storage.next(Instant::BOOT) {
        reads += 1;
        assert!(reads <= READS_MAX, "the search has no end");
        assert!(place.length <= REQUEST_BYTES);
        let start = usize::try_from(place.sector).ok().and_then(|sector| sector.checked_mul(SECTOR));
        let bytes = start.and_then(|start| disk.get(start..start.checked_add(place.length)?));
        // How large the disk is is known behind the first read alone.
        assert!(bytes.is_some() || reads == 1 || place.medium != Medium::Disk, "{place:?} is beyond {sectors} sectors");
        storage.settle_map(bytes, sectors as u64, Instant::BOOT);
    }
    if let Ok(first) = storage.first_sector(REGION) {
        assert!(first < sectors as u64, "sector {first} of {sectors}");
    }
    assert!(storage.is_idle(), "the search ended, and found the flash or none");
}

/// Makes both checksums of a header at this place right, where there is one.
fn seal_header(disk: &mut [u8], at: usize, block: usize) {
    let number = |place: usize, length: usize| {
        let bytes = disk.get(at + place..at + place + length)?;
        Some(bytes.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let entries = (|| {
        let start = number(72, 8)?.checked_mul(block)?;
        disk.get(start..start.checked_add(number(80, 4)?.checked_mul(number(84, 4)?)?)?)
    })();
    if let Some(sum) = entries.map(crc32) {
        disk[at + 88..at + 92].copy_from_slice(&sum.to_le_bytes());
    }
    let Some(length) = disk.get(at + 12..at + 16).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four")))
    else {
        return;
    };
    let Some(own) = disk.get_mut(at..at.saturating_add(length as usize)).filter(|own| own.len() >= 20) else { return };
    own[16..20].fill(0);
    let sum = crc32(own);
    own[16..20].copy_from_slice(&sum.to_le_bytes());
}

/// CRC-32 as the standard says it, a bit at a time.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 != 0 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// Makes the digest of the map right: of the board's name and of as many entries as it says.
fn seal_map(disk: &mut [u8]) {
    let Some(map) = disk.get_mut(MAP_SECTOR * SECTOR..(MAP_SECTOR + MAP_SECTORS) * SECTOR) else { return };
    let entries = u32::from_le_bytes(map[12..16].try_into().expect("four")) as usize;
    let Some(all) = map.get(64..64_usize.saturating_add(entries.saturating_mul(32))) else { return };
    let digest = Sha256::new().chain_update(&map[48..64]).chain_update(all).finalize();
    map[16..48].copy_from_slice(&digest);
}
