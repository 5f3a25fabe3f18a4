//! Blind attacks and nonsense (RFC 5961).

use super::*;

#[test]
fn a_reset_at_exactly_the_next_number_ends_the_connection() {
    let mut connection = established();
    connection.receive(data(b"kept"), at(0));
    connection.receive(rst().seq(RECEIVE_NEXT + 4), at(0));
    assert_eq!(connection.state(), State::Closed);
    assert!(connection.take_ready());
    assert_eq!(connection.read().unwrap(), b"kept", "what arrived before is not lost");
    assert_eq!(connection.read(), Err(Error::Reset));
    assert_eq!(connection.inner.write(b"x", at(0)), Err(Error::Reset));
    assert_eq!(connection.counters.resets_received, 1);
    assert!(connection.sent(at(0)).is_empty());
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    let mut connection = established().receive_window(1_000);
    for sequence in [RECEIVE_NEXT - 1, RECEIVE_NEXT + 1_000, RECEIVE_NEXT + 1_001] {
        connection.receive(rst().seq(sequence), at(0));
        assert_eq!(connection.state(), State::Established);
        assert!(connection.sent(at(0)).is_empty());
    }
    assert_eq!(connection.counters.resets_ignored, 3);
}

#[test]
fn a_reset_elsewhere_in_the_window_is_challenged() {
    let mut connection = established();
    connection.receive(rst().seq(RECEIVE_NEXT + 1), at(0));
    assert_eq!(connection.state(), State::Established);
    let challenge = connection.sent_one(at(0));
    assert_eq!((challenge.flags, challenge.acknowledgement), (Flags::ACK, RECEIVE_NEXT));
    assert_eq!(connection.counters.challenge_acknowledgements, 1);
}

#[test]
fn a_syn_is_challenged_wherever_it_lies() {
    let mut connection = established();
    for sequence in [RECEIVE_NEXT, RECEIVE_NEXT + 10, RECEIVE_NEXT - 100_000] {
        connection.receive(syn().seq(sequence), at(0));
        assert_eq!(connection.state(), State::Established);
        assert_eq!(connection.sent_one(at(0)).acknowledgement, RECEIVE_NEXT);
    }
}

#[test]
fn a_syn_without_timestamp_or_with_an_old_one_is_challenged_too() {
    // A peer that has restarted knows nothing of our clocks; without an answer it could never get rid of us.
    let mut connection = established().timestamps();
    for packet in [syn(), syn().stamped(1, 0)] {
        connection.receive(packet, at(0));
        assert_eq!(connection.sent_one(at(0)).acknowledgement, RECEIVE_NEXT);
    }
    assert_eq!(connection.state(), State::Established);
    assert_eq!(connection.counters.challenge_acknowledgements, 2);
}

#[test]
fn a_reset_at_the_edge_of_a_closed_window_is_believed() {
    let mut connection = established().receive_window(1_000);
    connection.receive(data(&pattern(1_000)), at(0));
    connection.receive(rst().seq(RECEIVE_NEXT + 1_000), at(0));
    assert_eq!(connection.state(), State::Closed);
}

#[test]
fn a_reset_may_carry_data_which_is_not_taken() {
    let mut connection = established();
    let mut reset = rst();
    reset.payload = b"why".to_vec();
    connection.receive(reset, at(0));
    assert_eq!(connection.read(), Err(Error::Reset));
}

#[test]
fn every_nonsense_of_flags_is_survived() {
    for bits in 0..64u8 {
        for mut connection in [connecting(), established()] {
            connection.sent(at(0));
            let mut packet = data(b"x").seq(RECEIVE_NEXT + 50_000);
            packet.flags = [Flags::FIN, Flags::SYN, Flags::RST, Flags::PSH, Flags::ACK]
                .into_iter()
                .enumerate()
                .filter(|(place, _)| bits >> place & 1 == 1)
                .fold(Flags::NONE, |flags, (_, flag)| flags.with(flag));
            packet.flags.set_urgent(bits >> 5 == 1);
            let before = connection.state();
            connection.receive(packet, at(0));
            connection.sent(at(0));
            let refused = before == State::SynSent && bits & 0b1_0100 == 0b1_0100;
            let began = before == State::SynSent && bits & 0b110 == 0b010;
            assert!(connection.state() == before || refused || began, "{bits:06b} {:?}", connection.state());
        }
    }
}

