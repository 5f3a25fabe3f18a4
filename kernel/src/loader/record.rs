//! An app's record: the rules for its header, and the place of its bytes in RAM.

use super::signature::verify;
use super::trust::{PublicKey, Trust, Unsigned};
use super::{Extent, Image};
use heapless::Vec;
use slopos_abi::USER_BASE;
use slopos_abi::flash::{self, AppHeader, AppVersion, EXECUTE, SECTOR, SEGMENTS, Segment, WRITE};
use zerocopy::FromBytes;

/// Bytes of a page, to which segments are aligned. In the record at most that much lies between two segments.
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
    /// Written for another version of the layout; its number.
    Version(u32),
    /// The record has another name than its slot.
    Name,
    /// The record is for another board.
    Board,
    /// The record's length is not whole sectors inside the slot, or does not match its segments.
    Length,
    /// Nobody has signed it.
    Unsigned,
    /// It is signed with a key that this kernel does not hold; the key's id, as big-endian bytes.
    Key(u64),
    /// Its version is older than the process may run; the version's number.
    Old(u32),
    /// The signature is not that of its header by the key that it names: the header is damaged or forged.
    Signature,
    /// The digest is not that of what follows the header: the record is damaged.
    Digest,
    /// A segment is misaligned, out of order, writable and executable, or not inside the record; its index.
    Segment(u8),
    /// The app needs more RAM than its process has; the bytes needed.
    TooLarge(u64),
    /// The entry lies in no executable segment.
    Entry,
}

/// What a record has to be for a process to run it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The app's name.
    pub app: &'a str,
    /// The oldest version that the process may run.
    pub minimum_version: AppVersion,
    /// Which records this board runs.
    pub trust: &'a Trust,
}

/// Checks all fields of a header before any is used, in this order: the form, the names, what it claims of the program,
/// who signed it, its version. The signature itself, which takes long, is a later step. Returns the program.
pub fn check_header(header: &AppHeader, wanted: &Wanted<'_>, slot: Extent, ram: u64) -> Result<Image, AppError> {
    if header.magic != flash::APP_MAGIC {
        return Err(AppError::Magic);
    }
    if header.version != flash::RECORD_VERSION {
        return Err(AppError::Version(header.version));
    }
    if flash::name_bytes(wanted.app) != Some(header.name) {
        return Err(AppError::Name);
    }
    if flash::name_bytes(wanted.trust.board) != Some(header.board) {
        return Err(AppError::Board);
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
    signer(header, wanted.trust)?;
    if AppVersion::new(header.app_version) < wanted.minimum_version {
        return Err(AppError::Old(header.app_version));
    }
    Ok(image)
}

/// The key that a header names; `None` where nobody signed it and the board runs it all the same.
pub fn signer<'a>(header: &AppHeader, trust: &'a Trust) -> Result<Option<&'a PublicKey>, AppError> {
    if header.is_unsigned() {
        return if trust.unsigned == Unsigned::Warn { Ok(None) } else { Err(AppError::Unsigned) };
    }
    let key = trust.keys.iter().find(|key| key.id == header.key_id);
    key.map(Some).ok_or(AppError::Key(u64::from_be_bytes(header.key_id)))
}

/// Whether the key has signed this header.
pub fn is_genuine(header: &AppHeader, key: &PublicKey) -> bool {
    verify(&key.bytes, header.signed_bytes(), &header.signature)
}

/// The version in the header of a record of this app and board; `None` where there is no such header. Nothing else of
/// it is checked.
pub fn version_of(sector: &[u8], wanted: &Wanted<'_>) -> Option<u32> {
    let (header, _) = AppHeader::read_from_prefix(sector).ok()?;
    let ours = header.magic == flash::APP_MAGIC
        && header.version == flash::RECORD_VERSION
        && flash::name_bytes(wanted.app) == Some(header.name)
        && flash::name_bytes(wanted.trust.board) == Some(header.board);
    ours.then_some(header.app_version)
}

/// Checks that the segments follow each other, in memory and in the record, with at most a page between them. So the
/// work of loading a record is bounded by the RAM that it fills.
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

/// Copies the bytes of a segment that lie in this part of the record to the segment's place in RAM.
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

