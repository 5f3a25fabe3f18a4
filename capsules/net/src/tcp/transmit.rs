//! Building the segment that is due, straight into the caller's buffer.

use slopos_kernel::time::Instant;

use super::control::{AcknowledgementDebt, Probe, State};
use super::counters::Counters;
use super::plan::Plan;
use super::socket::Socket;
use super::tail::TailProbe;
use crate::wire::tcp::options::{Options, SackBlocks, Timestamps};
use crate::wire::tcp::{Flags, Range, Segment, SequenceNumber};

/// What a segment takes of the sequence space.
pub(super) fn segment_range(sequence: SequenceNumber, length: usize, fin: bool) -> Range {
    Range { start: sequence, end: sequence + length as u32 + u32::from(fin) }
}

impl Socket<'_> {
    /// Builds the next segment that is due, header, options, payload and checksum, at the start of `out`, and answers
    /// its length in bytes; `None` when nothing is due. To be called again until then. `out` is as long as an IPv4
    /// payload may be on the link.
    pub fn transmit(&mut self, out: &mut [u8], now: Instant, counters: &mut Counters) -> Option<usize> {
        let length = match self.plan(now, out.len()) {
            Plan::Nothing => return None,
            Plan::Reset(reply) => {
                let length = reply.emit(out);
                if length == 0 {
                    return None;
                }
                counters.resets_sent += 1;
                self.control.reset_due = None;
                return Some(length);
            }
            Plan::Synchronize => self.send_syn(out, now, counters)?,
            Plan::Data { sequence, length, fin, new: true } => {
                self.send_new(sequence, length, fin, out, now, counters)?
            }
            Plan::Data { sequence, length, fin, new: false } => {
                self.send_again(sequence, length, fin, out, now, counters)?
            }
            Plan::TailProbe { sequence, length, fin } => {
                self.send_tail_probe(sequence, length, fin, out, now, counters)?
            }
            Plan::Rescue { sequence, length, fin } => {
                let emitted = self.emit_data(sequence, length, fin, out, now)?;
                let grain = self.evidence(None, now).grain();
                self.control.recovery.rescued(segment_range(sequence, length, fin), now, grain);
                self.control.round_trip.retransmitted();
                counters.retransmits += 1;
                counters.bytes_sent += length as u64;
                emitted
            }
            Plan::WindowProbe => self.send_window_probe(out, now, counters)?,
            Plan::KeepAlive => {
                let sequence = self.control.send.unacknowledged - 1;
                let length = self.emit(sequence, 0, Flags::ACK, out, now)?;
                self.control.probe = None;
                counters.keep_alive_probes += 1;
                length
            }
            Plan::Acknowledge => self.emit(self.control.send.next, 0, Flags::ACK, out, now)?,
        };
        counters.segments_sent += 1;
        Some(length)
    }

    /// The SYN offers everything; with an acknowledgement, only what the peer has offered.
    fn send_syn(&mut self, out: &mut [u8], now: Instant, counters: &mut Counters) -> Option<usize> {
        let control = &self.control;
        let first = control.state == State::SynSent;
        let echo = control.timestamps.as_ref().map(|clock| clock.recent);
        let segment = Segment {
            source_port: control.local.port,
            destination_port: control.remote.port,
            sequence: control.send.initial,
            acknowledgement: if first { SequenceNumber::new(0) } else { control.receive.next },
            flags: if first { Flags::SYN } else { Flags::SYN.with(Flags::ACK) },
            // The window of a SYN is never scaled (RFC 7323 section 2.2).
            window: self.receive_ring.free().min(usize::from(u16::MAX)) as u16,
            options: Options {
                maximum_segment: Some(control.receive.maximum_segment),
                window_scale: (first || control.scaling).then_some(control.receive.shift),
                sack_permitted: first || control.selective,
                timestamps: (first || echo.is_some())
                    .then(|| Timestamps { value: control.timestamp(now), echo: echo.unwrap_or(0) }),
                sack: SackBlocks::new(),
            },
            payload: &[],
        };
        let length = segment.emit(control.local.address, control.remote.address, out)?;
        let control = &mut self.control;
        control.send.syn_due = false;
        control.debt = AcknowledgementDebt::default();
        control.last_sent_at = now;
        control.timers.retransmit = Some(now + control.round_trip.timeout());
        if core::mem::replace(&mut control.send.syn_sent, true) {
            control.round_trip.retransmitted();
            counters.retransmits += 1;
        } else {
            control.round_trip.sent(control.send.next, now);
        }
        Some(length)
    }

    fn send_new(
        &mut self,
        sequence: SequenceNumber,
        length: usize,
        fin: bool,
        out: &mut [u8],
        now: Instant,
        counters: &mut Counters,
    ) -> Option<usize> {
        let timeout = self.control.round_trip.timeout();
        if self.control.outstanding() == 0 && now.since(self.control.last_sent_at) > timeout {
            self.control.congestion.restart();
        }
        let emitted = self.emit_data(sequence, length, fin, out, now)?;
        counters.bytes_sent += length as u64;
        let grain = self.evidence(None, now).grain();
        let control = &mut self.control;
        let range = segment_range(sequence, length, fin);
        control.recovery.sent(range, now, grain);
        control.send.next = range.end;
        control.send.highest = control.send.highest.later(control.send.next);
        control.round_trip.sent(control.send.next, now);
        control.timers.retransmit.get_or_insert(now + timeout);
        control.timers.persist = None;
        control.timers.persist_doublings = 0;
        if control.probe.take() == Some(Probe::Tail) {
            control.tail_probe = Some(TailProbe { end: control.send.next, is_repeated: false });
            control.timers.retransmit = Some(now + timeout);
            counters.tail_probes += 1;
        }
        self.schedule_tail_probe(now);
        Some(emitted)
    }

    fn send_again(
        &mut self,
        sequence: SequenceNumber,
        length: usize,
        fin: bool,
        out: &mut [u8],
        now: Instant,
        counters: &mut Counters,
    ) -> Option<usize> {
        let emitted = self.emit_data(sequence, length, fin, out, now)?;
        counters.retransmits += 1;
        counters.bytes_sent += length as u64;
        let grain = self.evidence(None, now).grain();
        let control = &mut self.control;
        control.recovery.retransmitted(segment_range(sequence, length, fin), now, grain);
        control.round_trip.retransmitted();
        control.timers.retransmit.get_or_insert(now + control.round_trip.timeout());
        Some(emitted)
    }

    /// SND.NXT stays where it is, so that what the peer does not take is sent as usual once the window opens.
    fn send_window_probe(&mut self, out: &mut [u8], now: Instant, counters: &mut Counters) -> Option<usize> {
        let sequence = self.control.send.next;
        let length = self.unsent().min(1);
        let emitted = self.emit_data(sequence, length, length == 0, out, now)?;
        let control = &mut self.control;
        control.send.highest = control.send.highest.later(sequence + 1);
        if control.probe == Some(Probe::Window) {
            control.probe = None;
        }
        counters.window_probes += 1;
        Some(emitted)
    }

    pub(super) fn emit_data(
        &mut self,
        sequence: SequenceNumber,
        length: usize,
        fin: bool,
        out: &mut [u8],
        now: Instant,
    ) -> Option<usize> {
        let offset = sequence.bytes_after(self.control.send.unacknowledged) as usize;
        let mut flags = Flags::ACK;
        flags.set_fin(fin);
        flags.set_push(length > 0 && offset + length == self.send_ring.length());
        let emitted = self.emit(sequence, length, flags, out, now)?;
        self.control.last_sent_at = now;
        Some(emitted)
    }

    /// Builds a segment of `length` bytes of the send ring that acknowledges all that was received, and settles what
    /// is owed with it.
    fn emit(
        &mut self,
        sequence: SequenceNumber,
        length: usize,
        flags: Flags,
        out: &mut [u8],
        now: Instant,
    ) -> Option<usize> {
        let control = &self.control;
        let (window, edge) = self.choose_window();
        let offset = sequence.bytes_after(control.send.unacknowledged) as usize;
        let segment = Segment {
            source_port: control.local.port,
            destination_port: control.remote.port,
            sequence,
            acknowledgement: control.receive.next,
            flags,
            window,
            options: Options {
                timestamps: control
                    .timestamps
                    .as_ref()
                    .map(|clock| Timestamps { value: control.timestamp(now), echo: clock.recent }),
                sack: control.assembler.sack_blocks(self.sack_block_limit()),
                ..Options::default()
            },
            payload: &[],
        };
        let payload = self.send_ring.slices(offset, length);
        let emitted = segment.emit_with(control.local.address, control.remote.address, payload, out)?;
        let control = &mut self.control;
        control.receive.advertised = control.receive.advertised.later(edge);
        control.receive.acknowledged = control.receive.next;
        control.debt = AcknowledgementDebt::default();
        control.timers.delayed_acknowledgement = None;
        control.assembler.reported();
        Some(emitted)
    }

    /// The window to announce, as the wire has it, and where its right edge lies. The edge moves right only when that
    /// is worth a segment (RFC 9293 section 3.8.6.2.2), and never left, but for the rounding of the scale (RFC 7323
    /// section 2.4); what lies beyond a rounded edge but within one announced before is still taken.
    fn choose_window(&self) -> (u16, SequenceNumber) {
        let receive = &self.control.receive;
        let edge = receive.next + self.receive_ring.free() as u32;
        let worth = u32::from(receive.maximum_segment).min(self.receive_ring.capacity() as u32 / 2);
        let edge = if edge.bytes_after(receive.advertised) >= worth { edge } else { receive.advertised };
        let window = (edge.bytes_after(receive.next) >> receive.shift).min(u32::from(u16::MAX)) as u16;
        (window, receive.next + (u32::from(window) << receive.shift))
    }
}
