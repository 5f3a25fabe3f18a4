//! The kernel's core: what knows no hardware.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

pub mod grant;
pub mod process;
pub mod time;
