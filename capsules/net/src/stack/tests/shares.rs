//! What is shared has a share for each who can use it up: neighbours, replies, and the device's buffers.

use core::net::Ipv4Addr;

use super::network::*;
use crate::MacAddress;
use crate::stack::Progress;
use crate::wire::arp::{Operation, Packet};
use crate::wire::tcp::options::Options;
use crate::wire::tcp::{Flags, Segment, SequenceNumber};
use slopos_abi::{Endpoint, SocketFlags};
use slopos_host_log::Token;
use slopos_kernel::process::ProcessId;
use slopos_kernel::time::Duration;

fn question(number: u32) -> Vec<u8> {
    let [.., high, low] = number.to_be_bytes();
    let station = MacAddress([2, 0, 0, 1, high, low]);
    let packet = Packet {
        operation: Operation::Request,
        sender_mac: station,
        sender: Ipv4Addr::new(10, 0, 2, 16 + (number % 200) as u8),
        target_mac: MacAddress::ZERO,
        target: ADDRESS,
    };
    arp_frame(MAC, station, &packet)
}

fn stray(source: Ipv4Addr) -> Vec<u8> {
    let segment = Segment {
        source_port: 9,
        destination_port: 50_000,
        sequence: SequenceNumber::new(100),
        acknowledgement: SequenceNumber::new(200),
        flags: Flags::ACK,
        window: 1_000,
        options: Options::default(),
        payload: b"stray",
    };
    tcp_frame(source, ADDRESS, &segment)
}

/// A process asks for neighbours that are not there, in turn: it lets each connect go at once, or waits for them.
fn ask_for_absent(network: &mut Network, process: ProcessId, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let remote = Endpoint { address: Ipv4Addr::new(10, 0, 2, number), port: 8_000 };
        let socket = network.stack.socket(process, SocketFlags::default()).unwrap();
        let deadline = network.now + Duration::from_secs(10);
        network.stack.connect(socket, remote, deadline, network.now).unwrap();
        network.settle();
        network.stack.close(socket, network.now);
    }
}

#[test]
fn who_asks_for_absent_neighbours_in_turn_delays_nobody_elses_connect() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    network.router.answers_for = vec![ROUTER, OTHER];
    for second in 1..8 {
        network.run(seconds(2 * second));
        ask_for_absent(&mut network, APP, 20..250);
        let now = network.now;
        let socket = network.begin(OTHER_APP, Endpoint { address: OTHER, port: 8_000 }, 100);
        let progress = network.progress(socket, Endpoint { address: OTHER, port: 8_000 });
        assert_eq!((progress, network.now), (Ok(Progress::Done(Ok(()))), now), "second {second}");
        network.stack.abort(OTHER_APP);
        network.run(network.now + Duration::from_millis(999));
        // The neighbour is forgotten, so that the next round asks for it anew.
        network.stack.set_link(false, network.now);
        network.stack.set_link(true, network.now);
        network.settle();
    }
}

#[test]
fn who_talks_to_many_neighbours_that_are_there_delays_nobody_elses_connect() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    network.router.answers_for = (16..=254).chain(2..15).map(|number| Ipv4Addr::new(10, 0, 2, number)).collect();
    for round in 0..10 {
        network.run(network.now + Duration::from_millis(300));
        ask_for_absent(&mut network, APP, 20..250);
        let now = network.now;
        let remote = Endpoint { address: Ipv4Addr::new(10, 0, 2, 3 + round), port: 8_000 };
        let socket = network.begin(OTHER_APP, remote, 100);
        let progress = network.progress(socket, remote);
        assert_eq!((progress, network.now), (Ok(Progress::Done(Ok(()))), now), "round {round}");
        network.stack.abort(OTHER_APP);
    }
}

#[test]
fn a_flood_of_questions_leaves_resets_their_room_and_the_other_way_round() {
    let resets = |sent: &[Sent]| sent.iter().filter(|sent| matches!(sent, Sent::Tcp { .. })).count();
    let mut network = Network::up();
    network.sent.clear();
    for number in 0..100 {
        network.stack.receive(&question(number), network.now, &mut Nobody, &Token);
    }
    network.stack.receive(&stray(FAR.address), network.now, &mut Nobody, &Token);
    network.settle();
    assert_eq!(resets(&network.take_sent()), 1);

    for number in 0..100 {
        network.stack.receive(&stray(Ipv4Addr::new(198, 51, 100, number)), network.now, &mut Nobody, &Token);
    }
    network.stack.receive(&question(1), network.now, &mut Nobody, &Token);
    network.settle();
    let sent = network.take_sent();
    assert_eq!(sent.len() - resets(&sent), 1, "{sent:?}");
}

#[test]
fn one_station_that_asks_for_ever_takes_no_other_ones_answer() {
    let mut network = Network::up();
    network.sent.clear();
    for _ in 0..100 {
        network.stack.receive(&question(1), network.now, &mut Nobody, &Token);
    }
    network.stack.receive(&question(2), network.now, &mut Nobody, &Token);
    network.settle();
    let answered =
        |sent: &Sent| matches!(sent, Sent::Arp(packet) if packet.target_mac == MacAddress([2, 0, 0, 1, 0, 2]));
    assert!(network.take_sent().iter().any(answered));
}

#[test]
fn a_killed_processs_resets_take_no_room_from_strangers_or_from_another_process() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let _ = (network.connect(APP, FAR), network.connect(APP, FAR));
    let _ = (network.connect(OTHER_APP, FAR), network.connect(OTHER_APP, FAR));
    for number in 0..100 {
        network.stack.receive(&stray(Ipv4Addr::new(198, 51, 100, number)), network.now, &mut Nobody, &Token);
        network.stack.receive(&question(number.into()), network.now, &mut Nobody, &Token);
    }
    network.sent.clear();
    network.stack.abort(APP);
    network.stack.abort(OTHER_APP);
    network.settle();
    let to_server = |sent: &Sent| matches!(sent, Sent::Tcp { remote, .. } if *remote == FAR);
    assert_eq!(network.take_sent().iter().filter(|sent| to_server(sent)).count(), 4);
}

#[test]
fn a_flood_of_questions_and_strays_leaves_half_of_the_frames_to_connections() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    network.stack.write(socket, &[7; 4_000], network.now).unwrap();
    let mut kinds = Vec::new();
    let mut frame = [0; 1_514];
    for number in 0..200 {
        for each in 0..10 {
            network.stack.receive(&question(10 * number + each), network.now, &mut Nobody, &Token);
            network.stack.receive(&stray(FAR.address), network.now, &mut Nobody, &Token);
        }
        let length = network.stack.transmit(&mut frame, network.now, &Token).unwrap();
        kinds.push(length > 500);
        if kinds.iter().filter(|&&data| data).count() == 3 {
            break;
        }
    }
    assert!(kinds.len() <= 6, "three segments of data went out as frames {kinds:?}");
}
