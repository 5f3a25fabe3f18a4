//! The handshake (RFC 9293 section 3.5).

use super::*;

#[test]
fn the_syn_offers_mss_scale_sack_and_timestamps() {
    let mut connection = connecting();
    let syn = connection.sent_one(at(5));
    assert_eq!(syn.flags, Flags::SYN);
    assert_eq!(syn.sequence, OUR_INITIAL);
    assert_eq!(syn.window, u16::MAX);
    let expected = Options {
        maximum_segment: Some(1_460),
        window_scale: Some(0),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: TIMESTAMP_OFFSET + 5, echo: 0 }),
        sack: no_blocks(),
    };
    assert_eq!(syn.options, expected);
    assert!(connection.sent(at(6)).is_empty());
}

#[test]
fn a_syn_ack_establishes_and_is_acknowledged() {
    let mut connection = connecting();
    connection.sent(at(0));
    assert_eq!(connection.connect_result(), None);
    connection.receive(syn_ack(), at(30));
    assert_eq!(connection.state(), State::Established);
    assert_eq!(connection.connect_result(), Some(Ok(())));
    assert!(connection.take_ready());
    let answer = connection.sent_one(at(30));
    assert_eq!((answer.flags, answer.sequence, answer.acknowledgement), (Flags::ACK, SEND_NEXT, RECEIVE_NEXT));
    assert_eq!(connection.next_deadline(), None);
    assert_eq!(connection.counters.established, 1);
}

#[test]
fn a_lost_syn_is_sent_again_after_one_second_then_two() {
    let mut connection = connecting();
    let first = connection.sent_one(at(0));
    assert!(connection.sent(at(999)).is_empty());
    let second = connection.sent_one(at(1_000));
    assert_eq!((second.sequence, second.flags), (first.sequence, first.flags));
    assert!(connection.sent(at(2_999)).is_empty());
    connection.sent_one(at(3_000));
    assert_eq!(connection.deadline(), at(7_000));
    assert_eq!(connection.counters.retransmits, 2);
    assert_eq!(connection.inner.traffic().retransmissions, 2);
}

#[test]
fn connecting_ends_at_the_deadline() {
    let mut connection = connecting();
    while connection.deadline() < at(180_000) {
        let now = connection.deadline();
        connection.sent(now);
    }
    assert_eq!(connection.connect_result(), None);
    assert!(connection.sent(at(180_000)).is_empty());
    assert_eq!(connection.connect_result(), Some(Err(Error::TimedOut)));
    assert_eq!(connection.state(), State::Closed);
    assert_eq!(connection.counters.timed_out, 1);
    assert!(connection.take_ready());
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn a_reset_that_acknowledges_the_syn_refuses() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(rst().and(Flags::ACK).seq(SequenceNumber::new(0)), at(1));
    assert_eq!(connection.connect_result(), Some(Err(Error::Refused)));
    assert_eq!(connection.read(), Err(Error::Refused));
    assert_eq!(connection.inner.write(b"x", at(1)), Err(Error::Refused));
    assert!(connection.sent(at(1)).is_empty());
    assert_eq!(connection.counters.refused, 1);
}

#[test]
fn a_reset_that_does_not_acknowledge_the_syn_is_ignored() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(rst(), at(1));
    connection.receive(rst().and(Flags::ACK).acking(SEND_NEXT + 1), at(1));
    assert_eq!(connection.state(), State::SynSent);
    assert!(connection.sent(at(1)).is_empty());
}

#[test]
fn an_old_syn_ack_is_reset_and_the_handshake_goes_on() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn_ack().acking(OUR_INITIAL - 40), at(1));
    let sent = connection.sent(at(1));
    assert_eq!((sent[0].flags, sent[0].sequence), (Flags::RST, OUR_INITIAL - 40));
    connection.receive(syn_ack(), at(2));
    assert_eq!(connection.state(), State::Established);
}

