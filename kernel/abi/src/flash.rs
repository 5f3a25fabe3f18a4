//! The layout of the board's flash: what the `flash` tool writes and the kernel reads.
//!
//! Sector = 512 bytes; all numbers little-endian.
//!
//! ```text
//! sectors 0..4        the flash map: a MapHeader, then up to 62 MapEntry
//! sectors s..s+n      one slot for each entry; an app's slot begins with one sector that holds its AppHeader,
//!                     its segments' bytes follow at the offsets that the header names
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes in a sector.
pub const SECTOR: usize = 512;
/// Sectors of the flash map.
pub const MAP_SECTORS: usize = 4;
/// Most entries of a flash map.
pub const MAP_ENTRIES: usize = 62;
/// First bytes of a flash map.
pub const MAP_MAGIC: [u8; 8] = *b"SLOPFLSH";
/// First bytes of an app's record.
pub const APP_MAGIC: [u8; 8] = *b"SLOPAPP\0";
/// The version of both layouts.
pub const VERSION: u32 = 1;
/// Bytes of a name; a shorter one is filled up with NUL.
pub const NAME: usize = 16;
/// Most segments of an app.
pub const SEGMENTS: usize = 8;

/// Slot kind: holds an app.
pub const KIND_APP: u32 = 1;
/// Slot kind: holds plain data that a process may open by name.
pub const KIND_DATA: u32 = 2;

/// Segment flag: executable.
pub const EXECUTE: u32 = 1;
/// Segment flag: writable.
pub const WRITE: u32 = 2;
/// Segment flag: readable.
pub const READ: u32 = 4;

/// The head of the flash map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapHeader {
    /// [`MAP_MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// How many entries follow, at most [`MAP_ENTRIES`].
    pub entries: u32,
    /// SHA-256 of the `entries` entries that follow.
    pub sha256: [u8; 32],
    /// Zero.
    pub reserved: [u8; 16],
}

/// One slot of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapEntry {
    /// The app's or region's name, filled up with NUL.
    pub name: [u8; NAME],
    /// [`KIND_APP`] or [`KIND_DATA`].
    pub kind: u32,
    /// First sector of the slot.
    pub start_sector: u32,
    /// Sectors of the slot.
    pub sectors: u32,
    /// Zero.
    pub reserved: u32,
}

/// The head of an app's record; it fills the slot's first sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AppHeader {
    /// [`APP_MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// How many of `segments` are used, at least 1.
    pub segment_count: u32,
    /// The app's name, filled up with NUL; the same as the slot's.
    pub name: [u8; NAME],
    /// Virtual address of the first instruction; lies in an executable segment.
    pub entry: u64,
    /// Bytes of the whole record, this header included; a multiple of [`SECTOR`], padded with zeros.
    pub record_bytes: u64,
    /// SHA-256 of the whole record, with this field as zeros.
    pub sha256: [u8; 32],
    /// The segments by ascending address, none sharing a 4096-byte page with another.
    pub segments: [Segment; SEGMENTS],
    /// Zero, up to the sector's end.
    pub reserved: [u8; 176],
}

/// A piece of an app that is loaded as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Segment {
    /// Virtual address, a multiple of 4096.
    pub address: u64,
    /// Bytes in memory; what goes beyond `file_bytes` is zeros.
    pub memory_bytes: u32,
    /// Bytes in the record.
    pub file_bytes: u32,
    /// Where they begin, in bytes from the record's start; a multiple of 8.
    pub offset: u32,
    /// [`READ`], [`WRITE`], [`EXECUTE`]; never both of the latter.
    pub flags: u32,
    /// Zero.
    pub reserved: u64,
}

const _: () = assert!(size_of::<MapHeader>() == 64);
const _: () = assert!(size_of::<MapEntry>() == 32);
const _: () = assert!(size_of::<MapHeader>() + MAP_ENTRIES * size_of::<MapEntry>() == MAP_SECTORS * SECTOR);
const _: () = assert!(size_of::<Segment>() == 32);
const _: () = assert!(size_of::<AppHeader>() == SECTOR);

/// The text of a name that is filled up with NUL; `None` where it is empty or not UTF-8.
pub fn name_text(name: &[u8; NAME]) -> Option<&str> {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME);
    core::str::from_utf8(&name[..length]).ok().filter(|text| !text.is_empty())
}

/// A name filled up with NUL; `None` where it is empty or longer than [`NAME`] bytes.
pub fn name_bytes(text: &str) -> Option<[u8; NAME]> {
    let mut name = [0; NAME];
    if text.is_empty() {
        return None;
    }
    name.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(name)
}
