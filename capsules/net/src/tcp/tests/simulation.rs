//! Whole connections over a link that loses, delays, reorders, duplicates and damages by a seed, in virtual time. Both
//! streams must arrive exactly, and the slot must become free. A failing seed fails the same way again.

use super::*;
use slopos_lab::chance::{Content, Random};
use slopos_lab::impair::{Channel, Impairments};
use slopos_lab::peer::{Habits, Peer};
use slopos_lab::wire::Tcp;

const CLEAN: Impairments = link(10, 0);
const REORDERING: Impairments = Impairments { duplication: 20, ..link(10, 15) };
/// What arrives out of order does so within a quarter of the shortest round trip.
const SHUFFLING: Impairments = link(20, 8);
const LOSSY: Impairments = Impairments { loss: 30, duplication: 10, corruption: 10, ..link(20, 3) };
const TERRIBLE: Impairments = Impairments { loss: 200, duplication: 50, corruption: 30, ..link(30, 40) };

/// A link on which each packet takes so long, and up to so much longer without regard to the others, in milliseconds.
const fn link(delay_ms: u64, jitter_ms: u64) -> Impairments {
    Impairments {
        loss: 0,
        duplication: 0,
        corruption: 0,
        reordering: if jitter_ms == 0 { 0 } else { 1_000 },
        delay_us: delay_ms * 1_000,
        jitter_us: 0,
        reorder_us: jitter_ms * 1_000,
        rate: None,
        queue_bytes: None,
        outage: None,
    }
}

/// The ends of the channel.
const US: usize = 0;
const PEER: usize = 1;

const HABITS: Habits = Habits { selective: true, timestamps: true, scale: Some(2), mss: Some(1_460), buffer: 100_000 };

struct Scenario {
    seed: u64,
    link: Impairments,
    habits: Habits,
    receive_bytes: usize,
    send_bytes: usize,
    upload: usize,
    download: usize,
    /// In how many of 100 ticks of 3 ms each application does something.
    diligence: u64,
}

struct Outcome {
    finished_ms: u64,
    counters: Counters,
}

fn run(scenario: &Scenario) -> Outcome {
    let Scenario { seed, link, habits, .. } = *scenario;
    let mut random = Random::new(seed);
    let (mut upload, mut download) = (vec![0; scenario.upload], vec![0; scenario.download]);
    Content(2 * seed).fill(0, &mut upload);
    Content(2 * seed + 1).fill(0, &mut download);
    let mut peer = Peer::new(habits, PEER_INITIAL.as_u32(), download.clone());
    let (mut receive, mut send) = (vec![0; scenario.receive_bytes], vec![0; scenario.send_bytes]);
    let mut connection = Connection::new(&mut receive, &mut send);
    let mut counters = Counters::default();
    connection.open(SocketFlags { nodelay: seed % 2 == 0, ..SocketFlags::default() });
    let parameters = ConnectParameters {
        local: LOCAL,
        remote: REMOTE,
        initial_sequence: OUR_INITIAL,
        timestamp_offset: TIMESTAMP_OFFSET,
        maximum_segment: 1_460,
        deadline: at(180_000),
    };
    connection.connect(parameters, at(0)).unwrap();

    let mut channel = Channel::new([link; 2]);
    let (mut written, mut read) = (0, Vec::new());
    let (mut half_closed, mut ended, mut closed_at) = (false, false, None);
    let mut now = 0;
    let mut out = [0; 1_480];
    loop {
        // The applications.
        if now % 3 == 0 && closed_at.is_none() {
            if random.permille(10 * scenario.diligence) && !half_closed {
                let most = 1 + random.below(9_000) as usize;
                let end = upload.len().min(written + most);
                match connection.write(&upload[written..end], at(now)) {
                    Ok(count) => written += count,
                    Err(error) => assert_eq!(error, Error::WouldBlock),
                }
                if written == upload.len() && connection.connect_result() == Some(Ok(())) {
                    connection.close_write();
                    half_closed = true;
                }
            }
            if random.permille(10 * scenario.diligence) && !ended {
                let mut buffer = vec![0; 1 + random.below(9_000) as usize];
                match connection.read(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(count) => {
                        read.extend(&buffer[..count]);
                        assert!(download.starts_with(&read), "seed {seed}: bytes out of order");
                    }
                    Err(error) => assert_eq!(error, Error::WouldBlock, "seed {seed} at {now} ms"),
                }
            }
            if random.permille(10 * scenario.diligence) {
                peer.application_reads(random.below(9_000) as usize);
            }
            if ended && half_closed {
                connection.close(at(now));
                closed_at = Some(now);
            }
        }
        if closed_at.is_some() {
            peer.application_reads(usize::MAX / 2);
        }
        // The link delivers.
        while let Some((to, bytes)) = channel.arrived(1_000 * now) {
            if to == PEER {
                if let Ok(segment) = Tcp::parse(&bytes, LOCAL.address, REMOTE.address) {
                    peer.receive(&segment, now);
                    assert!(upload.starts_with(&peer.received), "seed {seed}: bytes out of order at the peer");
                }
            } else if let Ok(segment) = Unverified::parse(REMOTE.address, LOCAL.address, &bytes) {
                let received = connection.receive(segment, at(now), SOCKET, &mut Nobody, &mut counters);
                assert!(matches!(received, Ok(_) | Err(ParseError::BadChecksum)), "seed {seed}: {received:?}");
            }
        }
        connection.poll(at(now), &mut counters);
        while let Some(length) = connection.transmit(&mut out, at(now), &mut counters) {
            channel.send(US, &out[..length], 1_000 * now, &mut random);
        }
        while let Some(segment) = peer.transmit(now) {
            channel.send(PEER, &segment.emit(REMOTE.address, LOCAL.address), 1_000 * now, &mut random);
        }
        if connection.is_free() && (peer.is_done() || peer.was_reset) {
            break;
        }
        // The next thing to happen.
        let tick = if closed_at.is_none() { Some((now / 3 + 1) * 3) } else { None };
        let arrival = channel.next_arrival_us().map(|arrival| arrival.div_ceil(1_000));
        let timers = connection.next_deadline().map(|deadline| deadline.as_micros().div_ceil(1_000));
        let next = [tick, arrival, timers, peer.timer()].into_iter().flatten().min();
        let Some(next) = next else { break };
        now = next.max(now + 1);
        assert!(
            now < 3_600_000,
            "seed {seed} does not end: {:?}, {} read, {written} written",
            connection.state(),
            read.len()
        );
    }
    assert_eq!(read, download, "seed {seed}");
    assert_eq!(peer.received, upload, "seed {seed}");
    assert!(peer.has_fin(), "seed {seed}");
    assert!(connection.is_free(), "seed {seed}");
    assert_eq!(connection.in_use_bytes(), 0);
    drop(connection);
    assert!(receive.iter().chain(&send).all(|byte| *byte == 0), "seed {seed}: bytes are left in memory");
    Outcome { finished_ms: closed_at.unwrap_or(now), counters }
}

