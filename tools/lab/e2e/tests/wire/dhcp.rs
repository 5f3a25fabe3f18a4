//! DHCP servers that are slow, many, odd or gone (RFC 2131).

use crate::{Scene, ms};
use slopos_lab::files;
use slopos_lab::wire::dhcp::{Lease, code, kind};
use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::udp::Message;
use slopos_lab::wire::{BROADCAST, Dhcp, Ipv4, Udp};
use slopos_netlab::lab::{BOARD, BOARD_MAC, ROUTER, ROUTER_MAC, SOON, Seen, routed};
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer};
use std::net::Ipv4Addr;
use std::time::Duration;

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// A network whose DHCP server is the script.
fn unserved() -> (Lab, Lease) {
    let mut lab = Lab::new();
    let lease = lab.lease.take().expect("a lease");
    (lab, lease)
}

/// A board that fetches a page, in a network whose DHCP server is the script.
fn unserved_fetch() -> (Scene, Lease) {
    let (lab, lease) = unserved();
    (Scene::with(lab, &format!("webget --sha256 {}; exit", url())), lease)
}

/// A message that grants or offers `lease`.
fn grants(message: &Dhcp, lease: &Lease, kind: u8) -> Dhcp {
    message.answer(lease.address, lease.options(kind))
}

#[track_caller]
fn completes(mut scene: Scene) {
    let server = scene.accept(Offer::default());
    scene.completes(server);
}

#[test]
fn without_an_answer_the_board_keeps_asking_less_and_less_often() {
    let (mut scene, lease) = unserved_fetch();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let (at, frame, message) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
        let packet = frame.ipv4().expect("IPv4");
        assert_eq!((packet.source, packet.destination, frame.destination), (NOBODY, Ipv4Addr::BROADCAST, BROADCAST));
        sent.push((at, message));
    }
    // RFC 2131 section 4.1: 4 s, then 8 s, each more or less a random second.
    let pauses: Vec<_> = sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(pauses[0] > ms(2_900) && pauses[0] < ms(5_500), "{pauses:?}");
    assert!(pauses[1] > ms(6_900) && pauses[1] < ms(9_500), "{pauses:?}");
    assert!(sent[2].1.seconds >= 9, "the field `secs` counts: {:?}", sent[2].1);
    let offer = grants(&sent[2].1, &lease, kind::OFFER);
    scene.lab.lease = Some(lease);
    scene.lab.send_dhcp(ROUTER, offer, false);
    completes(scene);
}

#[test]
fn a_refused_request_begins_anew() {
    let (mut scene, lease) = unserved_fetch();
    let (begin, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&discover, &lease, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    let options = vec![(code::TYPE, vec![kind::NAK]), (code::SERVER, ROUTER.octets().to_vec())];
    // A NAK goes by broadcast, section 4.3.2.
    scene.lab.send_dhcp(ROUTER, request.answer(NOBODY, options), true);
    let (at, _, again) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    assert_ne!(again.transaction, discover.transaction);
    assert!(at - begin > ms(2_900), "a server that offers and refuses must not be asked as fast as it answers");
    let offer = grants(&again, &lease, kind::OFFER);
    scene.lab.lease = Some(lease);
    scene.lab.send_dhcp(ROUTER, offer, false);
    completes(scene);
}

#[test]
fn of_two_offers_one_is_taken_and_the_other_server_told() {
    let (mut scene, lease) = unserved_fetch();
    let other = Lease { server: Ipv4Addr::new(10, 0, 2, 3), address: Ipv4Addr::new(10, 0, 2, 99), ..lease.clone() };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(lease.server, grants(&discover, &lease, kind::OFFER), false);
    scene.lab.send_dhcp(other.server, grants(&discover, &other, kind::OFFER), false);
    let (_, frame, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    assert_eq!(frame.destination, BROADCAST, "section 3.1: the others learn from it that they were not chosen");
    let chosen = if request.address(code::SERVER) == Some(lease.server) { &lease } else { &other };
    assert_eq!(request.address(code::SERVER), Some(chosen.server));
    assert_eq!((request.address(code::REQUESTED), request.client), (Some(chosen.address), NOBODY));
    assert_eq!(request.transaction, discover.transaction);
    // The other server's ACK and NAK count for nothing.
    let unchosen = if chosen == &lease { &other } else { &lease };
    scene.lab.send_dhcp(unchosen.server, grants(&request, unchosen, kind::ACK), false);
    let options = vec![(code::TYPE, vec![kind::NAK]), (code::SERVER, unchosen.server.octets().to_vec())];
    scene.lab.send_dhcp(unchosen.server, request.answer(NOBODY, options), true);
    scene.lab.send_dhcp(chosen.server, grants(&request, chosen, kind::ACK), false);
    let address = chosen.address;
    let server = scene.accept(Offer::default());
    assert_eq!(*server.board.ip(), address);
    scene.completes(server);
}

#[test]
fn answers_may_come_by_broadcast() {
    let (mut scene, lease) = unserved_fetch();
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&discover, &lease, kind::OFFER), true);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&request, &lease, kind::ACK), true);
    completes(scene);
}

