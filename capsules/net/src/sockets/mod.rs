//! The sockets of the processes: what the manifest gives each, whom it may talk to, and how much of it is in use.
//!
//! A [`SocketSet`] is one process's region of the network grant. All that exists because the process has a socket lies
//! in it: the connections with their buffers, a connect that waits for an address, the records of connections that are
//! closing after the process let go, and what was denied. A [`Socket`] of it is changed through a `SocketGuard`, which
//! settles the set's accounts when it is dropped.
//!
//! `ConnectionTable` finds the socket that a segment is for, through the chains that run through the sockets
//! themselves.

mod authority;
mod bits;
mod connections;
mod link;
mod set;
mod socket;
#[cfg(test)]
mod tests;

pub use set::SocketSet;
pub use socket::{Progress, Socket};

pub(crate) use bits::SocketBits;
pub(crate) use connections::ConnectionTable;
pub(crate) use set::SocketGuard;
pub(crate) use socket::ConnectState;
