//! How the stack gets, keeps and loses its address, and finds its gateway.

use core::net::Ipv4Addr;

use super::network::*;
use crate::stack::Progress;
use crate::wire::arp::{Operation, Packet};
use crate::{MacAddress, tcp};
use slopos_host_log::Token;

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;

fn claim() -> Vec<u8> {
    let packet =
        Packet { operation: Operation::Reply, sender_mac: OTHER_MAC, sender: ADDRESS, target_mac: MAC, target: ROUTER };
    arp_frame(MacAddress::BROADCAST, OTHER_MAC, &packet)
}

#[test]
fn at_second_zero_the_address_is_leased_probed_for_and_the_gateway_found() {
    let mut network = Network::new();
    assert!(!network.stack.is_up());
    network.settle();
    assert!(network.stack.is_up());
    let broadcast = |kind| Sent::Dhcp { kind, source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST };
    let asks = |sender, target| {
        let operation = Operation::Request;
        Sent::Arp(Packet { operation, sender_mac: MAC, sender, target_mac: MacAddress::ZERO, target })
    };
    let nobody = Ipv4Addr::UNSPECIFIED;
    let expected = [broadcast(DISCOVER), broadcast(REQUEST), asks(nobody, ADDRESS), asks(ADDRESS, ROUTER)];
    assert_eq!(network.take_sent(), expected);
    let info = network.stack.info(network.now);
    assert_eq!((info.address, info.gateway, info.prefix), (ADDRESS.octets(), ROUTER.octets(), 24));
    assert_eq!((info.lease_seconds, info.mtu, info.link, info.mac), (1_000, 1_500, 1, MAC.0));
    assert_eq!((info.transmit_frames, info.receive_frames, info.receive_dropped), (4, 3, 0));
}

#[test]
fn the_network_is_not_up_before_the_gateway_answers() {
    let mut network = Network::new();
    network.router.answers_arp = false;
    network.run(seconds(10));
    assert!(!network.stack.is_up());
    assert_eq!(network.stack.info(network.now).address, ADDRESS.octets());
    network.router.answers_arp = true;
    network.run(seconds(12));
    assert!(network.stack.is_up());
}

#[test]
fn a_silent_gateway_is_asked_at_most_once_a_second() {
    let mut network = Network::new();
    network.router.answers_arp = false;
    let socket = network.begin(APP, FAR, 100);
    network.run(seconds(20));
    let times: Vec<_> = network
        .sent
        .iter()
        .filter(|(_, _, sent)| matches!(sent, Sent::Arp(packet) if packet.target == ROUTER))
        .map(|(at, _, _)| at.as_micros())
        .collect();
    assert!((15..=21).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1_000_000), "{times:?}");
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Done(Err(tcp::Error::TimedOut))));
}

#[test]
fn a_gateway_that_moves_to_another_station_is_followed() {
    let mut network = Network::up();
    network.run(seconds(20));
    network.router.mac = OTHER_MAC;
    let packet = Packet {
        operation: Operation::Request,
        sender_mac: OTHER_MAC,
        sender: ROUTER,
        target_mac: MacAddress::ZERO,
        target: ROUTER,
    };
    network.deliver(&arp_frame(MacAddress::BROADCAST, OTHER_MAC, &packet));
    network.sent.clear();
    network.begin(APP, FAR, 10);
    let (_, station, _) = network.sent[0];
    assert_eq!(station, OTHER_MAC);
}

#[test]
fn the_address_is_probed_for_three_times_and_announced_twice() {
    let mut network = Network::up();
    network.run(seconds(20));
    let senders: Vec<_> = network
        .take_sent()
        .into_iter()
        .filter_map(|sent| match sent {
            Sent::Arp(packet) if packet.target == ADDRESS => Some(packet.sender),
            _ => None,
        })
        .collect();
    let nobody = Ipv4Addr::UNSPECIFIED;
    assert_eq!(senders, [nobody, nobody, nobody, ADDRESS, ADDRESS]);
}

#[test]
fn the_lease_is_renewed_at_t1_and_connections_live_on() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, NEAR);
    network.sent.clear();
    network.run(seconds(499));
    assert_eq!(network.take_dhcp(), []);
    network.run(seconds(501));
    let sent = network.take_sent();
    let renewal = Sent::Dhcp { kind: REQUEST, source: ADDRESS, destination: ROUTER };
    assert!(sent.contains(&renewal), "{sent:?}");
    assert_eq!(network.stack.info(network.now).lease_seconds, 999);
    assert_eq!(network.stack.write(socket, b"still here", network.now), Ok(10));
    network.settle();
    assert_eq!(network.router.received(), [b"still here"]);
}