#[test]
fn options_may_be_in_the_overloaded_fields_and_a_lease_for_ever() {
    let (mut scene, lease) = unserved_fetch();
    let lease = Lease { seconds: u32::MAX, ..lease };
    let overloaded = |message: &Dhcp, kind: u8| {
        let (mut there, elsewhere) =
            lease.options(kind).into_iter().partition::<Vec<_>, _>(|(code, _)| *code == code::TYPE);
        there.push((code::OVERLOAD, vec![3]));
        // A long option of no interest, to be skipped whole.
        there.push((119, vec![7; 200]));
        let (file, name) = elsewhere.split_at(2);
        let answer = message.answer(lease.address, there);
        Dhcp { file: Dhcp::field(file), server_name: Dhcp::field(name), ..answer }
    };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, overloaded(&discover, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(ROUTER, overloaded(&request, kind::ACK), false);
    let server = scene.accept(Offer::default());
    let report = scene.completes(server);
    report.logs("dhcp: lease 10.0.2.15/24 gateway 10.0.2.2 server 10.0.2.2 seconds 4294967295");
}

#[test]
fn offers_that_make_no_sense_are_no_offers() {
    let (mut scene, lease) = unserved_fetch();
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    let good = grants(&discover, &lease, kind::OFFER);
    let without = |code| Dhcp {
        options: good.options.iter().filter(|(found, _)| *found != code).cloned().collect(),
        ..good.clone()
    };
    let with = |code: u8, value: &[u8]| {
        let mut message = without(code);
        message.options.push((code, value.to_vec()));
        message
    };
    let bad = [
        Dhcp { transaction: good.transaction ^ 1, ..good.clone() },
        Dhcp { mac: [2; 6], ..good.clone() },
        Dhcp { operation: 1, ..good.clone() },
        Dhcp { yours: NOBODY, ..good.clone() },
        Dhcp { yours: Ipv4Addr::BROADCAST, ..good.clone() },
        Dhcp { yours: Ipv4Addr::new(10, 0, 2, 255), ..good.clone() },
        without(code::SERVER),
        without(code::LEASE),
        without(code::TYPE),
        with(code::LEASE, &[0; 4]),
        with(code::MASK, &[255, 0, 255, 0]),
        with(code::TYPE, &[kind::ACK]),
    ];
    for offer in bad {
        // To the station whatever address is in it, so that it is the message which is looked at.
        scene.lab.send_dhcp(ROUTER, offer, true);
    }
    let silence = scene.lab.during(ms(500));
    assert!(silence.is_empty(), "none of these is taken: {silence:?}");
    scene.lab.send_dhcp(ROUTER, good, false);
    scene.lab.lease = Some(lease);
    completes(scene);
}

#[test]
fn a_lease_is_renewed_then_rebound_then_given_up() {
    let (lab, lease) = unserved();
    let mut scene = Scene::with(lab, &format!("webget --timeout 20 {}; exit", url()));
    let lease = Lease { seconds: 8, renewal: Some((2, 4)), ..lease };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&discover, &lease, kind::OFFER), false);
    let (bound, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&request, &lease, kind::ACK), false);
    scene.accept(Offer::default());

    // T1: to the server alone, from the address, and with nothing that a new lease would be asked for with (4.3.2).
    let (renewed, frame, renewal) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    let packet = frame.ipv4().expect("IPv4");
    assert_eq!((packet.source, packet.destination, frame.destination), (BOARD, ROUTER, ROUTER_MAC));
    assert_eq!((renewal.client, renewal.option(code::REQUESTED), renewal.option(code::SERVER)), (BOARD, None, None));
    let waited = renewed - bound;
    assert!(waited > ms(1_900) && waited < ms(3_000), "T1 is 2 s: {waited:?}");
    scene.lab.send_dhcp(ROUTER, grants(&renewal, &lease, kind::ACK), false);

    // The next one is not answered. T2: to everyone.
    let (at, frame, _) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    assert_eq!(frame.destination, ROUTER_MAC);
    assert!(at - renewed > ms(1_900), "{:?}", at - renewed);
    let (at, frame, rebinding) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    let packet = frame.ipv4().expect("IPv4");
    assert_eq!((packet.source, packet.destination, frame.destination), (BOARD, Ipv4Addr::BROADCAST, BROADCAST));
    assert_eq!((rebinding.client, rebinding.option(code::SERVER)), (BOARD, None));
    assert!(at - renewed > ms(3_900) && at - renewed < ms(5_000), "T2 is 4 s: {:?}", at - renewed);

    // Nobody answers: after 8 s the address is no longer ours, and the connection cannot be.
    let (at, frame, _) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    assert_eq!(frame.ipv4().map(|packet| packet.source), Some(NOBODY));
    assert!(at - renewed > ms(7_900) && at - renewed < ms(9_000), "the lease is 8 s: {:?}", at - renewed);
    let stray = scene.lab.during(Duration::from_millis(300));
    assert!(stray.iter().all(|seen| seen.frame.ipv4().is_none_or(|packet| packet.source == NOBODY)), "{stray:?}");
    scene.ends(56);
}

