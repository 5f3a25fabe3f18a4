use super::*;
use crate::wire::dhcp::options::Options;

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 9);
const BROADCAST: Due = Due { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST };

fn at(seconds: u64) -> Instant {
    Instant::BOOT + Duration::from_secs(seconds)
}

/// A message of the client's, as far as the tests look at it.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    kind: u8,
    due: Due,
    client_address: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
}

const DISCOVER: Sent =
    Sent { kind: 1, due: BROADCAST, client_address: Ipv4Addr::UNSPECIFIED, requested: None, server: None };
const REQUEST: Sent = Sent { kind: 3, requested: Some(ADDRESS), server: Some(SERVER), ..DISCOVER };

struct Bench {
    client: Client,
    random: Random,
}

impl Bench {
    fn new() -> Self {
        Bench { client: Client::new(MAC, at(0)), random: Random::new([9; 32]) }
    }

    /// A client that bound a lease of these seconds at second 0.
    fn bound(seconds: u32) -> Self {
        let mut bench = Bench::new();
        assert_eq!(bench.step(at(0)), Ok(None));
        assert_eq!(bench.sent(at(0)), Some(DISCOVER));
        assert_eq!(bench.answer(at(0), MessageType::Offer, |_| {}), Ok(None));
        assert_eq!(bench.sent(at(0)), Some(REQUEST));
        let event = bench.answer(at(0), MessageType::Ack, |reply| reply.options.lease_seconds = Some(seconds));
        assert!(matches!(event, Ok(Some(Event::Bound(_)))), "{event:?}");
        bench
    }

    fn step(&mut self, now: Instant) -> Result<Option<Event>, Ignored> {
        Ok(self.client.poll(now, &mut self.random))
    }

    /// What the client sends now, read back from its bytes.
    fn sent(&mut self, now: Instant) -> Option<Sent> {
        self.client.poll(now, &mut self.random);
        let due = self.client.due(now);
        let mut out = [0; 400];
        let length = self.client.transmit(&mut out, now, &mut self.random);
        assert_eq!(due.is_some(), length.is_some());
        let length = length?;
        let mut options = &out[240..length];
        let (mut kind, mut requested, mut server) = (0, None, None);
        while let [code, size, rest @ ..] = options
            && *code != 255
        {
            let (value, rest) = rest.split_at(usize::from(*size));
            match (code, value) {
                (53, [value]) => kind = *value,
                (50, [a, b, c, d]) => requested = Some(Ipv4Addr::new(*a, *b, *c, *d)),
                (54, [a, b, c, d]) => server = Some(Ipv4Addr::new(*a, *b, *c, *d)),
                _ => {}
            }
            options = rest;
        }
        let client_address = Ipv4Addr::from_octets([out[12], out[13], out[14], out[15]]);
        Some(Sent { kind, due: due?, client_address, requested, server })
    }

    /// A correct answer of the server's, after `change`.
    fn answer(
        &mut self,
        now: Instant,
        kind: MessageType,
        change: impl FnOnce(&mut ServerMessage),
    ) -> Result<Option<Event>, Ignored> {
        let mut reply = ServerMessage {
            kind,
            transaction: self.client.transaction,
            station: MAC,
            your_address: ADDRESS,
            relayed: false,
            options: Options {
                server: Some(SERVER),
                mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
                router: Some(SERVER),
                lease_seconds: Some(86_400),
                ..Options::default()
            },
        };
        change(&mut reply);
        self.client.receive(&reply, now, &mut self.random)
    }

    /// The time of the next deadline, in seconds.
    fn deadline(&self) -> Option<f64> {
        self.client.next_deadline().map(|at| at.as_micros() as f64 / 1e6)
    }
}

#[test]
fn an_address_is_discovered_offered_requested_and_bound_without_delay() {
    let bench = Bench::bound(86_400);
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.address, lease.prefix), (ADDRESS, 24));
    assert_eq!((lease.gateway, lease.server, lease.seconds), (Some(SERVER), SERVER, Some(86_400)));
    assert_eq!(bench.deadline(), Some(43_200.0), "T1 is half of it");
}

