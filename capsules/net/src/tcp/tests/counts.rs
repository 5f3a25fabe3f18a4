//! Whatever happens is counted, once, and nothing else is.

use super::*;

/// A connection that did something, and what that added to its counters.
struct Counted {
    connection: Fixture,
    before: Counters,
}

fn on(connection: Fixture) -> Counted {
    Counted { before: connection.counters, connection }
}

impl Counted {
    /// Does something at this time, lets everything leave, and has to find `expected` beside what came and left.
    fn adds(&mut self, now: u64, act: impl FnOnce(&mut Fixture), expected: impl FnOnce(&mut Counters)) -> &mut Self {
        act(&mut self.connection);
        let sent = self.connection.sent(at(now));
        let mut counters = self.before;
        counters.segments_sent += sent.iter().filter(|packet| !packet.flags.reset()).count() as u64;
        counters.bytes_sent += sent.iter().map(|packet| packet.payload.len() as u64).sum::<u64>();
        expected(&mut counters);
        assert_eq!(self.connection.counters, counters, "at {now} ms");
        self.before = counters;
        self
    }

    /// Receives a segment.
    fn hears(&mut self, now: u64, packet: Packet, expected: impl FnOnce(&mut Counters)) -> &mut Self {
        self.adds(
            now,
            |connection| connection.receive(packet, at(now)),
            |counters| {
                counters.segments_received += 1;
                expected(counters);
            },
        )
    }
}

#[test]
fn while_connecting() {
    on(connecting())
        .adds(0, |_| {}, |_| {})
        .hears(1, ack().acking(OUR_INITIAL), |counters| {
            counters.unacceptable_acknowledgements += 1;
            counters.resets_sent += 1;
            // The SYN follows the reset.
            counters.retransmits += 1;
        })
        .hears(2, rst(), |counters| counters.resets_ignored += 1)
        .hears(3, ack(), |counters| counters.out_of_window += 1)
        .adds(
            1_001,
            |_| {},
            |counters| {
                counters.retransmission_timeouts += 1;
                counters.retransmits += 1;
            },
        )
        .hears(1_002, rst().and(Flags::ACK), |counters| {
            counters.resets_received += 1;
            counters.refused += 1;
        });
    let mut excessive = syn_ack();
    excessive.options.window_scale = Some(15);
    let mut largest = syn_ack();
    largest.options.window_scale = Some(14);
    for (answer, scales) in [(excessive, 1), (largest, 0)] {
        on(connecting()).adds(0, |_| {}, |_| {}).hears(1, answer, |counters| {
            counters.established += 1;
            counters.excessive_window_scales += scales;
        });
    }
}

#[test]
fn while_both_begin() {
    on(connecting())
        .adds(0, |_| {}, |_| {})
        .hears(1, syn(), |counters| counters.retransmits += 1)
        .hears(2, ack().acking(SEND_NEXT + 1), |counters| {
            counters.unacceptable_acknowledgements += 1;
            counters.resets_sent += 1;
        })
        .hears(3, rst(), |counters| {
            counters.resets_received += 1;
            counters.refused += 1;
        });
    on(connecting()).adds(
        0,
        |connection| assert!(connection.inner.neighbour_failed(&mut connection.counters)),
        |counters| counters.timed_out += 1,
    );
}

#[test]
fn what_comes_in() {
    let mut packet = ack();
    packet.flags = Flags::PSH;
    on(established().receive_window(1_000))
        .hears(0, data(b"hello"), |counters| counters.bytes_received += 5)
        .adds(40, |_| {}, |counters| counters.delayed_acknowledgements += 1)
        .hears(50, data(b"hello"), |counters| counters.duplicates += 1)
        .hears(60, packet.seq(RECEIVE_NEXT + 5), |counters| counters.without_acknowledgement += 1)
        .hears(70, ack().seq(RECEIVE_NEXT + 2_000), |counters| {
            counters.out_of_window += 1;
            counters.challenge_acknowledgements += 1;
        })
        .hears(80, data(b"x").seq(RECEIVE_NEXT + 2_000), |counters| counters.out_of_window += 1)
        .hears(90, data(b"x").seq(RECEIVE_NEXT + 10), |counters| counters.out_of_order += 1)
        .hears(100, data(b" world").seq(RECEIVE_NEXT + 5), |counters| counters.bytes_received += 6)
        .hears(200, rst(), |counters| counters.resets_ignored += 1)
        .hears(210, rst().seq(RECEIVE_NEXT + 11), |counters| counters.resets_received += 1);
}

