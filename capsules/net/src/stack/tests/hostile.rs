//! What arrives is not trusted: each bad frame is dropped for its own reason, and none does harm.

use core::net::Ipv4Addr;

use super::network::*;
use crate::MacAddress;
use crate::counters::Counters;
use crate::random::Random;
use crate::stack::REPLIES_MAX;
use crate::wire::arp::{Operation, Packet};
use crate::wire::checksum;
use crate::wire::ethernet::EtherType;
use crate::wire::ipv4::Protocol;
use crate::wire::tcp::options::Options;
use crate::wire::tcp::{Flags, Segment, SequenceNumber};
use slopos_host_log::Token;

fn request(sender: Ipv4Addr, target: Ipv4Addr) -> Packet {
    Packet { operation: Operation::Request, sender_mac: OTHER_MAC, sender, target_mac: MacAddress::ZERO, target }
}

fn stray(flags: Flags) -> Segment<'static> {
    Segment {
        source_port: 8_000,
        destination_port: 50_000,
        sequence: SequenceNumber::new(100),
        acknowledgement: SequenceNumber::new(200),
        flags,
        window: 1_000,
        options: Options::default(),
        payload: b"stray",
    }
}

fn packet_frame(destination: MacAddress, packet: &[u8]) -> Vec<u8> {
    frame(destination, ROUTER_MAC, EtherType::IPV4, packet)
}

#[test]
fn who_asks_for_us_is_answered_and_others_are_not() {
    let mut network = Network::up();
    network.sent.clear();
    network.deliver(&arp_frame(MacAddress::BROADCAST, OTHER_MAC, &request(OTHER, ROUTER)));
    assert_eq!(network.take_sent(), []);
    network.deliver(&arp_frame(MacAddress::BROADCAST, OTHER_MAC, &request(OTHER, ADDRESS)));
    let reply =
        Packet { operation: Operation::Reply, sender_mac: MAC, sender: ADDRESS, target_mac: OTHER_MAC, target: OTHER };
    assert_eq!(network.take_sent(), [Sent::Arp(reply)]);
}

#[test]
fn a_flood_of_questions_fills_the_ring_and_is_counted() {
    let mut network = Network::up();
    let question = arp_frame(MAC, OTHER_MAC, &request(OTHER, ADDRESS));
    for _ in 0..REPLIES_MAX + 5 {
        network.stack.receive(&question, network.now, &mut Nobody, &Token);
    }
    assert_eq!(network.stack.counters().events.replies_dropped, 5);
    network.sent.clear();
    network.settle();
    assert_eq!(network.take_sent().len(), REPLIES_MAX);
}

#[test]
fn a_segment_without_a_connection_is_reset_unless_it_is_a_reset() {
    let mut network = Network::up();
    network.sent.clear();
    network.deliver(&tcp_frame(FAR.address, ADDRESS, &stray(Flags::ACK)));
    let sent = network.take_sent();
    assert!(matches!(&sent[..], [Sent::Tcp { remote, flags, .. }] if *remote == FAR && flags.reset()), "{sent:?}");
    network.deliver(&tcp_frame(FAR.address, ADDRESS, &stray(Flags::RST)));
    assert_eq!(network.take_sent(), []);
    assert_eq!(network.stack.counters().segments.no_connection, 2);
}

