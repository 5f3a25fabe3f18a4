//! TCP as a client (RFC 9293), without any I/O of its own.
//!
//! A [`Socket`] is one connection with its two rings, all of it memory of one process's grant. A segment and the
//! current time go in by [`Socket::receive`], segments come out by [`Socket::transmit`], one for each call, built
//! straight into the caller's buffer. [`Socket::next_deadline`] says when [`Socket::poll`] must run the timers. The
//! process's side is [`Socket::connect`], [`Socket::read`], [`Socket::write`] and [`Socket::close`]; none of them
//! waits.
//!
//! | file | what it holds |
//! |---|---|
//! | `range_set`, `ring` | sets of ranges of sequence numbers, byte rings |
//! | `reset` | resets that need no connection |
//! | `control` | the control block: every variable of a connection |
//! | `socket`, `close` | what the process may do with it, and how it ends |
//! | `receive`, `acknowledge`, `assembler` | a segment comes in: checks, what it acknowledges, what it brings |
//! | `challenge` | answers that anybody can ask for, and their limits |
//! | `arrival` | what it brings for a process that waits for it |
//! | `plan`, `transmit` | which segment is due, and building it |
//! | `timers` | what happens when time passes |
//! | `rtt`, `congestion` | how long to wait, how much to send |
//! | `recovery`, `rack`, `records`, `tail` | what is lost, by when it was sent; what to send again |
//!
//! Deviations, and decisions where the specifications leave the choice, are in the doc comment of the item that
//! makes them.

pub mod counters;
pub mod reset;

mod acknowledge;
mod arrival;
mod assembler;
mod challenge;
mod close;
mod congestion;
mod control;
mod plan;
mod rack;
mod range_set;
mod receive;
mod records;
mod recovery;
mod ring;
mod rtt;
mod socket;
mod tail;
mod timers;
mod transmit;

#[cfg(test)]
mod tests;

pub use arrival::Arrival;
pub use control::{ConnectParameters, Error, State};
pub use counters::Counters;
pub use reset::{ResetReply, reset_for};
pub use socket::{Readiness, Socket};