#[test]
fn what_is_sent_again() {
    on(established())
        .adds(0, |connection| connection.write(b"hello", at(0)), |_| {})
        .adds(
            200,
            |_| {},
            |counters| {
                counters.retransmission_timeouts += 1;
                counters.retransmits += 1;
            },
        )
        .hears(210, ack().acking(SEND_NEXT + 5), |_| {})
        .adds(300, |connection| connection.write(&pattern(5_840), at(300)), |_| {})
        .hears(310, ack().acking(SEND_NEXT + 5), |counters| counters.duplicate_acknowledgements += 1);
}

#[test]
fn what_is_probed() {
    on(established().peer_window(0))
        .adds(0, |connection| connection.write(b"hello", at(0)), |_| {})
        .adds(
            200,
            |_| {},
            |counters| {
                counters.window_probes += 1;
                // The byte comes again when the window opens; it counts as sent then.
                counters.bytes_sent -= 1;
            },
        )
        .hears(210, ack(), |_| {});
    on(established().keepalive()).adds(7_200_000, |_| {}, |counters| counters.keep_alive_probes += 1).hears(
        7_200_010,
        ack(),
        |_| {},
    );
    let mut connection = connecting();
    connection.setup.answer.options.sack_permitted = true;
    connection.sent(at(0));
    connection.receive(connection.setup.answer.clone(), at(50));
    connection.sent(at(50));
    on(connection)
        .adds(100, |connection| connection.write(&pattern(4_380), at(100)), |_| {})
        .adds(
            200,
            |_| {},
            |counters| {
                counters.tail_probes += 1;
                counters.retransmits += 1;
            },
        )
        .hears(250, ack().reporting(&[(2_920, 4_380)]), |counters| {
            counters.duplicate_acknowledgements += 1;
            counters.fast_retransmits += 1;
            counters.retransmits += 2;
        })
        .hears(260, ack().reporting(&[(9_000, 10_000)]), |counters| counters.sack_blocks_ignored += 1)
        .hears(300, ack().acking(SEND_NEXT + 4_380), |_| {});
}

#[test]
fn what_repairs_a_loss() {
    let mut connection = connecting();
    connection.setup.answer.options.sack_permitted = true;
    connection.sent(at(0));
    connection.receive(connection.setup.answer.clone(), at(40));
    connection.sent(at(40));
    on(connection).adds(100, |connection| connection.write(&pattern(14_600), at(100)), |_| {}).hears(
        140,
        ack().reporting(&[(1_460, 10_220)]),
        |counters| {
            counters.duplicate_acknowledgements += 1;
            counters.fast_retransmits += 1;
            // The gap, and the last segment to be sure of an answer.
            counters.retransmits += 2;
        },
    );
}

#[test]
fn what_ends() {
    on(established())
        .adds(0, |connection| connection.close(at(0)), |_| {})
        .hears(10, ack().acking(SEND_NEXT + 1), |_| {})
        .hears(20, data(b"more").acking(SEND_NEXT + 1), |counters| counters.resets_sent += 1);
    on(established()).hears(0, data(b"unread"), |counters| counters.bytes_received += 6).adds(
        1,
        |connection| connection.close(at(1)),
        |counters| counters.resets_sent += 1,
    );
}

#[test]
fn what_is_dropped_is_the_sum_of_its_reasons() {
    let counters = Counters {
        out_of_window: 1,
        duplicates: 20,
        reassembly_full: 300,
        old_timestamps: 4_000,
        missing_timestamps: 50_000,
        without_acknowledgement: 600_000,
        unacceptable_acknowledgements: 7_000_000,
        resets_ignored: 1 << 40,
        ..Counters::default()
    };
    assert_eq!(counters.dropped(), 7_654_321);
    assert_eq!(LOCAL.to_string(), "10.0.2.15:50000");
}
