//! The three ways of doc/tour.md, counted: each call and each frame enters the grant once.

use super::network::*;
use crate::stack::Progress;
use crate::wire::tcp::options::Options;
use crate::wire::tcp::{Flags, Segment, SequenceNumber};
use slopos_abi::SocketFlags;
use slopos_host_log::Token;
use slopos_kernel::objects::SocketId;
use slopos_kernel::process::ProcessId;
use slopos_kernel::readers::Readers;

/// How often each of the two processes with a grant has its region entered by what `act` does, and what that gives.
fn entries<R>(network: &mut Network, act: impl FnOnce(&mut Network) -> R) -> ([u32; 2], R) {
    let count = |network: &Network| [APP, OTHER_APP].map(|process| network.stack.grant.entries(process));
    let before = count(network);
    let given = act(network);
    let after = count(network);
    ([after[0] - before[0], after[1] - before[1]], given)
}

/// The next frame that the stack has to send.
fn transmit(network: &mut Network) -> Option<usize> {
    network.stack.transmit(&mut [0; 1_514], network.now, &Token)
}

/// A process that waits to read from any socket.
#[derive(Default)]
struct Reader {
    buffer: [u8; 16],
    delivered: usize,
}

impl Readers for Reader {
    fn buffer(&mut self, _: SocketId, length: usize) -> Option<&mut [u8]> {
        self.buffer.get_mut(..length)
    }

    fn deliver(&mut self, _: SocketId, length: usize) {
        self.delivered += length;
    }
}

/// A segment of the server's on the connection of this socket, with the stream's first bytes.
fn segment(network: &Network, socket: SocketId, payload: &'static [u8]) -> Vec<u8> {
    let segment = Segment {
        source_port: FAR.port,
        destination_port: network.local(socket).port,
        // The server's SYN took 7000.
        sequence: SequenceNumber::new(7_001),
        acknowledgement: network.last_syn_end,
        flags: Flags::ACK,
        window: 8_192,
        options: Options::default(),
        payload,
    };
    tcp_frame(FAR.address, ADDRESS, &segment)
}

#[test]
fn a_frame_for_a_waiting_reader_enters_the_grant_once() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    network.stack.take_ready();
    let frame = segment(&network, socket, b"hello");
    let mut reader = Reader::default();
    let (entered, ()) = entries(&mut network, |network| {
        network.stack.receive(&frame, network.now, &mut reader, &Token);
    });
    assert_eq!((entered, &reader.buffer[..reader.delivered]), ([1, 0], &b"hello"[..]));
    // The kernel completes the read without asking the stack: its own tests show that.
    assert!(network.stack.take_ready().contains(APP));
}

#[test]
fn a_byte_that_is_written_and_its_segment_enter_the_grant_once_each() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let socket = network.connect(APP, FAR);
    assert_eq!(transmit(&mut network), None);
    assert_eq!(entries(&mut network, |network| network.stack.write(socket, b"!", network.now)), ([1, 0], Ok(1)));
    let (entered, length) = entries(&mut network, transmit);
    assert_eq!((entered, length.is_some()), ([1, 0], true));
}

#[test]
fn each_call_of_a_sockets_life_enters_the_grant_once() {
    let mut network = Network::up();
    network.router.server = Server::Sink;
    let flags = SocketFlags::default();
    let (entered, socket) = entries(&mut network, |network| network.stack.socket(APP, flags).unwrap());
    assert_eq!(entered, [1, 0], "SOCKET");
    let connect = |network: &mut Network| network.stack.connect(socket, FAR, seconds(100), network.now);
    assert_eq!(entries(&mut network, connect), ([1, 0], Ok(Progress::Pending)), "CONNECT");
    assert_eq!(entries(&mut network, connect), ([0, 0], Ok(Progress::Pending)), "the call is made again");
    network.settle();
    assert_eq!(entries(&mut network, connect), ([0, 0], Ok(Progress::Done(Ok(())))), "it succeeds");
    let second = network.connect(APP, FAR);
    network.stack.close(second, network.now);
    assert_eq!(entries(&mut network, |network| network.stack.abort(APP)).0, [1, 0], "the end of both sockets");
    assert_eq!(entries(&mut network, |network| network.stack.exited(APP)).0, [1, 0], "EXIT");
}

#[test]
fn a_connect_that_is_denied_or_waits_enters_the_grant_once() {
    let mut network = Network::new();
    network.router.answers_dhcp = false;
    let socket = network.stack.socket(APP, SocketFlags::default()).unwrap();
    let mut connect = |remote| {
        entries(&mut network, |network| network.stack.connect(socket, remote, seconds(100), network.now).is_ok())
    };
    let forbidden = slopos_abi::Endpoint { port: 22, ..FAR };
    assert_eq!(connect(forbidden), ([1, 0], false), "EACCES");
    assert_eq!(connect(FAR), ([1, 0], true), "there is no address yet");
}

/// A socket that connects again leaves the chain of its last connection, and the one before it there is told: whose region
/// that lies in is entered too, but nobody's twice.
#[test]
fn a_socket_that_leaves_a_chain_enters_each_region_once() {
    for other in [APP, OTHER_APP] {
        let mut network = Network::up();
        network.router.server = Server::Sink;
        let mut socket_of = |process: ProcessId| {
            let socket = network.stack.socket(process, SocketFlags::default()).unwrap();
            // They share a chain, for the ports are 256 apart.
            let stack = &mut network.stack;
            stack.connections.insert(&mut stack.grant, socket, if process == APP { 2_000 } else { 2_256 }).unwrap();
            socket
        };
        let first = socket_of(APP);
        let second = socket_of(other);
        assert_ne!(first, second);
        let connect = |network: &mut Network| network.stack.connect(first, FAR, seconds(100), network.now).unwrap();
        let expected = if other == APP { [1, 0] } else { [1, 1] };
        assert_eq!(entries(&mut network, connect), (expected, Progress::Pending));
    }
}
