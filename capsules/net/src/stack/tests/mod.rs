//! The whole stack against a network in virtual time: see [`network`].

mod address;
mod connections;
mod entries;
mod hostile;
mod leases;
mod logs;
mod network;
mod shares;
