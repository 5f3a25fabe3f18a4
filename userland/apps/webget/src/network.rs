//! What is missing where a connect was not answered in time.

use core::fmt;
use core::net::Ipv4Addr;

use libslop::abi::info::{NetInfo, network};

/// Why nothing could be reached. A program cannot mend it, but the person who reads its message can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The board has no network device, or none that it can use.
    Device,
    /// The device says that its link is down.
    Link,
    /// No DHCP server has given us an address.
    Lease,
    /// The remote is in another network, and the lease names no gateway.
    Gateway,
    /// The remote is in another network, and the gateway does not answer.
    GatewayAnswer,
}

impl Missing {
    /// What keeps us from the remote; `None` where the network is as it should be, and so the remote itself is silent.
    pub fn on_the_way_to(remote: Ipv4Addr, info: &NetInfo) -> Option<Missing> {
        let lacks = |bit| info.flags & bit == 0;
        let mask = u32::MAX.checked_shl(32 - u32::from(info.prefix.min(32))).unwrap_or(0);
        let near = (remote.to_bits() ^ u32::from_be_bytes(info.address)) & mask == 0;
        if lacks(network::DEVICE) {
            Some(Missing::Device)
        } else if lacks(network::LINK) {
            Some(Missing::Link)
        } else if lacks(network::LEASE) {
            Some(Missing::Lease)
        } else if near || !lacks(network::GATEWAY) {
            None
        } else if info.gateway == [0; 4] {
            Some(Missing::Gateway)
        } else {
            Some(Missing::GatewayAnswer)
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Missing::Device => "no network device",
            Missing::Link => "the network link is down",
            Missing::Lease => "no network address: no DHCP lease",
            Missing::Gateway => "the network has no gateway",
            Missing::GatewayAnswer => "the gateway does not answer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
    const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 77);

    fn info(flags: u32, gateway: [u8; 4]) -> NetInfo {
        NetInfo { address: [10, 0, 2, 15], prefix: 24, gateway, flags, ..NetInfo::default() }
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named() {
        let gateway = [10, 0, 2, 2];
        let all = network::DEVICE | network::LINK | network::LEASE | network::GATEWAY;
        let cases = [
            (0, Some(Missing::Device)),
            (all & !network::DEVICE, Some(Missing::Device)),
            (network::DEVICE, Some(Missing::Link)),
            (all & !network::LINK, Some(Missing::Link)),
            (network::DEVICE | network::LINK, Some(Missing::Lease)),
            (all & !network::GATEWAY, Some(Missing::GatewayAnswer)),
            (all, None),
        ];
        for (flags, expected) in cases {
            assert_eq!(Missing::on_the_way_to(FAR, &info(flags, gateway)), expected, "{flags:#b}");
        }
        let without = all & !network::GATEWAY;
        assert_eq!(Missing::on_the_way_to(FAR, &info(without, [0; 4])), Some(Missing::Gateway));
        assert_eq!(Missing::on_the_way_to(NEAR, &info(without, [0; 4])), None, "a neighbour needs no gateway");
        let alone = NetInfo { prefix: 32, ..info(without, [0; 4]) };
        assert_eq!(Missing::on_the_way_to(NEAR, &alone), Some(Missing::Gateway));
    }
}
