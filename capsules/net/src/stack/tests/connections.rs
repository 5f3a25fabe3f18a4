//! What processes can do: connect, exchange, close, and what they cannot.

use core::net::Ipv4Addr;

use super::network::*;
use crate::stack::{ConnectError, Progress, SocketError};
use crate::tcp::{self, State};
use crate::wire::arp::{Operation, Packet};
use crate::wire::ethernet::Header;
use crate::wire::ipv4;
use crate::wire::tcp::{Flags, Options, Segment, SequenceNumber};
use crate::{MacAddress, stack::SocketReport};
use slopos_abi::{Endpoint, SocketFlags};
use slopos_host_log::Token;
use slopos_kernel::objects::{SocketId, SocketIndex};
use slopos_kernel::time::Duration;

fn resets(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| matches!(sent, Sent::Tcp { flags, .. } if flags.reset())).count()
}

fn sockets(network: &Network) -> Vec<SocketReport> {
    network.stack.sockets(APP, &Token).collect()
}

#[test]
fn from_discover_to_an_answer_and_an_orderly_close() {
    let mut network = Network::new();
    let socket = network.connect(APP, FAR);
    assert!(network.stack.take_ready().contains(APP));
    assert_eq!(network.stack.read(socket, &mut [0; 100]), Err(tcp::Error::WouldBlock));
    let request = b"GET / HTTP/1.1\r\n\r\n";
    assert_eq!(network.stack.write(socket, request, network.now), Ok(request.len()));
    network.settle();
    assert!(network.stack.take_ready().contains(APP));
    assert_eq!(network.router.received(), [request]);
    let mut answer = [0; 100];
    assert_eq!(network.stack.read(socket, &mut answer), Ok(ANSWER.len()));
    assert_eq!(&answer[..ANSWER.len()], ANSWER);
    assert_eq!(network.stack.read(socket, &mut answer), Ok(0), "the server has closed");
    let traffic = sockets(&network)[0].traffic;
    assert_eq!((traffic.sent, traffic.received), (request.len() as u64, ANSWER.len() as u64));
    assert!(traffic.round_trip.is_some() && traffic.congestion_window > 2_000);
    assert_eq!(network.stack.lease().map(|(lease, state)| (lease.gateway, state)), Some((Some(ROUTER), "BOUND")));
    let gateways: Vec<_> = network.stack.neighbours(network.now).filter(|known| known.is_pinned).collect();
    assert_eq!(
        gateways.iter().map(|known| (known.address, known.mac)).collect::<Vec<_>>(),
        [(ROUTER, Some(ROUTER_MAC))]
    );
    network.stack.close(socket, network.now);
    network.run(seconds(5));
    assert_eq!(sockets(&network), [], "the server closed first, so no TIME-WAIT is left");
    let info = network.stack.grant_info(APP, &Token);
    assert_eq!((info.in_use, info.sockets_in_use, info.denials), (0, 0, 0));
    assert!(info.high_water > 0);
}

#[test]
fn what_is_far_goes_to_the_gateway_and_what_is_near_goes_there_directly() {
    let mut network = Network::up();
    network.sent.clear();
    network.connect(APP, FAR);
    assert!(network.sent.iter().all(|(_, station, _)| *station == ROUTER_MAC));
    network.sent.clear();
    network.router.server = Server::Silent;
    network.begin(APP, Endpoint { address: OTHER, ..FAR }, 10);
    let asked = matches!(network.sent[..], [(_, MacAddress::BROADCAST, Sent::Arp(packet))] if packet.target == OTHER);
    assert!(asked, "{:?}", network.sent);
    let reply =
        Packet { operation: Operation::Reply, sender_mac: OTHER_MAC, sender: OTHER, target_mac: MAC, target: ADDRESS };
    network.sent.clear();
    network.deliver(&arp_frame(MAC, OTHER_MAC, &reply));
    let syn = matches!(&network.sent[..], [(_, OTHER_MAC, Sent::Tcp { flags, .. })] if flags.syn());
    assert!(syn, "{:?}", network.sent);
}

/// A host that has given itself an address, and its station.
const LINK_LOCAL_HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const LINK_LOCAL_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x99]);