#[test]
fn a_t1_of_zero_makes_the_board_ask_no_more_often() {
    let (mut scene, lease) = unserved_fetch();
    let lease = Lease { renewal: Some((0, 3_000)), ..lease };
    scene.lab.lease = Some(lease);
    let mut server = scene.accept(Offer::default());
    scene.lab.lease = None;
    let asked = |seen: &Seen| seen.frame.dhcp().is_some();
    let seen = scene.lab.during(Duration::from_secs(3));
    assert_eq!(seen.iter().filter(|seen| asked(seen)).count(), 0, "{seen:?}");
    let body = files::bytes(20_000);
    server.respond(&mut scene.lab, &body);
    scene.received(&body);
}

#[test]
fn what_a_renewal_leaves_out_stays_as_it_was() {
    let (lab, lease) = unserved();
    let mut scene = Scene::with(lab, &format!("webget --sha256 --timeout 20 {}; exit", url()));
    let lease = Lease { seconds: 8, renewal: Some((2, 4)), ..lease };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&discover, &lease, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    // The ACK is poorer than its offer already.
    let bare = |message: &Dhcp| {
        let options = vec![(code::TYPE, vec![kind::ACK]), (code::SERVER, ROUTER.octets().to_vec())];
        message.answer(BOARD, options)
    };
    scene.lab.send_dhcp(ROUTER, bare(&request), false);
    let mut server = scene.accept(Offer::default());
    for _ in 0..2 {
        let (_, frame, renewal) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
        assert_eq!(frame.destination, ROUTER_MAC);
        scene.lab.send_dhcp(ROUTER, bare(&renewal), false);
    }
    let body = files::bytes(20_000);
    server.respond(&mut scene.lab, &body);
    let report = scene.received(&body);
    report.logs("dhcp: lease 10.0.2.15/24 gateway 10.0.2.2 server 10.0.2.2 seconds 8");
}

