//! Neighbours that are late, move, lie or are too many (RFC 826, RFC 5227).

use crate::{Scene, ms};
use slopos_lab::files;
use slopos_lab::servers::response;
use slopos_lab::wire::dhcp::{code, kind};
use slopos_lab::wire::{Arp, BROADCAST, Mac};
use slopos_netlab::lab::{BOARD, BOARD_MAC, ROUTER, ROUTER_MAC, SOON};
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer, Server};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const OTHER_MAC: Mac = [2, 0, 0, 0, 0, 7];

/// Waits until the board acknowledges all that was sent, without asking for the router, and says to which station.
#[track_caller]
fn way_of_the_acknowledgement(scene: &mut Scene, server: &mut Server) -> Mac {
    let next = server.next;
    let way = scene.lab.wait("an acknowledgement", SOON, |seen| {
        let asks = seen.frame.arp().is_some_and(|arp| arp.operation == 1 && arp.target == ROUTER);
        assert!(!asks, "the router is known");
        let acknowledges = seen.frame.tcp().is_some_and(|segment| segment.acknowledgement == next);
        acknowledges.then_some(seen.frame.destination)
    });
    server.acknowledged = next;
    way
}

#[test]
fn a_late_answer_is_waited_for_with_one_request_a_second() {
    let mut lab = Lab::new();
    lab.stations.clear();
    let mut scene = Scene::with(lab, &format!("webget --sha256 {}; exit", url()));
    let mut times = Vec::new();
    for _ in 0..3 {
        let (at, frame) = scene.lab.wait_arp("a request for the router", SOON, |arp| {
            arp.operation == 1 && arp.target == ROUTER && arp.sender == BOARD
        });
        assert_eq!(frame.destination, BROADCAST);
        times.push(at);
    }
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause > ms(900), "RFC 1122 section 2.3.2.1: {pause:?}");
    }
    scene.lab.stations.push((ROUTER, ROUTER_MAC));
    scene.lab.send_arp(BOARD_MAC, Arp::reply(ROUTER_MAC, ROUTER, BOARD_MAC, BOARD));
    let server = scene.accept(Offer::default());
    scene.completes(server);
}

#[test]
fn a_neighbour_is_spoken_to_directly() {
    is_spoken_to_directly(Ipv4Addr::new(10, 0, 2, 77), "");
}

#[test]
fn a_clouds_metadata_server_is_asked_for_on_the_link_and_not_at_the_router() {
    is_spoken_to_directly(Ipv4Addr::new(169, 254, 169, 254), "latest/user-data");
}

#[track_caller]
fn is_spoken_to_directly(address: Ipv4Addr, path: &str) {
    let mut lab = Lab::new();
    lab.stations.push((address, OTHER_MAC));
    let mut scene = Scene::with(lab, &format!("webget --sha256 http://{address}/{path}; exit"));
    let destination = scene.lab.wait("a SYN", SOON, |seen| seen.frame.tcp().map(|_| seen.frame.destination));
    assert_eq!(destination, OTHER_MAC);
    let server = scene.accept(Offer::default());
    assert_eq!(*server.local.ip(), address);
    scene.completes(server);
}

#[test]
fn a_router_that_moves_is_followed() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(20_000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..10_000]);
    // What was confirmed within the last second stays.
    scene.lab.during(ms(1_200));
    scene.lab.stations = vec![(ROUTER, OTHER_MAC)];
    scene.lab.send_arp(BROADCAST, Arp::request(OTHER_MAC, ROUTER, ROUTER));
    scene.lab.during(ms(50));
    server.push(&mut scene.lab, &bytes[10_000..11_000]);
    assert_eq!(way_of_the_acknowledgement(&mut scene, &mut server), OTHER_MAC);
    server.reply(&mut scene.lab, &bytes[11_000..]);
    let report = scene.received(&body);
    report.logs("arp: gateway 10.0.2.2 is-at 02:00:00:00:00:07");
}

