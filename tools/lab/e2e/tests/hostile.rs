//! The board with a network device that lies (VIRTIO 1.2 section 2.7): the fetch has to survive it.
//!
//! The device breaks a rule in the middle of a download. The driver must find out, reset the device and go on; what a
//! driver need not mind must not even be noticed.

use slopos_e2e::{Report, board, run};
use slopos_lab::files;
use slopos_lab::servers::response;
use slopos_netlab::hostile::{Deeds, Hostile, Lie, Plan, Queue};
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer, Server};
use slopos_run::Transport;
use std::time::Duration;

/// The board's memory.
const MEMORY: &str = "16M";
/// More than the driver has buffers, so that each is used several times.
const BODY: usize = 1_200_000;

/// A download over a device with this plan, from a driver of this transport; the download must be intact.
#[track_caller]
fn downloads(plan: Plan, transport: Transport, properties: &str) -> (Report, Deeds) {
    let mut lab = Lab::new();
    let (own, device) = lab.paths();
    let hostile = Hostile::new(device, own, plan).unwrap_or_else(|why| panic!("{why:#}"));
    let machine = board()
        .network(transport)
        .netdev(hostile.netdev())
        .arguments(hostile.arguments(MEMORY))
        .memory(MEMORY)
        .network_properties(format!("vectors=0{properties}"))
        .append(format!("webget --sha256 --timeout 20 {}; exit", url()))
        .timeout(Duration::from_secs(60));
    let board = std::thread::spawn(|| run(machine));
    let mut server = Server::accept(&mut lab, Offer::default());
    server.request(&mut lab);
    let body: Vec<u8> = (0..BODY as u32).flat_map(|number| (number / 4).to_be_bytes()).take(BODY).collect();
    server.reply(&mut lab, &response(&body));
    while !board.is_finished() {
        lab.during(Duration::from_millis(10));
    }
    let report = board.join().expect("the board's thread");
    let deeds = hostile.end().unwrap_or_else(|why| panic!("{why:#}\n{}", report.all()));
    report.exits(0).shows(&format!("{}  {BODY}", files::sha256(&body)));
    assert_eq!(deeds.bad_chains, 0, "the driver itself keeps to the rules: {deeds:?}");
    assert!(deeds.lies == plan.times, "the device lied: {deeds:?}");
    (report, deeds)
}

fn starts(report: &Report) -> usize {
    report.outcome.log.iter().filter(|line| line.starts_with("virtio-net: ready")).count()
}

/// Frames before the first lie: those with which the board gets its address and its connection, and some more.
const HONEST: u32 = 20;

/// The driver has to notice this lie each time, and to reset the device.
#[track_caller]
fn is_found(queue: Queue, lie: Lie) {
    let plan = Plan { queue, after: HONEST, times: 2, lie };
    let (report, deeds) = downloads(plan, Transport::Modern, "");
    report.logs("virtio-net: broken");
    assert_eq!(starts(&report), 3, "{}", report.all());
    assert!(deeds.stops >= 4, "{deeds:?}");
}

/// The driver has to live with this lie.
#[track_caller]
fn is_borne(queue: Queue, times: u32, lie: Lie) {
    let plan = Plan { queue, after: HONEST, times, lie };
    let (report, _) = downloads(plan, Transport::Modern, "");
    report.lacks("virtio-net: broken");
    assert_eq!(starts(&report), 1, "{}", report.all());
}

#[test]
fn an_honest_device_on_every_transport_and_queue_size_serves() {
    let honest = Plan { queue: Queue::Receive, after: 0, times: 0, lie: Lie::Repeated };
    for properties in ["", ",rx_queue_size=1024,tx_queue_size=1024", ",event_idx=off"] {
        let (report, _) = downloads(honest, Transport::Modern, properties);
        report.lacks("virtio-net: broken");
    }
    let (report, _) = downloads(honest, Transport::Transitional, "");
    report.lacks("virtio-net: broken");
}

#[test]
fn ids_out_of_range_are_found() {
    for id in [256, 65_535, 65_536, u32::MAX] {
        is_found(Queue::Receive, Lie::UnknownId(id));
    }
    is_found(Queue::Transmit, Lie::UnknownId(1024));
}

#[test]
fn repeated_ids_are_found() {
    is_found(Queue::Receive, Lie::Repeated);
    is_found(Queue::Transmit, Lie::Repeated);
}

#[test]
fn indices_that_jump_are_found() {
    // The last one goes back, and by more than there are entries to be taken: by less, it could be a queue at rest.
    for jump in [1000, 32_768, u16::MAX - 1000] {
        is_found(Queue::Receive, Lie::IndexJump(jump));
    }
    is_found(Queue::Transmit, Lie::IndexJump(1000));
}

#[test]
fn lengths_beyond_the_buffer_are_found() {
    is_found(Queue::Receive, Lie::Length(u32::MAX));
    is_found(Queue::Receive, Lie::Length(65_536));
}

#[test]
fn lengths_too_short_for_a_frame_drop_it() {
    for length in [0, 11, 12, 25] {
        is_borne(Queue::Receive, 5, Lie::Length(length));
    }
}

#[test]
fn junk_in_the_header_drops_the_frame_at_most() {
    // Flags and lengths of offloads, a wrong number of buffers; then a packet to be cut up, and everything at once.
    for header in [
        [7, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255],
        [1, 1, 54, 0, 180, 5, 34, 0, 16, 0, 1, 0],
        [255; 12],
    ] {
        is_borne(Queue::Receive, 5, Lie::Header(header));
    }
}

#[test]
fn storms_of_interrupts_are_weathered() {
    is_borne(Queue::Receive, 100, Lie::Storm(500));
    is_borne(Queue::Transmit, 20, Lie::Storm(500));
}

#[test]
fn late_interrupts_delay_and_no_more() {
    is_borne(Queue::Receive, 40, Lie::LateInterrupt);
    is_borne(Queue::Transmit, 40, Lie::LateInterrupt);
}

#[test]
fn a_stalled_transmit_queue_is_waited_for() {
    is_borne(Queue::Transmit, 2, Lie::Stall(Duration::from_millis(700)));
    is_borne(Queue::Receive, 2, Lie::Stall(Duration::from_millis(700)));
}

#[test]
fn a_transmit_queue_that_stalls_for_good_is_reset() {
    let plan = Plan { queue: Queue::Transmit, after: HONEST, times: 1, lie: Lie::Stall(Duration::from_secs(3_600)) };
    let (report, _) = downloads(plan, Transport::Modern, "");
    report.logs("virtio-net: broken: TransmitStalled");
    assert_eq!(starts(&report), 2, "{}", report.all());
}
