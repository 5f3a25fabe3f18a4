//! Disks that boot a board by themselves: what is on them, and the flash on those that there are.
//!
//! [`Parts`] are what a disk is made of; [`raw::make`], [`qcow2::make`], [`iso::make`] and [`oci::make`] make one of each
//! form, from the same bytes the same bytes. [`Container`] is a file of any of these forms, or of none, with a flash in it
//! that can be read and replaced.
#![forbid(unsafe_code)]

mod boot;
pub mod container;
mod environment;
mod fat;
mod grub;
pub mod iso;
mod kernel;
pub mod oci;
pub mod qcow2;
pub mod raw;
mod run;

pub use boot::Parts;
pub use container::Container;
