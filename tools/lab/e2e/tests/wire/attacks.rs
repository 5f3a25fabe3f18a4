//! Segments that somebody else sends, who guesses at the connection (RFC 5961).

use crate::{Scene, ms};
use slopos_lab::files;
use slopos_lab::servers::response;
use slopos_lab::wire::tcp::{ACK, FIN, PSH, RST, SYN, Tcp};
use slopos_netlab::Offer;
use slopos_netlab::lab::{BOARD, REMOTE, SOON};

/// Sends a forged segment in the middle of a response; the connection must live, and `answered` says whether the board
/// answers it with an acknowledgement of where it is.
#[track_caller]
fn survives(answered: bool, forge: impl Fn(&slopos_netlab::Server) -> Tcp) {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(4000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..1000]);
    scene.lab.during(ms(50));
    let forged = forge(&server);
    server.send(&mut scene.lab, forged);
    if answered {
        let answer = server.take(&mut scene.lab, SOON);
        assert_eq!(answer.flags, ACK, "{}", scene.lab.transcript());
        assert_eq!((answer.sequence, answer.acknowledgement), (server.expected, server.next));
    } else {
        let answer = server.poll(&mut scene.lab, ms(400));
        assert_eq!(answer, None, "{}", scene.lab.transcript());
    }
    server.reply(&mut scene.lab, &bytes[1000..]);
    scene.received(&body);
}

#[test]
fn a_reset_inside_the_window_is_challenged() {
    survives(true, |server| server.reset(1));
    survives(true, |server| server.reset(10_000));
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    survives(false, |server| server.reset(0_u32.wrapping_sub(1)));
    survives(false, |server| server.reset(10_000_000));
}

#[test]
fn a_syn_is_challenged_wherever_it_lies() {
    for offset in [0, 1, 1000, 0_u32.wrapping_sub(1000), 1 << 31] {
        survives(true, |server| {
            let sequence = server.next.wrapping_add(offset);
            Tcp { flags: SYN, sequence, acknowledgement: 0, ..server.segment() }
        });
    }
}

#[test]
fn a_jump_by_two_gigabytes_is_dropped() {
    survives(true, |server| server.data((1 << 31) - 1, b"far ahead"));
    survives(true, |server| server.data(1 << 31, b"nowhere"));
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_challenged() {
    survives(true, |server| {
        let acknowledgement = server.expected.wrapping_add(1000);
        Tcp { acknowledgement, ..server.data(0, b"forged data") }
    });
}

#[test]
fn data_with_an_ancient_acknowledgement_is_dropped() {
    survives(true, |server| {
        let acknowledgement = server.expected.wrapping_sub(1 << 30);
        Tcp { acknowledgement, ..server.data(0, b"forged data") }
    });
}

#[test]
fn data_without_an_acknowledgement_is_dropped() {
    survives(false, |server| Tcp { flags: PSH, acknowledgement: 0, ..server.data(0, b"forged data") });
    survives(false, |server| Tcp { flags: FIN, acknowledgement: 0, ..server.segment() });
    survives(false, |server| Tcp { flags: 0, acknowledgement: 0, ..server.data(0, b"forged data") });
}

#[test]
fn challenges_are_limited() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let forged = Tcp { flags: SYN, acknowledgement: 0, ..server.segment() };
    for _ in 0..1000 {
        server.send(&mut scene.lab, forged.clone());
    }
    let answers = std::iter::from_fn(|| server.poll(&mut scene.lab, ms(500))).count();
    assert!((1..200).contains(&answers), "{answers} answers to 1000 SYNs");
    scene.completes(server);
}

#[test]
fn segments_for_no_connection_are_reset() {
    let (mut scene, server) = Scene::connected(Offer::default());
    let stray = Tcp { source: 4000, destination: 9, sequence: 100, acknowledgement: 500, window: 9, ..Tcp::default() };
    let of_port = |scene: &mut Scene| {
        scene.lab.wait("a reset", SOON, |seen| seen.frame.tcp().filter(|tcp| tcp.destination == 4000).cloned())
    };
    // RFC 9293 section 3.10.7.1, its cases in turn.
    scene.lab.send_tcp(REMOTE, BOARD, Tcp { flags: SYN, acknowledgement: 0, ..stray.clone() });
    let reset = of_port(&mut scene);
    assert_eq!((reset.flags, reset.sequence, reset.acknowledgement), (RST | ACK, 0, 101));
    let data = Tcp { flags: FIN, payload: vec![1, 2, 3], acknowledgement: 0, ..stray.clone() };
    scene.lab.send_tcp(REMOTE, BOARD, data);
    let reset = of_port(&mut scene);
    assert_eq!((reset.flags, reset.sequence, reset.acknowledgement), (RST | ACK, 0, 104));
    scene.lab.send_tcp(REMOTE, BOARD, Tcp { flags: ACK | SYN, ..stray.clone() });
    let reset = of_port(&mut scene);
    assert_eq!((reset.flags, reset.sequence), (RST, 500));
    // A reset is never answered.
    scene.lab.send_tcp(REMOTE, BOARD, Tcp { flags: RST, ..stray });
    assert!(scene.lab.during(ms(300)).iter().all(|seen| seen.frame.tcp().is_none_or(|tcp| tcp.destination != 4000)));
    scene.completes(server);
}
