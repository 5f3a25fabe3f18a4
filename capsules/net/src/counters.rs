//! What the stack counts: one counter for each reason to drop what arrived, and one for each event worth seeing.
//!
//! All count from boot and are 64 bits wide, so none ever wraps. A group that ends in `Drops` counts received
//! frames that went no further; the groups are disjoint, so their sum is the number of frames dropped.

use crate::tcp;
use crate::wire::tcp::ParseError;

/// Declares a group of counters together with the means to list it.
macro_rules! group {
    ($(#[$about:meta])* $name:ident { $($(#[$why:meta])* $field:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$why])* pub $field: u64,)+
        }

        impl $name {
            /// Each counter with its name, in the order of declaration.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($field), self.$field)),+].into_iter()
            }

            /// All of them together.
            pub fn total(&self) -> u64 {
                0 $(+ self.$field)+
            }
        }
    };
}

group! {
    /// What went over the wire.
    Traffic {
        /// Frames received.
        receive_frames,
        /// Bytes of those, headers included.
        receive_bytes,
        /// Frames sent.
        transmit_frames,
        /// Bytes of those, headers included.
        transmit_bytes,
    }
}

group! {
    /// Frames dropped before anything looked inside.
    EthernetDrops {
        /// Shorter than an Ethernet header.
        truncated,
        /// Arrived while the link was down.
        link_down,
        /// Sent to another station or to a group that we are not in.
        not_for_us,
        /// The source is a group address or zero.
        bad_source,
        /// The source is our own address.
        own_source,
        /// Neither IPv4 nor ARP.
        unknown_type,
    }
}

group! {
    /// ARP packets dropped.
    ArpDrops {
        /// Too short, or not about IPv4 on Ethernet, or neither request nor reply.
        malformed,
        /// The sender's address is none that a host on this link may have.
        bad_sender,
        /// Concerns neither us nor a neighbour that we talk to.
        not_for_us,
        /// Would change a neighbour's station address that was confirmed within the last second.
        locked,
    }
}

group! {
    /// IPv4 packets dropped.
    Ipv4Drops {
        /// Shorter than a header.
        truncated,
        /// The version is not 4.
        version,
        /// The header's length is impossible.
        header_length,
        /// The total length is impossible.
        total_length,
        /// The header's checksum is wrong.
        checksum,
        /// A fragment; there is no reassembly.
        fragment,
        /// The source cannot be a host, or claims to be ourselves.
        bad_source,
        /// The destination is not an address of ours.
        not_for_us,
        /// A packet to one host in a frame to all of them (RFC 1122 3.3.6).
        unicast_in_broadcast,
        /// Neither TCP nor UDP.
        unknown_protocol,
    }
}

group! {
    /// UDP datagrams dropped.
    UdpDrops {
        /// Shorter than a header, or the length field exceeds the packet.
        malformed,
        /// The checksum is wrong.
        checksum,
        /// Nobody listens there: only the DHCP client listens at all.
        no_port,
    }
}

group! {
    /// DHCP messages dropped.
    DhcpDrops {
        /// Too short, no magic cookie, an option that runs out of its field, or no server's message type.
        malformed,
        /// Answers another transaction or another station.
        not_for_us,
        /// Nothing that the present state waits for.
        unexpected,
        /// Names no server, or not the one that we deal with.
        wrong_server,
        /// Offers what no host can use: address, mask or lease time are missing or make no sense.
        unusable,
    }
}

group! {
    /// TCP segments dropped before any connection saw them.
    TcpDrops {
        /// Shorter than a header.
        too_short,
        /// The data offset is impossible.
        bad_data_offset,
        /// The checksum is wrong.
        bad_checksum,
        /// Belongs to no connection; answered with a reset unless it is one itself.
        no_connection,
    }
}

impl TcpDrops {
    /// Counts a segment that could not be taken apart.
    pub(crate) fn drop_for(&mut self, error: ParseError) {
        *match error {
            ParseError::TooShort => &mut self.too_short,
            ParseError::BadDataOffset => &mut self.bad_data_offset,
            ParseError::BadChecksum => &mut self.bad_checksum,
        } += 1;
    }
}

group! {
    /// What happened, other than a frame being dropped on receipt.
    Events {
        /// ARP requests sent, probes and announcements included.
        arp_requests_sent,
        /// ARP replies sent.
        arp_replies_sent,
        /// Neighbours that did not answer.
        neighbours_failed,
        /// A neighbour could not be asked for because the table was full of ones being asked for.
        neighbours_full,
        /// Somebody else used our address.
        address_conflicts,
        /// DHCP messages sent.
        dhcp_sent,
        /// Leases granted or extended.
        leases,
        /// Leases refused by a NAK.
        lease_refusals,
        /// Leases that ran out.
        lease_expiries,
        /// Replies that belong to no socket (ARP, resets) dropped because the ring was full.
        replies_dropped,
        /// Resets not sent because the way to the peer is not known.
        resets_unroutable,
        /// `socket` calls of processes without network authority.
        sockets_denied,
        /// `connect` calls to remotes outside the caller's authority.
        connects_denied,
        /// TIME-WAIT records and orphans that were ended early to make room.
        recycled,
        /// Connections aborted because the address was lost.
        address_lost,
    }
}

/// Everything that is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// What went over the wire.
    pub traffic: Traffic,
    /// Frames dropped before anything looked inside.
    pub ethernet: EthernetDrops,
    /// ARP packets dropped.
    pub arp: ArpDrops,
    /// IPv4 packets dropped.
    pub ipv4: Ipv4Drops,
    /// UDP datagrams dropped.
    pub udp: UdpDrops,
    /// DHCP messages dropped.
    pub dhcp: DhcpDrops,
    /// Segments dropped before any connection saw them.
    pub segments: TcpDrops,
    /// What the connections themselves count.
    pub tcp: tcp::Counters,
    /// Everything else worth seeing.
    pub events: Events,
}

impl Counters {
    /// Received frames that went no further than the stack itself, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.ethernet.total()
            + self.arp.total()
            + self.ipv4.total()
            + self.udp.total()
            + self.dhcp.total()
            + self.segments.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_counts_as_one_drop() {
        let mut counters = Counters::default();
        counters.ethernet.unknown_type += 1;
        counters.ipv4.checksum += 2;
        counters.dhcp.malformed += 3;
        counters.segments.bad_checksum += 4;
        counters.events.leases += 100;
        assert_eq!(counters.dropped(), 10);
        assert!(counters.ipv4.each().any(|entry| entry == ("checksum", 2)));
    }
}
