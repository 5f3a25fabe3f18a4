//! Frames as text, one line each.

use std::fmt::Write as _;

use slopos_net::wire::arp::{Operation, Packet};
use slopos_net::wire::ethernet::{EtherType, Header};
use slopos_net::wire::ipv4::{self, Protocol};
use slopos_net::wire::tcp::Segment;
use slopos_net::wire::udp;

/// What a frame says, or that it says nothing.
pub fn describe(frame: &[u8]) -> String {
    let Some((header, payload)) = Header::parse(frame) else { return format!("{} bytes", frame.len()) };
    match header.ether_type {
        EtherType::ARP => match Packet::parse(payload) {
            Some(packet) if packet.operation == Operation::Request => {
                format!("arp who has {} tell {}", packet.target, packet.sender)
            }
            Some(packet) => format!("arp {} is at {}", packet.sender, packet.sender_mac),
            None => "arp, broken".to_owned(),
        },
        EtherType::IPV4 => match ipv4::Header::parse(payload) {
            Ok((packet, payload)) => describe_packet(&packet, payload),
            Err(error) => format!("ipv4, broken: {error:?}"),
        },
        EtherType(other) => format!("type {other:#06x}"),
    }
}

fn describe_packet(packet: &ipv4::Header, payload: &[u8]) -> String {
    let (source, destination) = (packet.source, packet.destination);
    match packet.protocol {
        Protocol::TCP => match Segment::parse(source, destination, payload) {
            Ok(segment) => {
                format!(
                    "{source}:{} > {destination}:{} {}",
                    segment.source_port,
                    segment.destination_port,
                    describe_segment(&segment)
                )
            }
            Err(error) => format!("{source} > {destination} tcp, broken: {error:?}"),
        },
        Protocol::UDP => match udp::Header::parse(source, destination, payload) {
            Ok((header, payload)) => format!(
                "{source}:{} > {destination}:{} udp, {} bytes",
                header.source_port,
                header.destination_port,
                payload.len()
            ),
            Err(error) => format!("{source} > {destination} udp, broken: {error:?}"),
        },
        Protocol(other) => format!("{source} > {destination} protocol {other}"),
    }
}

fn describe_segment(segment: &Segment<'_>) -> String {
    let flags = segment.flags;
    let mut text = String::new();
    for (set, letter) in [
        (flags.syn(), 'S'),
        (flags.fin(), 'F'),
        (flags.reset(), 'R'),
        (flags.push(), 'P'),
        (flags.ack(), '.'),
        (flags.urgent(), 'U'),
    ] {
        if set {
            text.push(letter);
        }
    }
    // Writing to a string does not fail.
    let _: Result<(), _> = write!(
        text,
        " seq {} ack {} win {} len {}",
        segment.sequence.as_u32(),
        segment.acknowledgement.as_u32(),
        segment.window,
        segment.payload.len()
    );
    let options = &segment.options;
    if let Some(maximum) = options.maximum_segment {
        let _: Result<(), _> = write!(text, " mss {maximum}");
    }
    if let Some(shift) = options.window_scale {
        let _: Result<(), _> = write!(text, " scale {shift}");
    }
    if let Some(timestamps) = options.timestamps {
        let _: Result<(), _> = write!(text, " time {} {}", timestamps.value, timestamps.echo);
    }
    for block in &options.sack {
        let _: Result<(), _> = write!(text, " sack {}-{}", block.start.as_u32(), block.end.as_u32());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use slopos_net::MacAddress;

    #[test]
    fn a_frame_says_what_it_is_and_a_broken_one_that_it_is() {
        let mut frame = vec![0; 60];
        let header = Header {
            destination: MacAddress::BROADCAST,
            source: MacAddress([2, 0, 0, 0, 0, 1]),
            ether_type: EtherType::ARP,
        };
        let packet = Packet {
            operation: Operation::Request,
            sender_mac: header.source,
            sender: Ipv4Addr::new(10, 0, 2, 15),
            target_mac: MacAddress::ZERO,
            target: Ipv4Addr::new(10, 0, 2, 2),
        };
        packet.emit(header.emit(&mut frame).unwrap()).unwrap();
        assert_eq!(describe(&frame), "arp who has 10.0.2.2 tell 10.0.2.15");
        frame[14] = 7;
        assert_eq!(describe(&frame), "arp, broken");
        assert_eq!(describe(&[0; 3]), "3 bytes");
    }
}
