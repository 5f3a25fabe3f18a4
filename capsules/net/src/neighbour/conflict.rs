//! Whether our address is ours alone: IPv4 address conflict detection, RFC 5227.
//!
//! One deviation, for the sake of boot time: the address is in use from the moment that it is leased, rather than after
//! the last probe. The probes and the announcements run alongside, and conflicts are those of an address in use
//! (section 2.4) from the start: another's probe is answered and no conflict, for switches probe each new host; one
//! conflicting packet is defended against; a second within [`DEFEND_INTERVAL`] gives the address up. There is no random
//! delay before the first probe either.

use core::net::Ipv4Addr;

use slopos_kernel::time::{Duration, Instant};

use crate::MacAddress;
use crate::random::Random;
use crate::wire::arp::{Operation, Packet};

/// Probes for an address (RFC 5227 `PROBE_NUM`).
pub const PROBES: u8 = 3;
/// Shortest time between two probes; the longest is twice that (`PROBE_MIN`, `PROBE_MAX`).
pub const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// From the last probe to the first announcement (`ANNOUNCE_WAIT`).
pub const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// Announcements (`ANNOUNCE_NUM`).
pub const ANNOUNCEMENTS: u8 = 2;
/// Between two announcements (`ANNOUNCE_INTERVAL`).
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// How often an address is defended at most (`DEFEND_INTERVAL`).
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// Watches over one address from the moment that it is leased.
#[derive(Debug)]
pub struct Watch {
    address: Ipv4Addr,
    probes_left: u8,
    announcements_left: u8,
    /// When the next probe or announcement is due; meaningless when none is left.
    next_at: Instant,
    /// When the last probe went out.
    probed_at: Option<Instant>,
    defended_at: Option<Instant>,
    /// The announcement that defends the address has not gone out; it waits for no probe.
    defence_due: bool,
}

/// What a packet means for the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// Somebody uses it, the first time in ten seconds; an announcement to defend it is due at once.
    Defended,
    /// It is somebody else's. Decline it.
    Lost,
}

impl Watch {
    /// Starts to probe for `address`, the first time at once.
    pub const fn new(address: Ipv4Addr, now: Instant) -> Self {
        Watch {
            address,
            probes_left: PROBES,
            announcements_left: ANNOUNCEMENTS,
            next_at: now,
            probed_at: None,
            defended_at: None,
            defence_due: false,
        }
    }

    /// Starts to probe anew, since the link may be another one; not within [`PROBE_INTERVAL_MIN`] of the last probe,
    /// for a link can come and go as often as it likes. What was defended stays so.
    pub fn again(&self, now: Instant) -> Self {
        let next_at = self.probed_at.map_or(now, |at| now.max(at + PROBE_INTERVAL_MIN));
        let Watch { address, probed_at, defended_at, defence_due, .. } = *self;
        Watch { next_at, probed_at, defended_at, defence_due, ..Watch::new(address, now) }
    }

    /// The address that is watched over.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The probe or announcement that is due, to be sent to every station.
    pub fn transmit(&mut self, mac: MacAddress, now: Instant, random: &mut Random) -> Option<Packet> {
        self.next_deadline().filter(|&at| at <= now)?;
        let probe = self.probes_left > 0 && !self.defence_due;
        if core::mem::take(&mut self.defence_due) {
            // What was to come comes when it was to come.
        } else if probe {
            self.probes_left = self.probes_left.saturating_sub(1);
            self.probed_at = Some(now);
            self.next_at = now
                + if self.probes_left > 0 {
                    // PROBE_MAX is twice PROBE_MIN, so what is added is at most PROBE_MIN.
                    let spread = PROBE_INTERVAL_MIN.as_micros() as u32;
                    PROBE_INTERVAL_MIN + Duration::from_micros(u64::from(random.below(spread)))
                } else {
                    ANNOUNCE_WAIT
                };
        } else {
            self.announcements_left = self.announcements_left.saturating_sub(1);
            self.next_at = now + ANNOUNCE_INTERVAL;
        }
        Some(Packet {
            operation: Operation::Request,
            sender_mac: mac,
            sender: if probe { Ipv4Addr::UNSPECIFIED } else { self.address },
            target_mac: MacAddress::ZERO,
            target: self.address,
        })
    }

    /// Looks at an ARP packet that another station sent.
    pub fn receive(&mut self, packet: &Packet, mac: MacAddress, now: Instant) -> Verdict {
        if packet.sender_mac == mac {
            return Verdict::Fine;
        }
        if packet.sender != self.address {
            return Verdict::Fine;
        }
        // Section 2.4 (b): defend once; give up if that did not settle it.
        if self.defended_at.is_some_and(|at| now.since(at) < DEFEND_INTERVAL) {
            return Verdict::Lost;
        }
        self.defended_at = Some(now);
        self.defence_due = true;
        Verdict::Defended
    }

