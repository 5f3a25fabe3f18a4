//! What hostile needs that can be tested without the kernel: its random numbers.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod random;
