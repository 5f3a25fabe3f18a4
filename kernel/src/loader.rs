//! Reads apps from the board's flash, and believes nothing that its digest does not cover.
//!
//! The layout is [`slopos_abi::flash`]. Sectors come through a closure, so that the same code runs over the block
//! device and under tests.

use heapless::Vec;
use sha2::{Digest, Sha256};
use slopos_abi::flash::{
    self, AppHeader, EXECUTE, KIND_APP, KIND_DATA, MAP_ENTRIES, MAP_SECTORS, MapEntry, MapHeader, SECTOR, SEGMENTS,
    Segment, WRITE,
};
use slopos_abi::{Errno, USER_BASE};
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of a page: what segments are aligned to.
const PAGE: u64 = 4096;
/// Sectors read at once while an app is loaded.
const CHUNK_SECTORS: usize = 8;

/// What was loaded: enough to map it and to begin.
#[derive(Clone, Debug)]
pub struct Image {
    /// Address of the first instruction.
    pub entry: u64,
    /// The segments, checked: page-aligned, ascending, inside the process's RAM, never writable and executable.
    pub segments: Vec<Segment, SEGMENTS>,
}

/// Why the flash map cannot be used: no app can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum MapError {
    /// The device failed.
    Device,
    /// It does not begin with the map's magic number: nothing was flashed.
    Magic,
    /// Written for another version of the layout; the number.
    Version(u32),
    /// More entries than a map can have; the number.
    Entries(u32),
    /// The digest does not fit the entries: the map is damaged.
    Digest,
}

/// Why an app's record was rejected. The rest of the flash stays usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum AppError {
    /// The device failed.
    Device,
    /// It does not begin with the record's magic number: the slot is empty or damaged.
    Magic,
    /// Written for another version of the layout; the number.
    Version(u32),
    /// The record carries another name than its slot.
    Name,
    /// The record's length is not that of whole sectors inside the slot.
    Length,
    /// The digest does not fit the record: it is damaged.
    Digest,
    /// A segment is misaligned, out of order, writable and executable, or not inside the record; its index.
    Segment(u8),
    /// The app needs more RAM than its process has; the bytes needed.
    TooLarge(u64),
    /// The entry lies in no executable segment.
    Entry,
}

/// The flash map.
#[derive(Debug, Default)]
pub struct FlashMap {
    entries: Vec<MapEntry, MAP_ENTRIES>,
}

impl FlashMap {
    /// Reads and verifies the map.
    pub fn read(read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), Errno>) -> Result<FlashMap, MapError> {
        let mut bytes = [0; MAP_SECTORS * SECTOR];
        read(0, &mut bytes).map_err(|_| MapError::Device)?;
        let (header, rest) = MapHeader::read_from_prefix(&bytes).map_err(|_| MapError::Magic)?;
        if header.magic != flash::MAP_MAGIC {
            return Err(MapError::Magic);
        }
        if header.version != flash::VERSION {
            return Err(MapError::Version(header.version));
        }
        let length = header.entries as usize * size_of::<MapEntry>();
        let Some(table) = rest.get(..length) else { return Err(MapError::Entries(header.entries)) };
        if Sha256::digest(table).as_slice() != header.sha256 {
            return Err(MapError::Digest);
        }
        let entries =
            table.chunks_exact(size_of::<MapEntry>()).filter_map(|entry| MapEntry::read_from_bytes(entry).ok());
        Ok(FlashMap { entries: entries.collect() })
    }

    /// The slot of an app.
    pub fn app(&self, name: &str) -> Option<&MapEntry> {
        self.find(name, KIND_APP).map(|(_, entry)| entry)
    }

    /// A data region with its index.
    pub fn data(&self, name: &str) -> Option<(usize, &MapEntry)> {
        self.find(name, KIND_DATA)
    }

    /// The entry at an index.
    pub fn get(&self, index: usize) -> Option<&MapEntry> {
        self.entries.get(index)
    }

    fn find(&self, name: &str, kind: u32) -> Option<(usize, &MapEntry)> {
        let matches = |entry: &MapEntry| entry.kind == kind && flash::name_text(&entry.name) == Some(name);
        self.entries.iter().enumerate().find(|(_, entry)| matches(entry))
    }
}

/// Loads the app of a slot into a process's RAM, which is wiped where the record turns out to be bad.
pub fn load_app(
    slot: &MapEntry,
    ram: &mut [u8],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), Errno>,
) -> Result<Image, AppError> {
    let loaded = load_unverified(slot, ram, read);
    if loaded.is_err() {
        ram.fill(0);
    }
    loaded
}

