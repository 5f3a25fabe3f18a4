//! The x86_64 processor: entry, descriptor tables, traps, page tables, timers, entropy.
//!
//! Start reading in [`boot`] (how the processor gets here), then [`trap`] (how a process is run and comes back).
//! Nothing here knows a device of the board; the board hands over addresses and memory.
#![cfg_attr(not(test), no_std)]

#[cfg(test)]
use slopos_host_log as _;

pub mod apic;
#[cfg(not(test))]
pub mod boot;
pub mod clock;
mod context;
pub mod control;
pub mod cpuid;
pub mod entropy;
pub mod exception;
pub mod frequency;
pub mod loader;
pub mod modules;
mod multiboot2;
pub mod paging;
#[cfg(not(test))]
pub mod probe;
pub mod processor;
pub mod segments;
pub mod start_info;
pub mod trap;
mod vectors;
