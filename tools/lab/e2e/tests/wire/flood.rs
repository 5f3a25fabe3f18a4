//! More frames than the board can take, without a pause, beside a process that computes.

use crate::Scene;
use slopos_e2e::test_board;
use slopos_lab::link::Link;
use slopos_lab::wire::dhcp::kind;
use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::udp::Message;
use slopos_lab::wire::{Ipv4, Udp};
use slopos_netlab::Lab;
use slopos_netlab::lab::{BOARD, REMOTE, ROUTER, SOON, routed};
use std::path::Path;

/// System calls of the process, none of which waits.
const CALLS: u32 = 1_000;

/// Makes the processor a hundred times slower than it is: QEMU writes a line for each block that it executes. So a host
/// that does other things too still brings frames faster than the board takes them in.
const SLOW: [&str; 4] = ["-d", "exec,nochain", "-D", "/dev/null"];

/// Sends frames that nobody waits for until the board is gone.
fn flood(own: &Path, board: &Path) {
    let link = Link::between(own, board).expect("a socket");
    let unwanted = Udp { source: 7, destination: 9, message: Message::Other(vec![0x55; 18]) };
    let frame = routed(Ipv4::new(REMOTE, BOARD, Body::Udp(unwanted))).emit();
    while link.send(&frame).expect("a board takes frames for as long as it is there") {}
}

/// The frames that each answer of the command `net` says were dropped.
fn dropped(console: &str) -> Vec<u64> {
    let counts = console.lines().filter_map(|line| line.split_once(" bytes, dropped "));
    counts.map(|(_, count)| count.trim().parse().expect("a number")).collect()
}

#[test]
fn a_process_that_computes_comes_to_its_end_while_frames_keep_coming() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::new();
    let (own, board) = (folder.path().join("flood"), lab.paths().1.to_owned());
    let lease = lab.lease.take().expect("a lease");
    let commands = format!("net; calls time {CALLS}; net; exit");
    let mut scene = Scene::of(test_board().arguments(SLOW), lab, &commands);
    // The commands wait for the lease, so the flood is there before the process. It ends because the board does, whose
    // last command waits for the process.
    let (.., discover) = scene.lab.wait_dhcp(kind::DISCOVER, SOON);
    let flooder = std::thread::spawn(move || flood(&own, &board));
    scene.lab.send_dhcp(ROUTER, discover.answer(lease.address, lease.options(kind::OFFER)), false);
    scene.lab.lease = Some(lease);
    let report = scene.ends(0);
    flooder.join().expect("the flooder");
    let [before, after] = dropped(&report.outcome.console)[..] else { panic!("{}", report.all()) };
    assert!(after - before > 1_000, "too few frames beside the process: {before}, {after}\n{}", report.all());
}
