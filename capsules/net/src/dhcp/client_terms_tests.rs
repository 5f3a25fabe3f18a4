//! What a server says about times, and what it leaves out.

use super::*;

/// T1 and T2 of a lease, in seconds, where a server names these; 0 seconds of an option means that it is there with 0.
fn times(lease: u32, t1: Option<u32>, t2: Option<u32>) -> (f64, f64) {
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    bench.sent(at(0));
    let change = |reply: &mut ServerMessage| {
        reply.options.lease_seconds = Some(lease);
        reply.options.renewal_seconds = t1;
        reply.options.rebinding_seconds = t2;
    };
    bench.answer(at(0), MessageType::Ack, change).unwrap();
    let deadlines = bench.client.lease().unwrap().deadlines.unwrap();
    (deadlines.renew.as_micros() as f64 / 1e6, deadlines.rebind.as_micros() as f64 / 1e6)
}

#[test]
fn absent_and_senseless_times_take_the_defaults() {
    for lease in [200, 1_000, 86_400, 4_000_000_000] {
        let defaults = (f64::from(lease) / 2.0, f64::from(lease) * 7.0 / 8.0);
        let senseless = [
            (None, None),
            (Some(0), None),
            (None, Some(0)),
            (Some(0), Some(0)),
            (Some(lease), None),
            (None, Some(lease)),
            (Some(lease - 1), Some(lease)),
            (Some(u32::MAX), Some(u32::MAX)),
            (Some(100), Some(99)),
            (Some(100), Some(100)),
        ];
        for (t1, t2) in senseless {
            assert_eq!(times(lease, t1, t2), defaults, "{lease} {t1:?} {t2:?}");
        }
    }
    assert_eq!(times(1_000, Some(0), Some(600)), (500.0, 600.0), "the default beside what makes sense");
    assert_eq!(times(1_000, Some(100), None), (100.0, 875.0));
}

#[test]
fn times_that_make_sense_but_are_too_close_are_spread_to_a_minute() {
    assert_eq!(times(1_000, Some(1), Some(2)), (60.0, 120.0));
    assert_eq!(times(1_000, Some(100), Some(101)), (100.0, 160.0));
    assert_eq!(times(1_000, Some(900), Some(910)), (900.0, 960.0));
    assert_eq!(times(1_000, Some(998), Some(999)), (500.0, 875.0), "there is no minute left");
    // Of a lease of two minutes a minute is half.
    assert_eq!(times(120, None, None), (60.0, 105.0));
    assert_eq!(times(100, Some(10), Some(20)), (60.0, 97.5));
    // A shorter one is the server's own affair.
    assert_eq!(times(30, Some(10), Some(20)), (10.0, 20.0));
    assert_eq!(times(1, Some(0), Some(1)), (0.5, 0.875));
}

#[test]
fn for_any_times_from_the_wire_t1_comes_before_t2_and_t2_before_the_end() {
    let values = [0, 1, 2, 30, 59, 60, 61, 62, 100, 119, 120, 121, 160, 1_000, u32::MAX - 1, u32::MAX];
    for lease in values.into_iter().filter(|&lease| lease != 0 && lease != u32::MAX) {
        for t1 in values {
            for t2 in values {
                let (renew, rebind) = times(lease, Some(t1), Some(t2));
                assert!(0.0 < renew && renew < rebind && rebind < f64::from(lease), "{lease} {t1} {t2}");
                assert!(lease <= 60 || renew >= 60.0, "{lease} {t1} {t2}: {renew}");
            }
        }
    }
}

/// A client that asked at T1 to have its lease of 1000 s extended.
fn renewing() -> Bench {
    let mut bench = Bench::bound(1_000);
    bench.sent(at(500)).unwrap();
    bench
}

#[test]
fn what_a_renewal_leaves_out_or_says_without_sense_stays_as_it_was() {
    type Change = fn(&mut Options);
    let poor: [(&str, Change); 9] = [
        ("mask", |options| options.mask = None),
        ("router", |options| options.router = None),
        ("server", |options| options.server = None),
        ("time", |options| options.lease_seconds = None),
        ("all", |options| *options = Options::default()),
        ("mask with holes", |options| options.mask = Some(Ipv4Addr::new(255, 0, 255, 0))),
        ("empty mask", |options| options.mask = Some(Ipv4Addr::UNSPECIFIED)),
        ("no router", |options| options.router = Some(Ipv4Addr::UNSPECIFIED)),
        ("a group as router", |options| options.router = Some(Ipv4Addr::new(224, 0, 0, 1))),
    ];
    for (why, change) in poor {
        let mut bench = renewing();
        let change = |reply: &mut ServerMessage| {
            reply.options.lease_seconds = Some(1_000);
            change(&mut reply.options);
        };
        assert!(matches!(bench.answer(at(501), MessageType::Ack, change), Ok(Some(Event::Bound(_)))), "{why}");
        let lease = bench.client.lease().unwrap();
        assert_eq!((lease.prefix, lease.gateway, lease.server), (24, Some(SERVER), SERVER), "{why}");
        assert_eq!((lease.seconds, lease.deadlines.unwrap().expire), (Some(1_000), at(1_500)), "{why}");
    }
}