/// Whether a part of the record has anything but zeros outside the segments. `part_offset` is after the header.
pub fn fills_gaps(image: &Image, part_offset: u64, part: &[u8]) -> bool {
    let mut rest = part;
    let mut offset = part_offset;
    // The segments are in order, so each gap between two of them is checked once.
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

#[cfg(test)]
mod tests {
    use super::*;
    use slopos_abi::flash::READ;
    use zerocopy::FromBytes;

    const RAM: u64 = 16_384;

    fn segment(address: u64, memory_bytes: u32, file_bytes: u32, offset: u32, flags: u32) -> Segment {
        Segment { address: USER_BASE + address, memory_bytes, file_bytes, offset, flags: flags | READ, reserved: 0 }
    }

    const KEY: PublicKey = PublicKey { id: [1, 2, 3, 4, 5, 6, 7, 8], bytes: [0; 32] };
    const TRUST: Trust = Trust { board: "board", keys: &[KEY], unsigned: Unsigned::Refuse, development: false };
    const WANTED: Wanted<'_> = Wanted { app: "app", minimum_version: AppVersion::new(5), trust: &TRUST };

    fn header() -> AppHeader {
        let mut header = AppHeader::read_from_bytes(&[0; SECTOR]).unwrap();
        (header.magic, header.version) = (flash::APP_MAGIC, flash::RECORD_VERSION);
        (header.name, header.board) = (flash::name_bytes("app").unwrap(), flash::name_bytes("board").unwrap());
        (header.key_id, header.signature) = (KEY.id, [9; 64]);
        header.app_version = 5;
        header.entry = USER_BASE;
        header.segment_count = 2;
        header.segments[0] = segment(0, 6_000, 6_000, 512, EXECUTE);
        header.segments[1] = segment(8_192, 5_000, 1_000, 6_512, WRITE);
        header.record_bytes = 15 * 512;
        header
    }

    /// The result for a good header with these changes, in a slot of so many sectors.
    fn check(sectors: u64, change: impl FnOnce(&mut AppHeader)) -> Result<(), AppError> {
        let mut header = header();
        change(&mut header);
        check_header(&header, &WANTED, Extent { sector: 4, sectors }, RAM).map(|_| ())
    }

    #[test]
    fn a_record_may_fill_its_slot_and_its_ram_to_the_last_byte() {
        assert_eq!(check(15, |_| ()), Ok(()));
        assert_eq!(check(14, |_| ()), Err(AppError::Length));
        assert_eq!(check(15, |h| h.segments[1].file_bytes = 1_168), Ok(()));
        assert_eq!(check(15, |h| h.segments[1].file_bytes = 1_169), Err(AppError::Segment(1)));
        assert_eq!(check(15, |h| h.segments[1].memory_bytes = 8_192), Ok(()));
        assert_eq!(check(15, |h| h.segments[1].memory_bytes = 8_193), Err(AppError::TooLarge(RAM + 1)));
        assert_eq!(check(15, |h| h.segments[0].memory_bytes = 8_192), Ok(()));
        assert_eq!(check(15, |h| h.segments[0].memory_bytes = 8_193), Err(AppError::Segment(1)));
    }

    #[test]
    fn a_page_may_lie_between_two_segments_and_behind_the_last_and_no_more() {
        let gap = |bytes: u32| {
            move |h: &mut AppHeader| {
                h.segments[1].offset += bytes;
                h.record_bytes = u64::from(h.segments[1].offset + 1_000).next_multiple_of(512);
            }
        };
        for (bytes, expected) in [(0, Ok(())), (4_096, Ok(())), (4_104, Err(AppError::Segment(1)))] {
            assert_eq!(check(40, gap(bytes)), expected, "{bytes} bytes");
        }
        assert_eq!(check(40, |h| h.segments[1].offset -= 8), Err(AppError::Segment(1)), "it lies over the first");
        let behind = |sectors: u64| {
            move |h: &mut AppHeader| {
                h.segments[1].file_bytes = 1_168;
                h.record_bytes = (15 + sectors) * 512;
            }
        };
        assert_eq!((check(40, behind(8)), check(40, behind(9))), (Ok(()), Err(AppError::Length)));
    }

    #[test]
    fn a_segment_of_zeros_has_no_place_in_the_record() {
        for offset in [0, 520, 6_512, 7_680] {
            let between = |h: &mut AppHeader| {
                h.segment_count = 3;
                h.segments[2] = h.segments[1];
                h.segments[2].address += 4_096;
                h.segments[1] = segment(8_192, 4_096, 0, offset, WRITE);
                h.segments[2].memory_bytes = 1_000;
            };
            assert_eq!(check(15, between), Ok(()), "offset {offset}");
        }
        let alone = |h: &mut AppHeader| {
            (h.segment_count, h.record_bytes) = (1, 512);
            h.segments[0] = segment(0, 16, 0, 0, EXECUTE);
        };
        assert_eq!(check(1, alone), Ok(()), "a header is a record");
        assert_eq!(check(1, |h| h.record_bytes = 0), Err(AppError::Length));
        assert_eq!(check(40, |h| h.record_bytes += 256), Err(AppError::Length));
    }

    #[test]
    fn the_entry_is_an_instruction_of_the_program() {
        for (entry, expected) in [
            (USER_BASE + 5_999, Ok(())),
            (USER_BASE + 6_000, Err(AppError::Entry)),
            (USER_BASE + 8_192, Err(AppError::Entry)),
            (USER_BASE - 1, Err(AppError::Entry)),
            (0, Err(AppError::Entry)),
        ] {
            assert_eq!(check(15, |h| h.entry = entry), expected, "{entry:#x}");
        }
        let code_behind = |h: &mut AppHeader| (h.segments[1].flags, h.entry) = (EXECUTE, USER_BASE + 8_192);
        assert_eq!(check(15, code_behind), Ok(()));
    }

    #[test]
    fn each_thing_that_cannot_be_has_its_own_error() {
        assert_eq!(check(15, |h| h.magic[7] ^= 1), Err(AppError::Magic));
        assert_eq!(check(15, |h| h.version = 1), Err(AppError::Version(1)));
        assert_eq!(check(15, |h| h.name[0] = b'b'), Err(AppError::Name));
        assert_eq!(check(15, |h| h.name[8] = b'!'), Err(AppError::Name), "behind the end of the name");
        assert_eq!(check(15, |h| h.board[0] ^= 1), Err(AppError::Board));
        assert_eq!(check(15, |h| h.board[8] = b'!'), Err(AppError::Board), "behind the end of the name");
        assert_eq!(check(15, |h| h.board = [0; 16]), Err(AppError::Board));
        assert_eq!(check(15, |h| h.segment_count = 9), Err(AppError::Segment(SEGMENTS as u8)));
        assert_eq!(check(15, |h| h.segments[0].flags |= WRITE), Err(AppError::Segment(0)));
        assert_eq!(check(15, |h| h.segments[1].address += 8), Err(AppError::Segment(1)));
        assert_eq!(check(15, |h| h.segments[1].address = USER_BASE + 4_096), Err(AppError::Segment(1)));
        assert_eq!(check(15, |h| h.segments[1].memory_bytes = 999), Err(AppError::Segment(1)));
    }

    #[test]
    fn what_nobody_signed_or_a_stranger_did_or_is_too_old_is_told_apart() {
        assert_eq!(check(15, |h| h.key_id[7] ^= 1), Err(AppError::Key(0x0102_0304_0506_0709)));
        assert_eq!(check(15, |h| h.key_id = [0; 8]), Err(AppError::Key(0)), "with a signature it is not unsigned");
        assert_eq!(check(15, |h| h.signature = [0; 64]), Ok(()), "the signature itself comes later");
        assert_eq!(check(15, |h| h.app_version = 4), Err(AppError::Old(4)));
        assert_eq!(check(15, |h| h.app_version = u32::MAX), Ok(()));
        let unsigned = |h: &mut AppHeader| (h.key_id, h.signature) = ([0; 8], [0; 64]);
        assert_eq!(check(15, unsigned), Err(AppError::Unsigned));
        let mut header = header();
        unsigned(&mut header);
        let lenient = Trust { unsigned: Unsigned::Warn, ..TRUST };
        let wanted = Wanted { trust: &lenient, ..WANTED };
        let slot = Extent { sector: 4, sectors: 15 };
        assert!(check_header(&header, &wanted, slot, RAM).is_ok());
        assert_eq!(signer(&header, &lenient), Ok(None));
        header.key_id[0] = 1;
        assert!(check_header(&header, &wanted, slot, RAM).is_err(), "a stranger's is not unsigned");
        header.key_id = [0; 8];
        header.app_version = 4;
        assert_eq!(check_header(&header, &wanted, slot, RAM).unwrap_err(), AppError::Old(4));
    }

    /// Two pieces with bytes of the record and one without, and what lies between.
    fn pieces() -> Image {
        let segments = [segment(4, 0, 8, 16, 0), segment(14, 0, 0, 26, 0), segment(20, 0, 10, 30, 0)];
        Image { entry: 0, segments: segments.into_iter().collect() }
    }

    #[test]
    fn each_part_of_a_record_lands_where_its_segment_is_wherever_it_is_cut() {
        let image = pieces();
        let record: std::vec::Vec<u8> = (0..50).collect();
        for start in 8..50 {
            for end in start..50 {
                let mut ram = [0xff; 40];
                for segment in &image.segments {
                    copy_overlap(segment, start as u64, &record[start..end], &mut ram);
                }
                for (at, &byte) in ram.iter().enumerate() {
                    let from = match at {
                        4..12 => at + 12,
                        20..30 => at + 10,
                        _ => usize::MAX,
                    };
                    let expected = if (start..end).contains(&from) { from as u8 } else { 0xff };
                    assert_eq!(byte, expected, "byte {at} of {start}..{end}");
                }
            }
        }
    }

    #[test]
    fn a_byte_of_no_segment_is_found_wherever_the_record_is_cut() {
        let image = pieces();
        for found in 8..50_usize {
            let mut record = [0; 50];
            record[found] = 1;
            let in_gap = !(16..24).contains(&found) && !(30..40).contains(&found);
            for start in 8..50 {
                for end in start..50 {
                    let expected = in_gap && (start..end).contains(&found);
                    assert_eq!(
                        fills_gaps(&image, start as u64, &record[start..end]),
                        expected,
                        "byte {found} of {start}..{end}"
                    );
                }
            }
        }
    }
}
