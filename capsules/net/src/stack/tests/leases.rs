//! Networks that are not like the usual one: what other DHCP servers grant, and who else asks for our address.

use core::net::Ipv4Addr;

use super::network::*;
use crate::MacAddress;
use crate::stack::Progress;
use crate::tcp;
use crate::wire::arp::{Operation, Packet};
use crate::wire::ipv4::Protocol;
use crate::wire::udp;
use slopos_abi::Endpoint;
use slopos_kernel::time::Duration;

const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
/// A host of another network on the same link.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(172, 16, 9, 1);

fn seconds_option(code: u8, seconds: u32) -> Vec<u8> {
    [&[code, 4][..], &seconds.to_be_bytes()].concat()
}

fn asks(sender: Ipv4Addr, target: Ipv4Addr) -> Packet {
    Packet { operation: Operation::Request, sender_mac: OTHER_MAC, sender, target_mac: MacAddress::ZERO, target }
}

fn arp_replies(network: &mut Network) -> Vec<Packet> {
    let replies = network.take_sent().into_iter().filter_map(|sent| match sent {
        Sent::Arp(packet) if packet.operation == Operation::Reply => Some(packet),
        _ => None,
    });
    replies.collect()
}

/// A network whose server grants this mask, router and server identifier, from the beginning.
fn granted(mask: [u8; 4], router: Option<Ipv4Addr>, server: Ipv4Addr) -> Network {
    let mut network = Network::new();
    let mut terms = [&[54, 4][..], &server.octets(), &[1, 4], &mask].concat();
    if let Some(router) = router {
        terms.extend([3, 4]);
        terms.extend(router.octets());
    }
    terms.extend(seconds_option(51, 1_000));
    network.router.offer = Some(terms.clone());
    network.router.ack = Some(terms);
    network.router.dhcp_source.address = server;
    network.router.answers_for = [router, Some(server)].into_iter().flatten().collect();
    network.run(seconds(2));
    network
}

#[test]
fn whatever_t1_and_t2_a_server_names_no_two_requests_are_closer_than_a_minute() {
    let values = [0, 1, 2, 59, 60, 61, 100, 499, 500, 900, 999, 1_000, 1_001, 86_400, u32::MAX - 1, u32::MAX];
    for lease in [61, 119, 120, 121, 160, 300, 1_000, 86_400] {
        for t1 in values {
            for t2 in values {
                let mut network = Network::new();
                let usual = usual_terms(5, lease);
                let terms = [usual, seconds_option(58, t1), seconds_option(59, t2)].concat();
                network.router.ack = Some(terms);
                network.run(seconds(10));
                network.sent.clear();
                network.run(seconds(10 + 5 * u64::from(lease.min(1_000))));
                let times: Vec<_> = network.take_dhcp().into_iter().map(|(at, _)| at).collect();
                assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{lease} {t1} {t2}: {times:?}");
                assert!(lease > 1_000 || times.len() >= 2, "{lease} {t1} {t2}: it is renewed: {times:?}");
                assert!(network.stack.is_up());
            }
        }
    }
}

#[test]
fn a_server_whose_leases_are_seconds_long_is_asked_a_few_times_a_lease() {
    for lease in [1, 2, 3, 10, 59] {
        for (t1, t2) in [(0, 0), (0, 1), (1, 1), (5, 5), (100, 200), (u32::MAX, u32::MAX)] {
            let mut network = Network::new();
            network.router.ack = Some([usual_terms(5, lease), seconds_option(58, t1), seconds_option(59, t2)].concat());
            network.run(seconds(60));
            let count = network.take_dhcp().len();
            assert!(count <= 10 + 60 * 3 / lease as usize, "{count} messages for leases of {lease}, {t1} {t2}");
        }
    }
}

