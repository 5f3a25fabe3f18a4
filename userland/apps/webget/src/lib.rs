//! What webget decides without the kernel: its options, and the exit status for what happened.
//!
//! HTTP itself is in the crate `slopos-http`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod options;
pub mod outcome;