#[test]
fn a_peer_that_still_has_an_old_connection_is_reset_and_asked_again_at_once() {
    let mut connection = connecting();
    let first = connection.sent_one(at(0));
    // What a server says that does not know of our restart: where it stood when we went away.
    connection.receive(ack().seq(RECEIVE_NEXT + 7_000).acking(OUR_INITIAL - 900_000), at(1));
    let sent = connection.sent(at(1));
    let seen: Vec<_> = sent.iter().map(|packet| (packet.flags, packet.sequence)).collect();
    assert_eq!(seen, [(Flags::RST, OUR_INITIAL - 900_000), (Flags::SYN, first.sequence)]);
    connection.receive(syn_ack(), at(2));
    assert_eq!(connection.state(), State::Established);
    connection.write(&pattern(20_000), at(2));
    assert_eq!(places(&connection.sent(at(2))).len(), 1 + 9, "nothing was lost: the window is the initial one");
}

#[test]
fn forged_acknowledgements_do_not_make_us_send_syns_without_end() {
    let mut connection = connecting();
    let mut syns = connection.sent(at(0)).len();
    for _ in 0..100 {
        connection.receive(ack().acking(OUR_INITIAL - 5), at(1));
        syns += connection.sent(at(1)).iter().filter(|packet| packet.flags.syn()).count();
    }
    assert_eq!(syns, 11);
}

#[test]
fn an_acknowledgement_alone_does_not_establish() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(ack(), at(1));
    connection.receive(data(b"early"), at(1));
    assert_eq!(connection.state(), State::SynSent);
    assert!(connection.sent(at(1)).is_empty());
    assert_eq!(connection.counters.out_of_window, 2);
}

#[test]
fn while_both_begin_an_acknowledgement_of_something_else_is_reset() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    connection.sent(at(1));
    connection.receive(ack().acking(SEND_NEXT + 1), at(2));
    let reset = connection.sent_one(at(2));
    assert_eq!((reset.flags, reset.sequence), (Flags::RST, SEND_NEXT + 1));
    assert_eq!(connection.state(), State::SynReceived);
}

#[test]
fn while_both_begin_an_unanswered_syn_is_sent_again() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    let first = connection.sent_one(at(1));
    assert_eq!(connection.sent_one(at(1_001)), first);
}

#[test]
fn options_that_the_peer_did_not_offer_are_not_used() {
    let mut connection = established();
    connection.write(b"x", at(0));
    assert_eq!(connection.sent_one(at(0)).options, Options::default());
    // A timestamp nobody agreed to changes nothing, nor do options of a SYN in a later segment.
    let mut late = data(b"hello").stamped(1, 1);
    late.options.maximum_segment = Some(100);
    late.options.window_scale = Some(3);
    connection.receive(late.acking(SEND_NEXT + 1).window(2_000), at(10));
    assert_eq!(connection.read().unwrap(), b"hello");
    connection.write(&pattern(3_000), at(10));
    assert_eq!(places(&connection.sent(at(10))), [(1, 1_460)], "neither MSS nor window scale has changed");
}

#[test]
fn both_sides_may_begin_at_once() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    assert_eq!(connection.state(), State::SynReceived);
    let answer = connection.sent_one(at(1));
    assert_eq!(answer.flags, Flags::SYN.with(Flags::ACK));
    assert_eq!((answer.sequence, answer.acknowledgement), (OUR_INITIAL, RECEIVE_NEXT));
    assert_eq!(connection.connect_result(), None);
    connection.receive(ack().window(1_000), at(2));
    assert_eq!(connection.state(), State::Established);
    assert_eq!(connection.connect_result(), Some(Ok(())));
}

#[test]
fn both_sides_may_begin_at_once_and_acknowledge_by_their_syn() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    connection.sent(at(1));
    connection.receive(syn_ack(), at(2));
    assert_eq!(connection.state(), State::Established);
    let answer = connection.sent_one(at(2));
    assert_eq!((answer.flags, answer.acknowledgement), (Flags::ACK, RECEIVE_NEXT));
}

#[test]
fn a_reset_while_both_begin_refuses() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    connection.receive(rst(), at(2));
    assert_eq!(connection.connect_result(), Some(Err(Error::Refused)));
}

#[test]
fn without_an_mss_segments_carry_536_bytes() {
    let mut connection = established().peer_mss(None);
    connection.write(&pattern(1_000), at(0));
    assert_eq!(places(&connection.sent(at(0))), [(0, 536)]);
}

#[test]
fn an_absurd_mss_is_survived() {
    for (offered, used) in [(0, 88), (1, 88), (87, 88), (u16::MAX, 1_460)] {
        let mut connection = established().peer_mss(Some(offered));
        connection.write(&pattern(2_000), at(0));
        assert_eq!(connection.sent(at(0))[0].payload.len(), used, "offered {offered}");
    }
}

