//! Data comes in: order, acknowledgements, SACK, timestamps.

use super::*;

#[test]
fn data_in_order_is_read_as_it_came() {
    let mut connection = established();
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    connection.receive(data(b"hello "), at(0));
    connection.receive(data(b"world").seq(RECEIVE_NEXT + 6), at(0));
    assert!(connection.take_ready());
    assert!(connection.readiness().contains(Readiness::READABLE));
    assert_eq!(connection.read_up_to(8).unwrap(), b"hello wo");
    assert_eq!(connection.read().unwrap(), b"rld");
    assert!(!connection.readiness().contains(Readiness::READABLE));
    assert_eq!(connection.counters.bytes_received, 11);
}

#[test]
fn an_acknowledgement_waits_forty_milliseconds_for_more() {
    let mut connection = established();
    connection.receive(data(b"hello"), at(100));
    assert!(connection.sent(at(139)).is_empty());
    assert_eq!(connection.deadline(), at(140));
    assert_eq!(connection.sent_one(at(140)).acknowledgement, RECEIVE_NEXT + 5);
    assert_eq!(connection.next_deadline(), None);
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut connection = established();
    connection.receive(data(&pattern(1_460)), at(0));
    assert!(connection.sent(at(0)).is_empty());
    connection.receive(data(&pattern(1_460)).seq(RECEIVE_NEXT + 1_460), at(0));
    assert_eq!(connection.sent_one(at(0)).acknowledgement, RECEIVE_NEXT + 2_920);
}

#[test]
fn data_of_ours_carries_the_acknowledgement() {
    let mut connection = established();
    connection.receive(data(b"hello"), at(0));
    connection.write(b"hi", at(10));
    assert_eq!(connection.sent_one(at(10)).acknowledgement, RECEIVE_NEXT + 5);
    assert!(connection.sent(at(45)).is_empty());
}

#[test]
fn data_behind_a_gap_is_acknowledged_at_once_and_kept() {
    let mut connection = established();
    connection.receive(data(b"world").seq(RECEIVE_NEXT + 6), at(0));
    assert_eq!(connection.sent_one(at(0)).acknowledgement, RECEIVE_NEXT);
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    connection.receive(data(b"hello "), at(1));
    assert_eq!(connection.sent_one(at(1)).acknowledgement, RECEIVE_NEXT + 11);
    assert_eq!(connection.read().unwrap(), b"hello world");
}

#[test]
fn a_damaged_segment_damages_nothing_that_is_held() {
    // The stream wraps in the ring, and what lies behind the gap overlaps what the damaged segments claim to bring.
    for held in [false, true] {
        let mut connection = established().receive_window(4_000);
        let stream = pattern(9_000);
        connection.receive(data(&stream[..3_000]), at(0));
        assert_eq!(connection.read().unwrap(), stream[..3_000]);
        connection.receive(data(&stream[3_000..3_500]).seq(RECEIVE_NEXT + 3_000), at(0));
        if held {
            connection.receive(data(&stream[4_000..4_800]).seq(RECEIVE_NEXT + 4_000), at(0));
        }
        for length in [1, 499, 500, 501, 1_301, 1_460] {
            let mut bytes = data(&vec![0xff; length]).seq(RECEIVE_NEXT + 3_500).bytes(REMOTE, LOCAL);
            *bytes.last_mut().unwrap() ^= 0x10;
            assert_eq!(connection.receive_bytes(&bytes, at(0)), Err(ParseError::BadChecksum));
        }
        assert_eq!(connection.counters.segments_received, if held { 3 } else { 2 }, "no damaged one counts");
        connection.receive(data(&stream[3_500..4_000]).seq(RECEIVE_NEXT + 3_500), at(0));
        if !held {
            connection.receive(data(&stream[4_000..4_800]).seq(RECEIVE_NEXT + 4_000), at(0));
        }
        assert_eq!(connection.read().unwrap(), stream[3_000..4_800]);
    }
}

#[test]
fn filling_one_of_two_gaps_is_acknowledged_at_once() {
    let mut connection = established();
    connection.receive(data(b"cc").seq(RECEIVE_NEXT + 4), at(0));
    connection.sent(at(0));
    connection.receive(data(b"a"), at(1));
    assert_eq!(connection.sent_one(at(1)).acknowledgement, RECEIVE_NEXT + 1);
}