#[test]
fn a_renewal_that_names_neither_mask_nor_router_nor_server_leaves_them_as_they_were() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    network.router.ack = Some(seconds_option(51, 1_000));
    network.run(seconds(510));
    let info = network.stack.info(network.now);
    assert_eq!((info.address, info.gateway, info.prefix), (ADDRESS.octets(), ROUTER.octets(), 24));
    assert!(info.lease_seconds > 900, "it is extended: {}", info.lease_seconds);
    network.stack.write(socket, b"still here", network.now).unwrap();
    network.settle();
    assert_eq!(network.router.received(), [b"still here"]);
}

#[test]
fn an_acknowledgement_poorer_than_its_offer_means_what_was_offered() {
    let mut network = Network::new();
    network.router.ack = Some(vec![54, 4, 10, 0, 2, 2]);
    network.run(seconds(1));
    let info = network.stack.info(network.now);
    assert_eq!(
        (info.address, info.gateway, info.prefix, info.lease_seconds),
        (ADDRESS.octets(), ROUTER.octets(), 24, 999)
    );
}

#[test]
fn who_asks_for_us_from_another_network_is_answered_and_not_entered() {
    let mut network = Network::up();
    for sender in [FOREIGN, NOBODY, FAR.address, OTHER] {
        network.sent.clear();
        network.deliver(&arp_frame(MacAddress::BROADCAST, OTHER_MAC, &asks(sender, ADDRESS)));
        let replies = arp_replies(&mut network);
        assert!(
            matches!(replies[..], [reply] if reply.target == sender && reply.target_mac == OTHER_MAC),
            "{sender}: {replies:?}"
        );
    }
    assert_eq!(network.stack.counters().dropped(), 0);
    // What is entered is restricted: the far server is still reached by the gateway.
    network.begin(APP, FAR, 10);
    assert!(network.sent.iter().all(|(_, station, _)| *station == ROUTER_MAC), "{:?}", network.sent);
}

#[test]
fn an_address_alone_in_its_network_reaches_everybody_by_a_router_outside_it() {
    for router in [ROUTER, FOREIGN] {
        let mut network = granted([255; 4], Some(router), ROUTER);
        assert_eq!(network.stack.info(network.now).prefix, 32);
        assert!(network.stack.is_up(), "{router}");
        for remote in [FAR, Endpoint { address: OTHER, ..FAR }] {
            network.sent.clear();
            let socket = network.connect(APP, remote);
            assert!(network.sent.iter().all(|(_, station, _)| *station == ROUTER_MAC));
            network.stack.close(socket, network.now);
        }
        network.sent.clear();
        network.deliver(&arp_frame(MacAddress::BROADCAST, OTHER_MAC, &asks(OTHER, ADDRESS)));
        assert_eq!(arp_replies(&mut network).len(), 1);
    }
}

#[test]
fn the_two_addresses_of_a_network_of_31_bits_are_hosts() {
    // 10.0.2.14 and 10.0.2.15 are all of it.
    let router = Ipv4Addr::new(10, 0, 2, 14);
    let mut network = granted([255, 255, 255, 254], Some(router), router);
    assert!(network.stack.is_up());
    network.connect(APP, Endpoint { address: router, port: 8_000 });
}

#[test]
fn a_server_on_the_link_outside_the_network_is_asked_to_extend_the_lease() {
    for router in [None, Some(ROUTER)] {
        let mut network = granted([255, 255, 255, 0], router, FOREIGN);
        assert_eq!(network.stack.info(network.now).address, ADDRESS.octets());
        network.run(seconds(499));
        network.sent.clear();
        network.run(seconds(520));
        let renewal = Sent::Dhcp { kind: REQUEST, source: ADDRESS, destination: FOREIGN };
        let asked = network.sent.iter().any(|(_, _, sent)| *sent == renewal);
        assert!(asked, "{router:?}: {:?}", network.sent);
        assert!(network.stack.info(network.now).lease_seconds > 900, "{router:?}");
    }
}

