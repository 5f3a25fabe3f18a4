//! The board's flash: programs and data regions, written as the kernel reads them.
//!
//! The layout is [`slopos_abi::flash`]; the manifest gives the slots and their sizes. A [`Program`] comes from an ELF
//! file or a record, an [`Image`] is the whole flash. Whatever the kernel would reject is rejected here first, with
//! the need and the limit.
#![forbid(unsafe_code)]

mod image;
pub mod key;
pub mod migrate;
mod program;
mod record;
pub mod sign;
pub mod status;
#[cfg(test)]
mod tests;
pub mod update;

pub use image::{Contents, Image, Slot, slots};
pub use program::{Piece, Program};
pub use record::{decode, encode};
