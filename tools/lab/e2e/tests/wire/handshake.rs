//! Connections begin, or do not.

use crate::{Scene, ms};
use slopos_lab::files;
use slopos_lab::wire::tcp::{ACK, FIN, Options, RST, SYN, Tcp};
use slopos_netlab::lab::{BOARD, BOARD_MAC, REMOTE, ROUTER_MAC, SOON};
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer, Server};
use std::time::{Duration, Instant};

#[test]
fn a_page_is_fetched_by_the_book() {
    let mut scene = Scene::with(Lab::new(), &format!("webget --sha256 {}; sleep 1; exit", url()));
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    let Options { mss, shift, sack_permitted, timestamps, .. } = server.syn_options.clone();
    assert_eq!((mss, sack_permitted), (Some(1460), true));
    assert!(shift.is_some_and(|shift| shift <= 14), "{shift:?}");
    assert!(timestamps.is_some_and(|(_, echo)| echo == 0), "{timestamps:?}");
    assert!(server.board.port() >= 1024);
    assert_eq!((*server.board.ip(), *server.local.ip()), (BOARD, REMOTE));
    server.answer(&mut scene.lab);
    let request = server.request(&mut scene.lab);
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {REMOTE}\r\n")), "{request}");
    let body = files::bytes(50_000);
    server.respond(&mut scene.lab, &body);
    server.close(&mut scene.lab);
    scene.received(&body);
}

#[test]
fn a_lost_syn_is_sent_again_after_a_second() {
    let mut scene = Scene::fetching();
    let first = Server::listen(&mut scene.lab, 80, Offer::default());
    let begin = Instant::now();
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    let waited = begin.elapsed();
    // RFC 6298 section 2.1: one second before anything was measured.
    assert!(waited > ms(800) && waited < ms(2_500), "{waited:?}");
    assert_eq!((first.board, first.syn.sequence), (server.board, server.syn.sequence));
    server.answer(&mut scene.lab);
    server.request(&mut scene.lab);
    scene.completes(server);
}

#[test]
fn a_repeated_syn_ack_is_acknowledged_and_changes_nothing() {
    let mut scene = Scene::fetching();
    let mut server = Server::accept(&mut scene.lab, Offer::default());
    let again = server.syn_ack();
    server.send(&mut scene.lab, again);
    server.request(&mut scene.lab);
    let again = server.syn_ack();
    server.send(&mut scene.lab, again);
    let answer = server.take(&mut scene.lab, SOON);
    assert_eq!((answer.flags, answer.acknowledgement), (ACK, server.next), "a challenge ACK of RFC 5961 section 4");
    scene.completes(server);
}

#[test]
fn a_refused_connection_is_7_at_once() {
    let mut scene = Scene::fetching();
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    let refusal = Tcp { flags: RST | ACK, sequence: 0, ..server.segment() };
    let begin = Instant::now();
    server.send(&mut scene.lab, refusal);
    scene.ends(7);
    assert!(begin.elapsed() < ms(5_000));
}

#[test]
fn resets_without_a_right_acknowledgement_refuse_nothing() {
    let mut scene = Scene::fetching();
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    let bare = Tcp { flags: RST, sequence: 0, acknowledgement: 0, ..server.segment() };
    let early = Tcp { flags: RST | ACK, acknowledgement: server.expected.wrapping_sub(1), ..server.segment() };
    let late = Tcp { flags: RST | ACK, acknowledgement: server.expected.wrapping_add(1), ..server.segment() };
    for forged in [bare, early, late] {
        server.send(&mut scene.lab, forged);
    }
    server.answer(&mut scene.lab);
    server.request(&mut scene.lab);
    scene.completes(server);
}

#[test]
fn a_stale_acknowledgement_is_reset_and_the_syn_repeated_at_once() {
    // The peer still has the connection of before a reboot (RFC 9293 section 3.5.1, figure 9).
    let mut scene = Scene::fetching();
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    let stale = server.syn.sequence.wrapping_sub(70_000);
    let acknowledgement = Tcp { sequence: 7_000, acknowledgement: stale, ..server.segment() };
    server.send(&mut scene.lab, acknowledgement);
    let reset = server.take(&mut scene.lab, SOON);
    assert_eq!((reset.flags, reset.sequence), (RST, stale));
    server.was_reset = false;
    let begin = Instant::now();
    let syn = server.take(&mut scene.lab, SOON);
    assert_eq!((syn.flags, syn.sequence), (SYN, server.syn.sequence));
    assert!(begin.elapsed() < ms(500), "the SYN came after {:?}", begin.elapsed());
    server.answer(&mut scene.lab);
    server.request(&mut scene.lab);
    scene.completes(server);
}

