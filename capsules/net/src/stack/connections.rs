//! Finds the socket of a connection in constant time, however many there are.
//!
//! A table of buckets, chosen by our port, for that is ours to choose: no peer can fill one of them. The sockets of a
//! bucket form a chain through their control blocks, so the table is the same however many sockets the manifest gives.
//!
//! A socket stays in its chain when its connection ends, and leaves it when its next one begins; one that has no
//! connection matches nothing.

use slopos_kernel::grant::Grant;
use slopos_kernel::process::ProcessId;

use crate::socket::{Phase, SocketIndex, SocketSet};
use crate::tcp::Endpoint;

/// A socket of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Whose it is.
    pub(crate) process: ProcessId,
    /// Which of its sockets.
    pub(crate) socket: SocketIndex,
}

/// Chains. Ports are taken in turn, so that they fill evenly; a board with hundreds of sockets has two or three in each.
const BUCKETS: usize = 256;

/// A socket's part in the chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// The port whose chain it is in, if it is in one.
    port: Option<u16>,
    /// The next of the chain.
    next: Option<Place>,
}

/// The table.
pub(super) struct ConnectionTable {
    /// The first socket of each chain.
    buckets: [Option<Place>; BUCKETS],
}

impl ConnectionTable {
    /// An empty table.
    pub const fn new() -> Self {
        ConnectionTable { buckets: [None; BUCKETS] }
    }

    fn bucket(&mut self, port: u16) -> Option<&mut Option<Place>> {
        self.buckets.get_mut(usize::from(port) % BUCKETS)
    }

    /// The socket of the connection between these two ends.
    pub fn find(&mut self, grant: &mut Grant<'_, SocketSet<'_>>, local: Endpoint, remote: Endpoint) -> Option<Place> {
        let mut place = (*self.bucket(local.port)?)?;
        loop {
            let socket = grant.enter(place.process, |set| {
                let socket = set.get(place.socket)?;
                Some((socket.phase != Phase::Free && socket.tcp.matches(local, remote), socket.link.next))
            });
            match socket.ok().flatten()? {
                (true, _) => return Some(place),
                (false, next) => place = next?,
            }
        }
    }

    /// A connection of this socket begins, from this port.
    pub fn insert(&mut self, grant: &mut Grant<'_, SocketSet<'_>>, place: Place, port: u16) {
        self.remove(grant, place);
        let Some(bucket) = self.bucket(port) else { return };
        let link = Link { port: Some(port), next: *bucket };
        if set_link(grant, place, link) {
            *bucket = Some(place);
        }
    }

    /// Takes a socket out of its chain, if it is in one.
    fn remove(&mut self, grant: &mut Grant<'_, SocketSet<'_>>, place: Place) {
        let Some(Link { port: Some(port), next }) = link(grant, place) else { return };
        let Some(bucket) = self.bucket(port) else { return };
        if *bucket == Some(place) {
            *bucket = next;
        } else {
            let mut before = *bucket;
            while let Some(at) = before {
                let Some(found) = link(grant, at) else { return };
                if found.next == Some(place) {
                    set_link(grant, at, Link { next, ..found });
                    break;
                }
                before = found.next;
            }
        }
        set_link(grant, place, Link::default());
    }
}

fn link(grant: &mut Grant<'_, SocketSet<'_>>, place: Place) -> Option<Link> {
    grant.enter(place.process, |set| set.get(place.socket).map(|socket| socket.link)).ok().flatten()
}

