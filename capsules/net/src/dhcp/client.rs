//! The DHCP client: INIT, SELECTING, REQUESTING, BOUND, RENEWING, REBINDING and REBOOTING (RFC 2131 section 4.4).
//!
//! It reads no clock and sends nothing itself. Messages that arrive go in by [`Client::receive`], time passes by
//! [`Client::poll`], and what is to be sent is pulled by [`Client::transmit`] once [`Client::due`] says where to.
//!
//! Deviations, for the sake of boot time: the first DISCOVER goes out without the random delay of 1 to 10 seconds
//! that section 4.4.1 suggests, and the address is usable at once, while it is probed for. A lease is renewed at
//! exactly T1 and T2, without the random fuzz.

use core::net::Ipv4Addr;

use defmt::warn;
use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::time::{Duration, Instant};

use crate::MacAddress;
pub use crate::dhcp::lease::{Deadlines, EXTEND_INTERVAL_MIN, Lease};
use crate::random::Random;
use crate::wire::dhcp::options::ClientIdentifier;
use crate::wire::dhcp::{ClientMessage, MessageType, ServerMessage};
use crate::wire::ipv4::is_host;

/// First wait for an answer; it doubles each time (RFC 2131 section 4.1).
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(4);
/// How often it doubles, up to 64 s.
pub const BACK_OFF_DOUBLINGS: u8 = 4;
/// By how much each wait is lengthened or shortened at random, at most.
pub const BACK_OFF_SPREAD: Duration = Duration::from_secs(1);
/// REQUESTs that one offer is worth, before the client looks for another.
pub const REQUEST_TRIES: u8 = 4;
/// REQUESTs to have a lease confirmed after the link was down; unanswered, it is used as it is (section 3.2).
pub const REBOOT_TRIES: u8 = 3;
/// How long the client keeps still after it declined an address (section 3.1).
pub const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// Addresses that may be declined at that pace (RFC 5227 section 2.1.1, `MAX_CONFLICTS`).
pub const MOST_CONFLICTS: u8 = 10;
/// How long the client keeps still after each further one (`RATE_LIMIT_INTERVAL`).
pub const CONFLICTS_WAIT: Duration = Duration::from_secs(60);
/// How long a better offer is waited for where one names no router or no mask.
pub const OFFER_WAIT: Duration = Duration::from_secs(1);

/// The states of RFC 2131 section 4.4, figure 5. INIT-REBOOT is the instant before the first message of REBOOTING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None of the RFC's: does nothing until [`Client::start`].
    Stopped,
    /// Begins to look for servers at this instant.
    Init(Instant),
    /// DISCOVER was sent: waits for offers.
    Selecting,
    /// Asks the server for what it has offered.
    Requesting(Lease),
    /// The lease is in use, and nothing is asked before T1.
    Bound(Lease),
    /// T1 has passed: asks the lease's server to extend it.
    Renewing(Lease),
    /// T2 has passed: asks any server to extend it.
    Rebinding(Lease),
    /// The link was down: asks any server to confirm the lease, which is in use meanwhile.
    Rebooting(Lease),
}

/// A last message about an address that is no longer ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastMessage {
    kind: MessageType,
    address: Ipv4Addr,
    server: Ipv4Addr,
}

/// What a message or the time brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lease is granted or extended.
    Bound(Lease),
    /// A server refused the lease that was in use. The address must not be used any more.
    Refused,
    /// The lease ran out. The address must not be used any more.
    Expired,
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Answers another transaction or another station.
    NotForUs,
    /// The present state does not wait for it.
    Unexpected,
    /// Names no server, or not the one that we deal with.
    WrongServer,
    /// Address, mask or lease time are missing or make no sense.
    Unusable,
}

/// Where the message that is due goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The address to send it from.
    pub source: Ipv4Addr,
    /// The address to send it to.
    pub destination: Ipv4Addr,
}

