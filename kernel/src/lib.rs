//! The kernel's core: processes, descriptors, system calls, grants, capabilities and the ledger. It knows no
//! hardware and no driver.
//!
//! Three seams lead out of it, and only three: [`objects::Objects`] reaches what a descriptor names,
//! [`processor::Processor`] runs a process and touches its memory, and [`readers::Readers`] gives a capsule the buffer
//! of a process that waits to read. Start reading in [`kernel`], then [`syscall`].
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

pub mod capability;
pub mod grant;
pub mod kernel;
pub mod ledger;
pub mod loader;
pub mod log_budget;
pub mod log_level;
pub mod objects;
pub mod pacing;
pub mod process;
pub mod processor;
pub mod readers;
pub mod scheduler;
pub mod storm;
pub mod syscall;
pub mod time;