#[test]
fn a_flood_does_not_push_the_router_out() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(20_000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..10_000]);
    scene.lab.stations.clear();
    let mut replies = 0;
    for number in 0..2_000_u16 {
        let [high, low] = number.to_be_bytes();
        let sender = Ipv4Addr::new(10, 0, 2, 20 + low % 200);
        scene.lab.send_arp(BROADCAST, Arp::request([2, 1, 0, 0, high, low], sender, BOARD));
        let bystander = Ipv4Addr::new(10, 0, 2, 99);
        scene.lab.send_arp(BROADCAST, Arp::reply([2, 2, 0, 0, high, low], sender, [2; 6], bystander));
    }
    for seen in scene.lab.during(ms(300)) {
        // The board may still say that its window has opened.
        let Some(&arp) = seen.frame.arp() else { continue };
        // It may just be probing for its own address, or announcing it.
        if (arp.operation, arp.target) == (1, BOARD) {
            continue;
        }
        assert_eq!((arp.operation, arp.sender, arp.sender_mac), (2, BOARD, BOARD_MAC), "answers, and no requests");
        assert_eq!(seen.frame.destination, arp.target_mac);
        replies += 1;
    }
    assert!(replies > 0);
    server.push(&mut scene.lab, &bytes[10_000..11_000]);
    assert_eq!(way_of_the_acknowledgement(&mut scene, &mut server), ROUTER_MAC);
    server.reply(&mut scene.lab, &bytes[11_000..]);
    scene.received(&body);
}

#[test]
fn a_router_that_flaps_between_two_stations_writes_a_line_a_second() {
    let (mut scene, server) = Scene::connected(Offer::default());
    let begin = Instant::now();
    for _ in 0..1_000 {
        for station in [OTHER_MAC, ROUTER_MAC] {
            scene.lab.send_arp(BROADCAST, Arp::request(station, ROUTER, ROUTER));
        }
        scene.lab.during(ms(1));
    }
    let seconds = begin.elapsed().as_secs() as usize;
    let report = scene.completes(server);
    let lines = report.outcome.log.iter().filter(|line| line.starts_with("arp: ")).count();
    assert!((2..=2 * (9 + seconds + 5)).contains(&lines), "{lines} lines in {seconds} s\n{}", report.all());
}

#[test]
fn the_address_is_probed_for_and_announced() {
    let mut scene = Scene::with(Lab::new(), "sleep 10; exit");
    let mut sent = Vec::new();
    while sent.len() < 5 {
        let about_us = |arp: &Arp| arp.operation == 1 && arp.target == BOARD;
        let (at, frame) = scene.lab.wait_arp("a probe or an announcement", SOON, about_us);
        assert_eq!(frame.destination, BROADCAST);
        sent.push((at, frame.arp().expect("ARP").sender));
    }
    // RFC 5227 section 2.1.1: three probes, 1 to 2 s apart; section 2.3: two announcements, 2 s apart.
    let senders: Vec<_> = sent.iter().map(|(_, sender)| *sender).collect();
    let nobody = Ipv4Addr::UNSPECIFIED;
    assert_eq!(senders, [nobody, nobody, nobody, BOARD, BOARD]);
    let pauses: Vec<_> = sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    for (pause, least) in pauses.iter().zip([950, 950, 1_950, 1_950]) {
        assert!(*pause >= ms(least) && *pause < ms(least + 1_500), "{pauses:?}");
    }
    // The address is ours now: somebody else's probe is answered, and a claim is met by one announcement.
    scene.lab.send_arp(BROADCAST, Arp::request(OTHER_MAC, Ipv4Addr::UNSPECIFIED, BOARD));
    let (_, answer) = scene.lab.wait_arp("an answer to a probe", SOON, |arp| arp.operation == 2);
    assert_eq!(answer.destination, OTHER_MAC);
    scene.lab.send_arp(BROADCAST, Arp::request(OTHER_MAC, BOARD, BOARD));
    let (_, defence) = scene.lab.wait_arp("a defence", SOON, |arp| arp.operation == 1 && arp.sender == BOARD);
    assert_eq!(defence.destination, BROADCAST);
    assert!(scene.lab.during(ms(500)).iter().all(|seen| seen.frame.dhcp().is_none()), "it is kept");
    scene.ends(0);
}

