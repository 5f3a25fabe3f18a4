//! What webget decides without the kernel: its options, what is missing on the way to a server, and the exit status for
//! what happened.
//!
//! HTTP itself is in the crate `slopos-http`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod near;
pub mod network;
pub mod options;
pub mod outcome;
pub mod redirect;
pub mod store;
pub mod word;
