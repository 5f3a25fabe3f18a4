//! A flash of version 1 of the map, which had one slot for each app and no state, as one of today.

use crate::image::Image;
use crate::key::PrivateKey;
use crate::program::{Piece, Program};
use anyhow::{Context, Result, bail, ensure};
use slopos_abi::flash::{KIND_APP, MAP_MAGIC, SECTOR, SEGMENTS, Segment, name_text};
use slopos_manifest::Manifest;
use zerocopy::FromBytes;

/// Bytes of the old map's head and of each entry.
const HEAD: usize = 64;
const ENTRY: usize = 32;
/// Where an old record had its digest, and its segments.
const HASH: std::ops::Range<usize> = 48..80;
const SEGMENTS_AT: usize = 80;

/// Whether these bytes are a flash of version 1.
pub fn is_old(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAP_MAGIC) && word(bytes, 8) == Some(1)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An entry of the old map: name, kind, and its bytes.
struct Old<'a> {
    name: String,
    kind: u32,
    bytes: &'a [u8],
}

/// The flash of this manifest with the apps and the data of an old one. An app or a region that the old one lacks is
/// missing, or empty; one that the manifest lacks is an error, because it would be lost. Where there is a key, it signs
/// the records.
///
/// # Errors
/// The old flash is damaged, or something of it does not fit the manifest.
pub fn migrate(old: &[u8], manifest: &Manifest, key: Option<&PrivateKey>) -> Result<Image> {
    let entries = entries(old)?;
    let find =
        |name: &str, app: bool| entries.iter().find(|entry| entry.name == name && (entry.kind == KIND_APP) == app);
    for entry in &entries {
        let app = entry.kind == KIND_APP;
        let known = if app {
            manifest.processes.iter().any(|process| process.app == entry.name)
        } else {
            manifest.data.iter().any(|region| region.name == entry.name)
        };
        let kind = if app { "app" } else { "data region" };
        ensure!(known, "the manifest has no {kind} `{}`, which the flash holds; it would be lost", entry.name);
    }
    Image::assemble(
        manifest,
        key,
        |app| find(app, true).map(|entry| program(&entry.name, entry.bytes)).transpose(),
        |region| Ok(find(&region.name, false).map(|entry| entry.bytes.to_vec())),
    )
}

fn entries(old: &[u8]) -> Result<Vec<Old<'_>>> {
    ensure!(is_old(old), "this is no flash of version 1");
    let count = word(old, 12).unwrap_or(0) as usize;
    let table = count.checked_mul(ENTRY).and_then(|length| old.get(HEAD..HEAD.checked_add(length)?));
    let table = table.with_context(|| format!("flash map of {count} entries"))?;
    ensure!(old.get(16..48) == Some(&crate::image::sha256(table)), "the flash map's SHA-256 does not match");
    let entry = |bytes: &[u8]| -> Result<Old<'_>> {
        let name: [u8; 16] = bytes[..16].try_into()?;
        let name = name_text(&name).context("a map entry has no name")?.to_owned();
        let [kind, start, sectors] = [16, 20, 24].map(|at| word(bytes, at).unwrap_or(0));
        let range = start as usize * SECTOR..(start as usize).saturating_add(sectors as usize).saturating_mul(SECTOR);
        let bytes = old.get(range).with_context(|| format!("slot `{name}` goes beyond the flash"))?;
        Ok(Old { name, kind, bytes })
    };
    table.chunks_exact(ENTRY).map(entry).collect()
}

/// The program in a record of version 1.
fn program(name: &str, slot: &[u8]) -> Result<Program> {
    let bad = |what: &str| format!("app `{name}`: {what}");
    let length = slot.get(40..48).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let length = length.and_then(|length| usize::try_from(length).ok());
    let record = length.and_then(|length| slot.get(..length)).filter(|record| record.len() >= SECTOR);
    let record = record.with_context(|| bad("its record is cut short"))?;
    if !record.starts_with(b"SLOPAPP\0") || word(record, 8) != Some(1) {
        bail!(bad("it is no record of version 1"));
    }
    let mut covered = record.to_vec();
    covered[HASH].fill(0);
    ensure!(record[HASH] == crate::image::sha256(&covered), bad("its SHA-256 does not match"));
    let count = word(record, 12).unwrap_or(0) as usize;
    ensure!((1..=SEGMENTS).contains(&count), bad("it has no segments, or too many"));
    let segments = record[SEGMENTS_AT..].chunks_exact(size_of::<Segment>()).take(count);
    let pieces = segments.map(|bytes| {
        let segment = Segment::read_from_bytes(bytes).ok().with_context(|| bad("a damaged segment"))?;
        let start = segment.offset as usize;
        let bytes = record.get(start..start.saturating_add(segment.file_bytes as usize));
        let bytes = bytes.with_context(|| bad("a segment lies outside the record"))?.to_vec();
        Ok(Piece { address: segment.address, memory_bytes: segment.memory_bytes.into(), flags: segment.flags, bytes })
    });
    let pieces = pieces.collect::<Result<_>>()?;
    let entry = record[32..40].try_into().map(u64::from_le_bytes)?;
    let program = Program { entry, pieces, version: String::new(), build_id: Default::default() };
    program.check()?;
    Ok(program)
}