#[test]
fn a_link_local_host_is_asked_for_on_the_link_and_reached_there_directly() {
    // RFC 3927 section 2.6.2: never by way of a router, though our own address is of another network.
    let mut network = Network::up();
    network.router.server = Server::Silent;
    network.sent.clear();
    network.begin(APP, Endpoint { address: LINK_LOCAL_HOST, ..FAR }, 10);
    let asked =
        matches!(network.sent[..], [(_, MacAddress::BROADCAST, Sent::Arp(packet))] if packet.target == LINK_LOCAL_HOST);
    assert!(asked, "{:?}", network.sent);
    let reply = Packet {
        operation: Operation::Reply,
        sender_mac: LINK_LOCAL_MAC,
        sender: LINK_LOCAL_HOST,
        target_mac: MAC,
        target: ADDRESS,
    };
    network.sent.clear();
    network.deliver(&arp_frame(MAC, LINK_LOCAL_MAC, &reply));
    let syn = matches!(&network.sent[..], [(_, LINK_LOCAL_MAC, Sent::Tcp { flags, .. })] if flags.syn());
    assert!(syn, "{:?}", network.sent);
}

#[test]
fn a_link_local_host_that_is_not_there_is_not_asked_for_at_the_gateway() {
    let mut network = Network::up();
    network.sent.clear();
    let socket = network.begin(APP, Endpoint { address: LINK_LOCAL_HOST, ..FAR }, 10);
    network.run(network.now + Duration::from_secs(11));
    let end = network.progress(socket, Endpoint { address: LINK_LOCAL_HOST, ..FAR });
    assert_eq!(end, Ok(Progress::Done(Err(tcp::Error::TimedOut))));
    let strays = network.sent.iter().filter(|(_, _, sent)| matches!(sent, Sent::Tcp { .. })).count();
    assert_eq!(strays, 0, "{:?}", network.sent);
}

#[test]
fn the_addresses_of_the_whole_link_are_nobodys() {
    for address in [Ipv4Addr::new(169, 254, 0, 0), Ipv4Addr::new(169, 254, 255, 255)] {
        let mut network = Network::up();
        network.sent.clear();
        let socket = network.stack.socket(APP, SocketFlags::default()).unwrap();
        assert_eq!(
            network.progress(socket, Endpoint { address, ..FAR }),
            Ok(Progress::Done(Err(tcp::Error::TimedOut)))
        );
        assert!(network.sent.is_empty(), "{:?}", network.sent);
    }
}

#[test]
fn what_a_process_sends_again_is_counted_for_its_socket() {
    let mut network = Network::up();
    network.router.server = Server::Silent;
    let socket = network.begin(APP, FAR, 100);
    let other = network.begin(OTHER_APP, FAR, 100);
    network.run(network.now + Duration::from_millis(500));
    network.stack.close(other, network.now);
    network.take_sent();
    network.run(network.now + Duration::from_secs(8));
    let again =
        network.take_sent().iter().filter(|sent| matches!(sent, Sent::Tcp { flags, .. } if flags.syn())).count();
    let retransmits = |id| network.stack.socket_info(id, &Token).expect("the grant has it").retransmits;
    assert!(again > 1, "{again}");
    assert_eq!((retransmits(socket), retransmits(other)), (again as u32, 0));
    assert_eq!(network.stack.info(network.now).retransmits, again as u64);
}

#[test]
fn what_time_asks_for_is_sent_though_no_process_does_anything() {
    let mut network = Network::up();
    network.router.server = Server::Silent;
    network.begin(APP, FAR, 100);
    network.take_sent();
    network.run(network.now + Duration::from_secs(2));
    let syns = network.take_sent().iter().filter(|sent| matches!(sent, Sent::Tcp { flags, .. } if flags.syn())).count();
    assert_eq!(syns, 1, "RFC 6298 section 2.1: once more after a second");
}

#[test]
fn what_arrives_is_answered_though_no_process_does_anything() {
    let mut network = Network::up();
    let (socket, now) = (network.stack.socket(APP, SocketFlags::default()).unwrap(), network.now);
    network.stack.connect(socket, FAR, seconds(100), now).unwrap();
    let mut frame = [0; 1_514];
    let length = network.stack.transmit(&mut frame, now, &Token).unwrap();
    let (_, packet) = Header::parse(&frame[..length]).unwrap();
    let (packet, bytes) = ipv4::Header::parse(packet).unwrap();
    let syn = Segment::parse(packet.source, packet.destination, bytes).unwrap();
    let answer = Segment {
        source_port: syn.destination_port,
        destination_port: syn.source_port,
        sequence: SequenceNumber::new(7_000),
        acknowledgement: syn.sequence + 1,
        flags: Flags::SYN.with(Flags::ACK),
        ..syn
    };
    let answer = tcp_frame(packet.destination, packet.source, &answer);
    assert_eq!(network.stack.transmit(&mut frame, now, &Token), None);
    network.take_sent();
    network.deliver(&answer);
    let sent = network.take_sent();
    assert!(matches!(sent[..], [Sent::Tcp { flags, .. }] if flags == Flags::ACK), "{sent:?}");
}

