//! IPv4 and Ethernet: what is dropped, and what is not.

use crate::{Scene, ms};
use slopos_lab::files;
use slopos_lab::servers::response;
use slopos_lab::wire::ipv4::{Body, DO_NOT_FRAGMENT, MORE_FRAGMENTS};
use slopos_lab::wire::{BROADCAST, Frame, Ipv4, Payload, Udp, checksum, udp::Message};
use slopos_netlab::lab::{BOARD, BOARD_MAC, REMOTE, ROUTER, routed};
use slopos_netlab::{Offer, Server};
use std::net::Ipv4Addr;

/// Sends a response's next 1000 bytes in a packet that is changed so. The board must not take it: it acknowledges
/// nothing new, and the fetch goes on as if nothing had been.
#[track_caller]
fn is_dropped(change: impl Fn(Ipv4) -> Vec<u8>) {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(4000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..1000]);
    let frame = change(packet(&server, &[0x55; 1000]));
    scene.lab.send_bytes(&frame);
    assert_eq!(server.poll(&mut scene.lab, ms(300)), None, "{}", scene.lab.transcript());
    server.reply(&mut scene.lab, &bytes[1000..]);
    scene.received(&body);
}

fn packet(server: &Server, bytes: &[u8]) -> Ipv4 {
    Ipv4::new(*server.local.ip(), *server.board.ip(), Body::Tcp(server.data(0, bytes)))
}

/// Changes a byte of an IPv4 header, and makes the header's checksum right again.
fn patched(packet: Ipv4, offset: usize, value: u8) -> Vec<u8> {
    let mut frame = routed(packet).emit();
    frame[14 + offset] = value;
    frame[24..26].fill(0);
    let sum = checksum(&[&frame[14..34]]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn fragments_are_dropped() {
    is_dropped(|packet| routed(Ipv4 { fragment: MORE_FRAGMENTS, ..packet }).emit());
    is_dropped(|packet| routed(Ipv4 { fragment: DO_NOT_FRAGMENT | 100, ..packet }).emit());
}

#[test]
fn impossible_headers_are_dropped() {
    // The version, the header's length, the total length beyond the frame and below the header.
    for (offset, value) in [(0, 0x65), (0, 0x44), (0, 0x4f), (2, 0xff), (2, 0)] {
        is_dropped(|packet| patched(packet, offset, value));
    }
    is_dropped(|packet| {
        let mut frame = routed(packet).emit();
        frame[24] ^= 0x80;
        frame
    });
}

#[test]
fn packets_for_and_from_others_are_dropped() {
    is_dropped(|packet| routed(Ipv4 { destination: Ipv4Addr::new(10, 0, 2, 16), ..packet }).emit());
    is_dropped(|packet| routed(Ipv4 { source: Ipv4Addr::BROADCAST, ..packet }).emit());
    is_dropped(|packet| routed(Ipv4 { source: Ipv4Addr::new(224, 0, 0, 1), ..packet }).emit());
    is_dropped(|packet| routed(Ipv4 { source: Ipv4Addr::LOCALHOST, ..packet }).emit());
    is_dropped(|packet| routed(Ipv4 { source: BOARD, ..packet }).emit());
    is_dropped(|packet| Frame { destination: BROADCAST, ..routed(packet) }.emit());
    is_dropped(|packet| Frame { destination: [2, 0, 0, 0, 0, 9], ..routed(packet) }.emit());
}

#[test]
fn junk_of_every_kind_is_dropped() {
    let (mut scene, server) = Scene::connected(Offer::default());
    let other = |kind, bytes: &[u8]| Frame { payload: Payload::Other(kind, bytes.to_vec()), ..template() };
    for length in [0, 1, 13, 19, 20, 27, 28, 40, 59, 1500] {
        for kind in [0x0800, 0x0806, 0x86dd, 0x8100, 100] {
            scene.lab.send(&other(kind, &vec![0; length]));
            scene.lab.send(&other(kind, &vec![0xff; length]));
            scene.lab.send(&other(kind, &files::bytes(length)));
        }
    }
    // An empty datagram would be the end of the wire to QEMU.
    for length in 1..14 {
        scene.lab.send_bytes(&BOARD_MAC.iter().chain(&[0; 8]).copied().take(length).collect::<Vec<_>>());
    }
    for protocol in [0, 1, 2, 6, 17, 41, 255] {
        for length in [0, 1, 7, 8, 19, 20, 100] {
            let body = Body::Other(protocol, files::bytes(length));
            scene.lab.send_ipv4(Ipv4::new(REMOTE, BOARD, body));
        }
    }
    for port in [0, 67, 68, 69] {
        let datagram = Udp { source: 67, destination: port, message: Message::Other(files::bytes(300)) };
        scene.lab.send_ipv4(Ipv4::new(ROUTER, BOARD, Body::Udp(datagram)));
    }
    scene.completes(server);
}

fn template() -> Frame {
    routed(Ipv4::new(REMOTE, BOARD, Body::Other(0, Vec::new())))
}

#[test]
fn options_padding_and_the_last_hop_are_no_reason_to_drop() {
    let (mut scene, mut server) = Scene::connected(Offer::default());
    let body = files::bytes(3000);
    let bytes = response(&body);
    let mut offset = 0;
    // Record route with no room left, no-operations, an unknown option.
    let options = [vec![], vec![7, 3, 4, 0], vec![1, 1, 1, 1, 0, 0, 0, 0], vec![0x9e, 6, 1, 2, 3, 4]];
    for (number, options) in options.into_iter().enumerate() {
        let piece = &bytes[offset..offset + 20];
        // Every other one may be fragmented but was not.
        let fragment = if number % 2 == 0 { 0 } else { DO_NOT_FRAGMENT };
        let mut frame = routed(Ipv4 { options, ttl: 1, fragment, ..packet(&server, piece) }).emit();
        // Ethernet's padding is no part of the packet, whatever is in it.
        frame.extend([0xaa; 26]);
        scene.lab.send_bytes(&frame);
        server.next = server.next.wrapping_add(20);
        server.highest = server.next;
        offset += 20;
    }
    server.reply(&mut scene.lab, &bytes[offset..]);
    scene.received(&body);
}
