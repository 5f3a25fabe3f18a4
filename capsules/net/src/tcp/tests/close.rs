//! How connections end (RFC 9293 section 3.6).

use super::*;

fn closing() -> Fixture {
    let mut connection = established();
    connection.close(at(0));
    let sent = connection.sent_one(at(0));
    assert_eq!(sent.flags, Flags::FIN.with(Flags::ACK));
    connection
}

#[test]
fn closing_first_ends_in_time_wait_for_a_minute() {
    let mut connection = closing();
    assert_eq!(connection.state(), State::FinWait1);
    connection.receive(ack().acking(SEND_NEXT + 1), at(10));
    assert_eq!(connection.state(), State::FinWait2);
    connection.receive(fin().acking(SEND_NEXT + 1), at(20));
    assert_eq!(connection.state(), State::TimeWait);
    assert_eq!(connection.sent_one(at(20)).acknowledgement, RECEIVE_NEXT + 1);
    assert_eq!(connection.time_wait_since(), Some(at(20)));
    assert!(connection.sent(at(60_019)).is_empty());
    assert!(!connection.is_free());
    connection.sent(at(60_020));
    assert!(connection.is_free());
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn in_time_wait_a_repeated_fin_is_acknowledged_and_starts_the_minute_again() {
    let mut connection = closing();
    connection.receive(fin().acking(SEND_NEXT + 1), at(20));
    connection.sent(at(20));
    connection.receive(fin().acking(SEND_NEXT + 1), at(30_000));
    assert_eq!(connection.sent_one(at(30_000)).acknowledgement, RECEIVE_NEXT + 1);
    assert_eq!(connection.deadline(), at(90_000));
}

#[test]
fn in_time_wait_the_pair_of_ends_is_taken() {
    let mut connection = closing();
    connection.receive(fin().acking(SEND_NEXT + 1), at(20));
    connection.sent(at(20));
    assert_eq!(connection.state(), State::TimeWait);
    assert!(connection.matches(LOCAL, REMOTE), "so a new connection gets another port");
    connection.sent(at(60_020));
    assert!(!connection.matches(LOCAL, REMOTE));
}

#[test]
fn in_time_wait_a_reset_is_ignored() {
    let mut connection = closing();
    connection.receive(fin().acking(SEND_NEXT + 1), at(20));
    connection.receive(rst().seq(RECEIVE_NEXT + 1), at(30));
    assert_eq!(connection.state(), State::TimeWait);
}

#[test]
fn closing_second_ends_with_the_last_acknowledgement() {
    let mut connection = established();
    connection.receive(fin(), at(0));
    assert_eq!(connection.state(), State::CloseWait);
    assert!(connection.take_ready());
    assert_eq!(connection.read(), Ok(vec![]));
    assert!(connection.readiness().contains(Readiness::HANGUP));
    connection.write(b"last words", at(0));
    connection.close(at(1));
    assert_eq!(connection.state(), State::LastAck);
    let last = connection.sent_one(at(1));
    assert_eq!(last.payload, b"last words");
    assert!(last.flags.fin());
    assert!(!connection.is_free());
    connection.receive(ack().seq(RECEIVE_NEXT + 1).acking(SEND_NEXT + 11), at(10));
    assert!(connection.is_free());
}

#[test]
fn both_sides_may_close_at_once() {
    let mut connection = closing();
    connection.receive(fin(), at(10));
    assert_eq!(connection.state(), State::Closing);
    assert_eq!(connection.sent_one(at(10)).acknowledgement, RECEIVE_NEXT + 1);
    connection.receive(ack().seq(RECEIVE_NEXT + 1).acking(SEND_NEXT + 1), at(20));
    assert_eq!(connection.state(), State::TimeWait);
}

#[test]
fn a_repeated_fin_that_acknowledges_ours_ends_a_close_by_both_sides() {
    let mut connection = closing();
    connection.receive(fin(), at(10));
    connection.sent(at(10));
    // The peer had not seen our acknowledgement of its FIN when it sent that again.
    connection.receive(fin().acking(SEND_NEXT + 1), at(20));
    assert_eq!(connection.state(), State::TimeWait);
    assert_eq!(connection.sent_one(at(20)).acknowledgement, RECEIVE_NEXT + 1);
}

#[test]
fn repeated_data_may_acknowledge_something_new() {
    let mut connection = established();
    connection.receive(data(b"abc"), at(0));
    connection.sent(at(0));
    connection.write(b"answer", at(1));
    connection.sent(at(1));
    connection.receive(data(b"abc").acking(SEND_NEXT + 6), at(10));
    assert_eq!(connection.sent_one(at(10)).acknowledgement, RECEIVE_NEXT + 3);
    assert_eq!(connection.next_deadline(), None, "nothing is left to be sent again");
}

#[test]
fn after_a_half_close_the_peer_may_still_send() {
    let mut connection = established();
    connection.write(b"request", at(0));
    connection.close_write();
    connection.close_write();
    assert_eq!(connection.inner.write(b"more", at(0)), Err(Error::Closed));
    assert!(!connection.readiness().contains(Readiness::WRITABLE));
    connection.sent(at(0));
    connection.receive(data(b"answer").acking(SEND_NEXT + 8), at(10));
    assert_eq!(connection.state(), State::FinWait2);
    assert_eq!(connection.read().unwrap(), b"answer");
    assert_eq!(connection.deadline(), at(50), "nothing but the delayed acknowledgement: no limit while it is held");
    connection.receive(fin().seq(RECEIVE_NEXT + 6).acking(SEND_NEXT + 8), at(500_000));
    assert_eq!(connection.state(), State::TimeWait);
    assert_eq!(connection.read(), Ok(vec![]));
    assert_eq!(connection.time_wait_since(), None, "the process holds it still");
    connection.close(at(500_001));
    assert_eq!(connection.time_wait_since(), Some(at(500_000)));
    connection.sent(at(560_000));
    assert!(connection.is_free());
}

#[test]
fn a_descriptor_kept_beyond_time_wait_reads_the_end_and_is_freed_by_its_close() {
    let mut connection = established();
    connection.close_write();
    connection.sent(at(0));
    connection.receive(data(b"tail").and(Flags::FIN).acking(SEND_NEXT + 1), at(10));
    connection.sent(at(60_010));
    assert_eq!(connection.state(), State::Closed);
    assert!(!connection.is_free());
    assert_eq!(connection.read().unwrap(), b"tail");
    assert_eq!(connection.read().unwrap(), b"");
    assert_eq!(connection.connect_result(), Some(Ok(())));
    connection.close(at(70_000));
    assert!(connection.is_free());
}

#[test]
fn closing_with_unread_data_resets_and_wipes_it() {
    let mut connection = established();
    connection.receive(data(b"secret"), at(0));
    let empty = established().in_use_bytes();
    connection.close(at(1));
    assert_eq!(connection.in_use_bytes(), empty);
    assert!(!connection.is_free(), "the reset has not left");
    let reset = connection.sent_one(at(1));
    assert_eq!(reset.flags, Flags::RST.with(Flags::ACK));
    assert_eq!((reset.sequence, reset.acknowledgement), (SEND_NEXT, RECEIVE_NEXT + 6));
    assert!(connection.is_free());
    assert_eq!(connection.counters.resets_sent, 1);
}

#[test]
fn closing_with_unread_data_resets_even_after_both_sides_have_ended_their_streams() {
    let mut connection = established();
    connection.receive(data(b"unread").and(Flags::FIN), at(0));
    connection.close_write();
    connection.sent(at(0));
    assert_eq!(connection.state(), State::LastAck);
    connection.close(at(1));
    assert!(connection.sent_one(at(1)).flags.reset());

    let mut connection = established();
    connection.close_write();
    connection.sent(at(0));
    connection.receive(data(b"unread").and(Flags::FIN).acking(SEND_NEXT + 1), at(0));
    connection.sent(at(0));
    connection.close(at(1));
    assert!(connection.sent(at(1)).is_empty(), "in TIME-WAIT the peer is done already");
    assert_eq!(connection.state(), State::TimeWait);
}

#[test]
fn shutting_down_resets_the_peer_and_leaves_what_has_arrived() {
    let mut connection = established();
    connection.receive(data(b"kept"), at(0));
    connection.write(b"unsent", at(0));
    assert!(connection.abort());
    let reset = connection.sent_one(at(1));
    assert_eq!((reset.flags, reset.sequence), (Flags::RST.with(Flags::ACK), SEND_NEXT));
    assert_eq!(connection.read().unwrap(), b"kept");
    assert_eq!(connection.read(), Err(Error::Reset));
    assert!(!connection.abort(), "there is none any more");
    let mut connection = connecting();
    connection.sent(at(0));
    assert!(connection.abort());
    assert!(connection.sent(at(1)).is_empty(), "nobody knows of a SYN that was not answered");
    assert_eq!(connection.connect_result(), Some(Err(Error::TimedOut)));
}

#[test]
fn the_peer_may_end_its_stream_and_still_take_ours() {
    let mut connection = established();
    connection.receive(fin(), at(0));
    connection.sent(at(0));
    assert_eq!(connection.state(), State::CloseWait);
    connection.write(b"still here", at(10));
    assert_eq!(connection.sent_one(at(10)).payload, b"still here");
    connection.receive(ack().seq(RECEIVE_NEXT + 1).acking(SEND_NEXT + 10), at(20));
    assert_eq!(connection.state(), State::CloseWait);
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn in_time_wait_data_and_syns_are_acknowledged_and_change_nothing() {
    let mut connection = closing();
    connection.receive(fin().acking(SEND_NEXT + 1), at(20));
    connection.sent(at(20));
    connection.receive(data(b"old").seq(RECEIVE_NEXT - 3).acking(SEND_NEXT + 1), at(30));
    assert_eq!(connection.sent_one(at(30)).acknowledgement, RECEIVE_NEXT + 1);
    connection.receive(syn(), at(40));
    assert_eq!(connection.sent_one(at(40)).flags, Flags::ACK);
    assert_eq!(connection.state(), State::TimeWait);
    assert_eq!(connection.deadline(), at(60_020));
}

#[test]
fn data_that_nobody_will_read_is_answered_with_a_reset() {
    let mut connection = closing();
    connection.receive(ack().acking(SEND_NEXT + 1), at(10));
    connection.receive(data(b"more").acking(SEND_NEXT + 1), at(20));
    let reset = connection.sent_one(at(20));
    assert!(reset.flags.reset());
    assert_eq!(reset.sequence, SEND_NEXT + 1);
    assert!(connection.is_free());
}

#[test]
fn an_orphan_waits_a_minute_for_the_peers_fin() {
    let mut connection = closing();
    connection.receive(ack().acking(SEND_NEXT + 1), at(1_000));
    connection.sent(at(60_999));
    assert_eq!(connection.state(), State::FinWait2);
    connection.sent(at(61_000));
    assert!(connection.is_free());

    let mut connection = established();
    connection.close_write();
    connection.sent(at(0));
    connection.receive(ack().acking(SEND_NEXT + 1), at(10));
    connection.close(at(5_000));
    assert_eq!(connection.deadline(), at(65_000));
}

#[test]
fn an_orphan_whose_peer_is_gone_is_given_up_sooner() {
    let mut connection = closing();
    let mut sent = 0;
    while !connection.is_free() {
        sent += connection.sent(connection.deadline()).len();
    }
    assert_eq!(sent, 8);
}

#[test]
fn what_was_written_still_goes_out_after_the_close() {
    let stream = pattern(30_000);
    let mut connection = established();
    connection.write(&stream, at(0));
    connection.close(at(0));
    let mut received = Vec::new();
    for round in 0..10u64 {
        for packet in connection.sent(at(round * 10)) {
            received.extend(packet.payload);
        }
        let taken = received.len() as u32;
        let done = u32::from(taken == 30_000);
        connection.receive(ack().acking(SEND_NEXT + taken + done), at(round * 10 + 5));
    }
    assert_eq!(received, stream);
    assert_eq!(connection.state(), State::FinWait2);
}

#[test]
fn closing_while_connecting_frees_at_once() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.close(at(1));
    assert!(connection.is_free());
    assert!(connection.sent(at(1)).is_empty());
}

#[test]
fn closing_while_both_begin_resets() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.receive(syn(), at(1));
    connection.sent(at(1));
    connection.close(at(2));
    assert!(connection.sent_one(at(2)).flags.reset());
    assert!(connection.is_free());
}

