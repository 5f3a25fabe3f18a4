//! Whom a process talks to, and whom it may talk to.

use crate::Errno;
use core::fmt;
use core::net::Ipv4Addr;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IPv4 address.
    pub address: Ipv4Addr,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// No end: 0.0.0.0:0.
    pub const UNSPECIFIED: Endpoint = Endpoint::new(Ipv4Addr::UNSPECIFIED, 0);

    /// The end at this address and port.
    pub const fn new(address: Ipv4Addr, port: u16) -> Endpoint {
        Endpoint { address, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.address, self.port)
    }
}

/// Address and port as CONNECT passes them: 10.0.2.2 is `0x0a00_0202`, ports count from 1.
impl TryFrom<(u64, u64)> for Endpoint {
    type Error = Errno;

    fn try_from((address, port): (u64, u64)) -> Result<Endpoint, Errno> {
        match (u32::try_from(address), u16::try_from(port)) {
            (Ok(address), Ok(port @ 1..)) => Ok(Endpoint::new(Ipv4Addr::from_bits(address), port)),
            _ => Err(Errno::Invalid),
        }
    }
}

/// The addresses of one network and a range of their ports: what a process may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteRange {
    /// An address of the network.
    pub address: Ipv4Addr,
    /// How many of its leading bits count: 0 (any address) to 32 (this one).
    pub prefix: u8,
    /// Lowest port.
    pub first_port: u16,
    /// Highest port. Where it is below the lowest, the range is empty.
    pub last_port: u16,
}

impl RemoteRange {
    /// Every address and port.
    pub const ANY: RemoteRange =
        RemoteRange { address: Ipv4Addr::UNSPECIFIED, prefix: 0, first_port: 1, last_port: u16::MAX };
    /// Nothing: a range of ports that is empty.
    pub const NONE: RemoteRange = RemoteRange { first_port: u16::MAX, last_port: 0, ..RemoteRange::ANY };

    /// Whether this range reaches `remote`.
    pub const fn covers(&self, remote: Endpoint) -> bool {
        (self.address.to_bits() ^ remote.address.to_bits()) & prefix_mask(self.prefix) == 0
            && self.first_port <= remote.port
            && remote.port <= self.last_port
    }

    /// What lies in both ranges. Of two networks one holds the other, or they share nothing.
    #[must_use]
    pub fn intersection(&self, other: &RemoteRange) -> RemoteRange {
        let (wide, narrow) = if self.prefix <= other.prefix { (self, other) } else { (other, self) };
        if (wide.address.to_bits() ^ narrow.address.to_bits()) & prefix_mask(wide.prefix) != 0 {
            return RemoteRange::NONE;
        }
        RemoteRange {
            first_port: self.first_port.max(other.first_port),
            last_port: self.last_port.min(other.last_port),
            ..*narrow
        }
    }

    /// Whether some endpoint is in both ranges.
    pub fn overlaps(&self, other: &RemoteRange) -> bool {
        !self.intersection(other).is_empty()
    }

    /// Whether no endpoint is in the range.
    pub const fn is_empty(&self) -> bool {
        self.last_port < self.first_port
    }
}

/// Network and ports as RESTRICT_CONNECT passes them: address, prefix, first and last port.
impl TryFrom<[u64; 4]> for RemoteRange {
    type Error = Errno;

    fn try_from([address, prefix, first_port, last_port]: [u64; 4]) -> Result<RemoteRange, Errno> {
        let (Ok(address), Ok(prefix @ 0..=32)) = (u32::try_from(address), u8::try_from(prefix)) else {
            return Err(Errno::Invalid);
        };
        let (Ok(first_port @ 1..), Ok(last_port)) = (u16::try_from(first_port), u16::try_from(last_port)) else {
            return Err(Errno::Invalid);
        };
        let range = RemoteRange { address: Ipv4Addr::from_bits(address), prefix, first_port, last_port };
        if range.is_empty() { Err(Errno::Invalid) } else { Ok(range) }
    }
}

