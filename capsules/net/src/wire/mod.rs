//! The formats on the wire: bytes in, plain structs out, and back.
//!
//! Every length is checked before it is used. Nothing here knows a connection, a time or a state; what a message means
//! is decided above.

pub mod arp;
pub mod checksum;
pub mod dhcp;
pub mod ethernet;
pub mod ipv4;
pub mod tcp;
pub mod udp;
