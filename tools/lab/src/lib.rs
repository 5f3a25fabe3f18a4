//! What the instruments of the laboratory share: servers, links, impairment, seeded chance, and reports.
//!
//! [`servers`] are what a board fetches from, on the loopback or in a [`network`] of their own. [`link`] is the wire to
//! a QEMU, [`impair`] makes one as bad as it is told to, in the host's time or in virtual time, and [`bridge`] carries
//! frames over such a wire. All chance follows from a seed ([`chance`]). Frames are written and read by [`wire`];
//! [`peer`] is the other end of a TCP connection in virtual time. [`report`] makes tables and files of figures.
#![forbid(unsafe_code)]

pub mod bridge;
pub mod chance;
pub mod files;
pub mod impair;
pub mod link;
pub mod namespace;
pub mod network;
pub mod peer;
pub mod report;
pub mod servers;
pub mod wire;
