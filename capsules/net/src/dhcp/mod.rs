//! DHCP (RFC 2131): what is granted in [`lease`], the client in [`client`]; the messages are in [`crate::wire::dhcp`].

pub mod client;
pub mod lease;
