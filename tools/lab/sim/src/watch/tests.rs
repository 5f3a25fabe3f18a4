//! The watch complains about what it should, and about nothing else.

use std::net::Ipv4Addr;

use slopos_net::wire::tcp::options::Options;
use slopos_net::wire::tcp::{Flags, Range};

use super::*;
use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::{Frame, Ipv4, Payload};

const US: Endpoint = Endpoint { address: Ipv4Addr::new(10, 0, 2, 15), port: 50_000 };
const PEER: Endpoint = Endpoint { address: Ipv4Addr::new(10, 0, 2, 2), port: 80 };
const OURS: SequenceNumber = SequenceNumber::new(u32::MAX - 50);
const THEIRS: SequenceNumber = SequenceNumber::new(u32::MAX - 10);
const UPLOAD: Upload = Upload { content: Content(5), bytes: 5_000 };

fn frame(from: Endpoint, to: Endpoint, segment: &Segment<'_>) -> Vec<u8> {
    let mut bytes = [0; 3_000];
    let length = segment.emit(from.address, to.address, &mut bytes).unwrap();
    let packet = Ipv4::new(from.address, to.address, Body::Other(6, bytes[..length].to_vec()));
    Frame { destination: [2; 6], source: [4; 6], payload: Payload::Ipv4(packet) }.emit()
}

fn segment(sequence: SequenceNumber, acknowledgement: SequenceNumber, flags: Flags) -> Segment<'static> {
    Segment {
        source_port: 0,
        destination_port: 0,
        sequence,
        acknowledgement,
        flags,
        window: 1_000,
        options: Options::default(),
        payload: &[],
    }
}

struct Watched(Watch);

impl Watched {
    /// A connection that is established: the peer has a window of 1000 bytes and takes 600 in a segment.
    fn new() -> Self {
        let mut watch = Watch::default();
        watch.expect(PEER, UPLOAD);
        let mut watched = Watched(watch);
        watched.sent(segment(OURS, THEIRS, Flags::SYN)).unwrap();
        let mut answer = segment(THEIRS, OURS + 1, Flags::SYN.with(Flags::ACK));
        answer.options.maximum_segment = Some(600);
        watched.delivered(answer);
        watched.sent(segment(OURS + 1, THEIRS + 1, Flags::ACK)).unwrap();
        watched
    }

    fn sent(&mut self, segment: Segment<'_>) -> Result<()> {
        let segment = Segment { source_port: US.port, destination_port: PEER.port, ..segment };
        self.0.sent(&frame(US, PEER, &segment))
    }

    fn delivered(&mut self, segment: Segment<'_>) {
        let segment = Segment { source_port: PEER.port, destination_port: US.port, ..segment };
        self.0.delivered(&frame(PEER, US, &segment));
    }

    /// Sends the upload's bytes from `offset` on, changed by `change`.
    fn data(&mut self, offset: u32, bytes: usize, change: u8) -> Result<()> {
        let mut payload = vec![0; bytes];
        UPLOAD.content.fill(offset as usize, &mut payload);
        if let Some(last) = payload.last_mut() {
            *last ^= change;
        }
        self.sent(Segment { payload: &payload, ..segment(OURS + 1 + offset, THEIRS + 1, Flags::ACK) })
    }
}

#[test]
fn what_is_right_passes_and_each_of_these_does_not() {
    let mut watched = Watched::new();
    watched.data(0, 600, 0).unwrap();
    watched.data(600, 400, 0).unwrap();
    watched.data(0, 600, 0).unwrap();
    watched.data(1_000, 1, 0).unwrap();
    assert!(watched.data(1_000, 2, 0).is_err(), "beyond the window, and no probe");
    assert!(watched.data(400, 601, 0).is_err(), "larger than the MSS");
    assert!(watched.data(0, 10, 1).is_err(), "a wrong byte");
    let early = segment(OURS, THEIRS + 1, Flags::ACK);
    assert!(watched.sent(Segment { payload: b"x", ..early }).is_err(), "before the stream");
    assert!(watched.sent(segment(OURS + 1, THEIRS + 2, Flags::ACK)).is_err(), "an acknowledgement of nothing");
    assert!(watched.sent(segment(OURS + 1, THEIRS + 1, Flags::NONE)).is_err(), "without ACK");
}

#[test]
fn an_acknowledgement_and_a_window_are_not_taken_back() {
    let mut watched = Watched::new();
    watched.delivered(Segment { payload: b"abc", ..segment(THEIRS + 1, OURS + 1, Flags::ACK) });
    watched.sent(Segment { window: 997, ..segment(OURS + 1, THEIRS + 4, Flags::ACK) }).unwrap();
    let shrunk = Segment { window: 996, ..segment(OURS + 1, THEIRS + 4, Flags::ACK) };
    assert!(watched.sent(shrunk).is_err(), "the window shrank");
    assert!(watched.sent(segment(OURS + 1, THEIRS + 1, Flags::ACK)).is_err(), "the acknowledgement too");
}

#[test]
fn sack_blocks_are_about_what_has_come() {
    let mut watched = Watched::new();
    watched.delivered(Segment { payload: b"abc", ..segment(THEIRS + 11, OURS + 1, Flags::ACK) });
    let reporting = |end: u32| {
        let mut report = segment(OURS + 1, THEIRS + 1, Flags::ACK);
        report.options.sack.push(Range { start: THEIRS + 11, end: THEIRS + end }).unwrap();
        report
    };
    watched.sent(reporting(14)).unwrap();
    assert!(watched.sent(reporting(15)).is_err());
}

#[test]
fn it_is_the_peers_turn_when_we_have_said_all_and_it_has_not() {
    let mut watched = Watched::new();
    assert!(watched.0.is_peers_turn(PEER, 0));
    watched.data(0, 10, 0).unwrap();
    assert!(!watched.0.is_peers_turn(PEER, 10), "not acknowledged");
    watched.delivered(segment(THEIRS + 1, OURS + 11, Flags::ACK));
    assert!(watched.0.is_peers_turn(PEER, 10));
    assert!(!watched.0.is_peers_turn(PEER, 11), "we have more to say");
    watched.delivered(Segment { payload: b"abc", ..segment(THEIRS + 1, OURS + 11, Flags::ACK) });
    assert!(!watched.0.is_peers_turn(PEER, 10), "it has said what comes next");
}