    /// When the next probe or announcement is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.defence_due {
            return self.defended_at;
        }
        (self.probes_left > 0 || self.announcements_left > 0).then_some(self.next_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

    fn claim() -> Packet {
        Packet {
            operation: Operation::Reply,
            sender_mac: OTHER,
            sender: OURS,
            target_mac: MAC,
            target: Ipv4Addr::new(10, 0, 2, 99),
        }
    }

    fn probe() -> Packet {
        Packet { operation: Operation::Request, sender: Ipv4Addr::UNSPECIFIED, target: OURS, ..claim() }
    }

    /// Runs the watch until it is silent; what it sent and when, in milliseconds.
    fn run(watch: &mut Watch, random: &mut Random) -> Vec<(u64, Packet)> {
        let mut sent = Vec::new();
        while let Some(at) = watch.next_deadline() {
            assert_eq!(watch.transmit(MAC, Instant::from_micros(at.as_micros().saturating_sub(1)), random), None);
            sent.push((at.as_millis(), watch.transmit(MAC, at, random).unwrap()));
        }
        sent
    }

    /// A watch that has probed and announced, and the time when it had.
    fn settled() -> (Watch, Instant) {
        let mut watch = Watch::new(OURS, Instant::from_millis(1));
        let last = run(&mut watch, &mut Random::new([1; 32])).last().unwrap().0;
        (watch, Instant::from_millis(last + 5_000))
    }

    #[test]
    fn three_probes_and_two_announcements_at_the_rfcs_intervals() {
        let sent = run(&mut Watch::new(OURS, Instant::from_millis(1)), &mut Random::new([1; 32]));
        let senders: Vec<_> = sent.iter().map(|(_, packet)| packet.sender).collect();
        let nobody = Ipv4Addr::UNSPECIFIED;
        assert_eq!(senders, [nobody, nobody, nobody, OURS, OURS]);
        assert!(sent.iter().all(|(_, packet)| packet.target == OURS && packet.operation == Operation::Request));
        assert_eq!(sent[0].0, 1, "the first one at once");
        assert!((1_000..=2_000).contains(&(sent[1].0 - sent[0].0)));
        assert!((1_000..=2_000).contains(&(sent[2].0 - sent[1].0)));
        assert_eq!([sent[3].0 - sent[2].0, sent[4].0 - sent[3].0], [2_000, 2_000]);
    }

    #[test]
    fn while_probing_anothers_probe_is_no_conflict_and_a_claim_is_defended_before_the_next_probe() {
        let mut random = Random::new([3; 32]);
        for sent in 0..=PROBES + ANNOUNCEMENTS {
            let mut watch = Watch::new(OURS, Instant::BOOT);
            let mut now = Instant::BOOT;
            for _ in 0..sent {
                now = watch.next_deadline().unwrap();
                assert!(watch.transmit(MAC, now, &mut random).is_some());
            }
            let next = watch.next_deadline();
            assert_eq!(watch.receive(&probe(), MAC, now), Verdict::Fine, "{sent}");
            assert_eq!(watch.receive(&claim(), MAC, now), Verdict::Defended, "{sent}");
            let defence = watch.transmit(MAC, now, &mut random).unwrap();
            assert_eq!((defence.sender, defence.target), (OURS, OURS), "{sent}");
            assert_eq!(watch.next_deadline(), next, "{sent}: what was to come comes in its time");
            assert_eq!(watch.receive(&probe(), MAC, now), Verdict::Fine, "{sent}");
            assert_eq!(watch.receive(&claim(), MAC, now), Verdict::Lost, "{sent}");
        }
    }

    #[test]
    fn starting_anew_keeps_the_distance_between_probes_and_what_was_defended() {
        let mut random = Random::new([3; 32]);
        let mut watch = Watch::new(OURS, Instant::BOOT);
        assert!(watch.transmit(MAC, Instant::BOOT, &mut random).is_some());
        assert_eq!(watch.receive(&claim(), MAC, Instant::BOOT), Verdict::Defended);
        assert!(watch.transmit(MAC, Instant::BOOT, &mut random).is_some());
        let half = Instant::from_millis(500);
        for _ in 0..10 {
            watch = watch.again(half);
            assert_eq!(watch.next_deadline(), Some(Instant::BOOT + PROBE_INTERVAL_MIN));
        }
        assert_eq!(watch.again(Instant::from_millis(1_700)).next_deadline(), Some(Instant::from_millis(1_700)));
        assert_eq!(watch.receive(&claim(), MAC, half), Verdict::Lost);
    }

    #[test]
    fn our_own_packets_are_no_conflict() {
        let mut watch = Watch::new(OURS, Instant::BOOT);
        assert_eq!(watch.receive(&Packet { sender_mac: MAC, ..probe() }, MAC, Instant::BOOT), Verdict::Fine);
        assert_eq!(watch.receive(&Packet { sender_mac: MAC, ..claim() }, MAC, Instant::BOOT), Verdict::Fine);
    }

    #[test]
    fn a_settled_address_is_defended_once_in_ten_seconds_then_lost() {
        let (mut watch, now) = settled();
        assert_eq!(watch.receive(&claim(), MAC, now), Verdict::Defended);
        let defence = watch.transmit(MAC, now, &mut Random::new([2; 32])).unwrap();
        assert_eq!((defence.sender, defence.target), (OURS, OURS));
        assert_eq!(watch.next_deadline(), None, "one announcement is enough");
        assert_eq!(watch.receive(&claim(), MAC, now + Duration::from_secs(9)), Verdict::Lost);
    }

    #[test]
    fn a_conflict_after_ten_quiet_seconds_is_defended_again() {
        let (mut watch, now) = settled();
        assert_eq!(watch.receive(&claim(), MAC, now), Verdict::Defended);
        assert_eq!(watch.receive(&claim(), MAC, now + DEFEND_INTERVAL), Verdict::Defended);
    }

    #[test]
    fn a_probe_for_a_settled_address_is_no_conflict() {
        let (mut watch, now) = settled();
        assert_eq!(watch.receive(&probe(), MAC, now), Verdict::Fine);
    }
}