#[test]
fn unanswered_discovers_back_off_from_4_to_64_seconds_with_a_second_of_spread() {
    let mut bench = Bench::new();
    assert_eq!(bench.sent(at(0)), Some(DISCOVER));
    let mut last = 0.0;
    let mut waits = Vec::new();
    for expected in [4.0, 8.0, 16.0, 32.0, 64.0, 64.0] {
        let next = bench.deadline().unwrap();
        let wait = next - last;
        assert!((expected - 1.0..=expected + 1.0).contains(&wait), "{wait} instead of {expected}");
        let now = Instant::from_micros((next * 1e6).round() as u64);
        assert_eq!(bench.sent(Instant::from_micros(now.as_micros() - 10)), None);
        assert_eq!(bench.sent(now), Some(DISCOVER));
        waits.push(wait);
        last = next;
    }
    assert_ne!(waits[4], waits[5], "the spread is random");
}

#[test]
fn an_offer_that_is_not_acknowledged_is_requested_four_times_then_given_up() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    let mut requests = 0;
    loop {
        let now = bench.client.next_deadline().unwrap();
        match bench.sent(now) {
            Some(REQUEST) => requests += 1,
            other => {
                assert_eq!(other, Some(DISCOVER), "in the instant in which the last REQUEST is given up");
                break;
            }
        }
    }
    assert_eq!(requests, u32::from(REQUEST_TRIES));
}

#[test]
fn each_transaction_has_a_number_of_its_own() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    let first = bench.client.transaction;
    assert_eq!(
        bench.answer(at(0), MessageType::Offer, |reply| reply.transaction = first.wrapping_add(1)),
        Err(Ignored::NotForUs)
    );
    assert_eq!(
        bench.answer(at(0), MessageType::Offer, |reply| reply.station = MacAddress([2; 6])),
        Err(Ignored::NotForUs)
    );
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    assert_eq!(bench.client.transaction, first, "an offer is taken within its transaction");
    let mut other = Bench { random: Random::new([10; 32]), ..Bench::new() };
    other.sent(at(0));
    assert_ne!(other.client.transaction, first);
}

#[test]
fn offers_that_no_host_can_use_are_ignored() {
    type Change = fn(&mut ServerMessage);
    let unusable: [(&str, Change); 8] = [
        ("no address", |reply| reply.your_address = Ipv4Addr::UNSPECIFIED),
        ("multicast", |reply| reply.your_address = Ipv4Addr::new(224, 0, 0, 5)),
        ("loopback", |reply| reply.your_address = Ipv4Addr::new(127, 0, 0, 1)),
        ("the network itself", |reply| reply.your_address = Ipv4Addr::new(10, 0, 2, 0)),
        ("its broadcast", |reply| reply.your_address = Ipv4Addr::new(10, 0, 2, 255)),
        ("a mask with holes", |reply| reply.options.mask = Some(Ipv4Addr::new(255, 0, 255, 0))),
        ("no lease time", |reply| reply.options.lease_seconds = None),
        ("no lease at all", |reply| reply.options.lease_seconds = Some(0)),
    ];
    for (why, change) in unusable {
        let mut bench = Bench::new();
        bench.sent(at(0));
        assert_eq!(bench.answer(at(0), MessageType::Offer, change), Err(Ignored::Unusable), "{why}");
    }
    let mut bench = Bench::new();
    bench.sent(at(0));
    assert_eq!(bench.answer(at(0), MessageType::Offer, |reply| reply.options.server = None), Err(Ignored::WrongServer));
    assert_eq!(bench.answer(at(0), MessageType::Ack, |_| {}), Err(Ignored::Unexpected), "nothing was requested");
}

#[test]
fn while_requesting_only_the_chosen_server_counts_and_only_for_the_chosen_address() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    assert_eq!(bench.answer(at(0), MessageType::Ack, |_| {}), Err(Ignored::Unexpected), "not requested yet");
    bench.sent(at(0));
    let other = |reply: &mut ServerMessage| reply.options.server = Some(OTHER_SERVER);
    assert_eq!(bench.answer(at(0), MessageType::Ack, other), Err(Ignored::WrongServer));
    assert_eq!(bench.answer(at(0), MessageType::Nak, other), Err(Ignored::WrongServer));
    let moved = |reply: &mut ServerMessage| reply.your_address = Ipv4Addr::new(10, 0, 2, 16);
    assert_eq!(bench.answer(at(0), MessageType::Ack, moved), Err(Ignored::Unusable));
    assert!(bench.answer(at(0), MessageType::Ack, |_| {}).is_ok());
}