fn load_unverified(
    slot: &MapEntry,
    ram: &mut [u8],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), Errno>,
) -> Result<Image, AppError> {
    let mut sector = [0; SECTOR];
    read(slot.start_sector.into(), &mut sector).map_err(|_| AppError::Device)?;
    let mut header = AppHeader::read_from_bytes(&sector).map_err(|_| AppError::Magic)?;
    let segments = check_header(&header, slot, ram.len() as u64)?;
    ram.fill(0);

    let expected = core::mem::take(&mut header.sha256);
    let mut digest = Sha256::new();
    digest.update(header.as_bytes());
    let mut chunk = [0; CHUNK_SECTORS * SECTOR];
    let mut offset = SECTOR as u64;
    while offset < header.record_bytes {
        let length = (header.record_bytes - offset).min(chunk.len() as u64) as usize;
        let Some(part) = chunk.get_mut(..length) else { return Err(AppError::Length) };
        read(u64::from(slot.start_sector) + offset / SECTOR as u64, part).map_err(|_| AppError::Device)?;
        digest.update(&*part);
        segments.iter().for_each(|segment| copy_overlap(segment, offset, part, ram));
        offset += length as u64;
    }
    if digest.finalize().as_slice() != expected {
        return Err(AppError::Digest);
    }
    Ok(Image { entry: header.entry, segments })
}

/// Checks all that the header says before any of it is used.
fn check_header(header: &AppHeader, slot: &MapEntry, ram: u64) -> Result<Vec<Segment, SEGMENTS>, AppError> {
    if header.magic != flash::APP_MAGIC {
        return Err(AppError::Magic);
    }
    if header.version != flash::VERSION {
        return Err(AppError::Version(header.version));
    }
    if header.name != slot.name {
        return Err(AppError::Name);
    }
    let slot_bytes = u64::from(slot.sectors) * SECTOR as u64;
    if header.record_bytes > slot_bytes
        || header.record_bytes < SECTOR as u64
        || !header.record_bytes.is_multiple_of(SECTOR as u64)
    {
        return Err(AppError::Length);
    }
    let used = header.segments.get(..header.segment_count as usize).ok_or(AppError::Segment(SEGMENTS as u8))?;
    let mut next_page = USER_BASE;
    for (index, segment) in used.iter().enumerate() {
        let end = segment.address.saturating_add(segment.memory_bytes.into());
        let bad = segment.address < next_page
            || segment.address % PAGE != 0
            || segment.file_bytes > segment.memory_bytes
            || u64::from(segment.offset) + u64::from(segment.file_bytes) > header.record_bytes
            || segment.flags & WRITE != 0 && segment.flags & EXECUTE != 0;
        if bad {
            return Err(AppError::Segment(index as u8));
        }
        if end > USER_BASE + ram {
            return Err(AppError::TooLarge(end - USER_BASE));
        }
        next_page = end.next_multiple_of(PAGE);
    }
    let holds_entry = |segment: &&Segment| {
        let inside = header.entry.checked_sub(segment.address).is_some_and(|at| at < segment.memory_bytes.into());
        segment.flags & EXECUTE != 0 && inside
    };
    used.iter().find(holds_entry).ok_or(AppError::Entry)?;
    Ok(used.iter().copied().collect())
}

