//! The network stack, from Ethernet frames to TCP streams, without any I/O of its own.
//!
//! A frame and the current time go in ([`Stack::receive`]), the next frame to send is pulled out
//! ([`Stack::transmit`]), and the stack says when it wants to be looked at again ([`Stack::next_deadline`]).
//! Nothing in here reads a clock or knows a device, so the same code runs in the kernel, under host tests and in
//! a simulated network. What a process's sockets need lies in that process's [`SocketSet`], a region of its grant.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
// No packet may stop the kernel: what may be missing or out of range says so in its type.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo
    )
)]

#[cfg(test)]
use slopos_host_log as _;

pub mod counters;
mod deadline;
pub mod dhcp;
pub mod neighbour;
pub mod random;
#[cfg(test)]
mod rfc;
pub mod sockets;
pub mod stack;
pub mod tcp;
pub mod wire;

pub use counters::Counters;
pub use sockets::{Socket, SocketSet};
pub use stack::{Config, Stack};
pub use wire::ethernet::MacAddress;
