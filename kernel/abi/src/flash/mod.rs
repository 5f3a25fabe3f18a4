//! The layout of the board's flash: what the `flash` tool writes and the kernel reads.
//!
//! Sector = 512 bytes; all numbers little-endian.
//!
//! ```text
//! sectors 0..4        the flash map: a MapHeader, then up to 62 MapEntry
//! sectors 8 and 16    the state, twice: a StateSector each
//! sectors 24..        for each app two slots, one behind the other; a slot begins with one sector that holds an
//!                     AppHeader, which is signed; its segments' bytes follow at the offsets that the header names. For
//!                     each data region its bytes
//! ```

mod map;
mod record;
mod slot;
mod state;

pub use map::*;
pub use record::*;
pub use slot::*;
pub use state::*;

/// Bytes in a sector.
pub const SECTOR: usize = 512;
/// The type of the flash's partition, where a disk has partitions: d50db8ed-9ea1-422c-9109-ce6d01d67b46, as it stands in a
/// partition table (UEFI 2.10, appendix A).
pub const PARTITION_TYPE: [u8; 16] =
    [0xed, 0xb8, 0x0d, 0xd5, 0xa1, 0x9e, 0x2c, 0x42, 0x91, 0x09, 0xce, 0x6d, 0x01, 0xd6, 0x7b, 0x46];

/// The text of a field that is filled up with NUL, a name of [`NAME_MAX`](crate::limits::NAME_MAX) bytes say; `None` where it is empty or not UTF-8.
pub fn name_text<const LENGTH: usize>(name: &[u8; LENGTH]) -> Option<&str> {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(LENGTH);
    core::str::from_utf8(&name[..length]).ok().filter(|text| !text.is_empty())
}

/// A text filled up with NUL; `None` where it is empty or does not fit the field.
pub fn name_bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut name = [0; LENGTH];
    if text.is_empty() {
        return None;
    }
    name.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(name)
}