#[test]
fn from_the_first_moment_probes_of_others_are_answered_and_one_claim_is_defended() {
    let mut scene = Scene::fetching();
    scene.lab.wait_arp("a probe", SOON, |arp| arp.is_probe_for(BOARD));
    for _ in 0..5 {
        // A switch that looks for each new host.
        scene.lab.send_arp(BROADCAST, Arp::request(OTHER_MAC, Ipv4Addr::UNSPECIFIED, BOARD));
        let (_, answer) = scene.lab.wait_arp("an answer to a probe", SOON, |arp| arp.operation == 2);
        assert_eq!(answer.destination, OTHER_MAC);
    }
    scene.lab.send_arp(BROADCAST, Arp::request(OTHER_MAC, BOARD, BOARD));
    scene.lab.wait_arp("a defence", SOON, |arp| arp.operation == 1 && (arp.sender, arp.target) == (BOARD, BOARD));
    let server = scene.accept(Offer::default());
    let report = scene.completes(server);
    report.lacks("dhcp: declined").logs("arp: 02:00:00:00:00:07 uses our address 10.0.2.15, which is defended");
}

#[test]
fn who_asks_for_the_board_from_another_network_is_answered_and_not_believed() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(20_000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..10_000]);
    for sender in [[172, 16, 9, 1], [192, 0, 2, 80], [0; 4], [10, 0, 2, 77]].map(Ipv4Addr::from) {
        scene.lab.send_arp(BROADCAST, Arp::request(OTHER_MAC, sender, BOARD));
        let (_, answer) = scene.lab.wait_arp("an answer", SOON, |arp| arp.operation == 2);
        assert_eq!(answer.destination, OTHER_MAC);
        assert_eq!(answer.arp().map(|arp| (arp.sender, arp.target)), Some((BOARD, sender)));
    }
    server.push(&mut scene.lab, &bytes[10_000..11_000]);
    assert_eq!(way_of_the_acknowledgement(&mut scene, &mut server), ROUTER_MAC);
    server.reply(&mut scene.lab, &bytes[11_000..]);
    scene.received(&body);
}

#[test]
fn an_address_in_use_is_declined_and_another_asked_for_after_ten_seconds() {
    let mut scene = Scene::fetching();
    // Who has the address answers each probe. The first time the board defends it (RFC 5227 section 2.4).
    for _ in 0..2 {
        scene.lab.wait_arp("a probe", SOON, |arp| arp.is_probe_for(BOARD));
        scene.lab.send_arp(BOARD_MAC, Arp::reply(OTHER_MAC, BOARD, BOARD_MAC, Ipv4Addr::UNSPECIFIED));
    }
    let (_, frame, decline) = scene.lab.wait_dhcp(kind::DECLINE, SOON);
    let begin = Instant::now();
    assert_eq!((frame.destination, frame.ipv4().map(|packet| packet.source)), (BROADCAST, Some(Ipv4Addr::UNSPECIFIED)));
    assert_eq!((decline.address(code::REQUESTED), decline.address(code::SERVER)), (Some(BOARD), Some(ROUTER)));
    assert_eq!(decline.client, Ipv4Addr::UNSPECIFIED);
    let quiet = scene.lab.during(Duration::from_secs(9));
    assert!(quiet.is_empty(), "RFC 2131 section 3.1: at least ten seconds of silence: {quiet:?}");
    let other = Ipv4Addr::new(10, 0, 2, 16);
    let lease = scene.lab.lease.as_mut().expect("a lease");
    lease.address = other;
    let mut server = Server::accept(&mut scene.lab, Offer::default());
    assert!(begin.elapsed() > ms(9_900));
    assert_eq!(*server.board.ip(), other);
    server.request(&mut scene.lab);
    scene.completes(server);
}