#[test]
fn a_lease_counts_from_the_request_and_not_from_the_answer() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(1), MessageType::Offer, |_| {}).unwrap();
    bench.sent(at(1));
    bench.answer(at(3), MessageType::Ack, |reply| reply.options.lease_seconds = Some(1_000)).unwrap();
    assert_eq!(bench.client.lease().unwrap().deadlines.unwrap().expire, at(1_001));
}

#[test]
fn an_infinite_lease_has_no_deadline() {
    let mut bench = Bench::bound(u32::MAX);
    assert_eq!(bench.deadline(), None);
    assert_eq!(bench.step(at(u64::from(u32::MAX) + 10)), Ok(None));
    assert!(bench.client.lease().is_some());
}

#[test]
fn the_servers_own_t1_and_t2_are_taken_where_they_make_sense() {
    for (t1, t2, expected) in [(100, 200, (100, 200)), (200, 100, (500, 875)), (100, 1_000, (500, 875))] {
        let mut bench = Bench::new();
        bench.sent(at(0));
        bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
        bench.sent(at(0));
        let change = |reply: &mut ServerMessage| {
            reply.options.lease_seconds = Some(1_000);
            reply.options.renewal_seconds = Some(t1);
            reply.options.rebinding_seconds = Some(t2);
        };
        bench.answer(at(0), MessageType::Ack, change).unwrap();
        let deadlines = bench.client.lease().unwrap().deadlines.unwrap();
        assert_eq!((deadlines.renew, deadlines.rebind), (at(expected.0), at(expected.1)), "{t1} {t2}");
    }
}

#[test]
fn at_t1_the_server_is_asked_directly_and_the_lease_begins_anew() {
    let mut bench = Bench::bound(1_000);
    assert_eq!(bench.sent(at(499)), None);
    let renewal = Sent {
        due: Due { source: ADDRESS, destination: SERVER },
        client_address: ADDRESS,
        requested: None,
        server: None,
        ..REQUEST
    };
    assert_eq!(bench.sent(at(500)), Some(renewal));
    let event = bench.answer(at(501), MessageType::Ack, |reply| reply.options.lease_seconds = Some(1_000));
    assert!(matches!(event, Ok(Some(Event::Bound(_)))));
    assert_eq!(bench.client.lease().unwrap().deadlines.unwrap().expire, at(1_500));
    assert_eq!(bench.deadline(), Some(1_000.0));
}

#[test]
fn renewal_is_tried_at_half_of_what_remains_but_not_within_a_minute() {
    let mut bench = Bench::bound(1_000);
    let mut times = Vec::new();
    for second in 500..875 {
        if bench.sent(at(second)).is_some() {
            times.push(second);
        }
    }
    // T2 is at 875: halves of 375, then of 187, then a minute instead of half of 93 and of 33.
    assert_eq!(times, [500, 688, 782, 842]);
}

#[test]
fn at_t2_any_server_is_asked_by_broadcast() {
    let mut bench = Bench::bound(1_000);
    bench.sent(at(500));
    let rebinding = Sent {
        due: Due { source: ADDRESS, destination: Ipv4Addr::BROADCAST },
        client_address: ADDRESS,
        requested: None,
        server: None,
        ..REQUEST
    };
    assert_eq!(bench.sent(at(875)), Some(rebinding));
    let other = |reply: &mut ServerMessage| reply.options.server = Some(OTHER_SERVER);
    assert!(matches!(bench.answer(at(876), MessageType::Ack, other), Ok(Some(Event::Bound(_)))));
    assert_eq!(bench.client.lease().unwrap().server, OTHER_SERVER);
}

#[test]
fn a_lease_that_nobody_extends_expires_and_the_search_begins_again() {
    let mut bench = Bench::bound(1_000);
    for second in 500..1_000 {
        assert_eq!(bench.step(at(second)), Ok(None));
        bench.sent(at(second));
    }
    assert_eq!(bench.step(at(1_000)), Ok(Some(Event::Expired)));
    assert_eq!(bench.client.lease(), None);
    assert_eq!(bench.sent(at(1_000)), Some(DISCOVER));
}

