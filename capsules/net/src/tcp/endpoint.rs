//! One end of a connection.

use core::fmt;
use core::net::Ipv4Addr;

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct Endpoint {
    /// The host.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// No end: 0.0.0.0:0.
    pub const UNSPECIFIED: Endpoint = Endpoint { address: Ipv4Addr::UNSPECIFIED, port: 0 };
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.address, self.port)
    }
}
