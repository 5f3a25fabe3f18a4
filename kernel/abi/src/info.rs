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
    /// Frames received. This and the following five are 0 for a process without a network grant.
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
    /// How far the network is, in the bits of [`network`].
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// Bits of [`NetInfo::flags`]. A connect can succeed only where all of the first three are set.
pub mod network {
    /// The board has a network device.
    pub const DEVICE: u32 = 1;
    /// Its link is up.
    pub const LINK: u32 = 2;
    /// A DHCP server has given us an address.
    pub const LEASE: u32 = 4;
    /// The gateway is known to be there. Without it only neighbours can be reached.
    pub const GATEWAY: u32 = 8;
}

impl NetInfo {
    /// What of it is no other process's business: everything but what the board has sent and received.
    #[must_use]
    pub const fn without_traffic(self) -> NetInfo {
        NetInfo {
            receive_frames: 0,
            receive_bytes: 0,
            receive_dropped: 0,
            transmit_frames: 0,
            transmit_bytes: 0,
            retransmits: 0,
            ..self
        }
    }
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
    /// Segments for the process's connections that were dropped: outside the window, or no room to keep them.
    pub drops: u64,
}

/// What `grant_info` says of one socket; these follow the [`GrantInfo`], one for each socket of the grant, as far as
/// the caller's memory has room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketInfo {
    /// Bytes of the socket's control block and buffers.
    pub bytes: u64,
    /// Bytes of them that are in use; 0 for a free socket.
    pub in_use: u64,
    /// The largest `in_use` since boot.
    pub high_water: u64,
    /// Segments that were dropped.
    pub drops: u64,
    /// The peer's address; 0.0.0.0 without one.
    pub remote: [u8; 4],
    /// The peer's port; 0 without one.
    pub remote_port: u16,
    /// Our port; 0 without one.
    pub local_port: u16,
    /// One of [`SocketState`]'s numbers.
    pub state: u32,
    /// Segments that were sent again since boot, `u32::MAX` for more. Earlier kernels say 0.
    pub retransmits: u32,
}

/// The states of a socket, as numbers of [`SocketInfo::state`]: RFC 9293 section 3.3.2, and those outside TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum SocketState {
    /// In no use.
    Free = 0,
    /// Open, not connected, or no longer.
    Closed = 1,
    SynSent = 2,
    SynReceived = 3,
    Established = 4,
    FinWait1 = 5,
    FinWait2 = 6,
    CloseWait = 7,
    Closing = 8,
    LastAck = 9,
    TimeWait = 10,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_traffic_all_else_is_told() {
        let info = NetInfo { address: [10, 0, 2, 15], prefix: 24, mtu: 1_500, ledger: 10, ..NetInfo::default() };
        let busy = NetInfo {
            receive_frames: 1,
            receive_bytes: 2,
            receive_dropped: 3,
            transmit_frames: 4,
            transmit_bytes: 5,
            retransmits: 6,
            ..info
        };
        assert_eq!(busy.without_traffic(), info);
    }
}
