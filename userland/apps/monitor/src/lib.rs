//! What monitor decides without the kernel: its options, and which of its findings are news.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod options;
pub mod watch;
