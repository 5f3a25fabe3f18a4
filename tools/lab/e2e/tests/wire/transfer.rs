//! Streams whose segments come late, twice, in pieces, changed, or not at all.

use crate::{Scene, ms};
use slopos_e2e::test_board;
use slopos_lab::files;
use slopos_lab::servers::response;
use slopos_lab::wire::Ipv4;
use slopos_lab::wire::ipv4::Body;
use slopos_lab::wire::tcp::{ACK, FIN, Options, Tcp};
use slopos_netlab::lab::{SOON, routed};
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer, Server};
use std::time::Instant;

/// Waits until the board has acknowledged everything up to `next`.
#[track_caller]
fn all_acknowledged(scene: &mut Scene, server: &mut Server) {
    while server.acknowledged != server.next {
        server.take(&mut scene.lab, SOON);
        assert!(!server.was_reset, "{}", scene.lab.transcript());
    }
}

fn with_sack() -> Offer {
    let options = Options { sack_permitted: true, ..Offer::default().options };
    Offer { options, ..Offer::default() }
}

#[test]
fn segments_in_reverse_order_are_put_right() {
    let (mut scene, mut server) = Scene::connected(with_sack());
    let body = files::bytes(12_000);
    let bytes = response(&body);
    let pieces: Vec<_> = bytes.chunks(1000).enumerate().collect();
    for (number, piece) in pieces.iter().rev() {
        server.send(&mut scene.lab, server.data(*number as u32 * 1000, piece));
        if *number > 0 {
            // RFC 2018 section 4: the first block is the one with the segment that just came.
            let answer = server.take(&mut scene.lab, SOON);
            assert_eq!(answer.acknowledgement, server.next, "RFC 5681 section 4.2: a duplicate ACK at once");
            let begin = server.next.wrapping_add(*number as u32 * 1000);
            let end = server.next.wrapping_add(bytes.len() as u32);
            assert_eq!(answer.known_options().sack.first(), Some(&(begin, end)));
        }
    }
    server.next = server.next.wrapping_add(bytes.len() as u32);
    all_acknowledged(&mut scene, &mut server);
    scene.received(&body);
}

#[test]
fn frames_are_as_large_as_the_device_offers_and_the_manifest_allows() {
    let board = test_board().network_properties("host_mtu=9000");
    let mut scene = Scene::of(board, Lab::new(), &format!("webget --sha256 {}; exit", url()));
    let options = Options { mss: Some(8_960), shift: Some(0), ..Options::default() };
    let mut server = Server::listen(&mut scene.lab, 80, Offer { options, ..Offer::default() });
    assert_eq!(server.syn_options.mss, Some(8_960), "RFC 9293 section 3.7.1: the MTU less 40");
    server.answer(&mut scene.lab);
    server.request(&mut scene.lab);
    let body = files::bytes(50_000);
    for piece in response(&body).chunks(8_960) {
        server.push(&mut scene.lab, piece);
    }
    all_acknowledged(&mut scene, &mut server);
    server.close(&mut scene.lab);
    scene.received(&body);
}

#[test]
fn what_was_acknowledged_is_not_changed_by_an_overlap() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(2000);
    let bytes = response(&body);
    let (first, rest) = bytes.split_at(1000);
    server.push(&mut scene.lab, first);
    all_acknowledged(&mut scene, &mut server);
    // 500 bytes that were acknowledged, now others, and 300 new ones.
    let lie = [&[0xee; 500][..], &rest[..300]].concat();
    server.send(&mut scene.lab, server.data(0_u32.wrapping_sub(500), &lie));
    server.next = server.next.wrapping_add(300);
    all_acknowledged(&mut scene, &mut server);
    server.reply(&mut scene.lab, &rest[300..]);
    scene.received(&body);
}

