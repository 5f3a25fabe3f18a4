//! Each parser by itself: what it accepts survives being written and read again.
//!
//! Bytes with a checksum are tried as they are, and once more with the checksum made right, or no mutation would get
//! behind it.

use std::net::Ipv4Addr;

use slopos_net::wire::arp::{PACKET_BYTES, Packet};
use slopos_net::wire::dhcp::{MessageType, ServerMessage};
use slopos_net::wire::ipv4::Protocol;
use slopos_net::wire::tcp::Segment;
use slopos_net::wire::tcp::options::{LARGEST_OPTIONS, Options};
use slopos_net::wire::{checksum, ethernet, ipv4, udp};

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const DESTINATION: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// A frame's header.
pub fn ethernet(data: &[u8]) {
    let Some((header, payload)) = ethernet::Header::parse(data) else {
        assert!(data.len() < ethernet::HEADER_BYTES);
        return;
    };
    let mut out = data.to_vec();
    out[..ethernet::HEADER_BYTES].fill(0);
    assert_eq!(header.emit(&mut out).map(|rest| rest.len()), Some(payload.len()));
    assert_eq!(out, data);
}

/// An ARP packet.
pub fn arp(data: &[u8]) {
    let Some(packet) = Packet::parse(data) else { return };
    let mut out = [0; PACKET_BYTES];
    assert_eq!(packet.emit(&mut out), Some(PACKET_BYTES));
    assert_eq!(out, data[..PACKET_BYTES]);
}

/// An IPv4 packet.
pub fn ipv4(data: &[u8]) {
    ipv4_as_it_is(data);
    let mut fixed = data.to_vec();
    if fix_ipv4(&mut fixed) {
        ipv4_as_it_is(&fixed);
    }
}

fn ipv4_as_it_is(data: &[u8]) {
    let Ok((header, payload)) = ipv4::Header::parse(data) else { return };
    assert!(payload.len() + ipv4::HEADER_BYTES <= data.len());
    let mut out = [0; ipv4::HEADER_BYTES];
    let Some(length) = header.emit(payload.len(), &mut out) else { panic!("a payload that came does not fit") };
    let again = [&out, payload].concat();
    assert_eq!(length, again.len());
    assert_eq!(ipv4::Header::parse(&again), Ok((header, payload)));
}

/// Makes the header's checksum right; whether there is a header.
pub fn fix_ipv4(packet: &mut [u8]) -> bool {
    let Some(&first) = packet.first() else { return false };
    let Some(header) = packet.get_mut(..usize::from(first & 15) * 4) else { return false };
    let Some(place) = header.get_mut(10..12) else { return false };
    place.fill(0);
    let sum = checksum::of(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    true
}

/// A UDP datagram.
pub fn udp(data: &[u8]) {
    udp_as_it_is(data);
    let mut fixed = data.to_vec();
    if fix_transport(SOURCE, DESTINATION, Protocol::UDP, &mut fixed) {
        udp_as_it_is(&fixed);
    }
}

fn udp_as_it_is(data: &[u8]) {
    let Ok((header, payload)) = udp::Header::parse(SOURCE, DESTINATION, data) else { return };
    assert!(payload.len() + udp::HEADER_BYTES <= data.len());
    let mut out = [&[0; udp::HEADER_BYTES], payload].concat();
    assert_eq!(header.emit(SOURCE, DESTINATION, &mut out), Some(out.len()));
    assert_eq!(udp::Header::parse(SOURCE, DESTINATION, &out), Ok((header, payload)));
}

/// Makes the checksum of a transport header right; whether there is one.
pub fn fix_transport(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, datagram: &mut [u8]) -> bool {
    // A datagram is summed up to its own length.
    let (at, length) = match &*datagram {
        [_, _, _, _, high, low, ..] if protocol == Protocol::UDP => (6, usize::from(u16::from_be_bytes([*high, *low]))),
        whole => (16, whole.len()),
    };
    let Some(datagram) = datagram.get_mut(..length) else { return false };
    let Some(place) = datagram.get_mut(at..at + 2) else { return false };
    place.fill(0);
    let sum = ipv4::transport_checksum(source, destination, protocol, datagram);
    datagram[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    true
}

/// A DHCP server's message.
pub fn dhcp(data: &[u8]) {
    let Ok(reply) = ServerMessage::parse(data) else { return };
    assert!(matches!(reply.kind, MessageType::Offer | MessageType::Ack | MessageType::Nak));
    // What follows the last field that counts changes nothing.
    assert_eq!(ServerMessage::parse(&data[..data.len()]), Ok(reply));
    assert!(data.len() >= 240);
}

/// A TCP segment.
pub fn tcp(data: &[u8]) {
    tcp_as_it_is(data);
    let mut fixed = data.to_vec();
    if fix_transport(SOURCE, DESTINATION, Protocol::TCP, &mut fixed) {
        tcp_as_it_is(&fixed);
    }
}

fn tcp_as_it_is(data: &[u8]) {
    let Ok(segment) = Segment::parse(SOURCE, DESTINATION, data) else { return };
    let bytes = segment.payload.len() as u32;
    assert!((bytes..=bytes + 2).contains(&segment.sequence_length()));
    let mut out = vec![0; data.len() + LARGEST_OPTIONS];
    // Options that come unaligned can be too many to be written aligned.
    let Some(length) = segment.emit(SOURCE, DESTINATION, &mut out) else {
        assert!(segment.options.emitted_bytes() > LARGEST_OPTIONS);
        return;
    };
    assert_eq!(Segment::parse(SOURCE, DESTINATION, &out[..length]), Ok(segment));
}

/// The options of a segment.
pub fn tcp_options(data: &[u8]) {
    let options = Options::parse(data);
    let bytes = options.emitted_bytes();
    assert!(bytes.is_multiple_of(4));
    let mut out = vec![0xff; bytes + 3];
    match options.emit(&mut out) {
        Some(length) => {
            assert_eq!(length, bytes);
            assert_eq!(Options::parse(&out[..length]), options);
            assert_eq!(out[length..], [0xff; 3], "beyond its end");
        }
        None => assert!(bytes > LARGEST_OPTIONS),
    }
}