#[test]
fn aborting_wipes_and_gives_one_reset() {
    let mut connection = established();
    connection.receive(data(b"unread"), at(0));
    connection.write(b"unsent", at(0));
    assert!(connection.abort());
    let reset = connection.free().unwrap();
    assert!(connection.is_free());
    assert_eq!(connection.in_use_bytes(), 0);
    assert_eq!((reset.sequence, reset.acknowledgement), (SEND_NEXT, Some(RECEIVE_NEXT + 6)));
    assert_eq!((reset.local, reset.remote), (LOCAL, REMOTE));
    assert_eq!((connection.abort(), connection.free()), (false, None));
    let mut connection = connecting();
    assert_eq!((connection.abort(), connection.free()), (true, None), "nobody knows of a SYN that was not answered");
}

#[test]
fn a_recycled_slot_can_be_opened_again() {
    let mut connection = closing();
    assert_eq!(connection.free(), None);
    assert!(connection.is_free());
    assert!(connection.sent(at(1)).is_empty());
    connection.open(SocketFlags::default());
    assert_eq!(connection.read(), Err(Error::NotConnected));
}

#[test]
fn half_closing_while_connecting_takes_effect_once_connected() {
    let mut connection = connecting();
    connection.sent(at(0));
    connection.close_write();
    connection.receive(syn_ack(), at(10));
    assert_eq!(connection.state(), State::FinWait1);
    assert!(connection.sent(at(10)).iter().any(|packet| packet.flags.fin()));
}