#[test]
fn windows_are_scaled_only_if_the_peer_scales_too() {
    let mut connection = established().receive_window(1 << 20);
    connection.receive(data(b"x"), at(0));
    assert_eq!(connection.sent_one(at(40)).window, u16::MAX);
    let mut connection = established().receive_window(1 << 20).peer_scale(3);
    connection.receive(data(b"x"), at(0));
    assert_eq!(connection.sent_one(at(40)).window, (((1 << 20) - 1) >> 5) as u16);
}

#[test]
fn a_scale_above_fourteen_counts_as_fourteen() {
    let mut connection = established().peer_scale(200).send_buffer(100_000);
    connection.receive(ack().window(1), at(0));
    connection.write(&pattern(16_385), at(0));
    let sent: usize = connection.sent(at(0)).iter().map(|packet| packet.payload.len()).sum();
    assert_eq!(sent, 10 * 1_460, "the congestion window, not a window of one byte, is the limit");
}

#[test]
fn data_and_fin_in_the_syn_ack_are_taken() {
    let mut connection = connecting();
    connection.sent(at(0));
    let mut answer = syn_ack().and(Flags::FIN);
    answer.payload = b"hello".to_vec();
    connection.receive(answer, at(1));
    assert_eq!(connection.state(), State::CloseWait);
    assert_eq!(connection.read().unwrap(), b"hello");
    assert_eq!(connection.read().unwrap(), b"");
    assert_eq!(connection.sent_one(at(1)).acknowledgement, RECEIVE_NEXT + 6);
}

#[test]
fn a_neighbour_that_fails_ends_connecting_but_no_connection() {
    let mut connection = connecting();
    connection.inner.neighbour_failed(&mut connection.counters);
    assert_eq!(connection.connect_result(), Some(Err(Error::TimedOut)));
    let mut connection = established();
    connection.inner.neighbour_failed(&mut connection.counters);
    assert_eq!(connection.state(), State::Established);
}

#[test]
fn a_socket_connects_once() {
    let mut connection = established();
    let parameters = ConnectParameters {
        local: LOCAL,
        remote: REMOTE,
        initial_sequence: OUR_INITIAL,
        timestamp_offset: 0,
        maximum_segment: 1_460,
        deadline: at(1),
    };
    assert_eq!(connection.connect(parameters, at(0)), Err(Error::AlreadyConnected));
    let mut free = Connection::new(&mut [], &mut []);
    assert_eq!(free.connect(parameters, at(0)), Err(Error::NotConnected));
}

#[test]
fn before_a_connect_nothing_can_be_read_or_written() {
    let mut connection = Connection::new(&mut [], &mut []);
    assert!(connection.is_free());
    connection.open(SocketFlags::default());
    assert!(!connection.is_free());
    assert_eq!(connection.read(&mut [0; 4]), Err(Error::NotConnected));
    assert_eq!(connection.write(b"x", at(0)), Err(Error::NotConnected));
    assert_eq!(connection.readiness(), Readiness::NONE);
    connection.close(at(0));
    assert!(connection.is_free());
}

#[test]
fn while_connecting_reading_and_writing_would_block() {
    let mut connection = connecting();
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    assert_eq!(connection.inner.write(b"x", at(0)), Err(Error::WouldBlock));
    assert_eq!(connection.readiness(), Readiness::NONE);
}

#[test]
fn after_a_repeated_handshake_one_segment_begins() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.sent(at(1_000));
    connection.receive(syn_ack(), at(1_100));
    connection.sent(at(1_100));
    connection.write(&pattern(5_000), at(1_100));
    assert_eq!(connection.sent(at(1_100)).len(), 1);
    assert_eq!(connection.deadline(), at(4_100), "nothing is measured, so the timeout is three seconds");
}

#[test]
fn only_its_own_segments_match() {
    let connection = established();
    assert!(connection.matches(LOCAL, REMOTE));
    assert!(!connection.matches(LOCAL, Endpoint { port: 81, ..REMOTE }));
    assert!(!connection.matches(Endpoint { port: 1, ..LOCAL }, REMOTE));
    assert!(!Connection::new(&mut [], &mut []).matches(Endpoint::UNSPECIFIED, Endpoint::UNSPECIFIED));
}
