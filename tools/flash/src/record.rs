//! An app's record: a header of one sector, then the bytes of its segments.

use crate::program::{Piece, Program};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use slopos_abi::flash::{
    APP_MAGIC, AppHeader, RECORD_VERSION, SECTOR, SEGMENTS, Segment, VERSION_TEXT_MAX, name_bytes, name_text,
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Segments' bytes begin at multiples of this in the record, so that the kernel can copy them as words.
const ALIGNMENT: usize = 8;

/// The record of `program` under this name, for the board of that name: whole sectors. Nobody has signed it.
///
/// # Errors
/// A name does not fit, or the program breaks a rule of the kernel.
pub fn encode(name: &str, board: &str, program: &Program) -> Result<Vec<u8>> {
    program.check()?;
    let mut header = AppHeader::new_zeroed();
    header.magic = APP_MAGIC;
    header.version = RECORD_VERSION;
    let field = |name| name_bytes(name).with_context(|| format!("the name `{name}` does not fit a record"));
    (header.name, header.board) = (field(name)?, field(board)?);
    header.app_version = program.version_number()?.number();
    // An empty text is what the field holds already.
    header.version_text = name_bytes(&program.version).unwrap_or([0; VERSION_TEXT_MAX]);
    header.build_id = program.build_id;
    header.entry = program.entry;
    header.segment_count = program.pieces.len() as u32;
    let mut record = vec![0; SECTOR];
    for (segment, piece) in header.segments.iter_mut().zip(&program.pieces) {
        record.resize(record.len().next_multiple_of(ALIGNMENT), 0);
        // A checked program lies in the window of a process, so its sizes and offsets fit 32 bits.
        *segment = Segment {
            address: piece.address,
            memory_bytes: piece.memory_bytes as u32,
            file_bytes: piece.bytes.len() as u32,
            offset: record.len() as u32,
            flags: piece.flags,
            reserved: 0,
        };
        record.extend_from_slice(&piece.bytes);
    }
    record.resize(record.len().next_multiple_of(SECTOR), 0);
    header.record_bytes = record.len() as u64;
    header.sha256 = Sha256::digest(&record[SECTOR..]).into();
    record[..SECTOR].copy_from_slice(header.as_bytes());
    Ok(record)
}

/// Reads the record at the beginning of a slot's bytes and checks all of it as the kernel does at boot, but the signature.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(name: &str, board: &str, slot: &[u8]) -> Result<(AppHeader, Program)> {
    let (header, _) = AppHeader::read_from_prefix(slot).ok().context("the slot is smaller than a header")?;
    ensure!(header.magic == APP_MAGIC, "no record: the magic is missing");
    ensure!(header.version == RECORD_VERSION, "record of version {}, this tool knows {RECORD_VERSION}", header.version);
    let length = usize::try_from(header.record_bytes).ok().filter(|&length| length <= slot.len());
    let length =
        length.with_context(|| format!("record of {} bytes in a slot of {}", header.record_bytes, slot.len()))?;
    ensure!(length >= SECTOR && length.is_multiple_of(SECTOR), "record of {length} bytes is not whole sectors");
    let digest: [u8; 32] = Sha256::digest(&slot[SECTOR..length]).into();
    ensure!(digest == header.sha256, "SHA-256 does not match");
    let found = name_text(&header.name).unwrap_or("");
    ensure!(name_bytes(name) == Some(header.name), "the record is named `{found}`, the slot `{name}`");
    let found = name_text(&header.board).unwrap_or("");
    ensure!(
        name_bytes(board) == Some(header.board),
        "the record is for the board `{found}`, the flash is that of `{board}`"
    );
    ensure!(header.reserved.iter().all(|&byte| byte == 0), "the header's reserved bytes are not zeros");
    let count = header.segment_count as usize;
    ensure!((1..=SEGMENTS).contains(&count), "{count} segments; 1 to {SEGMENTS} fit");
    let (used, unused) = header.segments.split_at(count);
    ensure!(unused.iter().all(|segment| *segment == Segment::default()), "unused segments are not zeros");
    let mut pieces = Vec::new();
    for segment in used {
        let start = segment.offset as usize;
        let bytes = start.checked_add(segment.file_bytes as usize).and_then(|end| slot[..length].get(start..end));
        let address = segment.address;
        let bytes = bytes.with_context(|| format!("the segment at {address:#x} lies outside the record"))?;
        ensure!(
            start >= SECTOR && start.is_multiple_of(ALIGNMENT),
            "the segment at {address:#x} begins at byte {start} of the record"
        );
        let memory_bytes = u64::from(segment.memory_bytes);
        pieces.push(Piece { address, memory_bytes, flags: segment.flags, bytes: bytes.to_vec() });
    }
    let version = text(&header.version_text).context("the version is no text")?.to_owned();
    let program = Program { entry: header.entry, pieces, version, build_id: header.build_id };
    program.check()?;
    let number = program.version_number()?.number();
    ensure!(
        header.app_version == number,
        "the version's number is {:#x}, its text `{}`",
        header.app_version,
        program.version
    );
    Ok((header, program))
}

/// The text of a field that is filled up with NUL, and may be empty; `None` where it is no such field.
fn text<const LENGTH: usize>(field: &[u8; LENGTH]) -> Option<&str> {
    let text = name_text(field).unwrap_or_default();
    (name_bytes(text).unwrap_or([0; LENGTH]) == *field).then_some(text)
}
