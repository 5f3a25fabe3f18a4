//! The bodies of the fuzz targets, which `cargo fuzz` and the tests of this crate share.
//!
//! Each takes any bytes and panics where something does not hold that must hold for all bytes. That nothing panics by
//! itself is the first of these.

pub mod commands;
pub mod flash;
pub mod parsers;
mod partitions;
pub mod record;
mod stack;

pub use partitions::partitions;
pub(crate) use partitions::{MAP_SECTOR, REGION};
pub use stack::stack;

/// A target: its name, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names that their folders in `tools/lab/fuzz/corpus` have.
pub const ALL: [Target; 12] = [
    ("ethernet", parsers::ethernet),
    ("arp", parsers::arp),
    ("ipv4", parsers::ipv4),
    ("udp", parsers::udp),
    ("dhcp", parsers::dhcp),
    ("tcp", parsers::tcp),
    ("tcp_options", parsers::tcp_options),
    ("partitions", partitions),
    ("map", flash::map),
    ("state", flash::state),
    ("record", record::record),
    ("stack", stack),
];