#[test]
fn a_fin_out_of_order_ends_the_stream_where_it_stands() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(500);
    // Without a length the body ends with the stream.
    let bytes = [b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat();
    let mut fin = server.data(100, &bytes[100..]);
    fin.flags |= FIN;
    server.send(&mut scene.lab, fin);
    let answer = server.take(&mut scene.lab, SOON);
    assert_eq!(answer.acknowledgement, server.next, "the FIN is not there before what precedes it");
    server.send(&mut scene.lab, server.data(0, &bytes[..100]));
    server.next = server.next.wrapping_add(bytes.len() as u32 + 1);
    all_acknowledged(&mut scene, &mut server);
    scene.received(&body);
}

#[test]
fn a_thousand_segments_of_one_byte_are_a_stream() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(1000);
    for byte in response(&body) {
        server.push(&mut scene.lab, &[byte]);
    }
    all_acknowledged(&mut scene, &mut server);
    scene.received(&body);
}

#[test]
fn a_segment_with_a_wrong_checksum_never_was() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(3000);
    let bytes = response(&body);
    let lie = server.data(0, &[0x55; 1000]);
    let packet = Ipv4::new(*server.local.ip(), *server.board.ip(), Body::Tcp(lie));
    let mut frame = routed(packet).emit();
    // One bit of the payload, behind the back of the checksum.
    *frame.last_mut().expect("a byte") ^= 1;
    scene.lab.send_bytes(&frame);
    assert_eq!(server.poll(&mut scene.lab, ms(700)), None, "nothing to acknowledge");
    server.reply(&mut scene.lab, &bytes);
    scene.received(&body);
}

#[test]
fn a_closed_window_is_probed_until_it_opens() {
    let mut scene = Scene::fetching();
    let mut server = Server::accept(&mut scene.lab, Offer { window: 0, ..Offer::default() });
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    // Two probes are answered with the window still closed; then it opens, and the update gets lost.
    for _ in 0..3 {
        let probe = server.take(&mut scene.lab, SOON);
        assert!(probe.payload.len() <= 1, "{probe:?}");
        pauses.push(last.elapsed());
        last = Instant::now();
        // The probe's byte is not taken.
        server.expected = server.syn.sequence.wrapping_add(1);
        server.received.clear();
        let answer = server.segment();
        if pauses.len() < 3 {
            server.send(&mut scene.lab, answer);
        }
    }
    assert!(pauses[1] > pauses[0].mul_f64(1.4), "probes back off, RFC 9293 section 3.8.6.1: {pauses:?}");
    server.offer.window = 65_535;
    let probe = server.take(&mut scene.lab, SOON);
    assert!(probe.payload.len() <= 1, "{probe:?}");
    server.expected = server.syn.sequence.wrapping_add(1);
    server.received.clear();
    let answer = server.segment();
    server.send(&mut scene.lab, answer);
    server.request(&mut scene.lab);
    scene.completes(server);
}

#[test]
fn a_lost_request_is_sent_again() {
    let mut scene = Scene::fetching();
    let mut server = Server::accept(&mut scene.lab, Offer::default());
    let first = server.wait(&mut scene.lab, "the request", SOON, |segment| !segment.payload.is_empty());
    let begin = Instant::now();
    let again = server.wait(&mut scene.lab, "the request again", SOON, |segment| !segment.payload.is_empty());
    assert_eq!((first.sequence, &first.payload), (again.sequence, &again.payload));
    assert!(begin.elapsed() > ms(150), "{:?}", begin.elapsed());
    server.request(&mut scene.lab);
    scene.completes(server);
}

#[test]
fn a_lone_segment_is_acknowledged_within_half_a_second() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let begin = Instant::now();
    server.push(&mut scene.lab, b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
    all_acknowledged(&mut scene, &mut server);
    // RFC 9293 section 3.8.6.3. A little more for a machine that is busy.
    assert!(begin.elapsed() < ms(700), "{:?}", begin.elapsed());
    let body = files::bytes(3000);
    let begin = Instant::now();
    server.push(&mut scene.lab, &body[..1460]);
    server.push(&mut scene.lab, &body[1460..2920]);
    all_acknowledged(&mut scene, &mut server);
    assert!(begin.elapsed() < ms(400), "two full segments are acknowledged at once: {:?}", begin.elapsed());
    server.reply(&mut scene.lab, &body[2920..]);
    scene.received(&body);
}

