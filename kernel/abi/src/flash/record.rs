//! An app's record: its header and its segments.
//!
//! The header fills one sector. It names the SHA-256 of everything behind it, and its last bytes are a signature over
//! those before them, so one pass over the contents checks all of a record.

use super::SECTOR;
use crate::limits::NAME_MAX;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of an app's record.
pub const APP_MAGIC: [u8; 8] = *b"SLOPAPP\0";
/// The version of the layout of a record.
pub const RECORD_VERSION: u32 = 2;
/// Most segments of an app.
pub const SEGMENTS: usize = 8;
/// Most bytes of a version's text.
pub const VERSION_TEXT_MAX: usize = 24;
/// Bytes of a program's build id: a SHA-1, as linkers make it.
pub const BUILD_ID_BYTES: usize = 20;
/// Bytes of a header's beginning that its signature covers: all but the signature.
pub const SIGNED_BYTES: usize = SECTOR - 64;

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
    /// The name of the board that the record is for, filled up with NUL.
    pub board: [u8; NAME_MAX],
    /// Virtual address of the first instruction; lies in an executable segment.
    pub entry: u64,
    /// Bytes of the whole record, this header included; a multiple of [`SECTOR`], padded with zeros.
    pub record_bytes: u64,
    /// SHA-256 of what follows the header, to the end of the record.
    pub sha256: [u8; 32],
    /// The segments by ascending address, none sharing a 4096-byte page with another.
    pub segments: [Segment; SEGMENTS],
    /// The app's version as a number; see [`AppVersion`].
    pub app_version: u32,
    /// The app's version as its author writes it, filled up with NUL; empty where it has none.
    pub version_text: [u8; VERSION_TEXT_MAX],
    /// The build id of the program's ELF file; zeros where it has none.
    pub build_id: [u8; BUILD_ID_BYTES],
    /// Which key signed it: the first bytes of the SHA-256 of the public key. Zeros where nobody did.
    pub key_id: [u8; 8],
    /// Zero.
    pub reserved: [u8; 40],
    /// The Ed25519 signature (RFC 8032) over the [`SIGNED_BYTES`] before it; zeros where nobody signed.
    pub signature: [u8; 64],
}

impl AppHeader {
    /// What is signed: the header without its signature.
    pub fn signed_bytes(&self) -> &[u8] {
        self.as_bytes().get(..SIGNED_BYTES).unwrap_or_default()
    }

    /// Whether it has no signature, rather than a wrong one.
    pub fn is_unsigned(&self) -> bool {
        self.key_id == [0; 8] && self.signature == [0; 64]
    }
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
const _: () = assert!(core::mem::offset_of!(AppHeader, signature) == SIGNED_BYTES);

bitfield::bitfield! {
    /// The version of an app as a number that orders releases.
    ///
    /// It is written as `MAJOR.MINOR.PATCH`. What may follow after `-` or `+` (semver.org, sections 9 and 10) is in the
    /// text alone: a pre-release and its release are equal here.
    #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub struct AppVersion(u32);
    /// 0 to 255.
    pub u32, major, set_major: 31, 24;
    /// 0 to 4095.
    pub u32, minor, set_minor: 23, 12;
    /// 0 to 4095.
    pub u32, patch, set_patch: 11, 0;
}

impl AppVersion {
    /// The version of this number.
    pub const fn new(number: u32) -> AppVersion {
        AppVersion(number)
    }

    /// The number: later releases have greater ones.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number of a version's text; `None` where it is not `MAJOR.MINOR.PATCH` or a number is too large.
    pub fn parse(text: &str) -> Option<AppVersion> {
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let mut parts = text.get(..end)?.split('.');
        let mut next = |most: u32| {
            let digits = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse().ok().filter(|&number: &u32| number <= most)
        };
        let (major, minor, patch) = (next(255)?, next(4095)?, next(4095)?);
        if parts.next().is_some() {
            return None;
        }
        let mut version = AppVersion::default();
        version.set_major(major);
        version.set_minor(minor);
        version.set_patch(patch);
        Some(version)
    }
}

impl fmt::Display for AppVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major(), self.minor(), self.patch())
    }
}

impl fmt::Debug for AppVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_releases_are() {
        let texts =
            ["0.0.0", "0.0.1", "0.0.4095", "0.1.0", "0.2.0-rc.1", "0.2.1+debug", "0.4095.4095", "1.0.0", "255.0.0"];
        let numbers: Vec<_> = texts.iter().map(|text| AppVersion::parse(text).expect(text)).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let shown: Vec<_> = numbers.iter().map(|number| number.to_string()).collect();
        assert_eq!(shown[3..7], ["0.1.0", "0.2.0", "0.2.1", "0.4095.4095"]);
        assert_eq!(AppVersion::parse("0.2.0-rc.1"), AppVersion::parse("0.2.0"));
        assert_eq!(AppVersion::parse("1.2.3"), Some(AppVersion(1 << 24 | 2 << 12 | 3)));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in [
            "", "1", "1.2", "1.2.3.4", "1.2.x", "1..3", "+1.2.3", "1.+2.3", " 1.2.3", "256.0.0", "0.4096.0", "0.0.4096",
        ] {
            assert_eq!(AppVersion::parse(text), None, "{text:?}");
        }
        assert_eq!(AppVersion::parse("99999999999.0.0"), None);
    }
}
