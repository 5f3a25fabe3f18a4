//! Frames against bytes worked out by hand, and there and back.

use super::ipv4::Body;
use super::tcp::{ACK, Options, SYN};
use super::*;
use std::net::Ipv4Addr;

const STATION: Mac = [2, 0, 0, 0, 0, 1];

fn frame(body: Body) -> Frame {
    let packet = Ipv4::new(Ipv4Addr::new(10, 0, 2, 2), Ipv4Addr::new(10, 0, 2, 15), body);
    Frame { destination: BROADCAST, source: STATION, payload: Payload::Ipv4(packet) }
}

fn segment() -> Tcp {
    let options =
        Options { mss: Some(1460), shift: Some(7), sack_permitted: true, timestamps: Some((1, 2)), sack: vec![(5, 9)] };
    Tcp {
        source: 80,
        destination: 49_152,
        sequence: 0x0102_0304,
        acknowledgement: 0xfffe_fdfc,
        flags: SYN | ACK,
        window: 1000,
        options: options.emit(),
        payload: b"odd".to_vec(),
    }
}

#[test]
fn the_checksum_is_that_of_rfc_1071s_example() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(checksum(&[&bytes]), !0xddf2);
    assert_eq!(checksum(&[&bytes[..4], &bytes[4..]]), !0xddf2);
}

#[test]
fn a_segment_comes_back_as_it_went() {
    let sent = frame(Body::Tcp(segment()));
    let bytes = sent.emit();
    assert_eq!(Frame::parse(&bytes), Ok(sent));
    let options = Options::parse(&segment().options).unwrap();
    assert_eq!((options.mss, options.shift, options.timestamps), (Some(1460), Some(7), Some((1, 2))));
    assert_eq!((options.sack, options.sack_permitted), (vec![(5, 9)], true));
}

#[test]
fn a_changed_byte_is_found() {
    let bytes = frame(Body::Tcp(segment())).emit();
    for position in HEADER_BYTES..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x10;
        assert!(Frame::parse(&changed).is_err(), "byte {position}");
    }
}

#[test]
fn a_dhcp_message_comes_back_as_it_went() {
    let message = Dhcp {
        operation: 1,
        transaction: 7,
        seconds: 3,
        flags: 0x8000,
        client: Ipv4Addr::UNSPECIFIED,
        yours: Ipv4Addr::new(10, 0, 2, 15),
        mac: STATION,
        server_name: vec![0; 64],
        file: vec![0; 128],
        options: vec![(code(), vec![dhcp::kind::DISCOVER]), (dhcp::code::ROUTER, vec![10, 0, 2, 2])],
    };
    let sent = frame(Body::Udp(Udp { source: 68, destination: 67, message: udp::Message::Dhcp(message.clone()) }));
    let read = Frame::parse(&sent.emit()).unwrap();
    assert_eq!(read.dhcp(), Some(&message));
    assert_eq!(message.kind(), Some(dhcp::kind::DISCOVER));
    assert_eq!(message.address(dhcp::code::ROUTER), Some(Ipv4Addr::new(10, 0, 2, 2)));
}

fn code() -> u8 {
    dhcp::code::TYPE
}

#[test]
fn an_arp_request_has_the_bytes_of_rfc_826() {
    let arp = Arp::request(STATION, Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
    let sent = Frame { destination: BROADCAST, source: STATION, payload: Payload::Arp(arp) };
    let bytes = sent.emit();
    assert_eq!(bytes[12..22], [8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    assert_eq!(bytes[22..], [2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
    assert_eq!(Frame::parse(&bytes), Ok(sent));
}

#[test]
fn options_with_impossible_lengths_are_errors() {
    for bytes in [&[2, 4, 1][..], &[3, 0], &[8], &[5, 5, 0, 0, 0]] {
        assert!(Options::parse(bytes).is_err(), "{bytes:?}");
    }
    assert_eq!(Options::parse(&[1, 1, 0, 9, 9]), Ok(Options::default()));
}

#[test]
fn a_frame_says_what_it_is_and_a_broken_one_that_it_is() {
    let arp = Arp::request(STATION, Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
    let mut bytes = Frame { destination: BROADCAST, source: STATION, payload: Payload::Arp(arp) }.emit();
    assert_eq!(describe(&bytes), "broadcast arp: 10.0.2.15 asks for 10.0.2.2");
    bytes[14] = 7;
    assert!(describe(&bytes).starts_with("broken: not an ARP packet"));
    assert_eq!(describe(&[0; 3]), "broken: no whole Ethernet header");
}
