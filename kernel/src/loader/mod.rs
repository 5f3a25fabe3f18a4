//! Reads apps from the board's flash, and believes nothing that its digest does not cover.
//!
//! The layout is [`slopos_abi::flash`]. Nothing here waits for the device and nothing works for long: a [`Loader`] makes
//! bounded steps at the expense of the process that it loads, what it asks of the flash comes later, and every length is
//! bounded by the slot, the process's RAM and the segments before it is used.

mod load;
mod map;
mod record;

pub use load::{HASH_BYTES, Loader, Progress, READ_BYTES, WIPE_BYTES};
pub use map::{FlashMap, MAP_BYTES, MapError};
pub use record::AppError;

use heapless::Vec;
use slopos_abi::flash::{SEGMENTS, Segment};

/// What was loaded: enough to map it and to begin.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Address of the first instruction.
    pub entry: u64,
    /// The segments, checked: page-aligned, ascending, inside the process's RAM, never writable and executable.
    pub segments: Vec<Segment, SEGMENTS>,
}

/// Sectors of the flash that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first.
    pub sector: u64,
    /// How many.
    pub sectors: u64,
}

#[cfg(test)]
mod tests;
