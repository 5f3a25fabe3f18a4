//! An app's record: a header of one sector, then the bytes of its segments.

use crate::program::{Piece, Program};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use slopos_abi::flash::{APP_MAGIC, AppHeader, RECORD_VERSION, SECTOR, SEGMENTS, Segment, name_bytes, name_text};
use std::mem::offset_of;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Segments' bytes begin at multiples of this in the record, so that the kernel can copy them as words.
const ALIGNMENT: usize = 8;

/// The record of `program` under this name: whole sectors.
///
/// # Errors
/// The name does not fit, or the program breaks a rule of the kernel.
pub fn encode(name: &str, program: &Program) -> Result<Vec<u8>> {
    program.check()?;
    let mut header = AppHeader::new_zeroed();
    header.magic = APP_MAGIC;
    header.version = RECORD_VERSION;
    header.name = name_bytes(name).with_context(|| format!("the name `{name}` does not fit a record"))?;
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
    record[..SECTOR].copy_from_slice(header.as_bytes());
    let digest = digest(&record);
    record[HASH].copy_from_slice(&digest);
    Ok(record)
}

/// Where the header keeps the record's hash.
const HASH: std::ops::Range<usize> = offset_of!(AppHeader, sha256)..offset_of!(AppHeader, sha256) + 32;

/// SHA-256 of a record, its hash field as zeros.
fn digest(record: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&record[..HASH.start]);
    hash.update([0; HASH.end - HASH.start]);
    hash.update(&record[HASH.end..]);
    hash.finalize().into()
}

/// Reads the record at the beginning of a slot's bytes and checks all of it, as the kernel does at boot.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(name: &str, slot: &[u8]) -> Result<(AppHeader, Program)> {
    let (header, _) = AppHeader::read_from_prefix(slot).ok().context("the slot is smaller than a header")?;
    ensure!(header.magic == APP_MAGIC, "no record: the magic is missing");
    ensure!(header.version == RECORD_VERSION, "record of version {}, this tool knows {RECORD_VERSION}", header.version);
    let length = usize::try_from(header.record_bytes).ok().filter(|&length| length <= slot.len());
    let length =
        length.with_context(|| format!("record of {} bytes in a slot of {}", header.record_bytes, slot.len()))?;
    ensure!(length >= SECTOR && length.is_multiple_of(SECTOR), "record of {length} bytes is not whole sectors");
    ensure!(digest(&slot[..length]) == header.sha256, "SHA-256 does not match");
    let found = name_text(&header.name).unwrap_or("");
    ensure!(found == name, "the record is named `{found}`, the slot `{name}`");
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
    let program = Program { entry: header.entry, pieces };
    program.check()?;
    Ok((header, program))
}