#[test]
fn a_late_answer_to_an_earlier_renewal_does_not_count() {
    let mut bench = Bench::bound(1_000);
    bench.sent(at(500));
    let first = bench.client.transaction;
    bench.sent(at(688));
    assert_eq!(bench.answer(at(689), MessageType::Ack, |reply| reply.transaction = first), Err(Ignored::NotForUs));
}

#[test]
fn a_refusal_while_renewing_ends_the_use_of_the_address_at_once() {
    let mut bench = Bench::bound(1_000);
    bench.sent(at(500));
    assert_eq!(bench.answer(at(500), MessageType::Nak, |_| {}), Ok(Some(Event::Refused)));
    assert_eq!(bench.client.lease(), None);
    assert_eq!(bench.sent(at(500)), Some(DISCOVER));
}

#[test]
fn a_server_that_offers_and_refuses_does_not_make_us_ask_in_a_loop() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    bench.sent(at(0));
    assert_eq!(bench.answer(at(0), MessageType::Nak, |_| {}), Ok(None));
    assert_eq!(bench.sent(at(3)), None);
    assert_eq!(bench.sent(at(4)), Some(DISCOVER));
}

#[test]
fn a_declined_address_is_told_to_the_server_and_ten_seconds_are_kept_still() {
    let mut bench = Bench::bound(1_000);
    bench.client.decline(at(5));
    assert_eq!(bench.client.lease(), None);
    assert_eq!(bench.sent(at(5)), Some(Sent { kind: 4, ..REQUEST }));
    assert_eq!(bench.sent(at(14)), None);
    assert_eq!(bench.sent(at(15)), Some(DISCOVER));
}

#[test]
fn a_released_lease_is_told_to_its_server_and_the_client_stays_stopped() {
    let mut bench = Bench::bound(1_000);
    bench.client.release();
    let release = Sent {
        kind: 7,
        due: Due { source: ADDRESS, destination: SERVER },
        client_address: ADDRESS,
        requested: None,
        server: Some(SERVER),
    };
    assert_eq!(bench.sent(at(5)), Some(release));
    assert_eq!(bench.deadline(), None);
    assert_eq!(bench.sent(at(5_000)), None);
    bench.client.start(at(5_000), &mut bench.random);
    assert_eq!(bench.sent(at(5_000)), Some(DISCOVER));
}

#[test]
fn after_the_link_was_down_the_lease_is_confirmed_in_init_reboot_form() {
    let mut bench = Bench::bound(1_000);
    bench.client.start(at(100), &mut bench.random);
    assert!(bench.client.lease().is_some(), "in use meanwhile");
    assert_eq!(bench.sent(at(100)), Some(Sent { server: None, ..REQUEST }));
    assert!(bench.answer(at(100), MessageType::Ack, |_| {}).is_ok());
    assert_eq!(bench.sent(at(200)), None);
}

#[test]
fn a_lease_that_cannot_be_confirmed_after_the_link_was_down_is_used_as_it_is() {
    let mut bench = Bench::bound(1_000);
    bench.client.start(at(100), &mut bench.random);
    let mut requests = 0;
    for second in 100..400 {
        requests += u8::from(bench.sent(at(second)).is_some());
    }
    assert_eq!(requests, REBOOT_TRIES);
    assert_eq!(bench.client.lease().map(|lease| lease.address), Some(ADDRESS));
    assert_eq!(bench.deadline(), Some(500.0));
}

#[test]
fn a_server_that_does_not_answer_arp_counts_as_asked() {
    let mut bench = Bench::bound(1_000);
    bench.step(at(500)).unwrap();
    assert!(bench.client.due(at(500)).is_some());
    bench.client.skip(at(500), &mut bench.random);
    assert_eq!(bench.client.due(at(500)), None);
    assert!(bench.client.next_deadline() > Some(at(500)));
}

#[test]
fn a_mask_that_is_missing_follows_the_class_and_a_router_that_is_missing_is_none() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    let bare = |reply: &mut ServerMessage| {
        reply.options.mask = None;
        reply.options.router = None;
    };
    bench.answer(at(0), MessageType::Offer, bare).unwrap();
    bench.sent(at(1));
    bench.answer(at(1), MessageType::Ack, bare).unwrap();
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.prefix, lease.gateway), (8, None));
}