#[test]
fn at_t2_the_lease_is_rebound_by_broadcast() {
    let mut network = Network::up();
    network.router.answers_dhcp = false;
    network.run(seconds(874));
    network.sent.clear();
    network.router.answers_dhcp = true;
    network.run(seconds(876));
    let rebinding = Sent::Dhcp { kind: REQUEST, source: ADDRESS, destination: Ipv4Addr::BROADCAST };
    assert!(network.take_sent().contains(&rebinding));
    assert_eq!(network.stack.info(network.now).lease_seconds, 999);
}

#[test]
fn an_expired_lease_ends_connections_and_the_search_begins_again() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, NEAR);
    network.router.answers_dhcp = false;
    network.run(seconds(999));
    assert!(network.stack.is_up());
    network.stack.take_ready();
    network.sent.clear();
    network.run(seconds(1_000));
    assert!(!network.stack.is_up());
    assert!(network.stack.take_ready().contains(APP));
    assert_eq!(network.stack.read(socket, &mut [0; 10]), Err(tcp::Error::Reset));
    assert!(network.stack.readiness(socket).contains(slopos_abi::Readiness::ERROR));
    assert_eq!(network.take_dhcp(), [(1_000, DISCOVER)]);
    assert_eq!(network.stack.counters().events.address_lost, 1);
    network.router.answers_dhcp = true;
    network.run(seconds(1_010));
    assert!(network.stack.is_up(), "the next DISCOVER is answered");
}

#[test]
fn a_refused_renewal_ends_the_use_of_the_address() {
    let mut network = Network::up();
    network.router.refuses_lease = true;
    network.run(seconds(499));
    network.sent.clear();
    network.run(seconds(500));
    assert!(!network.stack.is_up());
    assert_eq!(network.stack.info(network.now).address, [0; 4]);
    assert_eq!(network.stack.counters().events.lease_refusals, 1);
    assert_eq!(network.take_dhcp(), [(500, REQUEST), (500, DISCOVER), (500, REQUEST)]);
    network.run(seconds(503));
    assert_eq!(network.take_dhcp(), [], "it offers and refuses; that is not asked for in a loop");
    network.router.refuses_lease = false;
    network.run(seconds(510));
    assert!(network.stack.is_up());
}

#[test]
fn a_second_conflict_within_ten_seconds_declines_and_waits_as_long() {
    let mut network = Network::up();
    network.run(seconds(1));
    network.deliver(&claim());
    assert!(network.stack.is_up(), "the first is defended, while probing too");
    network.sent.clear();
    network.deliver(&claim());
    assert!(!network.stack.is_up());
    assert_eq!(network.take_dhcp(), [(1, DECLINE)]);
    network.run(seconds(10));
    assert_eq!(network.take_dhcp(), []);
    network.run(seconds(11));
    assert_eq!(network.take_dhcp(), [(11, DISCOVER), (11, REQUEST)]);
    assert!(network.stack.is_up());
}

#[test]
fn a_settled_address_is_defended_and_then_given_up() {
    let mut network = Network::up();
    network.run(seconds(30));
    network.sent.clear();
    network.deliver(&claim());
    assert!(network.stack.is_up());
    let announcement =
        |sent: &Sent| matches!(sent, Sent::Arp(packet) if packet.sender == ADDRESS && packet.target == ADDRESS);
    assert_eq!(network.take_sent().iter().filter(|sent| announcement(sent)).count(), 1);
    network.run(seconds(35));
    network.deliver(&claim());
    assert!(!network.stack.is_up());
    assert_eq!(network.stack.counters().events.address_conflicts, 2);
}

#[test]
fn discovers_go_on_while_nobody_answers() {
    let mut network = Network::new();
    network.router.answers_dhcp = false;
    network.run(seconds(64));
    let kinds: Vec<_> = network.take_dhcp().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, [DISCOVER; 5], "at 0, 4, 12, 28 and 60 seconds, each wait give or take one");
}

#[test]
fn the_search_begins_again_where_no_request_is_answered() {
    let mut network = Network::new();
    network.router.answers_requests = false;
    network.run(seconds(64));
    let kinds: Vec<_> = network.take_dhcp().into_iter().map(|(_, kind)| kind).collect();
    // Nothing but the stack's own deadlines moved it: no connect, no frame.
    assert_eq!(kinds, [DISCOVER, REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER, REQUEST], "the fifth wait ends at 60 s");
    network.router.answers_requests = true;
    network.run(seconds(70));
    assert!(network.stack.is_up());
}

#[test]
fn a_released_lease_is_told_to_the_server() {
    let mut network = Network::up();
    network.sent.clear();
    network.stack.release(network.now);
    network.settle();
    assert!(!network.stack.is_up());
    let (_, station, sent) = network.sent.remove(0);
    assert_eq!(station, ROUTER_MAC);
    assert_eq!(sent, Sent::Dhcp { kind: RELEASE, source: ADDRESS, destination: ROUTER });
    network.run(seconds(5_000));
    assert_eq!(network.take_dhcp(), []);
}

