//! An app's record: its header and its segments.

use super::SECTOR;
use crate::limits::NAME_MAX;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of an app's record.
pub const APP_MAGIC: [u8; 8] = *b"SLOPAPP\0";
/// The version of the layout of a record.
pub const RECORD_VERSION: u32 = 1;
/// Most segments of an app.
pub const SEGMENTS: usize = 8;

/// Segment flag: executable.
pub const EXECUTE: u32 = 1;
/// Segment flag: writable.
pub const WRITE: u32 = 2;
/// Segment flag: readable.
pub const READ: u32 = 4;

/// The head of an app's record; it fills the slot's first sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AppHeader {
    /// [`APP_MAGIC`].
    pub magic: [u8; 8],
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// How many of `segments` are used, at least 1.
    pub segment_count: u32,
    /// The app's name, filled up with NUL; the same as the slot's.
    pub name: [u8; NAME_MAX],
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

const _: () = assert!(size_of::<Segment>() == 32);
const _: () = assert!(size_of::<AppHeader>() == SECTOR);
