//! Frames, written and read by code of the laboratory's own: a peer that shared the board's would share its mistakes.
//!
//! Fields that a hostile peer sets wrongly are public, so a script writes a [`Frame`] as it likes, and changes the
//! bytes of [`Frame::emit`] where even that does not reach. [`Frame::parse`] is strict: it is for what the board sends,
//! and its errors are the board's mistakes.

pub mod arp;
mod bytes;
pub mod dhcp;
mod frame;
pub mod ipv4;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod udp;

pub use arp::Arp;
pub use bytes::{BROADCAST, Mac, checksum};
pub use dhcp::Dhcp;
pub use frame::{Frame, HEADER_BYTES, Payload, describe};
pub use ipv4::Ipv4;
pub use tcp::Tcp;
pub use udp::Udp;