/// Copies what a part of the record holds of a segment to the segment's place in RAM.
fn copy_overlap(segment: &Segment, part_offset: u64, part: &[u8], ram: &mut [u8]) {
    let start = u64::from(segment.offset).max(part_offset);
    let end = (u64::from(segment.offset) + u64::from(segment.file_bytes)).min(part_offset + part.len() as u64);
    if start >= end {
        return;
    }
    let target = (segment.address - USER_BASE + start - u64::from(segment.offset)) as usize;
    let length = (end - start) as usize;
    let from = (start - part_offset) as usize;
    if let (Some(to), Some(bytes)) = (ram.get_mut(target..target + length), part.get(from..from + length)) {
        to.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash::READ;

    const CODE: [u8; 6000] = [0x90; 6000];

    fn header() -> AppHeader {
        let mut header = AppHeader::read_from_bytes(&[0; SECTOR]).unwrap();
        header.magic = flash::APP_MAGIC;
        header.version = flash::VERSION;
        header.name = flash::name_bytes("app").unwrap();
        header.segment_count = 2;
        header.entry = USER_BASE + 8;
        header.segments[0] = Segment {
            address: USER_BASE,
            memory_bytes: 6000,
            file_bytes: 6000,
            offset: 512,
            flags: READ | EXECUTE,
            reserved: 0,
        };
        header.segments[1] = Segment {
            address: USER_BASE + 8192,
            memory_bytes: 5000,
            file_bytes: 4,
            offset: 6512,
            flags: READ | WRITE,
            reserved: 0,
        };
        header.record_bytes = 13 * 512 + 512;
        header
    }

    fn record(mut header: AppHeader) -> std::vec::Vec<u8> {
        let mut body = CODE.to_vec();
        body.extend([1, 2, 3, 4]);
        body.resize(header.record_bytes as usize - SECTOR, 0);
        header.sha256 = [0; 32];
        let mut digest = Sha256::new();
        digest.update(header.as_bytes());
        digest.update(&body);
        header.sha256 = digest.finalize().into();
        [header.as_bytes(), &body].concat()
    }

    fn slot() -> MapEntry {
        MapEntry { name: flash::name_bytes("app").unwrap(), kind: KIND_APP, start_sector: 0, sectors: 20, reserved: 0 }
    }

    fn load(record: &[u8], ram: &mut [u8]) -> Result<Image, AppError> {
        load_app(&slot(), ram, &mut |sector, buffer: &mut [u8]| {
            let start = sector as usize * SECTOR;
            buffer.copy_from_slice(record.get(start..start + buffer.len()).ok_or(Errno::Io)?);
            Ok(())
        })
    }

    #[test]
    fn a_good_record_lands_where_its_segments_say() {
        let mut ram = [0xff; 16384];
        let image = load(&record(header()), &mut ram).unwrap();
        assert_eq!(image.entry, USER_BASE + 8);
        assert_eq!(&ram[..6000], &CODE);
        assert_eq!(&ram[8192..8200], &[1, 2, 3, 4, 0, 0, 0, 0]);
        assert!(ram[6000..8192].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_flipped_bit_anywhere_rejects_the_record_and_wipes_the_ram() {
        let good = record(header());
        for position in [30, 400, 513, 3000, 7000] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            let mut ram = [0xff; 16384];
            assert!(load(&bad, &mut ram).is_err(), "byte {position}");
        }
        let mut bad = good;
        bad[3000] ^= 1;
        let mut ram = [0xff; 16384];
        assert_eq!(load(&bad, &mut ram).unwrap_err(), AppError::Digest);
        assert!(ram.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn an_app_that_needs_more_ram_than_its_process_has_is_named_with_its_need() {
        let mut ram = [0; 12288];
        assert_eq!(load(&record(header()), &mut ram).unwrap_err(), AppError::TooLarge(8192 + 5000));
    }

    #[test]
    fn a_hostile_header_is_rejected_even_with_a_right_digest() {
        type Case = (&'static str, fn(&mut AppHeader), AppError);
        let cases: [Case; 8] = [
            ("writable code", |h| h.segments[0].flags |= WRITE, AppError::Segment(0)),
            ("shared page", |h| h.segments[1].address = USER_BASE + 4096, AppError::Segment(1)),
            ("below the window", |h| h.segments[0].address = 0, AppError::Segment(0)),
            ("wraps around", |h| h.segments[1].address = u64::MAX - 4095, AppError::TooLarge(u64::MAX - USER_BASE)),
            ("beyond the record", |h| h.segments[1].offset = 7168, AppError::Segment(1)),
            ("too many segments", |h| h.segment_count = 9, AppError::Segment(8)),
            ("entry in data", |h| h.entry = USER_BASE + 8192, AppError::Entry),
            ("longer than the slot", |h| h.record_bytes = 21 * 512, AppError::Length),
        ];
        for (case, spoil, expected) in cases {
            let mut header = header();
            spoil(&mut header);
            let mut ram = [0; 16384];
            assert_eq!(load(&record(header), &mut ram).unwrap_err(), expected, "{case}");
        }
    }

    fn map(entries: &[MapEntry]) -> std::vec::Vec<u8> {
        let table: std::vec::Vec<u8> = entries.iter().flat_map(|entry| entry.as_bytes().to_vec()).collect();
        let header = MapHeader {
            magic: flash::MAP_MAGIC,
            version: flash::VERSION,
            entries: entries.len() as u32,
            sha256: Sha256::digest(&table).into(),
            reserved: [0; 16],
        };
        let mut bytes = [header.as_bytes(), &table].concat();
        bytes.resize(MAP_SECTORS * SECTOR, 0);
        bytes
    }

    fn read_map(bytes: &[u8]) -> Result<FlashMap, MapError> {
        FlashMap::read(&mut |_, buffer: &mut [u8]| {
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    #[test]
    fn the_map_finds_apps_and_regions_by_name_and_kind() {
        let region = MapEntry { kind: KIND_DATA, name: flash::name_bytes("scratch").unwrap(), ..slot() };
        let map = read_map(&map(&[slot(), region])).unwrap();
        assert!(map.app("app").is_some());
        assert!(map.app("scratch").is_none());
        assert_eq!(map.data("scratch").unwrap().0, 1);
    }

    #[test]
    fn a_damaged_map_is_rejected_with_the_reason() {
        let good = map(&[slot()]);
        for (position, expected) in [(0, MapError::Magic), (8, MapError::Version(0)), (70, MapError::Digest)] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert_eq!(read_map(&bad).unwrap_err(), expected);
        }
        let mut bad = good;
        bad[12] = 63;
        assert_eq!(read_map(&bad).unwrap_err(), MapError::Entries(63));
    }
}