#[test]
fn one_pull_after_a_release_is_the_message_that_gives_the_lease_back() {
    let mut network = Network::up();
    network.stack.release(network.now);
    let mut frame = [0; 1_514];
    let length = network.stack.transmit(&mut frame, network.now, &Token).unwrap();
    // The DHCP message type is the first option.
    assert_eq!((length, frame[14 + 20 + 8 + 242]), (14 + 20 + 8 + 300, RELEASE));
    assert_eq!(network.stack.transmit(&mut frame, network.now, &Token), None);
}

#[test]
fn before_a_lease_is_given_back_its_connections_are_reset() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    network.connect(APP, FAR);
    let orphan = network.connect(OTHER_APP, FAR);
    network.router.server = Server::Silent;
    network.stack.close(orphan, network.now);
    network.settle();
    network.stack.take_ready();
    network.sent.clear();
    network.stack.release(network.now);
    assert!(network.stack.take_ready().contains(APP));
    network.settle();
    let kinds: Vec<_> = network
        .take_sent()
        .into_iter()
        .map(|sent| match sent {
            Sent::Tcp { flags, .. } => flags.reset(),
            Sent::Dhcp { kind, source, .. } => (kind, source) != (RELEASE, ADDRESS),
            Sent::Arp(_) => panic!("nobody is asked for any more"),
        })
        .collect();
    assert_eq!(kinds, [true, true, true, false]);
    assert_eq!(network.stack.read(socket, &mut [0; 1]), Err(tcp::Error::Reset));
    assert_eq!(network.stack.grant_info(OTHER_APP, &Token).sockets_in_use, 0);
}

#[test]
fn a_release_while_there_is_no_lease_sends_nothing() {
    let mut network = Network::new();
    network.stack.release(network.now);
    network.settle();
    assert_eq!(network.take_sent(), []);
}

#[test]
fn between_the_last_probe_and_the_announcement_a_conflict_is_defended_too() {
    let mut network = Network::up();
    let probes = |network: &Network| {
        let probe = |sent: &Sent| matches!(sent, Sent::Arp(packet) if packet.sender == Ipv4Addr::UNSPECIFIED);
        network.sent.iter().filter(|(_, _, sent)| probe(sent)).count()
    };
    let mut now = network.now;
    while probes(&network) < 3 {
        now += slopos_kernel::time::Duration::from_millis(100);
        network.run(now);
    }
    network.sent.clear();
    network.deliver(&claim());
    assert!(network.stack.is_up());
    assert_eq!(network.take_dhcp(), []);
    network.deliver(&claim());
    assert!(matches!(network.take_dhcp()[..], [(_, DECLINE)]));
}

#[test]
fn a_gateway_that_announces_another_station_is_followed_at_once() {
    let mut network = Network::up();
    // Its old station has answered this very moment.
    network.router.mac = OTHER_MAC;
    let packet =
        Packet { operation: Operation::Reply, sender_mac: OTHER_MAC, sender: ROUTER, target_mac: MAC, target: ROUTER };
    network.deliver(&arp_frame(MacAddress::BROADCAST, OTHER_MAC, &packet));
    network.sent.clear();
    network.begin(APP, FAR, 10);
    assert_eq!(network.sent[0].1, OTHER_MAC);
}

#[test]
fn a_gateway_that_moves_without_a_word_is_found_after_some_retransmissions() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    network.run(seconds(10));
    network.router.mac = OTHER_MAC;
    network.router.answers_to = OTHER_MAC;
    network.stack.write(socket, b"hello", network.now).unwrap();
    network.run(seconds(18));
    assert_eq!(network.router.received(), [b"hello"], "1.4 s of retransmissions, 3 s of probes, then it is asked for");
}

#[test]
fn while_the_link_is_down_nothing_is_sent_and_when_it_is_back_the_lease_is_confirmed() {
    let mut network = Network::up();
    network.run(seconds(20));
    network.router.server = Server::Sink;
    let socket = network.connect(APP, NEAR);
    network.stack.set_link(false, network.now);
    network.sent.clear();
    assert!(!network.stack.is_up());
    network.stack.write(socket, b"waits", network.now).unwrap();
    network.run(seconds(25));
    assert_eq!(network.take_sent(), []);
    network.stack.set_link(true, network.now);
    network.settle();
    assert!(network.stack.is_up());
    assert_eq!(network.take_dhcp(), [(25, REQUEST)]);
    network.run(seconds(40));
    assert_eq!(network.router.received(), [b"waits"]);
}