#[test]
fn overlapping_segments_give_each_byte_once() {
    let stream = pattern(2_000);
    let mut connection = established();
    for (start, end) in [(1_500, 2_000), (300, 700), (600, 1_600), (0, 350), (100, 400)] {
        connection.receive(data(&stream[start..end]).seq(RECEIVE_NEXT + start as u32), at(0));
    }
    assert_eq!(connection.read().unwrap(), stream);
    assert_eq!(connection.counters.duplicates, 1);
}

#[test]
fn what_came_before_is_cut_off_the_front() {
    let mut connection = established();
    connection.receive(data(b"abc"), at(0));
    connection.receive(data(b"abcdef"), at(0));
    assert_eq!(connection.read().unwrap(), b"abcdef");
}

#[test]
fn what_is_beyond_the_window_is_cut_off_and_asked_for_again() {
    let mut connection = established().receive_window(1_000);
    let stream = pattern(1_200);
    connection.receive(data(&stream).and(Flags::FIN), at(0));
    assert_eq!(connection.state(), State::Established);
    let answer = connection.sent_one(at(0));
    assert_eq!((answer.acknowledgement, answer.window), (RECEIVE_NEXT + 1_000, 0));
    assert_eq!(connection.read().unwrap(), stream[..1_000]);
}

#[test]
fn a_repeated_segment_is_acknowledged_again_at_once() {
    let mut connection = established();
    connection.receive(data(b"hello"), at(0));
    connection.sent(at(40));
    for time in 41..70 {
        connection.receive(data(b"hello"), at(time));
        assert_eq!(connection.sent_one(at(time)).acknowledgement, RECEIVE_NEXT + 5);
    }
    assert_eq!(connection.read().unwrap(), b"hello");
    assert_eq!(connection.counters.duplicates, 29);
}

#[test]
fn sack_reports_the_latest_range_first() {
    let mut connection = established().selective();
    connection.receive(data(&pattern(100)).seq(RECEIVE_NEXT + 100), at(0));
    assert_eq!(connection.sent_one(at(0)).blocks(), [(100, 200)]);
    connection.receive(data(&pattern(100)).seq(RECEIVE_NEXT + 500), at(0));
    assert_eq!(connection.sent_one(at(0)).blocks(), [(500, 600), (100, 200)]);
    connection.receive(data(&pattern(100)).seq(RECEIVE_NEXT + 200), at(0));
    assert_eq!(connection.sent_one(at(0)).blocks(), [(100, 300), (500, 600)]);
    connection.receive(data(&pattern(100)), at(0));
    let answer = connection.sent_one(at(0));
    assert_eq!((answer.acknowledgement, answer.blocks()), (RECEIVE_NEXT + 300, vec![(500, 600)]));
}

#[test]
fn sack_reports_a_duplicate_once() {
    let mut connection = established().selective();
    connection.receive(data(b"hello"), at(0));
    connection.sent(at(40));
    connection.receive(data(b"hello"), at(50));
    assert_eq!(connection.sent_one(at(50)).blocks(), [(0, 5)]);
    connection.receive(data(b"!").seq(RECEIVE_NEXT + 5), at(60));
    assert_eq!(connection.sent_one(at(100)).blocks(), []);
}

#[test]
fn with_timestamps_three_sack_blocks_fit() {
    let mut connection = established().selective().timestamps();
    for start in [100, 300, 500, 700] {
        connection.receive(data(&pattern(100)).seq(RECEIVE_NEXT + start).stamped(500, 0), at(0));
    }
    assert_eq!(connection.sent_one(at(0)).blocks(), [(700, 800), (500, 600), (300, 400)]);
}

#[test]
fn without_agreement_nothing_is_reported() {
    let mut connection = established();
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 10), at(0));
    assert_eq!(connection.sent_one(at(0)).options, Options::default());
}

#[test]
fn too_many_gaps_drop_data_that_comes_again() {
    let mut connection = established();
    for i in 0..40u32 {
        connection.receive(data(b"x").seq(RECEIVE_NEXT + 1 + 2 * i), at(0));
    }
    assert_eq!(connection.counters.out_of_order, 32);
    assert_eq!(connection.counters.reassembly_full, 8);
    let stream = vec![b'x'; 80];
    connection.receive(data(&stream), at(1));
    assert_eq!(connection.read().unwrap(), stream);
}