/// Whether there is such a socket.
fn set_link(grant: &mut Grant<'_, SocketSet<'_>>, place: Place, link: Link) -> bool {
    grant.enter(place.process, |set| set.set_link(place.socket, link)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Remote, Socket};
    use crate::tcp::{ConnectParameters, SocketFlags};
    use crate::wire::tcp::SequenceNumber;
    use core::net::Ipv4Addr;
    use slopos_kernel::time::Instant;

    fn end(last: u8, port: u16) -> Endpoint {
        Endpoint { address: Ipv4Addr::from_octets([10, 0, 2, last]), port }
    }

    /// Two processes with three sockets each, and a table.
    fn with_table(test: impl FnOnce(&mut ConnectionTable, &mut Grant<'_, SocketSet<'_>>)) {
        let mut memory = [[[0_u8; 64]; 2]; 6];
        let mut sockets: Vec<_> =
            memory.iter_mut().map(|[receive, send]| Socket::new(&mut receive[..], &mut send[..])).collect();
        let (first, second) = sockets.split_at_mut(3);
        let anywhere = [Remote::ANY];
        let mut sets = [first, second].map(|sockets| SocketSet::new("app", sockets, &anywhere));
        let [first, second] = &mut sets;
        let mut regions = [Some(first), Some(second)];
        let mut grant = Grant::new(&mut regions);
        test(&mut ConnectionTable::new(), &mut grant);
    }

    fn place(process: u8, socket: u16) -> Place {
        Place { process: ProcessId::new(process), socket: SocketIndex(socket) }
    }

    /// Connects a socket from this port to this port of the peer.
    fn connect(table: &mut ConnectionTable, grant: &mut Grant<'_, SocketSet<'_>>, place: Place, ports: (u16, u16)) {
        let parameters = ConnectParameters {
            local: end(15, ports.0),
            remote: end(2, ports.1),
            initial_sequence: SequenceNumber::new(1),
            timestamp_offset: 0,
            maximum_segment: 1_460,
            deadline: Instant::from_millis(1_000),
        };
        let connected = grant.enter(place.process, |set| {
            set.with(place.socket, |socket| {
                socket.destroy();
                socket.tcp.open(SocketFlags::default());
                socket.phase = Phase::Started { remote: parameters.remote };
                socket.tcp.connect(parameters, Instant::BOOT)
            })
        });
        assert_eq!(connected, Ok(Some(Ok(()))));
        table.insert(grant, place, ports.0);
    }

    /// The port of this number, of those that share a chain with the given number of others.
    fn port(number: u16, chain: u16) -> u16 {
        1_024 + number % chain + number / chain * BUCKETS as u16
    }

    #[test]
    fn each_connection_is_found_and_no_other_however_long_the_chains_are() {
        // Chains of six, of two, and of one.
        for chain in [1, 3, 6] {
            with_table(|table, grant| {
                let all = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
                for (number, (process, socket)) in (0..).zip(all) {
                    connect(table, grant, place(process, socket), (port(number / 2, chain), 80 + number));
                }
                for (number, (process, socket)) in (0..).zip(all) {
                    let found = table.find(grant, end(15, port(number / 2, chain)), end(2, 80 + number));
                    assert_eq!(found, Some(place(process, socket)), "{chain} chains, connection {number}");
                }
                assert_eq!(table.find(grant, end(15, port(0, chain)), end(2, 99)), None);
                assert_eq!(table.find(grant, end(15, port(9, chain)), end(2, 80)), None);
            });
        }
    }

    #[test]
    fn a_socket_that_connects_anew_leaves_its_old_place_in_the_chain() {
        with_table(|table, grant| {
            for round in 0..50_u16 {
                for socket in 0..3 {
                    connect(table, grant, place(0, socket), (port(3 * round + socket, 1), 80));
                }
                // The oldest, the one in the middle, or the newest of the chain goes to another place.
                let moved = (port(150 + round, 1), 81);
                connect(table, grant, place(0, round % 3), moved);
                for socket in 0..3 {
                    let ports = if socket == round % 3 { moved } else { (port(3 * round + socket, 1), 80) };
                    let found = table.find(grant, end(15, ports.0), end(2, ports.1));
                    assert_eq!(found, Some(place(0, socket)), "round {round}");
                }
            }
        });
    }

    #[test]
    fn a_connection_that_is_over_is_not_found() {
        with_table(|table, grant| {
            connect(table, grant, place(1, 2), (50_000, 80));
            grant.enter(ProcessId::new(1), |set| set.with(SocketIndex(2), |socket| socket.destroy())).unwrap();
            assert_eq!(table.find(grant, end(15, 50_000), end(2, 80)), None);
        });
    }
}