#[test]
fn a_connect_before_there_is_an_address_waits_for_it() {
    let mut network = Network::new();
    network.router.answers_dhcp = false;
    let socket = network.begin(APP, FAR, 100);
    network.run(seconds(1));
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Pending));
    assert_eq!(network.stack.write(socket, b"x", network.now), Err(tcp::Error::WouldBlock));
    network.router.answers_dhcp = true;
    network.run(seconds(10));
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Done(Ok(()))));
}

#[test]
fn a_connect_that_gets_no_address_times_out_at_its_deadline() {
    let mut network = Network::new();
    network.router.answers_dhcp = false;
    let socket = network.begin(APP, FAR, 7);
    network.run(seconds(6));
    network.stack.take_ready();
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Pending));
    network.run(seconds(7));
    assert!(network.stack.take_ready().contains(APP));
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Done(Err(tcp::Error::TimedOut))));
    assert_eq!(network.stack.read(socket, &mut [0; 1]), Err(tcp::Error::TimedOut));
}

#[test]
fn a_connect_that_nobody_answers_times_out_at_its_deadline() {
    let mut network = Network::up();
    network.router.server = Server::Silent;
    let socket = network.begin(APP, FAR, 10);
    network.run(seconds(9));
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Pending));
    network.run(seconds(10));
    assert_eq!(network.progress(socket, FAR), Ok(Progress::Done(Err(tcp::Error::TimedOut))));
}

#[test]
fn a_neighbour_that_does_not_answer_arp_is_a_timeout_after_three_seconds() {
    let mut network = Network::up();
    let remote = Endpoint { address: OTHER, ..FAR };
    let socket = network.begin(APP, remote, 100);
    network.run(seconds(3));
    assert_eq!(network.progress(socket, remote), Ok(Progress::Done(Err(tcp::Error::TimedOut))));
}

#[test]
fn a_gateway_that_stays_away_ends_connections_with_something_to_send_and_no_others() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let idle = network.connect(APP, FAR);
    let writer = network.connect(APP, FAR);
    let orphan = network.connect(OTHER_APP, FAR);
    network.run(seconds(100));
    network.router.server = Server::Silent;
    network.router.answers_arp = false;
    network.stack.write(writer, b"lost", network.now).unwrap();
    network.stack.close(orphan, network.now);
    network.run(seconds(200));
    assert_eq!(network.stack.read(writer, &mut [0; 1]), Err(tcp::Error::WouldBlock), "it may come back");
    assert_eq!(network.stack.grant_info(OTHER_APP, &Token).sockets_in_use, 1);
    network.stack.take_ready();
    network.run(seconds(300));
    assert!(network.stack.take_ready().contains(APP));
    assert_eq!(network.stack.read(writer, &mut [0; 1]), Err(tcp::Error::TimedOut));
    assert_eq!(network.stack.grant_info(OTHER_APP, &Token).sockets_in_use, 0);
    assert_eq!(network.stack.read(idle, &mut [0; 1]), Err(tcp::Error::WouldBlock));
}

#[test]
fn a_gateway_that_comes_back_in_time_costs_no_connection_however_often() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    for outage in [100, 300] {
        network.run(seconds(outage));
        network.router.answers_arp = false;
        network.router.server = Server::Silent;
        network.stack.write(socket, b"late", network.now).unwrap();
        network.run(seconds(outage + 80));
        network.router.answers_arp = true;
        network.router.server = Server::Sink;
    }
    network.run(seconds(480));
    assert_eq!(network.router.received(), [b"latelate"]);
}

#[test]
fn a_refused_connect_says_so_every_time() {
    let mut network = Network::up();
    network.router.server = Server::Refuses;
    let socket = network.begin(APP, FAR, 10);
    for _ in 0..2 {
        assert_eq!(network.progress(socket, FAR), Ok(Progress::Done(Err(tcp::Error::Refused))));
    }
}