#[test]
fn each_bad_frame_counts_for_its_own_reason() {
    let udp = |destination| ipv4_packet(ROUTER, destination, Protocol::UDP, &[0, 67, 0, 69, 0, 8, 0, 0]);
    let good = udp(ADDRESS);
    let changed = |offset: usize, value: u8| {
        let mut packet = good.clone();
        packet[offset] = value;
        packet[10..12].fill(0);
        let sum = checksum::of(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let mut corrupted = good.clone();
    corrupted[10] ^= 1;
    let from = |source| ipv4_packet(source, ADDRESS, Protocol::UDP, &[]);
    let tcp = |bytes: &[u8]| packet_frame(MAC, &ipv4_packet(ROUTER, ADDRESS, Protocol::TCP, bytes));
    let arp = |packet: Packet| arp_frame(MAC, OTHER_MAC, &packet);
    let no_mac = Packet { sender_mac: MacAddress::BROADCAST, ..request(OTHER, ADDRESS) };
    let mut wrong_sum = tcp_frame(ROUTER, ADDRESS, &stray(Flags::ACK));
    *wrong_sum.last_mut().unwrap() ^= 1;
    let mut bad_udp = [&[0, 67, 0, 68, 0, 12, 1, 1], &[0; 4][..]].concat();
    let wrong_udp_sum = packet_frame(MAC, &ipv4_packet(ROUTER, ADDRESS, Protocol::UDP, &bad_udp));
    bad_udp[5] = 13;
    bad_udp[6..8].fill(0);
    let long_udp = packet_frame(MAC, &ipv4_packet(ROUTER, ADDRESS, Protocol::UDP, &bad_udp));
    bad_udp[5] = 12;
    let no_dhcp = packet_frame(MAC, &ipv4_packet(ROUTER, ADDRESS, Protocol::UDP, &bad_udp));
    type Reason = fn(&Counters) -> u64;
    let cases: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("cut", vec![0; 13], |c| c.ethernet.truncated),
        ("other station", frame(OTHER_MAC, ROUTER_MAC, EtherType::ARP, &[]), |c| c.ethernet.not_for_us),
        ("own source", frame(MAC, MAC, EtherType::ARP, &[]), |c| c.ethernet.own_source),
        ("group source", frame(MAC, MacAddress::BROADCAST, EtherType::ARP, &[]), |c| c.ethernet.bad_source),
        ("IPv6", frame(MAC, ROUTER_MAC, EtherType(0x86dd), &[]), |c| c.ethernet.unknown_type),
        ("short ARP", frame(MAC, ROUTER_MAC, EtherType::ARP, &[0; 27]), |c| c.arp.malformed),
        ("ARP from a group", arp(no_mac), |c| c.arp.bad_sender),
        ("ARP from elsewhere for others", arp(request(FAR.address, ROUTER)), |c| c.arp.bad_sender),
        ("ARP from loopback", arp(request(Ipv4Addr::new(127, 0, 0, 1), ADDRESS)), |c| c.arp.bad_sender),
        ("ARP from our network's broadcast", arp(request(Ipv4Addr::new(10, 0, 2, 255), ADDRESS)), |c| c.arp.bad_sender),
        ("ARP for others", arp(request(OTHER, ROUTER)), |c| c.arp.not_for_us),
        ("short packet", packet_frame(MAC, &good[..19]), |c| c.ipv4.truncated),
        ("version", packet_frame(MAC, &changed(0, 0x65)), |c| c.ipv4.version),
        ("header length", packet_frame(MAC, &changed(0, 0x44)), |c| c.ipv4.header_length),
        ("total length", packet_frame(MAC, &changed(3, 29)), |c| c.ipv4.total_length),
        ("checksum", packet_frame(MAC, &corrupted), |c| c.ipv4.checksum),
        ("fragment", packet_frame(MAC, &changed(6, 0x20)), |c| c.ipv4.fragment),
        ("loopback", packet_frame(MAC, &from(Ipv4Addr::new(127, 0, 0, 1))), |c| c.ipv4.bad_source),
        ("ourselves", packet_frame(MAC, &from(ADDRESS)), |c| c.ipv4.bad_source),
        ("broadcast source", packet_frame(MAC, &from(Ipv4Addr::new(10, 0, 2, 255))), |c| c.ipv4.bad_source),
        ("network as source", packet_frame(MAC, &from(Ipv4Addr::new(10, 0, 2, 0))), |c| c.ipv4.bad_source),
        ("multicast source", packet_frame(MAC, &from(Ipv4Addr::new(224, 0, 0, 1))), |c| c.ipv4.bad_source),
        ("multicast", frame(MacAddress([1, 0, 0x5e, 0, 0, 1]), ROUTER_MAC, EtherType::IPV4, &good), |c| {
            c.ethernet.not_for_us
        }),
        ("a length in place of the type", frame(MAC, ROUTER_MAC, EtherType(46), &[0; 46]), |c| c.ethernet.unknown_type),
        ("other host", packet_frame(MAC, &udp(OTHER)), |c| c.ipv4.not_for_us),
        ("TCP to all", packet_frame(MAC, &ipv4_packet(ROUTER, Ipv4Addr::BROADCAST, Protocol::TCP, &[])), |c| {
            c.ipv4.not_for_us
        }),
        ("host in broadcast frame", packet_frame(MacAddress::BROADCAST, &good), |c| c.ipv4.unicast_in_broadcast),
        ("ICMP", packet_frame(MAC, &ipv4_packet(ROUTER, ADDRESS, Protocol(1), &[])), |c| c.ipv4.unknown_protocol),
        ("UDP port", packet_frame(MAC, &good), |c| c.udp.no_port),
        ("UDP checksum", wrong_udp_sum, |c| c.udp.checksum),
        ("UDP length", long_udp, |c| c.udp.malformed),
        ("no DHCP", no_dhcp, |c| c.dhcp.malformed),
        ("other transaction", dhcp_frame(5, &[0; 4], 9), |c| c.dhcp.not_for_us),
        ("short TCP", tcp(&[0; 19]), |c| c.segments.too_short),
        ("TCP offset", tcp(&[0; 20]), |c| c.segments.bad_data_offset),
        ("TCP checksum", wrong_sum, |c| c.segments.bad_checksum),
    ];
    for (why, bytes, reason) in cases {
        let mut network = Network::up();
        network.sent.clear();
        let before = *network.stack.counters();
        network.deliver(&bytes);
        let after = *network.stack.counters();
        assert_eq!(reason(&after) - reason(&before), 1, "{why}");
        assert_eq!(after.dropped() - before.dropped(), 1, "{why}");
        assert_eq!(network.take_sent(), [], "{why}");
    }
}

#[test]
fn a_frame_on_a_link_that_is_down_is_dropped() {
    let mut network = Network::up();
    network.stack.set_link(false, network.now);
    network.stack.receive(&arp_frame(MAC, OTHER_MAC, &request(OTHER, ADDRESS)), network.now, &mut Nobody, &Token);
    assert_eq!(network.stack.counters().ethernet.link_down, 1);
}

#[test]
fn no_damage_to_any_frame_stops_the_stack() {
    let mut random = Random::new([77; 32]);
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    let originals = [
        arp_frame(MAC, OTHER_MAC, &request(OTHER, ADDRESS)),
        dhcp_frame(5, &[1, 2, 3, 4], 100),
        dhcp_frame(2, &[1, 2, 3, 4], 100),
        tcp_frame(FAR.address, ADDRESS, &stray(Flags::ACK)),
    ];
    for round in 0..20_000_usize {
        let mut bytes = originals[round % originals.len()].clone();
        for _ in 0..=random.below(4) {
            let place = random.below(bytes.len() as u32) as usize;
            bytes[place] = random.next_u32() as u8;
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(bytes.len() as u32) as usize);
        }
        network.stack.receive(&bytes, network.now, &mut Nobody, &Token);
        if round % 100 == 0 {
            network.settle();
        }
    }
    network.settle();
    assert!(network.stack.is_up());
    assert_eq!(network.stack.write(socket, b"alive", network.now), Ok(5));
    network.run(seconds(2));
    assert_eq!(network.router.received(), [b"alive"]);
}

