//! A lease: what a server's message grants, checked, with the deadlines that follow from it.

use core::net::Ipv4Addr;

use defmt::info;
use slopos_kernel::time::{Duration, Instant};

use crate::wire::dhcp::ServerMessage;
use crate::wire::dhcp::options::Options;
use crate::wire::ipv4::{Subnet, is_host, mask};

/// An address, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the network mask.
    pub prefix: u8,
    /// The way to all other networks, if there is one.
    pub gateway: Option<Ipv4Addr>,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// Whether its messages come by way of a relay, so that it is not on our link.
    pub relayed: bool,
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

/// Two requests to extend a lease are no closer than this, unless the lease itself is shorter (RFC 2131 section 4.4.5).
pub const EXTEND_INTERVAL_MIN: Duration = Duration::from_secs(60);

impl Lease {
    /// The lease that a message grants or offers, counted from `from`; `None` where no host can use it.
    ///
    /// What the message leaves out, or says without sense, is as in `known`: the lease that it extends, or the offer
    /// that it confirms. T1 and T2 are never remembered, for they are counted in the time that is granted now.
    pub(super) fn from_reply(reply: &ServerMessage, from: Instant, known: Option<&Lease>) -> Option<Lease> {
        let options = &reply.options;
        let address = match known {
            Some(known) if reply.your_address == Ipv4Addr::UNSPECIFIED => known.address,
            _ => reply.your_address,
        };
        let server = options.server.filter(|server| is_host(*server)).or(known.map(|known| known.server))?;
        let prefix = match (options.mask, known) {
            (Some(mask), None) => prefix_for(mask, address)?,
            (Some(mask), Some(known)) => prefix_for(mask, address).unwrap_or(known.prefix),
            (None, Some(known)) => known.prefix,
            (None, None) => class_prefix(address),
        };
        let seconds = match (options.lease_seconds, known) {
            (Some(0), _) | (None, None) => return None,
            (Some(u32::MAX), _) => None,
            (Some(seconds), _) => Some(seconds),
            (None, Some(known)) => known.seconds,
        };
        let subnet = Subnet { address, prefix };
        if !is_host(address) || subnet.reserves(address) {
            return None;
        }
        let deadlines = seconds.map(|seconds| Deadlines::new(seconds, options, from));
        let is_router = |router: &Ipv4Addr| is_host(*router) && *router != address && !subnet.reserves(*router);
        let gateway = options.router.filter(is_router).or(known.and_then(|known| known.gateway));
        Some(Lease { address, prefix, gateway, server, relayed: reply.relayed, seconds, deadlines })
    }

    /// The subnet that it puts us in.
    pub const fn subnet(&self) -> Subnet {
        Subnet { address: self.address, prefix: self.prefix }
    }

    /// Says in the log what was granted; scripts look for this line.
    pub(super) fn report(&self) {
        let gateway = self.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let seconds = self.seconds.unwrap_or(u32::MAX);
        info!(
            "dhcp: lease {}/{=u8} gateway {} server {} seconds {=u32}",
            self.address, self.prefix, gateway, self.server, seconds
        );
    }
}

impl Deadlines {
    /// The deadlines of a lease of so many seconds, counted from `from` (section 4.4.5).
    ///
    /// T1 is half of it and T2 seven eighths, unless the server says otherwise and 0 < T1 < T2 < lease. A server's
    /// times are moved so far apart that no two requests are sent within [`EXTEND_INTERVAL_MIN`]; where the lease
    /// leaves no room for that they are the defaults. A lease of less than a minute is as the server wants it.
    fn new(seconds: u32, options: &Options, from: Instant) -> Deadlines {
        let total = Duration::from_secs(u64::from(seconds));
        let given = |option: Option<u32>| {
            option.filter(|&seconds| seconds != 0).map(|seconds| Duration::from_secs(u64::from(seconds)))
        };
        let (half, most) = (total.divided_by(2), total.times(7).divided_by(8));
        let (wanted_renew, wanted_rebind) =
            (given(options.renewal_seconds).unwrap_or(half), given(options.rebinding_seconds).unwrap_or(most));
        let sensible = wanted_renew < wanted_rebind && wanted_rebind < total;
        let (renew, rebind) = if total <= EXTEND_INTERVAL_MIN {
            if sensible { (wanted_renew, wanted_rebind) } else { (half, most) }
        } else {
            // The distance of the defaults, where that is less than a minute.
            let distance = (most - half).min(EXTEND_INTERVAL_MIN);
            let renew = wanted_renew.max(EXTEND_INTERVAL_MIN);
            let rebind = wanted_rebind.max(renew + distance);
            if sensible && rebind < total {
                (renew, rebind)
            } else {
                let renew = half.max(EXTEND_INTERVAL_MIN);
                (renew, most.max((renew + total).divided_by(2)))
            }
        };
        Deadlines { renew: from + renew, rebind: from + rebind, expire: from + total }
    }
}

/// The bits of a mask; `None` where it is none, or leaves this address no host of a network.
fn prefix_for(wanted: Ipv4Addr, address: Ipv4Addr) -> Option<u8> {
    let prefix = wanted.to_bits().leading_ones() as u8;
    let is_mask = prefix != 0 && mask(prefix) == wanted.to_bits();
    (is_mask && !Subnet { address, prefix }.reserves(address)).then_some(prefix)
}

/// The mask that an address implies where a server names none (RFC 950, RFC 1122 3.3.1.1).
fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}