fn scenario(seed: u64, link: Impairments, habits: Habits) -> Scenario {
    Scenario {
        seed,
        link,
        habits,
        receive_bytes: 64_000,
        send_bytes: 64_000,
        upload: 150_000,
        download: 150_000,
        diligence: 90,
    }
}

#[test]
fn over_a_clean_link_nothing_is_sent_twice() {
    for seed in 1..10 {
        let outcome = run(&scenario(seed, CLEAN, HABITS));
        assert_eq!(outcome.counters.retransmits, 0, "seed {seed}");
        assert!(outcome.finished_ms < 2_000, "seed {seed} took {} ms", outcome.finished_ms);
    }
}

#[test]
fn streams_survive_reordering() {
    for seed in 1..20 {
        run(&scenario(seed, REORDERING, HABITS));
    }
}

#[test]
fn streams_survive_loss() {
    for seed in 1..30 {
        let outcome = run(&scenario(seed, LOSSY, HABITS));
        assert!(outcome.counters.retransmits > 0, "seed {seed}");
    }
}

#[test]
fn streams_survive_loss_without_any_option() {
    let habits = Habits { selective: false, timestamps: false, scale: None, mss: None, buffer: 60_000 };
    for seed in 1..30 {
        run(&scenario(seed, LOSSY, habits));
    }
}

#[test]
fn streams_survive_a_terrible_link() {
    for seed in 1..30 {
        let selective = seed % 3 != 0;
        let habits = Habits { selective, timestamps: seed % 2 == 0, ..HABITS };
        run(&Scenario { upload: 30_000, download: 30_000, ..scenario(seed, TERRIBLE, habits) });
    }
}

#[test]
fn streams_survive_tiny_buffers_and_lazy_readers() {
    for seed in 1..20 {
        let habits = Habits { buffer: 3_000, scale: None, ..HABITS };
        run(&Scenario {
            receive_bytes: 2_000,
            send_bytes: 1_500,
            upload: 40_000,
            download: 40_000,
            diligence: 15,
            ..scenario(seed, LOSSY, habits)
        });
    }
}

#[test]
fn sack_repairs_most_losses_without_the_timer() {
    let mut timeouts = 0;
    let mut fast = 0;
    for seed in 1..20 {
        let counters = run(&scenario(seed, Impairments { reordering: 0, ..LOSSY }, HABITS)).counters;
        timeouts += counters.retransmission_timeouts;
        fast += counters.fast_retransmits;
    }
    assert!(fast > 2 * timeouts, "{fast} fast, {timeouts} by the timer");
}

#[test]
fn reordering_by_less_than_a_quarter_of_the_round_trip_costs_little_before_it_is_seen() {
    let (mut retransmits, mut sent) = (0, 0);
    for seed in 1..20 {
        let counters = run(&scenario(seed, SHUFFLING, HABITS)).counters;
        retransmits += counters.retransmits;
        sent += counters.bytes_sent / 1_460;
    }
    // Each connection pays for what arrives out of order before it has seen that; counting would pay for ever.
    assert!(retransmits * 50 < sent, "{retransmits} of {sent}");
}

#[test]
fn with_send_times_losses_hardly_ever_wait_for_the_timer() {
    let (mut timeouts, mut fast) = (0, 0);
    let link = Impairments { loss: 30, ..link(20, 0) };
    for seed in 1..30 {
        let scenario = Scenario { upload: 500_000, download: 1_000, ..scenario(seed, link, HABITS) };
        let counters = run(&scenario).counters;
        timeouts += counters.retransmission_timeouts;
        fast += counters.fast_retransmits;
    }
    // By counting alone it was one in thirteen: each retransmission that was lost.
    assert!(fast > 30 * timeouts, "{fast} fast, {timeouts} by the timer");
}