#[test]
fn what_the_manifest_does_not_allow_is_denied_and_counted() {
    let mut network = Network::up();
    assert_eq!(network.stack.socket(BARE, SocketFlags::default()), Err(SocketError::NotAuthorised));
    let socket = network.stack.socket(APP, SocketFlags::default()).unwrap();
    let remote = Endpoint { port: 22, ..FAR };
    assert_eq!(network.progress(socket, remote), Err(ConnectError::Denied));
    assert_eq!(network.progress(socket, remote), Err(ConnectError::Denied));
    network.sent.clear();
    network.settle();
    assert_eq!(network.take_sent(), []);
    assert_eq!(network.stack.grant_info(APP, &Token).denials, 2);
    assert_eq!(network.stack.grant_info(BARE, &Token).sockets, 0);
    let events = network.stack.counters().events;
    assert_eq!((events.sockets_denied, events.connects_denied), (1, 2));
}

#[test]
fn a_socket_connects_once_and_only_to_hosts() {
    let mut network = Network::up();
    let socket = network.connect(APP, FAR);
    assert_eq!(network.progress(socket, NEAR), Err(ConnectError::Invalid));
    assert_eq!(network.progress(SocketId { process: APP, index: SocketIndex(1) }, NEAR), Err(ConnectError::NoSocket));
    assert_eq!(network.progress(SocketId { process: APP, index: SocketIndex(9) }, NEAR), Err(ConnectError::NoSocket));
    let fresh = network.stack.socket(APP, SocketFlags::default()).unwrap();
    for address in [Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(224, 0, 0, 1)] {
        let remote = Endpoint { address, port: 8_000 };
        assert_eq!(network.progress(fresh, remote), Err(ConnectError::Invalid), "{address}");
    }
    let own = Endpoint { address: ADDRESS, port: 8_000 };
    assert_eq!(network.progress(fresh, own), Ok(Progress::Done(Err(tcp::Error::TimedOut))));
}

#[test]
fn an_exhausted_grant_gives_no_socket_and_leaves_others_alone() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    network.connect(APP, FAR);
    network.connect(APP, FAR);
    assert_eq!(network.stack.socket(APP, SocketFlags::default()), Err(SocketError::GrantExhausted));
    assert_eq!(network.stack.grant_info(APP, &Token).denials, 1);
    assert!(network.stack.socket(OTHER_APP, SocketFlags::default()).is_ok());
}

#[test]
fn the_oldest_time_wait_is_recycled_before_any_orphan() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let orphan = network.connect(APP, FAR);
    network.stack.close(orphan, network.now);
    network.settle();
    // The server acknowledged our FIN and keeps its side open: FIN-WAIT-2, an orphan, and the older one.
    network.run(seconds(2));
    let time_wait = time_wait(&mut network);
    let states: Vec<_> = sockets(&network).iter().map(|connection| connection.state).collect();
    assert_eq!(states, [State::FinWait2, State::TimeWait]);
    network.sent.clear();
    assert_eq!(network.stack.socket(APP, SocketFlags::default()), Ok(time_wait));
    network.settle();
    assert_eq!(resets(&network.take_sent()), 0, "a TIME-WAIT record's peer is done already");
    assert_eq!(network.stack.grant_info(APP, &Token).recycled, 1);
    network.stack.close(time_wait, network.now);
    let fresh = network.stack.socket(APP, SocketFlags::default()).unwrap();
    assert_eq!(network.stack.socket(APP, SocketFlags::default()), Ok(orphan));
    network.settle();
    assert_eq!(resets(&network.take_sent()), 1, "an orphan's peer is told");
    assert_ne!(fresh, orphan);
    assert_eq!(network.stack.counters().events.recycled, 2);
}

/// A connection that we closed first and that is in TIME-WAIT.
fn time_wait(network: &mut Network) -> SocketId {
    let socket = network.connect(APP, FAR);
    network.stack.close_write(socket);
    network.settle();
    let local = network.local(socket);
    let fin = Segment {
        source_port: FAR.port,
        destination_port: local.port,
        // The server's SYN took 7000.
        sequence: SequenceNumber::new(7_001),
        acknowledgement: network.last_fin_end,
        flags: Flags::ACK.with(Flags::FIN),
        window: 8_192,
        options: Options::default(),
        payload: &[],
    };
    network.deliver(&tcp_frame(FAR.address, ADDRESS, &fin));
    network.stack.close(socket, network.now);
    network.settle();
    socket
}

