//! Looks at the frames between our stack and the link, and knows what our stack must never send: bytes that the
//! process did not write, bytes beyond the peer's window or larger than its MSS, acknowledgements of what did not
//! arrive, a window that shrinks.
//!
//! It keeps its own account from the frames alone, so a wrong variable in the stack cannot hide a wrong frame.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use slopos_abi::Endpoint;
use slopos_net::wire::ethernet::{EtherType, Header};
use slopos_net::wire::ipv4::{self, Protocol};
use slopos_net::wire::tcp::{Segment, SequenceNumber};

use slopos_lab::chance::Content;

/// What a peer that does not say takes in one segment, in bytes (RFC 9293 section 3.7.1).
const DEFAULT_MAXIMUM_SEGMENT: u16 = 536;
/// The stack believes no peer that claims to take less, in bytes; no real link is so narrow.
const SMALLEST_MAXIMUM_SEGMENT: u16 = 88;
/// Larger shifts count as this one (RFC 7323 section 2.3).
const LARGEST_SHIFT: u8 = 14;

/// One connection, as its frames tell.
#[derive(Debug, Default)]
struct Flow {
    /// Our SYN's sequence number.
    initial: SequenceNumber,
    our_shift: Option<u8>,
    their_shift: Option<u8>,
    their_syn: bool,
    their_maximum: u16,
    /// The right edge of the peer's window, the furthest that was ever delivered.
    their_edge: Option<SequenceNumber>,
    /// Behind the last that the peer sent and that was delivered.
    delivered: SequenceNumber,
    /// The furthest of ours that the peer has acknowledged.
    settled: Option<SequenceNumber>,
    /// Behind the last that we sent.
    sent: SequenceNumber,
    acknowledged: Option<SequenceNumber>,
    /// The right edge of our window, the furthest that was ever sent.
    our_edge: Option<SequenceNumber>,
    /// The window that we announced last, as the wire has it.
    our_last_window: u16,
    /// What we want next has come since we said so.
    wanted_came: bool,
}

impl Flow {
    fn shifts(&self) -> (u8, u8) {
        match (self.our_shift, self.their_shift) {
            (Some(ours), Some(theirs)) => (ours.min(LARGEST_SHIFT), theirs.min(LARGEST_SHIFT)),
            _ => (0, 0),
        }
    }
}

/// What the process at one end of a connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The stream.
    pub content: Content,
    /// How long it gets at most, in bytes.
    pub bytes: usize,
}

/// The account of all connections of one stack.
#[derive(Debug, Default)]
pub struct Watch {
    /// The peer is hostile, so there is no telling what was agreed upon; only each frame by itself is looked at.
    lenient: bool,
    uploads: BTreeMap<Endpoint, Upload>,
    flows: BTreeMap<(u16, Endpoint), Flow>,
}

/// A TCP segment in a frame, with the two addresses; `None` for any other frame, and for a broken one.
pub fn segment_of(frame: &[u8]) -> Option<(ipv4::Header, Segment<'_>, usize)> {
    let (header, packet) = Header::parse(frame)?;
    if header.ether_type != EtherType::IPV4 {
        return None;
    }
    let (packet, payload) = ipv4::Header::parse(packet).ok()?;
    if packet.protocol != Protocol::TCP {
        return None;
    }
    let segment = Segment::parse(packet.source, packet.destination, payload).ok()?;
    Some((packet, segment, payload.len()))
}

impl Watch {
    /// The account where the peer is hostile: of each frame by itself, for there is no telling what was agreed upon.
    pub fn of_a_hostile_peer() -> Self {
        Watch { lenient: true, ..Watch::default() }
    }

    /// Our process will write `upload` to this remote.
    pub fn expect(&mut self, remote: Endpoint, upload: Upload) {
        self.uploads.insert(remote, upload);
    }