#[test]
fn wiping_leaves_nothing_of_the_stream_in_memory() {
    let mut receive = vec![0; 4_000];
    let mut send = vec![0; 4_000];
    {
        let mut connection = Connection::new(&mut receive, &mut send);
        connection.open(SocketFlags::default());
        let parameters = ConnectParameters {
            local: LOCAL,
            remote: REMOTE,
            initial_sequence: OUR_INITIAL,
            timestamp_offset: 0,
            maximum_segment: 1_460,
            deadline: at(1_000),
        };
        connection.connect(parameters, at(0)).unwrap();
        let mut counters = Counters::default();
        for packet in [syn_ack(), data(&[1; 1_000]), data(&[2; 1_000]).seq(RECEIVE_NEXT + 1_500)] {
            let bytes = packet.bytes(REMOTE, LOCAL);
            let segment = Unverified::parse(REMOTE.address, LOCAL.address, &bytes).unwrap();
            connection.receive(segment, at(0), SOCKET, &mut Nobody, &mut counters).unwrap();
        }
        connection.read(&mut [0; 500]).unwrap();
        connection.write(&[3; 2_000], at(0)).unwrap();
        assert!(connection.abort() && connection.free().is_some());
    }
    assert!(receive.iter().chain(&send).all(|byte| *byte == 0));
}

#[test]
fn in_time_wait_no_other_timer_runs() {
    let mut connection = established().keepalive();
    connection.receive(ack(), at(7_000_000));
    connection.close(at(7_150_000));
    connection.sent(at(7_150_000));
    connection.receive(fin().acking(SEND_NEXT + 1), at(7_150_000));
    connection.sent(at(7_150_000));
    assert_eq!(connection.state(), State::TimeWait);
    assert_eq!(connection.deadline(), at(7_210_000));
}