#[test]
fn a_packet_on_its_last_hop_is_taken_like_any_other() {
    let mut network = Network::up();
    for time_to_live in [0, 1, 255] {
        let mut packet = ipv4_packet(ROUTER, ADDRESS, Protocol::UDP, &[0, 67, 0, 69, 0, 8, 0, 0]);
        packet[8] = time_to_live;
        packet[10..12].fill(0);
        let sum = checksum::of(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        network.deliver(&packet_frame(MAC, &packet));
    }
    assert_eq!(network.stack.counters().udp.no_port, 3);
}

#[test]
fn a_flood_of_strangers_pushes_out_neither_the_gateway_nor_connections() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    for number in 0..2_000_u32 {
        let [.., high, low] = number.to_be_bytes();
        let station = MacAddress([2, 0, 0, 1, high, low]);
        let sender = Ipv4Addr::new(10, 0, 2, 16 + (number % 200) as u8);
        let mut question = request(sender, ADDRESS);
        question.sender_mac = station;
        network.stack.receive(&arp_frame(MAC, station, &question), network.now, &mut Nobody, &Token);
    }
    network.settle();
    network.sent.clear();
    assert!(network.stack.is_up());
    assert_eq!(network.stack.write(socket, b"alive", network.now), Ok(5));
    network.settle();
    assert_eq!(network.router.received(), [b"alive"]);
    assert_eq!(network.sent[0].1, ROUTER_MAC, "without a new question");
}
