//! A lease: what a server's message grants, checked, with the deadlines that follow from it.

use defmt::info;
use slopos_kernel::time::{Duration, Instant};

use crate::Ipv4Address;
use crate::dhcp::wire::Reply;
use crate::ipv4::mask;

/// An address, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Address,
    /// Bits of the network mask.
    pub prefix: u8,
    /// The way to all other networks, if there is one.
    pub gateway: Option<Ipv4Address>,
    /// Who granted it.
    pub server: Ipv4Address,
    /// For how many seconds; `None` for ever.
    pub seconds: Option<u32>,
    /// When to ask the server, when to ask any server, and when it ends; `None` where it never does.
    pub deadlines: Option<Deadlines>,
}

/// The deadlines of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// T1.
    pub renew: Instant,
    /// T2.
    pub rebind: Instant,
    /// The end.
    pub expire: Instant,
}

impl Lease {
    /// The lease that a message grants or offers, counted from `from`; `None` where no host can use it.
    pub(super) fn from_reply(reply: &Reply, server: Ipv4Address, from: Instant) -> Option<Lease> {
        let address = reply.your_address;
        let prefix = match reply.options.mask {
            Some(wanted) => {
                let prefix = wanted.to_u32().leading_ones() as u8;
                if mask(prefix) != wanted.to_u32() || prefix == 0 {
                    return None;
                }
                prefix
            }
            None => class_prefix(address),
        };
        let seconds = reply.options.lease_seconds.filter(|&seconds| seconds != 0)?;
        if !address.is_host() || address.names_a_network(prefix) {
            return None;
        }
        let seconds = (seconds != u32::MAX).then_some(seconds);
        let deadlines = seconds.map(|seconds| {
            let total = Duration::from_secs(u64::from(seconds));
            let given = |option: Option<u32>| option.map(|seconds| Duration::from_secs(u64::from(seconds)));
            // Section 4.4.5: half, and seven eighths, unless the server says otherwise and makes sense.
            let halves = (total.divided_by(2), total.times(7).divided_by(8));
            let renew = given(reply.options.renewal_seconds).unwrap_or(halves.0);
            let rebind = given(reply.options.rebinding_seconds).unwrap_or(halves.1);
            let (renew, rebind) = if renew < rebind && rebind < total { (renew, rebind) } else { halves };
            Deadlines { renew: from + renew, rebind: from + rebind, expire: from + total }
        });
        let gateway = reply.options.router.filter(|&router| router.is_host() && router != address);
        Some(Lease { address, prefix, gateway, server, seconds, deadlines })
    }

    /// Says in the log what was granted; scripts look for this line.
    pub(super) fn report(&self) {
        let gateway = self.gateway.unwrap_or_default();
        let seconds = self.seconds.unwrap_or(u32::MAX);
        info!(
            "dhcp: lease {}/{=u8} gateway {} server {} seconds {=u32}",
            self.address, self.prefix, gateway, self.server, seconds
        );
    }
}

/// The mask that an address implies where a server names none (RFC 950, RFC 1122 3.3.1.1).
fn class_prefix(address: Ipv4Address) -> u8 {
    match address.0 {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}