#[test]
fn a_time_wait_record_ends_by_itself() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    time_wait(&mut network);
    network.run(seconds(59));
    assert_eq!(network.stack.grant_info(APP, &Token).sockets_in_use, 1);
    network.run(seconds(61));
    assert_eq!(network.stack.grant_info(APP, &Token).sockets_in_use, 0);
}

#[test]
fn a_killed_process_resets_all_it_had_and_holds_nothing() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    network.stack.write(socket, b"unsent", network.now).unwrap();
    network.begin(APP, FAR, 10);
    network.sent.clear();
    network.stack.abort(APP);
    let info = network.stack.grant_info(APP, &Token);
    assert_eq!((info.in_use, info.sockets_in_use), (0, 0));
    network.settle();
    let sent = network.take_sent();
    assert_eq!((resets(&sent), sent.len()), (2, 2));
    assert_eq!(network.stack.read(socket, &mut [0; 1]), Err(tcp::Error::NotConnected));
}

#[test]
fn the_peer_of_a_connection_that_is_closed_with_unread_data_gets_its_reset() {
    let mut network = Network::up();
    let socket = network.connect(APP, FAR);
    network.stack.write(socket, b"GET / HTTP/1.1\r\n\r\n", network.now).unwrap();
    network.settle();
    network.sent.clear();
    network.stack.close(socket, network.now);
    assert_eq!(sockets(&network)[0].remote, Some(FAR), "it waits for its reset to be sent");
    network.settle();
    let sent = network.take_sent();
    assert!(matches!(sent[..], [Sent::Tcp { remote: FAR, flags, .. }] if flags.reset()), "{sent:?}");
    assert_eq!(sockets(&network), []);
}

#[test]
fn the_turn_to_send_goes_round_over_processes_then_sockets() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let mine = [network.connect(APP, FAR), network.connect(APP, FAR)];
    let theirs = network.connect(OTHER_APP, FAR);
    network.settle();
    for socket in mine {
        network.stack.write(socket, &[b'm'; 3_000], network.now).unwrap();
    }
    network.stack.write(theirs, &[b't'; 3_000], network.now).unwrap();
    network.sent.clear();
    let mut order = String::new();
    let mut frame = [0; 1_514];
    while let Some(length) = network.stack.transmit(&mut frame, network.now, &Token) {
        order.push(char::from(frame[length - 1]));
    }
    let first: String = order.chars().take(4).collect();
    assert!(first == "mtmt" || first == "tmtm", "{order}");
    assert!(order.len() >= 6, "{order}");
}

#[test]
fn each_connection_has_a_port_of_its_own() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    network.connect(APP, FAR);
    network.connect(APP, FAR);
    let ports: Vec<_> = sockets(&network).iter().filter_map(|connection| connection.local).collect();
    assert_eq!(ports.len(), 2);
    assert_ne!(ports[0].port, ports[1].port);
    assert!(ports.iter().all(|local| local.address == ADDRESS && local.port >= 1_024));
}

#[test]
fn copies_of_a_board_that_draw_anew_share_neither_ports_nor_numbers_and_keep_their_connections() {
    let drawn = |seed: Option<[u8; 32]>| {
        let mut network = Network::up();
        let before = network.connect(APP, FAR);
        if let Some(seed) = seed {
            network.stack.set_seed(seed);
        }
        let after = network.connect(APP, FAR);
        // The connection from before still carries data both ways.
        assert_eq!(network.stack.write(before, b"GET / HTTP/1.1\r\n\r\n", network.now), Ok(18));
        network.settle();
        assert_eq!(network.stack.read(before, &mut [0; 100]), Ok(ANSWER.len()));
        (network.local(after).port, network.last_syn_end)
    };
    let (as_it_was, again) = (drawn(None), drawn(None));
    assert_eq!(as_it_was, again, "copies are the same otherwise");
    let (first, second) = (drawn(Some([1; 32])), drawn(Some([2; 32])));
    for (one, other) in [(as_it_was, first), (as_it_was, second), (first, second)] {
        assert!(one.0 != other.0 && one.1 != other.1, "{one:?} {other:?}");
    }
}