    /// A frame is handed to our stack.
    pub fn delivered(&mut self, frame: &[u8]) {
        let Some((packet, segment, _)) = segment_of(frame) else { return };
        let remote = Endpoint { address: packet.source, port: segment.source_port };
        let Some(flow) = self.flows.get_mut(&(segment.destination_port, remote)) else { return };
        if segment.flags.reset() {
            return;
        }
        let end = segment.sequence + segment.sequence_length();
        if segment.flags.syn() {
            if flow.their_syn {
                return;
            }
            flow.their_syn = true;
            flow.delivered = end;
            flow.their_shift = segment.options.window_scale;
            flow.their_maximum = segment.options.maximum_segment.unwrap_or(DEFAULT_MAXIMUM_SEGMENT);
        }
        flow.delivered = flow.delivered.later(end);
        if let Some(wanted) = flow.acknowledged {
            // While the window is closed it does not count, for we cannot take it.
            flow.wanted_came |= flow.our_last_window > 0 && !segment.sequence.is_after(wanted) && end.is_after(wanted);
        }
        let shift = if segment.flags.syn() { 0 } else { flow.shifts().1 };
        let from = if segment.flags.ack() { segment.acknowledgement } else { flow.initial + 1 };
        if !from.is_after(flow.sent) && !from.is_before(flow.initial + 1) {
            flow.settled = Some(flow.settled.map_or(from, |old| old.later(from)));
            let edge = from + (u32::from(segment.window) << shift);
            flow.their_edge = Some(flow.their_edge.map_or(edge, |old| old.later(edge)));
        }
    }

    /// Whether it is the peer at `remote` whose turn it is: all that we have to say, which is `written` bytes, it has
    /// acknowledged, it was told last that it may send, and what it should send has not come since.
    pub fn is_peers_turn(&self, remote: Endpoint, written: usize) -> bool {
        self.flows.iter().filter(|((_, other), _)| *other == remote).any(|(_, flow)| {
            let end = flow.initial + 1 + written as u32;
            let settled = flow.settled.is_some_and(|settled| settled == flow.sent && !settled.is_before(end));
            settled && flow.our_last_window > 0 && !flow.wanted_came
        })
    }

    /// A frame comes from our stack.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn sent(&mut self, frame: &[u8]) -> Result<()> {
        let (header, packet) = Header::parse(frame).context("a frame without a header was sent")?;
        match header.ether_type {
            EtherType::ARP => {
                slopos_net::wire::arp::Packet::parse(packet).context("a broken ARP packet was sent")?;
                return Ok(());
            }
            EtherType::IPV4 => {}
            other => anyhow::bail!("a frame of type {other:?} was sent"),
        }
        let (packet, payload) =
            ipv4::Header::parse(packet).map_err(|error| anyhow::anyhow!("a broken IPv4 packet was sent: {error:?}"))?;
        match packet.protocol {
            Protocol::UDP => {
                slopos_net::wire::udp::Header::parse(packet.source, packet.destination, payload)
                    .map_err(|error| anyhow::anyhow!("a broken UDP datagram was sent: {error:?}"))?;
                Ok(())
            }
            Protocol::TCP => {
                let segment = Segment::parse(packet.source, packet.destination, payload)
                    .map_err(|error| anyhow::anyhow!("a broken segment was sent: {error:?}"))?;
                let remote = Endpoint { address: packet.destination, port: segment.destination_port };
                self.sent_segment(remote, &segment, payload.len())
            }
            other => anyhow::bail!("a packet of protocol {other:?} was sent"),
        }
    }

    fn sent_segment(&mut self, remote: Endpoint, segment: &Segment<'_>, segment_bytes: usize) -> Result<()> {
        if segment.flags.reset() || self.lenient {
            return Ok(());
        }
        let name = (segment.source_port, remote);
        let end = segment.sequence + segment.sequence_length();
        if segment.flags.syn() {
            if self.flows.get(&name).is_none_or(|flow| flow.initial != segment.sequence) {
                let flow = Flow { initial: segment.sequence, sent: end, ..Flow::default() };
                self.flows.insert(name, flow);
            }
            let flow = self.flows.entry(name).or_default();
            flow.our_shift = segment.options.window_scale;
            ensure!(segment.payload.is_empty() && !segment.flags.fin(), "a SYN carries something");
            ensure!(segment.flags.ack() == flow.their_syn, "a SYN acknowledges what has not come");
        } else {
            ensure!(segment.flags.ack(), "a segment has no ACK");
        }
        let upload = self.uploads.get(&remote).copied();
        let flow = self.flows.get_mut(&name).context("a segment of a connection that was never begun")?;
        if !segment.flags.syn() {
            check_data(flow, upload, segment, segment_bytes)?;
        }
        if segment.flags.ack() {
            check_acknowledgement(flow, segment)?;
        }
        flow.sent = flow.sent.later(end);
        Ok(())
    }
}