/// The client.
#[derive(Debug)]
pub struct Client {
    mac: MacAddress,
    state: State,
    transaction: u32,
    /// When the present search for an address, or the present extension, began; the `secs` field counts from it.
    began: Instant,
    /// The REQUEST that an ACK would answer was sent then; a lease counts from it (section 4.4.1).
    requested_at: Option<Instant>,
    discovered_at: Option<Instant>,
    /// The lease in use was last asked to be confirmed then.
    confirmed_at: Option<Instant>,
    /// While SELECTING: an offer to be taken at this instant unless a better one comes.
    poor_offer: Option<(Lease, Instant)>,
    /// Addresses that turned out to be somebody else's, since boot.
    conflicts: u8,
    attempts: u8,
    send_at: Option<Instant>,
    last_message: Option<LastMessage>,
    /// Budgets of the lines that say what servers grant and refuse.
    grant_log: LogBudget,
    refusal_log: LogBudget,
}

impl Client {
    /// A client that starts to look for an address at once.
    pub const fn new(mac: MacAddress, now: Instant) -> Self {
        Client {
            mac,
            state: State::Init(now),
            transaction: 0,
            began: now,
            requested_at: None,
            discovered_at: None,
            confirmed_at: None,
            poor_offer: None,
            conflicts: 0,
            attempts: 0,
            send_at: None,
            last_message: None,
            grant_log: LogBudget::new(),
            refusal_log: LogBudget::new(),
        }
    }