#[test]
fn a_stream_that_ends_half_way_is_56() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let bytes = response(&files::bytes(1000));
    server.reply(&mut scene.lab, &bytes[..500]);
    let fin = slopos_lab::wire::Tcp { flags: ACK | FIN, ..server.segment() };
    server.send(&mut scene.lab, fin);
    scene.ends(56);
}

#[test]
fn a_reset_half_way_is_56() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let bytes = response(&files::bytes(1000));
    server.reply(&mut scene.lab, &bytes[..500]);
    let reset = server.reset(0);
    server.send(&mut scene.lab, reset);
    scene.ends(56);
}

#[test]
fn an_old_timestamp_is_refused() {
    let options = Options { timestamps: Some((0, 0)), ..Offer::default().options };
    let (mut scene, mut server) = Scene::connected(Offer { options, ..Offer::default() });
    let body = files::bytes(3000);
    let bytes = response(&body);
    scene.lab.during(ms(200));
    server.reply(&mut scene.lab, &bytes[..1000]);
    // PAWS, RFC 7323 section 5.3: from before the connection, and with other bytes.
    let mut old = server.data(0, &[0x55; 500]);
    old.options = Options { timestamps: Some((u32::MAX - 1000, 0)), ..Options::default() }.emit();
    server.send(&mut scene.lab, old);
    let answer = server.take(&mut scene.lab, SOON);
    assert_eq!((answer.flags, answer.acknowledgement), (ACK, server.next), "it is dropped and answered");
    server.reply(&mut scene.lab, &bytes[1000..]);
    scene.received(&body);
}

#[test]
fn a_keep_alive_without_the_agreed_timestamp_is_acknowledged_at_a_limited_rate() {
    let options = Options { timestamps: Some((0, 0)), ..Offer::default().options };
    let (mut scene, mut server) = Scene::connected(Offer { options, ..Offer::default() });
    let body = files::bytes(3000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..1000]);
    scene.lab.during(ms(300));
    for payload in [&[][..], &[0x55]] {
        let probe = || Tcp { options: Vec::new(), ..server.data(u32::MAX, payload) };
        let bare = Tcp { flags: ACK, ..probe() };
        server.send(&mut scene.lab, bare.clone());
        let answer = server.take(&mut scene.lab, SOON);
        assert_eq!((answer.flags, answer.acknowledgement), (ACK, server.next), "{} octets", payload.len());
        // RFC 9293 section 3.8.4 wants an answer; it does not want one for each of a flood.
        for _ in 0..100 {
            server.send(&mut scene.lab, bare.clone());
        }
        let answers = scene.lab.during(ms(500)).iter().filter(|seen| seen.frame.tcp().is_some()).count();
        assert!((1..=20).contains(&answers), "{answers} answers");
        scene.lab.during(ms(5_100));
    }
    server.reply(&mut scene.lab, &bytes[1000..]);
    scene.received(&body);
}

#[test]
fn the_window_is_respected_and_never_shrinks() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(400_000);
    let bytes = response(&body);
    let mut edge = server.acknowledged.wrapping_add(server.board_window);
    for piece in bytes.chunks(20_000) {
        server.reply(&mut scene.lab, piece);
        let new = server.acknowledged.wrapping_add(server.board_window);
        let back = edge.wrapping_sub(new) as i32;
        // A scaled window is rounded down to whole units, RFC 7323 section 2.4.
        assert!(back < 1 << server.syn_options.shift.unwrap_or(0), "the edge went back by {back}");
        edge = new;
    }
    scene.received(&body);
}