fn check_data(flow: &Flow, upload: Option<Upload>, segment: &Segment<'_>, segment_bytes: usize) -> Result<()> {
    let length = segment.sequence_length();
    let end = segment.sequence + length;
    let edge = flow.their_edge.context("a segment was sent before the handshake was over")?;
    // A probe of a closed window is one byte, or the FIN.
    let reach = if length <= 1 { edge + length } else { edge };
    ensure!(
        length == 0 || !end.is_after(reach),
        "sent to {} beyond the peer's window, which ends at {}",
        end.as_u32(),
        edge.as_u32()
    );
    let options = segment_bytes - segment.payload.len() - slopos_net::wire::tcp::HEADER_BYTES;
    let limit = usize::from(flow.their_maximum.max(SMALLEST_MAXIMUM_SEGMENT));
    ensure!(
        segment.payload.is_empty() || segment.payload.len() + options <= limit,
        "{} bytes of payload and {options} of options, where the peer takes {limit}",
        segment.payload.len()
    );
    if segment.payload.is_empty() {
        return Ok(());
    }
    let offset = segment.sequence.offset_from(flow.initial + 1);
    let offset = usize::try_from(offset).context("data before the start of the stream was sent")?;
    let upload = upload.context("data was sent where the process wrote none")?;
    ensure!(offset + segment.payload.len() <= upload.bytes, "more was sent than the process wrote");
    if let Some(at) = upload.content.difference(offset, segment.payload) {
        anyhow::bail!("the byte at {at} of the stream was sent wrong");
    }
    Ok(())
}

fn check_acknowledgement(flow: &mut Flow, segment: &Segment<'_>) -> Result<()> {
    let acknowledgement = segment.acknowledgement;
    ensure!(!acknowledgement.is_after(flow.delivered), "an acknowledgement of what has not come");
    if let Some(old) = flow.acknowledged {
        ensure!(!acknowledgement.is_before(old), "an acknowledgement was taken back");
    }
    if flow.acknowledged != Some(acknowledgement) {
        flow.wanted_came = false;
    }
    flow.acknowledged = Some(acknowledgement);
    for block in &segment.options.sack {
        ensure!(!block.end.is_after(flow.delivered), "a SACK block about what has not come");
        ensure!(block.end.is_after(block.start), "an empty SACK block");
    }
    let shift = if segment.flags.syn() { 0 } else { flow.shifts().0 };
    let edge = acknowledgement + (u32::from(segment.window) << shift);
    if let Some(old) = flow.our_edge {
        // The scale rounds the window down (RFC 7323 section 2.4).
        let rounded = edge + ((1_u32 << shift) - 1);
        ensure!(!rounded.is_before(old), "the window shrank by {} bytes", old.bytes_after(edge));
    }
    flow.our_edge = Some(flow.our_edge.map_or(edge, |old| old.later(edge)));
    flow.our_last_window = segment.window;
    Ok(())
}

#[cfg(test)]
mod tests;