    /// The lease in use.
    pub const fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease) | State::Rebooting(lease) => {
                Some(lease)
            }
            _ => None,
        }
    }

    /// The state, in the word of RFC 2131 section 4.4; `STOPPED` between a release and the next start.
    pub const fn state_word(&self) -> &'static str {
        match self.state {
            State::Stopped => "STOPPED",
            State::Init(_) => "INIT",
            State::Selecting => "SELECTING",
            State::Requesting(_) => "REQUESTING",
            State::Bound(_) => "BOUND",
            State::Renewing(_) => "RENEWING",
            State::Rebinding(_) => "REBINDING",
            State::Rebooting(_) => "REBOOTING",
        }
    }

    /// The station has another hardware address from now on.
    pub const fn set_mac(&mut self, mac: MacAddress) {
        self.mac = mac;
    }

    /// Starts after [`Client::release`], or confirms the lease because the link was down and is up again. The link can
    /// come and go as often as it likes; nothing is asked within [`BACK_OFF_FIRST`] of the same question.
    pub fn start(&mut self, now: Instant, random: &mut Random) {
        match self.lease() {
            Some(&lease) => {
                self.ask(State::Rebooting(lease), now, random);
                self.send_at = Some(not_before(self.confirmed_at, now));
            }
            None => self.rest(State::Init(not_before(self.discovered_at, now))),
        }
    }

    /// Gives the lease back, tells the server, and stays stopped until [`Client::start`].
    pub fn release(&mut self) {
        if let Some(&Lease { address, server, .. }) = self.lease() {
            self.last_message = Some(LastMessage { kind: MessageType::Release, address, server });
        }
        self.rest(State::Stopped);
    }

    /// The address turned out to be somebody else's: declines it and keeps still for ten seconds, or for a minute where
    /// that happens over and over.
    pub fn decline(&mut self, now: Instant) {
        if let Some(&Lease { address, server, .. }) = self.lease() {
            self.last_message = Some(LastMessage { kind: MessageType::Decline, address, server });
        }
        self.conflicts = self.conflicts.saturating_add(1);
        let wait = if self.conflicts >= MOST_CONFLICTS { CONFLICTS_WAIT } else { DECLINE_WAIT };
        self.rest(State::Init(now + wait));
    }

    /// Enters a state that sends nothing: stopped, INIT or BOUND.
    fn rest(&mut self, state: State) {
        self.state = state;
        self.send_at = None;
    }

    /// Enters a state that sends at once: SELECTING, REQUESTING, RENEWING, REBINDING or REBOOTING.
    fn ask(&mut self, state: State, now: Instant, random: &mut Random) {
        // A REQUEST carries the transaction of the OFFER that it takes; all else begins a new one.
        if !matches!(state, State::Requesting(_)) {
            self.transaction = random.next_u32();
            self.began = now;
        }
        self.state = state;
        self.poor_offer = None;
        self.attempts = 0;
        self.requested_at = None;
        self.send_at = Some(now);
    }

    /// Lets time pass. At most one event per call; call it until it returns `None`. Then nothing is left to do by `now`
    /// but to send what [`Client::due`] names.
    pub fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Event> {
        if let Some(deadlines) = self.lease().and_then(|lease| lease.deadlines)
            && now >= deadlines.expire
        {
            self.rest(State::Init(now));
            return Some(Event::Expired);
        }
        while let Some(state) = self.due_state(now) {
            match state {
                State::Bound(_) => self.rest(state),
                _ => self.ask(state, now, random),
            }
        }
        None
    }

    /// The state that time alone has brought about by now, if it is another one.
    fn due_state(&self, now: Instant) -> Option<State> {
        let is_unanswered = |tries| self.attempts >= tries && self.send_at.is_some_and(|at| at <= now);
        match self.state {
            State::Init(at) if at <= now => Some(State::Selecting),
            State::Selecting => self.poor_offer.filter(|&(_, at)| at <= now).map(|(offer, _)| State::Requesting(offer)),
            State::Requesting(_) if is_unanswered(REQUEST_TRIES) => Some(State::Selecting),
            State::Rebooting(lease) if is_unanswered(REBOOT_TRIES) => Some(State::Bound(lease)),
            State::Bound(lease) | State::Renewing(lease) if lease.deadlines.is_some_and(|at| at.rebind <= now) => {
                Some(State::Rebinding(lease))
            }
            State::Bound(lease) if lease.deadlines.is_some_and(|at| at.renew <= now) => Some(State::Renewing(lease)),
            _ => None,
        }
    }

    /// When [`Client::poll`] or [`Client::transmit`] next has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines().into_iter().flatten().min()
    }

    /// When the state changes by itself, and when the next message is due.
    pub fn deadlines(&self) -> [Option<Instant>; 2] {
        let state = match self.state {
            State::Stopped | State::Requesting(_) => None,
            State::Selecting => self.poor_offer.map(|(_, at)| at),
            State::Init(at) => Some(at),
            State::Bound(lease) => lease.deadlines.map(|deadlines| deadlines.renew),
            State::Renewing(lease) => lease.deadlines.map(|deadlines| deadlines.rebind),
            State::Rebinding(lease) | State::Rebooting(lease) => lease.deadlines.map(|deadlines| deadlines.expire),
        };
        [state, self.send_at]
    }

    /// Where the message goes that is to be sent now, if there is one.
    pub fn due(&self, now: Instant) -> Option<Due> {
        if let Some(LastMessage { kind, address, server, .. }) = self.last_message {
            return Some(match kind {
                MessageType::Release => Due { source: address, destination: server },
                _ => Due { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST },
            });
        }
        self.send_at.filter(|&at| at <= now)?;
        Some(match self.state {
            State::Renewing(lease) => Due { source: lease.address, destination: lease.server },
            State::Rebinding(lease) => Due { source: lease.address, destination: Ipv4Addr::BROADCAST },
            _ => Due { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST },
        })
    }

    /// Writes the message that is due at the start of `out`, sets the time of the next, and returns its length.
    ///
    /// `None` where none is due or it does not fit.
    pub fn transmit(&mut self, out: &mut [u8], now: Instant, random: &mut Random) -> Option<usize> {
        let blank = ClientMessage {
            kind: MessageType::Request,
            transaction: self.transaction,
            seconds: 0,
            client_address: Ipv4Addr::UNSPECIFIED,
            mac: self.mac,
            requested: None,
            server: None,
        };
        if let Some(LastMessage { kind, address, server }) = self.last_message {
            let released = kind == MessageType::Release;
            let message = ClientMessage {
                kind,
                transaction: random.next_u32(),
                client_address: if released { address } else { Ipv4Addr::UNSPECIFIED },
                requested: (!released).then_some(address),
                server: Some(server),
                ..blank
            };
            let length = message.emit(out)?;
            self.last_message = None;
            return Some(length);
        }
        self.send_at.filter(|&at| at <= now)?;
        if matches!(self.state, State::Renewing(_) | State::Rebinding(_)) {
            // These are a minute and more apart: a late answer to an earlier one must not count from this one.
            self.transaction = random.next_u32();
        }
        let blank = ClientMessage {
            transaction: self.transaction,
            seconds: u16::try_from(now.since(self.began).as_secs()).unwrap_or(u16::MAX),
            ..blank
        };
        let message = match self.state {
            State::Stopped | State::Init(_) | State::Bound(_) => return None,
            State::Selecting => ClientMessage { kind: MessageType::Discover, ..blank },
            State::Requesting(Lease { address, server, .. }) => {
                ClientMessage { requested: Some(address), server: Some(server), ..blank }
            }
            State::Renewing(lease) | State::Rebinding(lease) => {
                ClientMessage { client_address: lease.address, ..blank }
            }
            State::Rebooting(lease) => ClientMessage { requested: Some(lease.address), ..blank },
        };
        let length = message.emit(out)?;
        self.sent(now, random);
        Some(length)
    }

    /// The message that is due cannot be sent because its receiver does not answer ARP: counts as sent.
    pub fn skip(&mut self, now: Instant, random: &mut Random) {
        if self.last_message.take().is_none() && self.due(now).is_some() {
            self.sent(now, random);
        }
    }

    fn sent(&mut self, now: Instant, random: &mut Random) {
        self.attempts = self.attempts.saturating_add(1);
        match self.state {
            State::Stopped | State::Init(_) | State::Bound(_) => {}
            State::Selecting => self.discovered_at = Some(now),
            // Whichever of several equal REQUESTs the server answers, the lease did not begin before the first.
            State::Requesting(_) => self.requested_at = self.requested_at.or(Some(now)),
            State::Rebooting(_) => {
                self.requested_at = self.requested_at.or(Some(now));
                self.confirmed_at = Some(now);
            }
            State::Renewing(_) | State::Rebinding(_) => self.requested_at = Some(now),
        }
        self.send_at = match self.state {
            State::Renewing(Lease { deadlines: Some(deadlines), .. }) => half_way(now, deadlines.rebind),
            State::Rebinding(Lease { deadlines: Some(deadlines), .. }) => half_way(now, deadlines.expire),
            _ => Some(now + back_off(self.attempts, random)),
        };
    }

    /// Takes in a server's message.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn receive(
        &mut self,
        reply: &ServerMessage,
        now: Instant,
        random: &mut Random,
    ) -> Result<Option<Event>, Ignored> {
        // A server that says which client it means may mean another one of our station (RFC 6842 section 3).
        let foreign = reply.options.client.is_some_and(|client| client != ClientIdentifier::of(self.mac));
        if reply.station != self.mac || reply.transaction != self.transaction || foreign {
            return Err(Ignored::NotForUs);
        }
        match self.state {
            State::Stopped | State::Init(_) | State::Bound(_) => Err(Ignored::Unexpected),
            State::Selecting => self.receive_offer(reply, now, random),
            // Only the server that offered or granted is asked, so only its answer counts.
            State::Requesting(known) | State::Renewing(known) => self.receive_answer(reply, &known, true, now),
            State::Rebinding(known) | State::Rebooting(known) => self.receive_answer(reply, &known, false, now),
        }
    }

    /// In SELECTING: takes an OFFER that names a router and a mask at once, another one after a while.
    fn receive_offer(
        &mut self,
        reply: &ServerMessage,
        now: Instant,
        random: &mut Random,
    ) -> Result<Option<Event>, Ignored> {
        if reply.kind != MessageType::Offer {
            return Err(Ignored::Unexpected);
        }
        server_of(reply).ok_or(Ignored::WrongServer)?;
        let offer = Lease::from_reply(reply, now, None).ok_or(Ignored::Unusable)?;
        if offer.gateway.is_some() && reply.options.mask.is_some() {
            self.ask(State::Requesting(offer), now, random);
        } else {
            self.poor_offer.get_or_insert((offer, now + OFFER_WAIT));
        }
        Ok(None)
    }

    /// The answer to a REQUEST for `known`, an offer or a lease, from its server or, unless `only_its_server`, from any.
    fn receive_answer(
        &mut self,
        reply: &ServerMessage,
        known: &Lease,
        only_its_server: bool,
        now: Instant,
    ) -> Result<Option<Event>, Ignored> {
        // Who grants may leave out what we know, who it is included; who takes something away must say who it is.
        let server = match reply.kind {
            MessageType::Ack => server_of(reply).unwrap_or(known.server),
            _ => server_of(reply).ok_or(Ignored::WrongServer)?,
        };
        if only_its_server && server != known.server {
            return Err(Ignored::WrongServer);
        }
        let requested_at = self.requested_at.ok_or(Ignored::Unexpected)?;
        match reply.kind {
            MessageType::Ack => {
                let lease = Lease::from_reply(reply, requested_at, Some(known)).ok_or(Ignored::Unusable)?;
                // Extending never moves us to another address, and neither does taking an offer.
                if lease.address != known.address || lease.deadlines.is_some_and(|deadlines| deadlines.expire <= now) {
                    return Err(Ignored::Unusable);
                }
                self.rest(State::Bound(lease));
                if self.grant_log.admit("dhcp: leases", now) {
                    lease.report();
                }
                Ok(Some(Event::Bound(lease)))
            }
            MessageType::Nak => {
                if self.refusal_log.admit("dhcp: refusals", now) {
                    warn!("dhcp: server {} refuses {}", server, known.address);
                }
                let was_in_use = self.lease().is_some();
                // A server that offers and then refuses must not make us ask as fast as it answers.
                self.rest(State::Init(not_before(self.discovered_at, now)));
                Ok(was_in_use.then_some(Event::Refused))
            }
            _ => Err(Ignored::Unexpected),
        }
    }
}

/// The server that a message says it is from.
fn server_of(reply: &ServerMessage) -> Option<Ipv4Addr> {
    reply.options.server.filter(|server| is_host(*server))
}

/// When a question may be asked again that was asked then: now, but not within [`BACK_OFF_FIRST`].
fn not_before(asked: Option<Instant>, now: Instant) -> Instant {
    asked.map_or(now, |at| now.max(at + BACK_OFF_FIRST))
}

/// When to ask for an extension again: after half of the time that is left (RFC 2131 section 4.4.5). Beyond the end another
/// state takes over.
fn half_way(now: Instant, end: Instant) -> Option<Instant> {
    let wait = end.since(now).divided_by(2).max(EXTEND_INTERVAL_MIN);
    Some(now + wait).filter(|&at| at < end)
}

/// How long to wait for an answer after this many messages (at least 1).
fn back_off(attempts: u8, random: &mut Random) -> Duration {
    let doublings = attempts.saturating_sub(1).min(BACK_OFF_DOUBLINGS);
    let spread = BACK_OFF_SPREAD.as_micros() as u32;
    BACK_OFF_FIRST.times(1 << doublings) - BACK_OFF_SPREAD
        + Duration::from_micros(u64::from(random.below(2 * spread + 1)))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