#[test]
fn answers_from_another_port_count_and_answers_for_another_client_do_not() {
    let (mut scene, lease) = unserved_fetch();
    let from = |source: u16, message: Dhcp| {
        let datagram = Udp { source, destination: 68, message: Message::Dhcp(message) };
        routed(Ipv4::new(ROUTER, BOARD, Body::Udp(datagram)))
    };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    let offer = grants(&discover, &lease, kind::OFFER);
    let mut foreign = offer.clone();
    foreign.options.push((61, vec![1, 2, 2, 2, 2, 2, 2]));
    scene.lab.send(&from(67, foreign));
    let silence = scene.lab.during(ms(500));
    assert!(silence.is_empty(), "RFC 6842: {silence:?}");
    scene.lab.send(&from(1_067, offer));
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    let mut acknowledgement = grants(&request, &lease, kind::ACK);
    acknowledgement.options.push((61, [&[1], &BOARD_MAC[..]].concat()));
    scene.lab.send(&from(40_000, acknowledgement));
    completes(scene);
}

#[test]
fn a_server_on_the_link_outside_the_network_extends_the_lease() {
    let (lab, lease) = unserved();
    let mut scene = Scene::with(lab, &format!("webget --sha256 --timeout 20 {}; exit", url()));
    let outside = Ipv4Addr::new(172, 16, 9, 1);
    let lease = Lease { server: outside, seconds: 8, renewal: Some((2, 4)), ..lease };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(outside, grants(&discover, &lease, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(outside, grants(&request, &lease, kind::ACK), false);
    let station = [2, 0, 0, 0, 0, 9];
    scene.lab.stations.push((outside, station));
    let server = scene.accept(Offer::default());
    let (_, frame, renewal) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    assert_eq!((frame.destination, frame.ipv4().map(|packet| packet.destination)), (station, Some(outside)));
    scene.lab.send_dhcp(outside, grants(&renewal, &lease, kind::ACK), false);
    scene.lab.lease = Some(lease);
    scene.completes(server);
}

#[test]
fn an_address_alone_in_its_network_is_enough() {
    let (mut scene, lease) = unserved_fetch();
    let alone = |message: &Dhcp, kind: u8| {
        let mut answer = grants(message, &lease, kind);
        answer.options.retain(|(code, _)| *code != code::MASK);
        answer.options.push((code::MASK, vec![255; 4]));
        answer
    };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, alone(&discover, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(ROUTER, alone(&request, kind::ACK), false);
    let server = scene.accept(Offer::default());
    let report = scene.completes(server);
    report.logs("dhcp: lease 10.0.2.15/32 gateway 10.0.2.2");
}

#[test]
fn without_a_lease_a_connect_waits_as_long_as_its_limit_and_webget_says_what_is_missing() {
    // A lease that nobody extends is over when webget begins.
    let (lab, lease) = unserved();
    let mut scene = Scene::with(lab, &format!("sleep 6; webget --timeout 3 {}; exit", url()));
    let lease = Lease { seconds: 4, ..lease };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&discover, &lease, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&request, &lease, kind::ACK), false);
    let report = scene.ends(28);
    report.shows("no network address: no DHCP lease");
    let seconds = report.outcome.console.split("seconds=").nth(1).and_then(|text| text.split_whitespace().next());
    let seconds: f64 = seconds.and_then(|text| text.parse().ok()).expect("how long it took");
    assert!((3.0..4.0).contains(&seconds), "{}", report.all());
}

#[test]
fn a_connect_goes_on_when_there_is_a_lease() {
    let (lab, lease) = unserved();
    let mut scene = Scene::with(lab, &format!("sleep 6; webget --sha256 --timeout 30 {}; exit", url()));
    let short = Lease { seconds: 4, ..lease.clone() };
    let (_, _, discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&discover, &short, kind::OFFER), false);
    let (_, _, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    scene.lab.send_dhcp(ROUTER, grants(&request, &short, kind::ACK), false);
    let silence = scene.lab.during(Duration::from_secs(8));
    assert!(silence.iter().all(|seen| seen.frame.tcp().is_none()), "{silence:?}");
    scene.lab.lease = Some(lease);
    completes(scene);
}
