//! What the boards with this processor share. A board's `main` brings the machine up, finds its devices and runs the
//! [`system`]; all of that is here.
//!
//! The manifest decides the sizes of statics, so this is compiled for one manifest, which `SLOPOS_MANIFEST` names.
#![no_std]

// Lints look at the board as a program of this machine, where the standard library brings the panic handler.
#[cfg(not(target_os = "none"))]
extern crate std as _;

mod board;
mod capsules;
mod claims;
mod clocks;
mod commands;
mod copies;
mod devices;
mod ending;
mod entropy;
mod flash;
mod image;
mod interrupts;
mod loading;
mod log;
pub mod machine;
pub mod mmio;
mod modules;
mod panic;
pub mod pci;
mod power;
mod progress;
mod reports;
mod seed;
#[cfg(selftest)]
mod selftest;
mod serial;
mod shutdown;
mod statics;
pub mod system;
mod tokens;
mod version;
mod watchdog;

// Links memcpy and its like, which compiled code calls by name.
use slopos_memory as _;