#[test]
fn what_a_renewal_says_anew_counts() {
    let mut bench = renewing();
    let change = |reply: &mut ServerMessage| {
        reply.options.mask = Some(Ipv4Addr::new(255, 255, 0, 0));
        reply.options.router = Some(OTHER_SERVER);
        reply.options.lease_seconds = Some(2_000);
    };
    bench.answer(at(501), MessageType::Ack, change).unwrap();
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.prefix, lease.gateway, lease.seconds), (16, Some(OTHER_SERVER), Some(2_000)));
}

#[test]
fn rebinding_and_confirming_leave_out_as_much() {
    let bare = |reply: &mut ServerMessage| reply.options = Options { lease_seconds: Some(1_000), ..Options::default() };
    let mut bench = Bench::bound(1_000);
    bench.sent(at(875)).unwrap();
    assert!(bench.answer(at(876), MessageType::Ack, bare).is_ok());
    assert_eq!(bench.client.lease().unwrap().gateway, Some(SERVER));
    let mut bench = Bench::bound(1_000);
    bench.client.start(at(100), &mut bench.random);
    bench.sent(at(100)).unwrap();
    assert!(bench.answer(at(100), MessageType::Ack, bare).is_ok());
    assert_eq!(bench.client.lease().unwrap().prefix, 24);
}

#[test]
fn an_acknowledgement_means_at_least_what_was_offered() {
    let mut bench = Bench::new();
    bench.sent(at(0));
    bench.answer(at(0), MessageType::Offer, |_| {}).unwrap();
    bench.sent(at(0));
    let bare = |reply: &mut ServerMessage| reply.options = Options::default();
    assert!(matches!(bench.answer(at(1), MessageType::Ack, bare), Ok(Some(Event::Bound(_)))));
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.prefix, lease.gateway, lease.server), (24, Some(SERVER), SERVER));
    assert_eq!(lease.deadlines.unwrap().expire, at(86_400));
}

#[test]
fn a_refusal_that_names_no_server_takes_nothing_away() {
    let mut bench = renewing();
    let nameless = |reply: &mut ServerMessage| reply.options.server = None;
    assert_eq!(bench.answer(at(501), MessageType::Nak, nameless), Err(Ignored::WrongServer));
    assert!(bench.client.lease().is_some());
}

#[test]
fn a_router_that_can_be_no_host_of_the_network_is_none() {
    for router in [Ipv4Addr::new(10, 0, 2, 0), Ipv4Addr::new(10, 0, 2, 255), ADDRESS, Ipv4Addr::BROADCAST] {
        let mut bench = Bench::new();
        bench.sent(at(0));
        let change = |reply: &mut ServerMessage| reply.options.router = Some(router);
        bench.answer(at(0), MessageType::Offer, change).unwrap();
        bench.sent(at(1));
        bench.answer(at(1), MessageType::Ack, change).unwrap();
        assert_eq!(bench.client.lease().unwrap().gateway, None, "{router}");
    }
}

#[test]
fn a_link_that_comes_and_goes_asks_no_question_twice_in_four_seconds() {
    let mut bench = Bench::bound(1_000);
    let mut times = Vec::new();
    for millisecond in (100_000..110_000).step_by(10) {
        let now = Instant::from_millis(millisecond);
        bench.client.start(now, &mut bench.random);
        if bench.sent(now).is_some() {
            times.push(millisecond);
        }
    }
    assert_eq!(times, [100_000, 104_000, 108_000]);
    let mut bench = Bench::new();
    let mut times = Vec::new();
    for millisecond in (1..10_000).step_by(10) {
        let now = Instant::from_millis(millisecond);
        bench.client.start(now, &mut bench.random);
        if bench.sent(now).is_some() {
            times.push(millisecond);
        }
    }
    assert_eq!(times, [1, 4_001, 8_001]);
}
