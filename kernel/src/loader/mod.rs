//! Reads apps from the board's flash, and trusts nothing that signature and digest do not cover.
//!
//! The layout is [`slopos_abi::flash`]. Nothing here waits for the device, and nothing takes long: a [`Loader`] makes
//! bounded steps that are charged to the process, and the sectors that it requests arrive between them. Every length is
//! checked against the slot, the process's RAM and the segments before it is used.

mod load;
mod map;
mod record;
mod signature;
mod trust;

pub use load::{HASH_BYTES, Loader, Progress, READ_BYTES, WIPE_BYTES};
pub use map::{FlashMap, MAP_BYTES, MapError};
pub use record::{AppError, Wanted, check_header};
pub use signature::verify;
pub use trust::{PublicKey, Trust, Unsigned};

use heapless::Vec;
use sha2::{Digest, Sha256};
use slopos_abi::flash::{SEGMENTS, Segment};

/// A loaded program: what is needed to map and start it.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Address of the first instruction.
    pub entry: u64,
    /// The segments, checked: page-aligned, ascending, inside the process's RAM, never writable and executable.
    pub segments: Vec<Segment, SEGMENTS>,
}

/// SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Consecutive sectors of the flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first.
    pub sector: u64,
    /// How many.
    pub sectors: u64,
}

#[cfg(test)]
mod tests;
