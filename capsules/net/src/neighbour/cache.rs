//! The neighbour cache: which station has which IPv4 address, and how sure of it we are.
//!
//! The states are those of RFC 4861 section 7.3.2, which Linux uses for ARP as well:
//!
//! | state | meaning | next |
//! |---|---|---|
//! | INCOMPLETE | asked by broadcast, not answered yet | 3 requests, 1 s apart, then FAILED |
//! | REACHABLE | answered within the last 30 s | STALE |
//! | STALE | known, not confirmed lately; used all the same | DELAY when it is used |
//! | DELAY | used while stale | PROBE after 5 s |
//! | PROBE | asked by unicast whether it is still there | 3 requests, 1 s apart, then FAILED |
//! | FAILED | did not answer | INCOMPLETE when it is wanted again |
//!
//! A neighbour whose receivers acknowledge nothing any more goes to PROBE from any of the three states before it.
//! No destination is asked more than once a second, whoever wants it. Upper layers do not confirm neighbours: one
//! unicast exchange in 35 s is cheaper than telling TCP's progress from an attacker's.
//!
//! Strangers cannot fill the table: an entry that was not asked for can only take the place of another such entry,
//! and the pinned entry (the gateway's) is never given up. Nor can a process: an entry that cannot be forgotten, since it
//! is being asked for or was within the last second, is charged to the process that wanted it, and each has a share of
//! the table for these. Who has used up its share waits; all others find room.

use core::net::Ipv4Addr;

use heapless::Vec;
use slopos_abi::limits::PROCESSES_MAX;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::{Duration, Instant};

use crate::MacAddress;

/// Most neighbours that are known at a time. One per on-link remote is plenty: all others share the gateway's.
pub const CAPACITY: usize = PROCESSES_MAX + 8;
/// Most entries that are charged to one process at a time, however few processes there are.
pub const SHARE_MAX: usize = 16;
/// Requests before a neighbour counts as failed (Linux: `mcast_solicit`, `ucast_solicit`).
pub const REQUESTS: u8 = 3;
/// Between two requests to the same destination (RFC 1122 2.3.2.1).
pub const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long an answer is trusted without a question (Linux: `base_reachable_time`).
pub const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// How long a stale entry is used before it is probed (Linux: `delay_first_probe_time`).
pub const DELAY_TIME: Duration = Duration::from_secs(5);
/// How long a station address that was just confirmed cannot be replaced (Linux: `locktime`).
pub const LOCK_TIME: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incomplete,
    Reachable,
    Stale,
    Delay,
    Probe,
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: Ipv4Addr,
    /// Meaningful in all states but INCOMPLETE and FAILED.
    mac: MacAddress,
    state: State,
    /// When the state ends, or the next request is due; see `State`.
    timer: Instant,
    /// Requests sent in this INCOMPLETE or PROBE.
    tries: u8,
    requested_at: Option<Instant>,
    used_at: Instant,
    confirmed_at: Instant,
    /// Is never given up: the gateway.
    pinned: bool,
    /// Was wanted by us, rather than learnt from a stranger's question.
    wanted: bool,
    /// The process that it was last asked for; nobody for the system's own needs.
    owner: Option<ProcessId>,
}

impl Entry {
    /// One that nobody wanted yet.
    fn new(address: Ipv4Addr, now: Instant) -> Entry {
        Entry {
            address,
            mac: MacAddress::ZERO,
            state: State::Stale,
            timer: now,
            tries: 0,
            requested_at: None,
            used_at: now,
            confirmed_at: now,
            pinned: false,
            wanted: false,
            owner: None,
        }
    }

    fn known_mac(&self) -> Option<MacAddress> {
        (!matches!(self.state, State::Incomplete | State::Failed)).then_some(self.mac)
    }

    /// The earliest instant at which this destination may be asked again.
    fn may_request_at(&self, now: Instant) -> Instant {
        self.requested_at.map_or(now, |at| now.max(at + REQUEST_INTERVAL))
    }

    /// Whether it is being asked for, or was just now. Forgetting it would lift the limit on how often its destination is
    /// asked.
    fn is_charged(&self, now: Instant) -> bool {
        self.state == State::Incomplete || self.requested_at.is_some_and(|at| now.since(at) < REQUEST_INTERVAL)
    }

    fn ask(&mut self, state: State, now: Instant) {
        self.state = state;
        self.tries = 0;
        self.timer = self.may_request_at(now);
    }
}

/// What the cache knows about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It is there; send.
    Resolved(MacAddress),
    /// It has been or will be asked for. Come back when something arrived.
    Resolving,
    /// The process has used up its share. Come back in [`REQUEST_INTERVAL`], or when something arrived.
    Full,
}