#[test]
fn a_full_offer_is_taken_at_once_and_a_poor_one_waits_a_second_for_a_better() {
    let poor = |reply: &mut ServerMessage| reply.options.router = None;
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, poor).unwrap();
    assert_eq!(bench.sent(at(0)), None);
    assert_eq!(bench.deadline(), Some(1.0));
    let better = |reply: &mut ServerMessage| {
        reply.options.server = Some(OTHER_SERVER);
        reply.your_address = Ipv4Addr::new(10, 0, 2, 77);
    };
    bench.answer(at(0), MessageType::Offer, better).unwrap();
    let taken = Sent { requested: Some(Ipv4Addr::new(10, 0, 2, 77)), server: Some(OTHER_SERVER), ..REQUEST };
    assert_eq!(bench.sent(at(0)), Some(taken));

    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, poor).unwrap();
    let second = |reply: &mut ServerMessage| {
        poor(reply);
        reply.options.server = Some(OTHER_SERVER);
    };
    bench.answer(at(0), MessageType::Offer, second).unwrap();
    assert_eq!(bench.sent(at(1)), Some(REQUEST), "of two poor ones the first");
}

#[test]
fn a_usable_offer_is_taken_though_an_unusable_one_came_first() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    let unusable = |reply: &mut ServerMessage| reply.options.lease_seconds = None;
    assert_eq!(bench.answer(at(0), MessageType::Offer, unusable), Err(Ignored::Unusable));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    assert_eq!(bench.sent(at(0)), Some(REQUEST));
}

#[test]
fn a_refusal_ends_the_use_of_the_address_in_every_state_that_waits_for_an_answer() {
    // REBINDING, where any server may refuse.
    let mut bench = Bench::bound(1_000);
    bench.sent(at(875));
    let other = |reply: &mut ServerMessage| reply.options.server = Some(OTHER_SERVER);
    assert_eq!(bench.answer(at(876), MessageType::Nak, other), Ok(Some(Event::Refused)));
    assert_eq!(bench.sent(at(876)), Some(DISCOVER));
    // REBOOTING.
    let mut bench = Bench::bound(1_000);
    bench.client.start(at(100), &mut bench.random);
    bench.sent(at(100));
    assert_eq!(bench.answer(at(100), MessageType::Nak, |_| {}), Ok(Some(Event::Refused)));
    assert_eq!(bench.client.lease(), None);
    // REQUESTING: no address was in use yet.
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    bench.sent(at(0));
    assert_eq!(bench.answer(at(1), MessageType::Nak, |_| {}), Ok(None));
    assert_eq!(bench.sent(at(4)), Some(DISCOVER));
    // SELECTING and BOUND wait for none: whoever refuses there answers nothing of ours.
    let mut bench = Bench::new();
    bench.sent(at(0));
    assert_eq!(bench.answer(at(0), MessageType::Nak, |_| {}), Err(Ignored::Unexpected));
    let mut bench = Bench::bound(1_000);
    assert_eq!(bench.answer(at(1), MessageType::Nak, |_| {}), Err(Ignored::Unexpected));
    assert!(bench.client.lease().is_some());
}

#[test]
fn after_ten_conflicts_a_minute_passes_before_each_further_address() {
    let mut bench = Bench::bound(1_000);
    let mut now = 5;
    for conflict in 1..=12 {
        bench.client.decline(at(now));
        assert_eq!(bench.sent(at(now)).unwrap().kind, 4);
        let wait = if conflict < 10 { 10 } else { 60 };
        assert_eq!(bench.sent(at(now + wait - 1)), None, "conflict {conflict}");
        assert_eq!(bench.sent(at(now + wait)), Some(DISCOVER));
        bench.answer(at(now + wait), MessageType::Offer, |_| {}).unwrap();
        bench.sent(at(now + wait));
        bench.answer(at(now + wait), MessageType::Ack, |_| {}).unwrap();
        now += wait + 1;
    }
}

#[test]
fn a_renewal_that_would_change_the_address_is_not_taken() {
    let mut bench = Bench::bound(1_000);
    bench.sent(at(500));
    let moved = |reply: &mut ServerMessage| reply.your_address = Ipv4Addr::new(10, 0, 2, 16);
    assert_eq!(bench.answer(at(500), MessageType::Ack, moved), Err(Ignored::Unusable));
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
}

#[path = "client_terms_tests.rs"]
mod terms;

#[path = "client_bounds_tests.rs"]
mod bounds;