#[test]
fn a_server_outside_the_network_that_answers_no_arp_is_asked_by_way_of_the_gateway() {
    let mut network = granted([255, 255, 255, 0], Some(ROUTER), FOREIGN);
    network.router.answers_for = vec![ROUTER];
    network.run(seconds(520));
    let renewal = Sent::Dhcp { kind: REQUEST, source: ADDRESS, destination: FOREIGN };
    assert!(network.sent.iter().any(|(_, station, sent)| *sent == renewal && *station == ROUTER_MAC));
    assert!(network.stack.info(network.now).lease_seconds > 900);
}

#[test]
fn a_server_that_answers_no_arp_is_asked_for_it_a_few_times_and_rebinding_goes_on() {
    for (server, router) in [(OTHER, Some(ROUTER)), (OTHER, None), (FOREIGN, None), (ROUTER, Some(ROUTER))] {
        let mut network = granted([255, 255, 255, 0], router, server);
        network.run(seconds(499));
        network.router.answers_arp = false;
        network.router.answers_dhcp = false;
        network.sent.clear();
        network.run(seconds(874));
        let sent = network.take_sent();
        let asked = sent.iter().filter(|sent| matches!(sent, Sent::Arp(packet) if packet.target == server)).count();
        // Three for each of four tries; the gateway is asked for all the time.
        assert!(router == Some(server) || (1..=12).contains(&asked), "{server} {router:?}: {asked}");
        network.router.answers_dhcp = true;
        network.run(seconds(900));
        let rebinding = Sent::Dhcp { kind: REQUEST, source: ADDRESS, destination: Ipv4Addr::BROADCAST };
        assert!(network.take_sent().contains(&rebinding), "{server} {router:?}");
        assert!(network.stack.info(network.now).lease_seconds > 900);
    }
}

#[test]
fn a_servers_answer_counts_whatever_port_it_comes_from() {
    for port in [0, 1, 67, 68, 1_067, 40_000] {
        let mut network = Network::new();
        network.router.dhcp_source.port = port;
        network.settle();
        assert!(network.stack.is_up(), "{port}");
        network.run(seconds(510));
        assert!(network.stack.info(network.now).lease_seconds > 900, "{port}: renewed");
    }
    // Another destination port is not the client's.
    let mut network = Network::up();
    let mut datagram = [0; udp::HEADER_BYTES];
    udp::Header { source_port: 67, destination_port: 67 }.emit(ROUTER, ADDRESS, &mut datagram).unwrap();
    let packet = ipv4_packet(ROUTER, ADDRESS, Protocol::UDP, &datagram);
    network.deliver(&frame(MAC, ROUTER_MAC, crate::wire::ethernet::EtherType::IPV4, &packet));
    assert_eq!(network.stack.counters().udp.no_port, 1);
}

#[test]
fn an_answer_with_a_foreign_client_identifier_is_discarded() {
    let [a, b, c, d, e, f] = MAC.0;
    let ours = vec![61, 7, 1, a, b, c, d, e, f];
    let foreign: [Vec<u8>; 7] = [
        vec![61, 7, 1, a, b, c, d, e, f ^ 1],
        vec![61, 7, 0, a, b, c, d, e, f],
        vec![61, 6, a, b, c, d, e, f],
        vec![61, 8, 1, a, b, c, d, e, f, 0],
        vec![61, 2, 1, a],
        vec![61, 0],
        [vec![61, 7, 1, a, b, c, d, e, f ^ 1], ours.clone()].concat(),
    ];
    for identifier in foreign {
        let mut network = Network::new();
        network.router.offer = Some([usual_terms(2, 1_000), identifier.clone()].concat());
        network.run(seconds(3));
        assert!(!network.stack.is_up(), "{identifier:?}");
        assert_eq!(network.stack.counters().dhcp.not_for_us, 1, "{identifier:?}");
    }
    let mut network = Network::new();
    network.router.offer = Some([usual_terms(2, 1_000), ours.clone()].concat());
    network.router.ack = Some([usual_terms(5, 1_000), ours].concat());
    network.settle();
    assert!(network.stack.is_up());
    network.router.ack = Some([usual_terms(5, 1_000), vec![61, 7, 1, a, b, c, d, e, f ^ 1]].concat());
    network.run(seconds(510));
    assert!(network.stack.info(network.now).lease_seconds < 500, "a renewal for another client is none");
}