#[test]
fn timestamps_are_echoed_from_the_segment_that_is_acknowledged() {
    let mut connection = established().timestamps();
    connection.receive(data(b"a").stamped(600, 0), at(0));
    connection.receive(data(b"b").seq(RECEIVE_NEXT + 1).stamped(610, 0), at(1));
    let answer = connection.sent_one(at(40));
    assert_eq!(answer.options.timestamps, Some(Timestamps { value: TIMESTAMP_OFFSET + 40, echo: 600 }));
    connection.receive(data(b"d").seq(RECEIVE_NEXT + 3).stamped(620, 0), at(50));
    assert_eq!(connection.sent_one(at(50)).options.timestamps.unwrap().echo, 600, "the gap is older");
}

#[test]
fn an_old_timestamp_is_refused_and_answered() {
    let mut connection = established().timestamps();
    connection.receive(data(b"a").stamped(600, 0), at(0));
    connection.sent(at(40));
    connection.receive(data(b"b").seq(RECEIVE_NEXT + 1).stamped(599, 0), at(50));
    assert_eq!(connection.counters.old_timestamps, 1);
    assert_eq!(connection.sent_one(at(50)).acknowledgement, RECEIVE_NEXT + 1);
    assert_eq!(connection.read().unwrap(), b"a");
}

#[test]
fn after_twenty_four_days_an_old_timestamp_is_believed() {
    let mut connection = established().timestamps();
    connection.receive(data(b"a").stamped(600, 0), at(0));
    let later = at(0) + seconds(25 * 24 * 3_600);
    connection.receive(data(b"b").seq(RECEIVE_NEXT + 1).stamped(599, 0), later);
    assert_eq!(connection.read().unwrap(), b"ab");
}

#[test]
fn a_segment_without_the_agreed_timestamp_is_dropped() {
    let mut connection = established().timestamps();
    connection.receive(data(b"a"), at(0));
    assert_eq!(connection.read(), Err(Error::WouldBlock));
    assert_eq!(connection.counters.missing_timestamps, 1);
    connection.receive(rst(), at(0));
    assert_eq!(connection.read(), Err(Error::Reset), "a reset needs none");
}

#[test]
fn a_fin_behind_a_gap_waits_for_it() {
    let mut connection = established();
    connection.receive(data(b"def").seq(RECEIVE_NEXT + 3).and(Flags::FIN), at(0));
    assert_eq!(connection.state(), State::Established);
    connection.sent(at(0));
    connection.receive(data(b"abc"), at(1));
    assert_eq!(connection.state(), State::CloseWait);
    assert_eq!(connection.sent_one(at(1)).acknowledgement, RECEIVE_NEXT + 7);
    assert_eq!(connection.read().unwrap(), b"abcdef");
    assert_eq!(connection.read().unwrap(), b"");
}

#[test]
fn urgent_data_is_read_in_line() {
    let mut connection = established();
    let mut packet = data(b"urgent and not");
    packet.flags.set_urgent(true);
    connection.receive(packet, at(0));
    assert_eq!(connection.read().unwrap(), b"urgent and not");
}

#[test]
fn data_is_given_to_the_reader_with_or_without_push() {
    let mut connection = established();
    connection.receive(data(b"a"), at(0));
    assert!(connection.take_ready() && connection.readiness().contains(Readiness::READABLE));
    connection.receive(data(b"b").seq(RECEIVE_NEXT + 1).and(Flags::PSH), at(0));
    assert!(connection.take_ready());
    assert_eq!(connection.read().unwrap(), b"ab");
}

#[test]
fn a_probe_of_our_window_and_a_keep_alive_are_answered() {
    let mut connection = established().receive_window(1_000);
    connection.receive(data(&pattern(1_000)), at(0));
    connection.sent(at(0));
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 1_000), at(100));
    assert_eq!(connection.sent_one(at(100)).window, 0);
    for payload in [&b""[..], b"x"] {
        connection.receive(data(payload).seq(RECEIVE_NEXT + 999), at(200));
        assert_eq!(connection.sent_one(at(200)).acknowledgement, RECEIVE_NEXT + 1_000, "{payload:?}");
    }
}