/// Where a pair of addresses was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// In a reply that was addressed to us.
    Reply,
    /// In a request for our address.
    RequestForUs,
    /// In a packet that announces a host's own address: sender and target are the same (RFC 5227 section 3). A gateway
    /// that moves to another station says so in this way, so it counts even right after a confirmation.
    Announcement,
    /// In anything else that passed by.
    Overheard,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// The station address is new or another one than before.
    Changed,
    /// It is as it was.
    Same,
    /// The entry was confirmed a moment ago as another station's; this does not replace it.
    Locked,
    /// There is no entry, and this is no reason to make one.
    Ignored,
}

/// A neighbour, as the process console shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourReport {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its station, as far as it is known.
    pub mac: Option<MacAddress>,
    /// The state, in the word of RFC 4861.
    pub state: &'static str,
    /// Whether it is never given up: the gateway.
    pub is_pinned: bool,
}

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose station address is wanted.
    pub address: Ipv4Addr,
    /// The station to ask: everyone, or the last known one.
    pub station: MacAddress,
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    entries: Vec<Entry, CAPACITY>,
    /// Most entries that are charged to one process at a time.
    share: usize,
}

impl Cache {
    /// An empty cache for so many processes. What is left when each has its share suffices for the system's own needs.
    pub fn new(processes: usize) -> Self {
        Cache { entries: Vec::new(), share: (PROCESSES_MAX / processes.max(1)).clamp(1, SHARE_MAX) }
    }

    /// Forgets everything: our address is given back.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Forgets all that is known: the link or our address changed. Who was asked for within the last second is not asked
    /// sooner for that, since a link can come and go as often as it likes.
    pub fn forget(&mut self, now: Instant) {
        self.entries.retain(|entry| entry.requested_at.is_some_and(|at| now.since(at) < REQUEST_INTERVAL));
        for entry in &mut self.entries {
            entry.state = State::Failed;
            entry.pinned = false;
        }
    }

