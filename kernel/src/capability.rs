//! What trusted code may do, as zero-sized tokens that only the board can mint.
//!
//! A function that needs an authority takes a reference to a type that implements the authority's trait. The
//! traits are `unsafe` to implement, so a crate that forbids unsafe code can be handed a token but cannot make one:
//!
//! ```compile_fail
//! #![forbid(unsafe_code)]
//! struct Forged;
//! unsafe impl slopos_kernel::capability::ManageProcesses for Forged {}
//! ```
//!
//! Nor does a safe implementation compile:
//!
//! ```compile_fail
//! struct Forged;
//! impl slopos_kernel::capability::ManageProcesses for Forged {}
//! ```
#![allow(unsafe_code, reason = "declares traits that are unsafe to implement; there is no unsafe code here")]

/// May start and kill processes.
///
/// # Safety
/// Only the board implements this, for tokens that it hands to what it trusts to manage processes.
pub unsafe trait ManageProcesses {}

/// May write the memory of a process that does not run: to load it, or where it waits to read.
///
/// # Safety
/// Only the board implements this, for tokens that it hands to what it trusts with every process's memory.
pub unsafe trait EnterProcessMemory {}

/// May hand frames of the wire to the network stack and take frames from it.
///
/// # Safety
/// Only the board implements this, for tokens that it hands to what drives a network device.
pub unsafe trait HandFrames {}

/// May read what the grants of any process hold, and change nothing.
///
/// # Safety
/// Only the board implements this, for tokens that it hands to what reports on the whole system.
pub unsafe trait ReadGrants {}
