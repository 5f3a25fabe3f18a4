//! What the kernel tells a process about the network and about the process's own grants.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The answer of `net_info`. Counters count from boot; addresses are 0.0.0.0 without a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetInfo {
    /// Our address.
    pub address: [u8; 4],
    /// The gateway's address.
    pub gateway: [u8; 4],
    /// Bits of the network mask.
    pub prefix: u8,
    /// 1 while the device says that the link is up.
    pub link: u8,
    /// Our station address.
    pub mac: [u8; 6],
    /// Seconds that the lease still holds; `u32::MAX` for an infinite one, 0 without one.
    pub lease_seconds: u32,
    /// Largest IP packet on the link, in bytes.
    pub mtu: u32,
    /// Frames received.
    pub receive_frames: u64,
    /// Bytes of those frames.
    pub receive_bytes: u64,
    /// Frames dropped on receipt, for whatever reason.
    pub receive_dropped: u64,
    /// Frames sent.
    pub transmit_frames: u64,
    /// Bytes of those frames.
    pub transmit_bytes: u64,
    /// TCP segments sent again.
    pub retransmits: u64,
    /// The caller's ledger: +10 for each connect that succeeded, -10 for each that timed out.
    pub ledger: i64,
}

/// The answer of `grant_info`: the caller's own network grant. All zeros where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GrantInfo {
    /// Bytes of the grant, fixed before boot.
    pub bytes: u64,
    /// Bytes of it that are in use: each socket that is not free, with what its buffers hold.
    pub in_use: u64,
    /// The largest `in_use` since boot.
    pub high_water: u64,
    /// `socket` and `connect` calls that were denied.
    pub denials: u64,
    /// Sockets in the grant.
    pub sockets: u32,
    /// Sockets that are not free; connections that still close after the process let go count too.
    pub sockets_in_use: u32,
    /// TIME-WAIT records and orphans that were ended early to make room.
    pub recycled: u64,
}
