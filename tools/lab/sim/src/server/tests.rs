//! The peer in the state in which smoltcp repeats itself without end, and in ordinary bursts.

use slopos_abi::Endpoint;
use slopos_net::wire::tcp::SequenceNumber;

use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::tcp::{ACK, FIN, SYN};
use slopos_lab::wire::{Arp, Frame, Ipv4, Payload, Tcp};

use super::*;
use crate::network::{ADDRESS, MAC};
use crate::watch::segment_of;

const PORT: u16 = 8_000;
const US: Endpoint = Endpoint { address: ADDRESS, port: 50_000 };
const OURS: SequenceNumber = SequenceNumber::new(1_000);

const HABITS: Habits =
    Habits { receive: 1_000, send: 100_000, nagle: false, ack_delay_ms: None, congestion: 0, timestamps: false };

/// A frame of ours.
fn frame(payload: Payload) -> Vec<u8> {
    Frame { destination: ROUTER_MAC, source: MAC.0, payload }.emit()
}

/// A client by hand, without a link between.
struct Hand {
    server: Server,
    handle: SocketHandle,
    /// The peer's sequence number that we expect.
    next: SequenceNumber,
}

impl Hand {
    /// A connection that is established, in which we take `window` bytes.
    fn connected(window: u16) -> Self {
        let mut server = Server::new(1, 1_514).unwrap();
        let handle = server.listen(PORT, &HABITS).unwrap();
        let mut hand = Hand { server, handle, next: OURS };
        // So that it knows where we are.
        hand.server.deliver(frame(Payload::Arp(Arp::request(MAC.0, ADDRESS, ROUTER))));
        assert_eq!(hand.server.poll(0).len(), 1, "the answer to who the gateway is");
        hand.say(OURS, SYN, window);
        let answers = hand.server.poll(0);
        let (_, answer, _) = segment_of(&answers[0]).unwrap();
        assert!(answer.flags.syn());
        hand.next = answer.sequence + 1;
        hand.say(OURS + 1, ACK, window);
        assert_eq!(hand.server.poll(0).len(), 0);
        assert_eq!(hand.server.stream(handle).state(), State::Established);
        hand
    }

    fn say(&mut self, sequence: SequenceNumber, flags: u8, window: u16) {
        let segment = Tcp {
            source: US.port,
            destination: PORT,
            sequence: sequence.as_u32(),
            acknowledgement: self.next.as_u32(),
            flags,
            window,
            ..Tcp::default()
        };
        self.server.deliver(frame(Payload::Ipv4(Ipv4::new(ADDRESS, ROUTER, Body::Tcp(segment)))));
    }

    /// Takes what it sends, and acknowledges it with this window.
    fn take(&mut self, now_us: u64, window: u16) -> usize {
        let frames = self.server.poll(now_us);
        for frame in &frames {
            let (_, segment, _) = segment_of(frame).unwrap();
            self.next = self.next.later(segment.sequence + segment.sequence_length());
        }
        self.say(OURS + 1, ACK, window);
        frames.len()
    }

    /// It has closed and has nothing left to say, and we have no room: from its next look on smoltcp probes our window
    /// without end, for in FIN-WAIT-2 it does not put the probe off (smoltcp 0.14, `Socket::dispatch`).
    fn repeating() -> (Self, u64) {
        let mut hand = Hand::connected(10);
        assert_eq!(hand.server.stream(hand.handle).write(&[7; 11]).unwrap(), Io::Bytes(11));
        assert_eq!(hand.take(0, 0), 1);
        assert_eq!(hand.server.poll(0).len(), 0);
        hand.server.stream(hand.handle).finish();
        let mut now_us = hand.server.deadline_us(0).unwrap();
        assert_eq!(hand.take(now_us, 0), 1, "the last byte as a probe, with the end behind it");
        assert_eq!(hand.server.poll(now_us).len(), 0);
        assert_eq!(hand.server.stream(hand.handle).state(), State::FinWait2);
        now_us = hand.server.deadline_us(now_us).unwrap();
        (hand, now_us)
    }
}

#[test]
fn a_peer_that_repeats_itself_rests_while_its_queue_is_full() {
    let (mut hand, start_us) = Hand::repeating();
    assert_eq!(hand.server.poll(start_us).len(), QUEUE, "smoltcp fills any queue");
    assert_eq!(hand.server.poll(start_us).len(), 0, "and again in the same instant");
    assert!(hand.server.deadline_us(start_us).unwrap() >= start_us + DRAIN_US, "it wants to be looked at at once");

    // Something else happens every 10 us for 10 s, and each time the peer is looked at.
    let frames: usize = (start_us..start_us + 10_000_000).step_by(10).map(|now| hand.server.poll(now).len()).sum();
    assert!(frames > 5 * QUEUE, "it still repeats itself: {frames}");
    assert!(frames <= 25 * QUEUE, "it sends without end: {frames}");
}

#[test]
fn what_comes_while_the_peer_rests_is_heard_afterwards() {
    let (mut hand, start_us) = Hand::repeating();
    assert_eq!(hand.server.poll(start_us).len(), QUEUE);
    // We are done too.
    hand.say(OURS + 1, ACK | FIN, 100);
    assert_eq!(hand.server.poll(start_us).len(), 0);
    assert_eq!(hand.server.stream(hand.handle).state(), State::FinWait2);
    let rested_us = hand.server.deadline_us(start_us).unwrap();
    assert!(!hand.server.poll(rested_us).is_empty());
    assert_eq!(hand.server.stream(hand.handle).state(), State::TimeWait);
    assert_eq!(hand.server.poll(rested_us + 1).len(), 0, "and then it is quiet");
}

#[test]
fn a_long_burst_leaves_at_the_queues_own_pace() {
    let mut hand = Hand::connected(u16::MAX);
    assert_eq!(hand.server.stream(hand.handle).write(&[7; 60_000]).unwrap(), Io::Bytes(60_000));
    let (mut now_us, mut frames) = (0, 0);
    // Without an option for it the largest segment has 536 bytes: 112 of them, so the queue is full once.
    while frames < 112 {
        let sent = hand.server.poll(now_us).len();
        assert!(sent > 0 && sent <= QUEUE, "{sent} frames at {now_us} us");
        frames += sent;
        now_us = hand.server.deadline_us(now_us).unwrap();
        assert!(frames == 112 || now_us == DRAIN_US, "frames that all differ need no longer rest: {now_us} us");
    }
    assert_eq!(frames, 112);
}
