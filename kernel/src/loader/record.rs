//! An app's record: what its header may say, and where its bytes belong.

use super::{Extent, Image};
use heapless::Vec;
use slopos_abi::USER_BASE;
use slopos_abi::flash::{self, AppHeader, EXECUTE, SECTOR, SEGMENTS, Segment, WRITE};
use zerocopy::FromBytes;

/// Bytes of a page: what segments are aligned to. In the record no more lies between two segments than that.
pub const PAGE: u64 = 4096;

/// Why an app was not loaded. The rest of the flash stays usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum AppError {
    /// There is no flash, or its map was rejected.
    NoFlash,
    /// The flash map has no slot for it.
    NoSlot,
    /// The device failed.
    Device,
    /// It does not begin with the record's magic number: the slot is empty or damaged.
    Magic,
    /// Written for another version of the layout; the number.
    Version(u32),
    /// The record carries another name than its slot.
    Name,
    /// The record's length is not that of whole sectors inside the slot, or not what its segments take.
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

/// A record whose header was checked. Nothing in it is believed before the digest is found right.
#[derive(Debug, Default)]
pub struct Record {
    pub image: Image,
    /// Bytes of the whole record, header included.
    pub bytes: u64,
    /// The digest that the header names.
    pub sha256: [u8; 32],
}

/// Checks all that the header in these bytes says before any of it is used; gives the record, and the header as its
/// digest covers it.
pub fn read_header(sector: &[u8], app: &str, slot: Extent, ram: u64) -> Result<(Record, AppHeader), AppError> {
    let (mut header, _) = AppHeader::read_from_prefix(sector).map_err(|_| AppError::Magic)?;
    if header.magic != flash::APP_MAGIC {
        return Err(AppError::Magic);
    }
    if header.version != flash::VERSION {
        return Err(AppError::Version(header.version));
    }
    if flash::name_text(&header.name) != Some(app) || flash::name_bytes(app) != Some(header.name) {
        return Err(AppError::Name);
    }
    let (bytes, sector) = (header.record_bytes, SECTOR as u64);
    if bytes < sector || !bytes.is_multiple_of(sector) || bytes / sector > slot.sectors {
        return Err(AppError::Length);
    }
    let used = header.segments.get(..header.segment_count as usize).ok_or(AppError::Segment(SEGMENTS as u8))?;
    let image = Image { entry: header.entry, segments: check_segments(used, bytes, ram)? };
    if !image.holds_entry() {
        return Err(AppError::Entry);
    }
    let sha256 = core::mem::take(&mut header.sha256);
    Ok((Record { image, bytes, sha256 }, header))
}

/// Checks that the segments lie one behind the other, in memory and in the record, with little between them: so the work
/// that a record asks for is bounded by the RAM that it fills.
fn check_segments(used: &[Segment], record_bytes: u64, ram: u64) -> Result<Vec<Segment, SEGMENTS>, AppError> {
    let mut next_page = USER_BASE;
    let mut record_end = SECTOR as u64;
    for (index, segment) in used.iter().enumerate() {
        let end = segment.address.saturating_add(segment.memory_bytes.into());
        let file_end = u64::from(segment.offset) + u64::from(segment.file_bytes);
        let bad = segment.address < next_page
            || segment.address % PAGE != 0
            || segment.file_bytes > segment.memory_bytes
            || file_end > record_bytes
            || segment.flags & WRITE != 0 && segment.flags & EXECUTE != 0;
        let misplaced = segment.file_bytes > 0 && !(record_end..=record_end + PAGE).contains(&segment.offset.into());
        if bad || misplaced {
            return Err(AppError::Segment(index as u8));
        }
        if end > USER_BASE + ram {
            return Err(AppError::TooLarge(end - USER_BASE));
        }
        next_page = end.next_multiple_of(PAGE);
        if segment.file_bytes > 0 {
            record_end = file_end;
        }
    }
    if record_bytes - record_end > PAGE {
        return Err(AppError::Length);
    }
    Ok(used.iter().copied().collect())
}

impl Image {
    fn holds_entry(&self) -> bool {
        self.segments.iter().any(|segment| {
            let inside = self.entry.checked_sub(segment.address).is_some_and(|at| at < segment.memory_bytes.into());
            segment.flags & EXECUTE != 0 && inside
        })
    }
}

/// The place in RAM of a segment's byte at `offset` of the record, for a segment that was checked.
pub fn place(segment: &Segment, offset: u64) -> usize {
    (segment.address - USER_BASE + (offset - u64::from(segment.offset))) as usize
}

/// Where a segment's bytes are in the record.
pub fn file_range(segment: &Segment) -> core::ops::Range<u64> {
    let start = u64::from(segment.offset);
    start..start + u64::from(segment.file_bytes)
}

/// Copies what a part of the record holds of a segment to the segment's place in RAM.
pub fn copy_overlap(segment: &Segment, part_offset: u64, part: &[u8], ram: &mut [u8]) {
    let file = file_range(segment);
    let start = file.start.max(part_offset);
    let end = file.end.min(part_offset + part.len() as u64);
    if start >= end {
        return;
    }
    let target = place(segment, start);
    let length = (end - start) as usize;
    let from = (start - part_offset) as usize;
    if let (Some(to), Some(bytes)) = (ram.get_mut(target..target + length), part.get(from..from + length)) {
        to.copy_from_slice(bytes);
    }
}

/// Whether a part of the record has anything but zeros where no segment has its bytes. `part_offset` is behind the
/// header.
pub fn fills_gaps(image: &Image, part_offset: u64, part: &[u8]) -> bool {
    let mut rest = part;
    let mut offset = part_offset;
    // The segments lie in order, so what is between two of them is looked at once.
    for file in image.segments.iter().map(file_range).filter(|file| !file.is_empty()) {
        let gap = file.start.saturating_sub(offset).min(rest.len() as u64) as usize;
        let (before, behind) = rest.split_at(gap);
        if before.iter().any(|&byte| byte != 0) {
            return true;
        }
        offset += gap as u64;
        let inside = file.end.saturating_sub(offset).min(behind.len() as u64) as usize;
        offset += inside as u64;
        rest = behind.get(inside..).unwrap_or_default();
    }
    rest.iter().any(|&byte| byte != 0)
}
