//! The whole stack against a network in virtual time: see [`network`].

mod address;
mod connections;
mod hostile;
mod network;
