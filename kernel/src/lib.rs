//! The kernel's core: processes, descriptors, system calls, grants, capabilities and the ledger. It knows no
//! hardware and no driver.
//!
//! Two seams lead out of it, and only two: [`objects::Objects`] reaches what a descriptor names, and
//! [`processor::Processor`] runs a process and touches its memory. Start reading in [`scheduler`], then
//! [`dispatch`].
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(test)]
use slopos_host_log as _;

pub mod capability;
pub mod descriptor;
pub mod dispatch;
pub mod grant;
pub mod ledger;
pub mod loader;
pub mod log_budget;
pub mod objects;
pub mod process;
pub mod processor;
pub mod scheduler;
pub mod storm;
pub mod time;
