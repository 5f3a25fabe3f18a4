//! Counts the guest instructions of a run of the board, and says which function and which layer they belong to.
//!
//! [`profile`] runs the board under QEMU with the plugin of `plugin.c`; [`symbols`] finds the functions in the
//! debug information of the kernel and the apps; [`layer`] sorts functions into layers; [`script`] is a peer that
//! repeats; [`report`] makes the table; [`kept`] compares with the figures that the tree keeps; [`change`]
//! shows them beside those of an earlier board.
#![forbid(unsafe_code)]

pub mod change;
pub mod figure;
pub mod kept;
pub mod layer;
pub mod profile;
pub mod report;
pub mod script;
pub mod symbols;
