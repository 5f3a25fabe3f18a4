//! TCP as a client (RFC 9293), without any I/O of its own.
//!
//! A [`Connection`] is memory of one process's grant, its two rings included. A segment and the current time go in by
//! [`Connection::receive`], segments come out by [`Connection::transmit`], one for each call, built straight into the
//! caller's buffer. [`Connection::next_deadline`] says when [`Connection::poll`] must run the timers. The process's side
//! is [`Connection::connect`], [`Connection::read`], [`Connection::write`] and [`Connection::close`]; none of them waits.
//!
//! Each line of the table knows those above it, and no line below; each type keeps its fields to itself.
//!
//! | file | what it holds |
//! |---|---|
//! | `state`, `counters`, `interface`, `limits`, `reset`, `due` | small types: where in its life, what is counted, asked, answered, due |
//! | `range_set`, `ring`, `timers`, `tick` | sets of ranges of sequence numbers, byte rings, the table of timers |
//! | `loss/` | what is lost: the scoreboard, RACK, when each segment was sent |
//! | `congestion`, `rtt`, `clock` | how much to send, how long to wait, the timestamps option |
//! | `receiver/` | the peer's stream: the ring, what is held behind a gap, what is acknowledged, the window |
//! | `sender/` | ours: what is due, building it, what acknowledgements and silence mean |
//! | `handshake`, `defence`, `close`, `keep_alive` | how it begins, which segments are taken in, how it ends |
//! | `connection` | the spine: receive, transmit, poll; and what the process may do |
//!
//! Deviations, and decisions where the specifications leave the choice, are in the doc comment of the item that
//! makes them.

pub mod counters;
pub mod reset;

mod clock;
mod close;
mod congestion;
mod connection;
mod defence;
mod due;
mod handshake;
mod interface;
mod keep_alive;
mod limits;
mod loss;
mod range_set;
mod receiver;
mod ring;
mod rtt;
mod sender;
mod state;
mod tick;
mod timers;

#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use counters::{Counters, Dropped};
pub use interface::{ConnectParameters, Polled, Received, Traffic};
pub use reset::{ResetReply, reset_for};
pub use state::{Error, State};
