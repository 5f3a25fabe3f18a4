//! DHCP (RFC 2131): the messages in [`wire`], their options in [`options`], what is granted in [`lease`], the
//! client in [`client`].

pub mod client;
pub mod lease;
pub mod options;
pub mod wire;

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;
