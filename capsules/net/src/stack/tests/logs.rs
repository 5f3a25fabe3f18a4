//! Whatever the wire, the device or a process does over and over, the log gets a burst of lines, then one a second.

use core::net::Ipv4Addr;

use super::network::*;
use crate::wire::arp::{Operation, Packet};
use crate::wire::tcp::options::Options;
use crate::wire::tcp::{Flags, Segment, SequenceNumber};
use slopos_abi::{Endpoint, SocketFlags};
use slopos_host_log::lines;
use slopos_kernel::log_budget::LOG_BURST;
use slopos_kernel::time::Duration;

/// How many lines are written while `work` goes on for `seconds`, at most and at least. Each line may come with another
/// that says how many were left out.
#[track_caller]
fn writes_few(network: &mut Network, seconds: u64, places: usize, mut work: impl FnMut(&mut Network, u64)) {
    let before = lines();
    let start = network.now;
    let mut step = 0;
    while network.now < start + Duration::from_secs(seconds) {
        work(network, step);
        step += 1;
        let next = network.now + Duration::from_millis(10);
        network.run(next);
    }
    let lines = lines() - before;
    let burst = LOG_BURST as usize;
    assert!(lines >= burst, "{lines} lines: nothing is said at all");
    assert!(lines <= places * 2 * (burst + seconds as usize), "{lines} lines in {seconds} s");
}

fn from(sender_mac: crate::MacAddress, sender: Ipv4Addr) -> Vec<u8> {
    let packet = Packet { operation: Operation::Reply, sender_mac, sender, target_mac: MAC, target: sender };
    arp_frame(crate::MacAddress::BROADCAST, sender_mac, &packet)
}

#[test]
fn a_gateway_that_flaps_between_two_stations() {
    let mut network = Network::up();
    writes_few(&mut network, 60, 1, |network, step| {
        for number in 0..6 {
            let station = if (step + number) % 2 == 0 { OTHER_MAC } else { ROUTER_MAC };
            network.deliver(&from(station, ROUTER));
        }
    });
}

#[test]
fn what_was_left_out_about_the_gateway_is_said_when_it_is_seen_again() {
    let mut network = Network::up();
    // The last line that the budget allows is about the other station, since the first was about the router's.
    for _ in 0..100 {
        network.deliver(&from(OTHER_MAC, ROUTER));
        network.deliver(&from(ROUTER_MAC, ROUTER));
    }
    let before = lines();
    network.deliver(&from(ROUTER_MAC, ROUTER));
    assert_eq!(lines(), before, "the budget is used up");
    network.now += Duration::from_secs(2);
    network.deliver(&from(ROUTER_MAC, ROUTER));
    assert_eq!(lines(), before + 2, "how many were left out, and where the gateway is");
    network.deliver(&from(ROUTER_MAC, ROUTER));
    assert_eq!(lines(), before + 2);
}

#[test]
fn a_link_that_goes_up_and_down() {
    let mut network = Network::up();
    writes_few(&mut network, 60, 3, |network, step| network.stack.set_link(step % 2 == 1, network.now));
}

#[test]
fn a_gateway_that_is_silent_and_comes_back() {
    let mut network = Network::up();
    let mut sockets = Vec::new();
    writes_few(&mut network, 600, 2, |network, step| {
        network.router.answers_arp = step % 800 < 100;
        if network.router.answers_arp {
            network.deliver(&from(ROUTER_MAC, ROUTER));
        }
        if step % 100 == 0 {
            network.stack.abort(APP);
            sockets.push(network.begin(APP, FAR, 10));
        }
    });
}

#[test]
fn a_server_that_grants_and_refuses() {
    let mut network = Network::new();
    network.router.lease_seconds = 1;
    writes_few(&mut network, 60, 3, |network, step| network.router.refuses_lease = step % 3 == 0);
}

#[test]
fn a_server_whose_leases_run_out() {
    let mut network = Network::new();
    network.router.lease_seconds = 1;
    writes_few(&mut network, 60, 3, |network, _| {
        network.router.answers_dhcp = network.stack.info(network.now).address == [0; 4];
    });
}

#[test]
fn a_host_that_claims_our_address() {
    let mut network = Network::up();
    writes_few(&mut network, 300, 5, |network, _| network.deliver(&from(OTHER_MAC, ADDRESS)));
}

#[test]
fn peers_whose_window_scales_cannot_be() {
    let mut network = Network::up();
    network.router.server = Server::Silent;
    writes_few(&mut network, 60, 1, |network, _| {
        network.stack.abort(APP);
        let socket = network.begin(APP, FAR, 10);
        let local = network.local(socket);
        let answer = Segment {
            source_port: FAR.port,
            destination_port: local.port,
            sequence: SequenceNumber::new(7_000),
            acknowledgement: network.last_syn_end,
            flags: Flags::SYN.with(Flags::ACK),
            window: 1_000,
            options: Options { window_scale: Some(200), ..Options::default() },
            payload: &[],
        };
        network.deliver(&tcp_frame(FAR.address, ADDRESS, &answer));
    });
    assert!(network.stack.counters().tcp.excessive_window_scales > 1_000);
}

#[test]
fn a_process_that_is_denied_many_remotes() {
    let mut network = Network::up();
    writes_few(&mut network, 60, 1, |network, step| {
        let socket = network.stack.socket(APP, SocketFlags::default()).unwrap();
        let remote = Endpoint { port: 10 + (step % 1_000) as u16, ..FAR };
        assert!(network.progress(socket, remote).is_err());
        network.stack.close(socket, network.now);
    });
}
