//! Finds the socket of a connection in constant time, however many there are.
//!
//! A table of buckets, chosen by our port, for that is ours to choose: no peer can fill one of them. The sockets of a
//! bucket form a chain through their own memory, so the table is the same however many sockets the manifest gives.
//!
//! A socket stays in its chain when its connection ends, and leaves it when its next one begins; one that has no
//! connection matches nothing.

use slopos_abi::Endpoint;
use slopos_kernel::grant::Grant;
use slopos_kernel::objects::SocketId;

use super::link::Link;
use super::set::SocketSet;

/// Chains. Ports are taken in turn, so that they fill evenly; a board with hundreds of sockets has two or three in each.
const BUCKETS: usize = 256;

/// The table.
pub(crate) struct ConnectionTable {
    /// The first socket of each chain.
    buckets: [Option<SocketId>; BUCKETS],
}

impl ConnectionTable {
    /// An empty table.
    pub(crate) const fn new() -> Self {
        ConnectionTable { buckets: [None; BUCKETS] }
    }

    fn bucket(&mut self, port: u16) -> Option<&mut Option<SocketId>> {
        self.buckets.get_mut(usize::from(port) % BUCKETS)
    }

    /// The socket of the connection between these two ends.
    pub(crate) fn find(&self, grant: &Grant<'_, SocketSet<'_>>, local: Endpoint, remote: Endpoint) -> Option<SocketId> {
        let mut id = (*self.buckets.get(usize::from(local.port) % BUCKETS)?)?;
        loop {
            let socket = grant.view(id.process).ok()?.view(id.index)?;
            if socket.matches(local, remote) {
                return Some(id);
            }
            id = socket.link.next?;
        }
    }

    /// A connection of this socket begins, from this port: it moves to that port's chain. Gives the region that it lies
    /// in, which is entered for that; another one is entered only for the socket before it in the chain that it leaves.
    pub(crate) fn insert<'g, 'a>(
        &mut self,
        grant: &'g mut Grant<'_, SocketSet<'a>>,
        id: SocketId,
        port: u16,
    ) -> Option<&'g mut SocketSet<'a>> {
        let before = self.leave(grant, id, link(grant, id)?);
        let own = Link { port: Some(port), next: self.bucket(port)?.replace(id) };
        if let Some((before, link)) = before.filter(|(before, _)| before.process != id.process) {
            grant.enter(before.process).ok()?.set_link(before.index, link);
        }
        let set = grant.enter(id.process).ok()?;
        if let Some((before, link)) = before.filter(|(before, _)| before.process == id.process) {
            set.set_link(before.index, link);
        }
        set.set_link(id.index, own);
        Some(set)
    }

    /// A socket with this link leaves its chain, if it is in one. The socket before it, where there is one, is to get the
    /// link that this answers.
    fn leave(&mut self, grant: &Grant<'_, SocketSet<'_>>, id: SocketId, own: Link) -> Option<(SocketId, Link)> {
        let bucket = self.bucket(own.port?)?;
        if *bucket == Some(id) {
            *bucket = own.next;
            return None;
        }
        let mut before = (*bucket)?;
        loop {
            let found = link(grant, before)?;
            if found.next == Some(id) {
                return Some((before, Link { next: own.next, ..found }));
            }
            before = found.next?;
        }
    }
}

fn link(grant: &Grant<'_, SocketSet<'_>>, id: SocketId) -> Option<Link> {
    Some(grant.view(id.process).ok()?.view(id.index)?.link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::Socket;
    use crate::tcp::ConnectParameters;
    use crate::wire::tcp::SequenceNumber;
    use core::net::Ipv4Addr;
    use slopos_abi::{RemoteRange, SocketFlags};
    use slopos_kernel::objects::SocketIndex;
    use slopos_kernel::process::ProcessId;
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
        let anywhere = [RemoteRange::ANY];
        let mut sets = [first, second].map(|sockets| SocketSet::new("app", sockets, &anywhere));
        let [first, second] = &mut sets;
        let mut regions = [Some(first), Some(second)];
        let mut grant = Grant::new(&mut regions);
        test(&mut ConnectionTable::new(), &mut grant);
    }

    fn id(process: u8, index: u16) -> SocketId {
        SocketId { process: ProcessId::new(process), index: SocketIndex(index) }
    }

    /// Connects a socket from this port to this port of the peer.
    fn connect(table: &mut ConnectionTable, grant: &mut Grant<'_, SocketSet<'_>>, id: SocketId, ports: (u16, u16)) {
        let parameters = ConnectParameters {
            local: end(15, ports.0),
            remote: end(2, ports.1),
            initial_sequence: SequenceNumber::new(1),
            timestamp_offset: 0,
            maximum_segment: 1_460,
            deadline: Instant::from_millis(1_000),
        };
        let mut socket = grant.enter(id.process).unwrap().enter(id.index).unwrap();
        socket.abort();
        socket.open(SocketFlags::default());
        assert_eq!(socket.connect(parameters, Instant::BOOT), Ok(()));
        drop(socket);
        assert!(table.insert(grant, id, ports.0).is_some());
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
                    connect(table, grant, id(process, socket), (port(number / 2, chain), 80 + number));
                }
                for (number, (process, socket)) in (0..).zip(all) {
                    let found = table.find(grant, end(15, port(number / 2, chain)), end(2, 80 + number));
                    assert_eq!(found, Some(id(process, socket)), "{chain} chains, connection {number}");
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
                    connect(table, grant, id(0, socket), (port(3 * round + socket, 1), 80));
                }
                // The oldest, the one in the middle, or the newest of the chain goes to another place.
                let moved = (port(150 + round, 1), 81);
                connect(table, grant, id(0, round % 3), moved);
                for socket in 0..3 {
                    let ports = if socket == round % 3 { moved } else { (port(3 * round + socket, 1), 80) };
                    let found = table.find(grant, end(15, ports.0), end(2, ports.1));
                    assert_eq!(found, Some(id(0, socket)), "round {round}");
                }
            }
        });
    }

    #[test]
    fn a_connection_that_is_over_is_not_found() {
        with_table(|table, grant| {
            connect(table, grant, id(1, 2), (50_000, 80));
            grant.enter(ProcessId::new(1)).unwrap().enter(SocketIndex(2)).unwrap().abort();
            assert_eq!(table.find(grant, end(15, 50_000), end(2, 80)), None);
        });
    }
}