impl fmt::Display for RemoteRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}:{}", self.address, self.prefix, self.first_port)?;
        if self.first_port < self.last_port { write!(out, "-{}", self.last_port) } else { Ok(()) }
    }
}

/// The leading bits of an address that a prefix of this length keeps; more than 32 count as 32.
pub const fn prefix_mask(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        1..=32 => u32::MAX << (32 - prefix),
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(address: [u8; 4], prefix: u8, first_port: u16, last_port: u16) -> RemoteRange {
        RemoteRange { address: Ipv4Addr::from(address), prefix, first_port, last_port }
    }

    #[test]
    fn an_endpoint_is_read_from_two_numbers_and_nothing_too_large_is() {
        let gateway = Endpoint::new(Ipv4Addr::new(10, 0, 2, 2), 80);
        assert_eq!(Endpoint::try_from((0x0a00_0202, 80)), Ok(gateway));
        assert_eq!(gateway.to_string(), "10.0.2.2:80");
        for bad in [(1 << 32, 80), (1, 0), (1, 65_536), (u64::MAX, 80)] {
            assert_eq!(Endpoint::try_from(bad), Err(Errno::Invalid), "{bad:?}");
        }
        assert!(Endpoint::try_from((u64::from(u32::MAX), 65_535)).is_ok());
    }

    #[test]
    fn a_range_covers_its_network_and_its_ports_and_no_more() {
        let network = range([10, 0, 2, 0], 24, 80, 90);
        for (address, port, covered) in [
            ([10, 0, 2, 0], 80, true),
            ([10, 0, 2, 255], 90, true),
            ([10, 0, 3, 0], 80, false),
            ([10, 0, 2, 1], 79, false),
            ([10, 0, 2, 1], 91, false),
        ] {
            assert_eq!(network.covers(Endpoint::new(Ipv4Addr::from(address), port)), covered, "{address:?}:{port}");
            assert!(RemoteRange::ANY.covers(Endpoint::new(Ipv4Addr::from(address), port)));
            assert!(!RemoteRange::NONE.covers(Endpoint::new(Ipv4Addr::from(address), port)));
        }
    }

    #[test]
    fn two_ranges_share_the_narrower_network_and_the_ports_that_are_in_both() {
        let (wide, narrow) = (range([10, 0, 0, 0], 8, 1, 1_000), range([10, 0, 2, 0], 24, 500, 2_000));
        let both = range([10, 0, 2, 0], 24, 500, 1_000);
        assert_eq!((wide.intersection(&narrow), narrow.intersection(&wide)), (both, both));
        let elsewhere = range([11, 0, 2, 0], 24, 1, 9);
        let other_ports = range([10, 0, 2, 0], 24, 2_001, 3_000);
        for (one, other) in [(wide, elsewhere), (narrow, other_ports)] {
            assert!(!one.overlaps(&other) && !other.overlaps(&one), "{one} and {other}");
        }
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        assert_eq!(narrow.intersection(&RemoteRange::ANY), narrow);
    }

    #[test]
    fn a_range_is_read_from_four_numbers_that_make_sense() {
        let read = RemoteRange::try_from([0x0a00_0200, 24, 80, 90]);
        assert_eq!(read, Ok(range([10, 0, 2, 0], 24, 80, 90)));
        assert_eq!(read.map(|range| range.to_string()), Ok("10.0.2.0/24:80-90".to_owned()));
        assert_eq!(range([10, 0, 2, 0], 24, 80, 80).to_string(), "10.0.2.0/24:80");
        for bad in [[1 << 32, 24, 80, 90], [0, 33, 80, 90], [0, 24, 0, 90], [0, 24, 90, 89], [0, 24, 80, 65_536]] {
            assert_eq!(RemoteRange::try_from(bad), Err(Errno::Invalid), "{bad:?}");
        }
    }

    #[test]
    fn a_mask_keeps_the_leading_bits() {
        assert_eq!([0, 1, 24, 32, 33].map(prefix_mask), [0, 1 << 31, 0xffff_ff00, u32::MAX, u32::MAX]);
    }
}