#[test]
fn from_the_first_moment_anothers_probe_is_answered_and_one_conflict_defended() {
    let probe = arp_frame(MacAddress::BROADCAST, OTHER_MAC, &asks(NOBODY, ADDRESS));
    let claim = Packet { operation: Operation::Reply, target_mac: MAC, ..asks(ADDRESS, NOBODY) };
    let claim = arp_frame(MacAddress::BROADCAST, OTHER_MAC, &claim);
    for millis in [0, 5, 500, 1_500, 3_000, 4_900, 6_000, 60_000] {
        let mut network = Network::up();
        network.router.server = Server::Sink;
        let socket = network.connect(APP, FAR);
        network.run(seconds(0) + Duration::from_millis(millis));
        network.sent.clear();
        for _ in 0..5 {
            network.deliver(&probe);
        }
        assert_eq!(arp_replies(&mut network).len(), 5, "each probe is answered, {millis} ms");
        network.deliver(&claim);
        let sent = network.take_sent();
        let announced =
            |sent: &Sent| matches!(sent, Sent::Arp(packet) if packet.sender == ADDRESS && packet.target == ADDRESS);
        assert!(sent.iter().any(announced), "{millis} ms: {sent:?}");
        assert!(network.stack.is_up(), "{millis} ms");
        network.stack.write(socket, b"alive", network.now).unwrap();
        network.settle();
        assert_eq!(network.router.received(), [b"alive"]);
        network.run(network.now + Duration::from_secs(9));
        network.sent.clear();
        network.deliver(&claim);
        assert!(!network.stack.is_up(), "{millis} ms");
        assert!(matches!(network.take_dhcp()[..], [(_, DECLINE)]));
    }
}

#[test]
fn a_conflict_ten_seconds_after_the_last_is_defended_again() {
    let claim = Packet { operation: Operation::Reply, target_mac: MAC, ..asks(ADDRESS, NOBODY) };
    let claim = arp_frame(MacAddress::BROADCAST, OTHER_MAC, &claim);
    let mut network = Network::up();
    for second in [0, 10, 20, 35] {
        network.run(seconds(second));
        network.deliver(&claim);
        assert!(network.stack.is_up(), "second {second}");
    }
    assert_eq!(network.stack.counters().events.address_conflicts, 4);
}

#[test]
fn a_connect_waits_for_a_lease_as_long_as_its_own_limit() {
    let mut network = Network::new();
    network.router.answers_dhcp = false;
    let short = network.begin(APP, FAR, 7);
    let long = network.begin(OTHER_APP, FAR, 100);
    network.run(seconds(6));
    assert_eq!(network.progress(short, FAR), Ok(Progress::Pending));
    network.run(seconds(7));
    assert_eq!(network.progress(short, FAR), Ok(Progress::Done(Err(tcp::Error::TimedOut))));
    network.router.answers_dhcp = true;
    network.run(seconds(40));
    assert_eq!(network.progress(long, FAR), Ok(Progress::Done(Ok(()))));
}

#[test]
fn a_connect_that_loses_its_address_waits_for_the_next_one_as_long_as_its_limit() {
    let mut network = Network::up();
    network.router.server = Server::Silent;
    let socket = network.begin(APP, FAR, 60);
    network.router.refuses_lease = true;
    // A second conflict within ten seconds gives the address up.
    let claim = Packet { operation: Operation::Reply, target_mac: MAC, ..asks(ADDRESS, NOBODY) };
    let claim = arp_frame(MacAddress::BROADCAST, OTHER_MAC, &claim);
    network.deliver(&claim);
    network.deliver(&claim);
    assert!(!network.stack.is_up());
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Pending));
    network.router.refuses_lease = false;
    network.router.server = Server::Sink;
    network.run(seconds(30));
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Done(Ok(()))));
}
