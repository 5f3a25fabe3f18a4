//! What spread decides without the kernel: its command line, and how far each of its responses is.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod exchange;
pub mod options;