    fn find(&mut self, address: Ipv4Addr) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.address == address)
    }

    /// Each neighbour, as it is by `now`.
    pub fn each(&self, now: Instant) -> impl Iterator<Item = NeighbourReport> {
        self.entries.iter().map(move |entry| NeighbourReport {
            address: entry.address,
            mac: entry.known_mac(),
            state: match entry.state {
                State::Incomplete => "INCOMPLETE",
                State::Reachable if now < entry.timer => "REACHABLE",
                State::Reachable | State::Stale => "STALE",
                State::Delay => "DELAY",
                State::Probe => "PROBE",
                State::Failed => "FAILED",
            },
            is_pinned: entry.pinned,
        })
    }

    /// The station of this address, if known, without any effect on the entry.
    pub fn peek(&self, address: Ipv4Addr) -> Option<MacAddress> {
        self.entries.iter().find(|entry| entry.address == address)?.known_mac()
    }

    /// Makes this the one pinned entry, and asks for it at once where it is not known.
    ///
    /// A pinned entry that fails is asked for again, once a second, whether anyone wants it or not.
    pub fn pin(&mut self, address: Ipv4Addr, now: Instant) {
        for entry in &mut self.entries {
            entry.pinned = false;
        }
        // The table was full of neighbours being asked for; the gateway goes before any of them.
        if self.lookup(address, None, now) == Lookup::Full {
            self.entries.pop();
            self.lookup(address, None, now);
        }
        if let Some(entry) = self.find(address) {
            entry.pinned = true;
        }
    }

    /// The way to a destination that `owner` wants to send something to now; `None` is the system itself.
    pub fn lookup(&mut self, address: Ipv4Addr, owner: Option<ProcessId>, now: Instant) -> Lookup {
        let Some(entry) = self.find(address) else {
            let entry = Entry { state: State::Incomplete, wanted: true, owner, ..Entry::new(address, now) };
            let room = self.has_share(owner, now) && self.insert(entry, now);
            return if room { Lookup::Resolving } else { Lookup::Full };
        };
        entry.used_at = now;
        entry.wanted = true;
        match entry.state {
            State::Reachable if now < entry.timer => {}
            State::Reachable | State::Stale => {
                entry.state = State::Delay;
                entry.timer = now + DELAY_TIME;
                entry.owner = owner;
            }
            State::Delay | State::Probe => {}
            State::Failed => return self.ask_again(address, owner, now),
            State::Incomplete => return Lookup::Resolving,
        }
        Lookup::Resolved(entry.mac)
    }

    /// Asks for one that has failed.
    fn ask_again(&mut self, address: Ipv4Addr, owner: Option<ProcessId>, now: Instant) -> Lookup {
        if !self.has_share(owner, now) {
            return Lookup::Full;
        }
        if let Some(entry) = self.find(address) {
            entry.owner = owner;
            entry.ask(State::Incomplete, now);
        }
        Lookup::Resolving
    }

    /// Takes in what a packet says about a neighbour. The caller has checked that the pair can be one.
    pub fn learn(&mut self, address: Ipv4Addr, mac: MacAddress, evidence: Evidence, now: Instant) -> Learnt {
        let Some(entry) = self.find(address) else {
            if evidence != Evidence::RequestForUs {
                return Learnt::Ignored;
            }
            // Whoever asks for us is about to talk to us, so the answer's way back is worth a place.
            let entry = Entry { mac, ..Entry::new(address, now) };
            return if self.insert(entry, now) { Learnt::Changed } else { Learnt::Ignored };
        };
        let answers = evidence == Evidence::Reply;
        if entry.known_mac() == Some(mac) {
            if answers {
                entry.state = State::Reachable;
                entry.timer = now + REACHABLE_TIME;
                entry.confirmed_at = now;
            }
            return Learnt::Same;
        }
        let locked = entry.known_mac().is_some() && now.since(entry.confirmed_at) < LOCK_TIME;
        if locked && evidence != Evidence::Announcement {
            return Learnt::Locked;
        }
        // Only an answer to a question of ours makes a new pair certain; any other is used, but probed soon.
        let certain = answers && matches!(entry.state, State::Incomplete | State::Probe);
        entry.mac = mac;
        entry.confirmed_at = now;
        entry.state = if certain { State::Reachable } else { State::Stale };
        entry.timer = now + REACHABLE_TIME;
        Learnt::Changed
    }

    /// What was sent to this neighbour stays unanswered: it is probed by unicast at once, rather than when it becomes
    /// stale (RFC 1122 section 3.3.1.4 and 4.2.3.5: negative advice from TCP).
    pub fn doubt(&mut self, address: Ipv4Addr, now: Instant) {
        if let Some(entry) = self.find(address)
            && matches!(entry.state, State::Reachable | State::Stale | State::Delay)
        {
            entry.ask(State::Probe, now);
        }
    }

    /// The next request that is due, which counts as sent.
    pub fn request(&mut self, now: Instant) -> Option<Request> {
        let asks = |entry: &&mut Entry| match entry.state {
            State::Incomplete | State::Probe => entry.tries < REQUESTS && entry.timer <= now,
            _ => false,
        };
        let entry = self.entries.iter_mut().find(asks)?;
        entry.tries += 1;
        entry.requested_at = Some(now);
        entry.timer = now + REQUEST_INTERVAL;
        let station = if entry.state == State::Probe { entry.mac } else { MacAddress::BROADCAST };
        Some(Request { address: entry.address, station })
    }

    /// Lets timers run out. Returns a neighbour that failed just now; to be called until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Ipv4Addr> {
        for entry in &mut self.entries {
            if now < entry.timer {
                continue;
            }
            match entry.state {
                State::Delay => entry.ask(State::Probe, now),
                State::Incomplete | State::Probe if entry.tries >= REQUESTS => {
                    entry.state = State::Failed;
                    return Some(entry.address);
                }
                State::Failed if entry.pinned => entry.ask(State::Incomplete, now),
                _ => {}
            }
        }
        None
    }

    /// When [`Cache::poll`] or [`Cache::request`] next has something to do that is not due by `now` already.
    pub fn next_deadline_after(&self, now: Instant) -> Option<Instant> {
        let waits = |entry: &&Entry| match entry.state {
            State::Incomplete | State::Delay | State::Probe => true,
            State::Failed => entry.pinned,
            State::Reachable | State::Stale => false,
        };
        self.entries.iter().filter(waits).map(|entry| entry.timer).filter(|&timer| timer > now).min()
    }

    /// How many entries are charged to a process.
    fn charged(&self, owner: ProcessId, now: Instant) -> usize {
        self.entries.iter().filter(|entry| entry.owner == Some(owner) && entry.is_charged(now)).count()
    }

    /// Whether one more may be charged to it.
    fn has_share(&self, owner: Option<ProcessId>, now: Instant) -> bool {
        owner.is_none_or(|owner| self.charged(owner, now) < self.share)
    }

    /// Whether an entry is charged beyond its owner's share, which happens where many that are known are asked whether
    /// they are still there.
    fn is_beyond_share(&self, entry: &Entry, now: Instant) -> bool {
        entry.owner.is_some_and(|owner| self.charged(owner, now) > self.share)
    }

    /// Adds an entry, in place of the least useful one where the table is full.
    fn insert(&mut self, entry: Entry, now: Instant) -> bool {
        let Err(entry) = self.entries.push(entry) else { return true };
        let may_go = |old: &Entry| !old.pinned && (entry.wanted || !old.wanted);
        let usefulness = |old: &Entry| (old.wanted, old.state != State::Failed, old.used_at);
        let old = self.entries.iter().enumerate().filter(|(_, old)| may_go(old));
        let free = old.clone().filter(|(_, old)| !old.is_charged(now)).min_by_key(|(_, old)| usefulness(old));
        let victim = free
            .or_else(|| old.filter(|(_, old)| self.is_beyond_share(old, now)).min_by_key(|(_, old)| usefulness(old)));
        let place = victim.map(|(index, _)| index).and_then(|index| self.entries.get_mut(index));
        place.map(|place| *place = entry).is_some()
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