#[test]
fn a_peer_that_begins_at_the_same_time_is_accepted() {
    let mut scene = Scene::fetching();
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    let syn = Tcp { flags: SYN, acknowledgement: 0, ..server.syn_ack() };
    server.send(&mut scene.lab, syn);
    let both = server.wait(&mut scene.lab, "SYN and ACK", SOON, |segment| segment.has(SYN | ACK));
    assert_eq!((both.sequence, both.acknowledgement), (server.syn.sequence, server.offer.initial.wrapping_add(1)));
    server.next = server.offer.initial.wrapping_add(1);
    let acknowledgement = server.segment();
    server.send(&mut scene.lab, acknowledgement);
    server.request(&mut scene.lab);
    scene.completes(server);
}

#[test]
fn a_peer_that_never_answers_is_28_when_the_time_is_up() {
    let begin = Instant::now();
    let mut scene = Scene::fetching_with("--timeout 2");
    for _ in 0..2 {
        Server::listen(&mut scene.lab, 80, Offer::default());
    }
    scene.ends(28);
    assert!(begin.elapsed() > Duration::from_secs(2));
}

#[test]
fn data_and_fin_may_come_with_the_syn() {
    let mut scene = Scene::fetching();
    let mut server = Server::listen(&mut scene.lab, 80, Offer::default());
    // RFC 9293 section 3.10.7.3: what comes with the SYN is kept until the connection is established.
    let mut syn = server.syn_ack();
    syn.flags |= FIN;
    syn.payload = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    server.next = syn.sequence.wrapping_add(syn.length());
    server.send(&mut scene.lab, syn);
    while server.acknowledged != server.next {
        server.take(&mut scene.lab, SOON);
        if server.acknowledged != server.next {
            // Linux for one leaves them out; then they come again by themselves.
            let fin = Tcp { flags: ACK | FIN, ..server.data(0, b"HTTP/1.1 204 No Content\r\n\r\n") };
            let sequence = server.offer.initial.wrapping_add(1);
            server.send(&mut scene.lab, Tcp { sequence, ..fin });
        }
    }
    scene.ends(0).shows("204");
}

/// Completes a fetch with a server whose SYN is this.
#[track_caller]
fn fetches_with(offer: Offer, look: impl Fn(&Server, &[Tcp])) {
    let mut scene = Scene::fetching();
    let mut server = Server::listen(&mut scene.lab, 80, offer);
    server.send(&mut scene.lab, server.syn_ack());
    server.next = server.offer.initial.wrapping_add(1);
    let mut segments = Vec::new();
    while !slopos_lab::servers::loopback::has_head(&server.received) {
        segments.push(server.take(&mut scene.lab, SOON));
        // A peer that takes little at a time has to say that it took it.
        let acknowledgement = server.segment();
        server.send(&mut scene.lab, acknowledgement);
    }
    look(&server, &segments);
    scene.completes(server);
}

fn offer(options: Options) -> Offer {
    Offer { options, ..Offer::default() }
}

#[test]
fn absurd_segment_sizes_are_survived() {
    for mss in [0, 1, 7, 65_535] {
        fetches_with(offer(Options { mss: Some(mss), ..Options::default() }), |_, segments| {
            let longest = segments.iter().map(|segment| segment.payload.len()).max();
            assert!(longest.is_some_and(|longest| (1..=1460).contains(&longest)), "MSS {mss}: {longest:?}");
        });
    }
}

#[test]
fn without_options_none_are_used() {
    fetches_with(offer(Options::default()), |_, segments| {
        for segment in segments {
            assert_eq!(segment.known_options(), Options::default());
            assert!(segment.payload.len() <= 536, "RFC 9293 section 3.7.1");
        }
    });
}

#[test]
fn a_window_scale_of_15_counts_as_14() {
    // RFC 7323 section 2.3.
    let options = Options { mss: Some(1460), shift: Some(15), ..Options::default() };
    fetches_with(Offer { window: 1, ..offer(options) }, |_, _| {});
}

#[test]
fn timestamps_are_used_where_both_offer_them() {
    let options = Options { timestamps: Some((0, 0)), ..Offer::default().options };
    fetches_with(offer(options), |server, segments| {
        for segment in segments {
            let (_, echo) = segment.known_options().timestamps.expect("in every segment, RFC 7323 section 3.2");
            assert!(echo <= 60_000, "the echo is of our clock, which began at 0");
        }
        assert!(server.received.len() > 20);
    });
}

#[test]
fn broken_options_are_harmless() {
    for more in [&[254, 4, 1, 2, 30, 8, 0, 0, 0, 0, 0, 0][..], &[3, 0], &[8, 40], &[2, 1], &[255], &[5, 2, 5, 3, 1]] {
        fetches_with(Offer { more_options: more.to_vec(), ..Offer::default() }, |_, _| {});
    }
}

#[test]
fn everything_goes_by_the_router() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    server.push(&mut scene.lab, b"HTTP/1.1 200 OK\r\n");
    let frame = scene.lab.wait("an acknowledgement", SOON, |seen| seen.frame.tcp().map(|_| seen.frame.clone()));
    assert_eq!((frame.destination, frame.source), (ROUTER_MAC, BOARD_MAC));
    server.reply(&mut scene.lab, b"Content-Length: 0\r\n\r\n");
    scene.received(b"");
}
