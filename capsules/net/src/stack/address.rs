//! How our address comes and goes: leases, conflicts, and giving the lease back in good order.

use defmt::warn;
use slopos_kernel::process::ProcessSet;
use slopos_kernel::time::Instant;

use super::Stack;
use crate::MacAddress;
use crate::dhcp::client::{Event, Lease};
use crate::neighbour::conflict::Watch;

impl Stack<'_> {
    /// Gives the lease back, to shut down in good order: connections are reset, then the server is told, all by the
    /// next calls of [`Stack::transmit`]. The stack then stays without an address until the link goes down and up.
    pub fn release(&mut self, now: Instant) {
        self.dhcp.release();
        let Some(lease) = self.network.take() else { return };
        self.released_to = self.message_hop(&lease, lease.server).and_then(|hop| self.neighbours.peek(hop));
        self.leaving = Some(lease);
        self.watch = None;
        self.gateway_mac = None;
        self.senders = ProcessSet::ALL;
        for (process, set) in self.grant.each() {
            for index in set.indices() {
                if set.enter(index).is_some_and(|mut socket| socket.address_leaves()) {
                    self.counters.events.address_lost += 1;
                    self.ready.insert(process);
                }
            }
        }
        self.deadline.note(Some(now));
    }

    /// The resets of a lease that is being given back have left: nothing more is sent from its address but the message
    /// that gives it back.
    pub(super) fn finish_leaving(&mut self) {
        self.leaving = None;
        self.neighbours.clear();
    }

    pub(super) fn dhcp_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Bound(lease) => self.use_lease(lease, now),
            Event::Refused => {
                self.counters.events.lease_refusals += 1;
                self.lose_address(now);
            }
            Event::Expired => {
                self.counters.events.lease_expiries += 1;
                if let Some(lease) = self.network
                    && self.logs.expiry.admit("dhcp: expiries", now)
                {
                    warn!("dhcp: lease of {} expired", lease.address);
                }
                self.lose_address(now);
            }
        }
    }

    fn use_lease(&mut self, lease: Lease, now: Instant) {
        self.counters.events.leases += 1;
        self.leaving = None;
        let before = self.network.replace(lease);
        let same = before
            .is_some_and(|old| (old.address, old.prefix, old.gateway) == (lease.address, lease.prefix, lease.gateway));
        if before.is_none_or(|old| (old.server, old.relayed) != (lease.server, lease.relayed)) {
            self.server_by_gateway = false;
        }
        if !same {
            self.renew_neighbours(now);
        }
        self.deadline.note(self.dhcp.next_deadline());
        self.begin_waiting(now);
    }

    /// The link or the network may be another one: probes for our address and asks for the gateway anew.
    pub(super) fn renew_neighbours(&mut self, now: Instant) {
        self.neighbours.forget(now);
        self.server_by_gateway = false;
        self.gateway_mac = None;
        let watch = self.watch.take();
        self.watch = self.network.map(|lease| match watch.filter(|watch| watch.address() == lease.address) {
            Some(watch) => watch.again(now),
            None => Watch::new(lease.address, now),
        });
        if let Some(gateway) = self.network.and_then(|lease| lease.gateway) {
            self.neighbours.pin(gateway, now);
        }
        self.deadline.note(Some(now));
    }

    /// The address must not be used any more. Connections cannot survive it, since it is half of their name.
    fn lose_address(&mut self, now: Instant) {
        self.network = None;
        self.watch = None;
        self.gateway_mac = None;
        self.neighbours.forget(now);
        self.replies.clear();
        self.senders = ProcessSet::ALL;
        for (process, set) in self.grant.each() {
            for index in set.indices() {
                if set.enter(index).is_some_and(|mut socket| socket.address_lost()) {
                    self.counters.events.address_lost += 1;
                    self.ready.insert(process);
                }
            }
        }
        self.deadline.note(Some(now));
    }

    /// Somebody else used our address, and it is defended.
    pub(super) fn address_defended(&mut self, other: MacAddress, now: Instant) {
        self.counters.events.address_conflicts += 1;
        self.deadline.note(self.watch.as_ref().and_then(Watch::next_deadline));
        if let Some(lease) = self.network
            && self.logs.conflict.admit("arp: conflicts", now)
        {
            warn!("arp: {} uses our address {}, which is defended", other, lease.address);
        }
    }

    /// Somebody else uses our address and will not give way.
    pub(super) fn address_conflict(&mut self, other: MacAddress, now: Instant) {
        self.counters.events.address_conflicts += 1;
        if let Some(lease) = self.network
            && self.logs.decline.admit("dhcp: conflicts", now)
        {
            warn!("dhcp: declined {}, which {} uses", lease.address, other);
        }
        self.dhcp.decline(now);
        self.lose_address(now);
    }
}