#[test]
fn acknowledging_what_was_never_sent_is_challenged_and_nothing_else() {
    let mut connection = established();
    connection.receive(data(b"forged").acking(SEND_NEXT + 1), at(0));
    assert_eq!(connection.sent_one(at(0)).acknowledgement, RECEIVE_NEXT);
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    assert_eq!(connection.counters.unacceptable_acknowledgements, 1);
}

#[test]
fn data_with_an_acknowledgement_older_than_the_window_is_refused() {
    let mut connection = established().peer_window(1_000);
    connection.receive(data(b"forged").acking(SEND_NEXT - 1_001), at(0));
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    connection.receive(data(b"late").acking(SEND_NEXT - 1_000), at(0));
    assert_eq!(connection.read().unwrap(), b"late");
}

#[test]
fn a_segment_without_ack_is_dropped() {
    let mut connection = established();
    let mut packet = data(b"forged");
    packet.flags = Flags::PSH;
    connection.receive(packet, at(0));
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    assert_eq!(connection.counters.without_acknowledgement, 1);
}

#[test]
fn ten_challenges_in_five_seconds_and_no_more() {
    let mut connection = established();
    let mut challenges = 0;
    for time in 10_000..10_100 {
        connection.receive(syn(), at(time));
        challenges += connection.sent(at(time)).len();
    }
    assert_eq!(challenges, 10);
    assert_eq!(connection.counters.challenges_suppressed, 90);
    connection.receive(syn(), at(15_000));
    assert_eq!(connection.sent(at(15_000)).len(), 1);
}

#[test]
fn two_confused_ends_do_not_answer_each_other_for_ever() {
    let mut connection = established();
    let mut answers = 0;
    for _ in 0..1_000 {
        connection.receive(ack().seq(RECEIVE_NEXT - 50_000), at(0));
        answers += connection.sent(at(0)).len();
    }
    assert_eq!(answers, 10);
}

#[test]
fn data_far_outside_the_window_is_answered_and_not_taken() {
    let mut connection = established().receive_window(1_000);
    connection.receive(data(b"far").seq(RECEIVE_NEXT + 1_000), at(0));
    assert_eq!(connection.sent_one(at(0)).acknowledgement, RECEIVE_NEXT);
    assert_eq!(connection.counters.out_of_window, 1);
    assert_eq!(connection.read(), Err(Error::WouldBlock));
}

#[test]
fn any_segment_in_any_state_is_survived() {
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = move |bound: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as u32) % bound
    };
    for round in 0..3_000u32 {
        let mut connection = match round % 4 {
            0 => connecting(),
            1 => established().selective().timestamps().receive_window(2_000).send_buffer(3_000),
            2 => established().selective().receive_window(500).send_buffer(100),
            _ => established().peer_window(0),
        };
        connection.sent(at(0));
        let mut now = 0;
        for _ in 0..30 {
            now += u64::from(random(400));
            let flags = Flags::NONE
                .with(if random(8) > 0 { Flags::ACK } else { Flags::NONE })
                .with(if random(12) == 0 { Flags::SYN } else { Flags::NONE })
                .with(if random(12) == 0 { Flags::FIN } else { Flags::NONE })
                .with(if random(40) == 0 { Flags::RST } else { Flags::NONE });
            let mut packet = data(&pattern(random(600) as usize))
                .seq(PEER_INITIAL + random(1_500) - 100)
                .acking(OUR_INITIAL + random(2_500) - 100)
                .window(random(3_000) as u16);
            packet.flags = flags;
            if random(2) == 0 {
                packet = packet.stamped(480 + random(60), TIMESTAMP_OFFSET + random(500));
            }
            if random(3) == 0 {
                let start = random(2_000);
                packet = packet.reporting(&[(start, start + random(800)), (random(3_000), random(3_000))]);
            }
            connection.receive(packet, at(now));
            match random(12) {
                0 => connection.close_write(),
                1 => connection.close(at(now)),
                2..=5 => {
                    let _ = connection.inner.write(&pattern(random(3_000) as usize), at(now));
                }
                6..=8 => {
                    let _ = connection.inner.read(&mut vec![0; random(900) as usize]);
                }
                _ => {}
            }
            connection.sent(at(now));
            assert!(connection.next_deadline().is_none_or(|deadline| deadline > at(now)));
        }
        connection.close(at(now));
        let mut steps = 0;
        while !connection.is_free() {
            let deadline = connection.next_deadline().unwrap_or(at(now));
            connection.sent(deadline);
            steps += 1;
            assert!(steps < 100, "the slot does not become free: {:?}", connection.state());
        }
    }
}