#[test]
fn a_keep_alive_without_the_agreed_timestamp_is_acknowledged_at_a_limited_rate() {
    for payload in [&b""[..], b"x"] {
        let mut connection = established().timestamps();
        connection.receive(data(b"abc").stamped(600, TIMESTAMP_OFFSET), at(0));
        connection.sent(at(500));
        let mut answers = 0;
        for millisecond in 0..1_000 {
            connection.receive(data(payload).seq(RECEIVE_NEXT + 2), at(1_000 + millisecond));
            answers += connection.sent(at(1_000 + millisecond)).len();
        }
        assert_eq!(answers, 10, "{payload:?}");
        connection.receive(data(payload).seq(RECEIVE_NEXT + 2), at(10_000));
        assert_eq!(connection.sent_one(at(10_000)).acknowledgement, RECEIVE_NEXT + 3);
        assert_eq!(connection.read().unwrap(), b"abc", "what a keep-alive carries is not taken");
        assert_eq!(connection.state(), State::Established);
    }
}

#[test]
fn a_keep_alive_with_a_timestamp_is_acknowledged_at_a_limited_rate_too() {
    for payload in [&b""[..], b"x"] {
        let mut connection = established();
        connection.receive(data(b"abc"), at(0));
        connection.sent(at(500));
        let mut answers = 0;
        for millisecond in 0..1_000 {
            connection.receive(data(payload).seq(RECEIVE_NEXT + 2), at(1_000 + millisecond));
            answers += connection.sent(at(1_000 + millisecond)).len();
        }
        assert_eq!(answers, 10, "{payload:?}");
    }
}

#[test]
fn forged_segments_use_up_no_answer_to_a_keep_alive() {
    let mut connection = established().timestamps();
    for millisecond in 0..1_000 {
        connection.receive(syn(), at(millisecond));
        connection.receive(ack().seq(RECEIVE_NEXT - 50_000).stamped(600, TIMESTAMP_OFFSET), at(millisecond));
        connection.sent(at(millisecond));
    }
    connection.receive(ack().seq(RECEIVE_NEXT - 1), at(1_000));
    assert_eq!(connection.sent_one(at(1_000)).acknowledgement, RECEIVE_NEXT);
}

#[test]
fn after_the_window_has_closed_a_keep_alive_without_timestamp_is_still_acknowledged() {
    let mut connection = established().timestamps().receive_window(1_000);
    connection.receive(data(&pattern(1_000)).stamped(600, TIMESTAMP_OFFSET), at(0));
    connection.sent(at(0));
    for (number, (offset, payload)) in [(999, &b""[..]), (999, b"x"), (1_000, b"x")].into_iter().enumerate() {
        let now = at(100 + number as u64);
        connection.receive(data(payload).seq(RECEIVE_NEXT + offset), now);
        let answer = connection.sent_one(now);
        assert_eq!((answer.acknowledgement, answer.window), (RECEIVE_NEXT + 1_000, 0), "{offset} {payload:?}");
    }
}

#[test]
fn data_behind_the_fin_is_not_taken() {
    let mut connection = established();
    connection.receive(fin().seq(RECEIVE_NEXT + 3), at(0));
    connection.receive(data(b"abcdef"), at(1));
    assert_eq!(connection.read().unwrap(), b"abc");
    assert_eq!(connection.state(), State::CloseWait);
    connection.receive(data(b"xyz").seq(RECEIVE_NEXT + 4), at(2));
    assert_eq!(connection.read().unwrap(), b"");
}

#[test]
fn memory_in_use_is_the_control_block_and_what_the_rings_hold() {
    let mut connection = established();
    let empty = connection.in_use_bytes();
    assert!(empty > 0);
    connection.receive(data(b"hello"), at(0));
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 10), at(0));
    connection.write(b"abc", at(0));
    assert_eq!(connection.in_use_bytes(), empty + 9);
    assert_eq!(Connection::new(&mut [], &mut []).in_use_bytes(), 0);
}

#[test]
fn what_was_reported_last_stays_first_when_a_gap_before_it_is_closed() {
    // RFC 2018 section 4.
    let mut connection = established().selective();
    for start in [500, 900, 100] {
        connection.receive(data(&pattern(100)).seq(RECEIVE_NEXT + start), at(0));
    }
    connection.sent(at(0));
    connection.receive(data(&pattern(100)), at(1));
    assert_eq!(connection.sent_one(at(1)).blocks(), [(900, 1_000), (500, 600)]);
}
