//! The window that we offer (RFC 9293 section 3.8.6.2.2, RFC 7323 section 2).

use crate::tcp::limits::LARGEST_SHIFT;
use crate::wire::tcp::SequenceNumber;

/// How far the peer may send.
#[derive(Clone, Debug, Default)]
pub struct ReceiveWindow {
    /// The right edge as advertised; it never moves left.
    advertised: SequenceNumber,
    /// What we announced as MSS, in bytes.
    maximum_segment: u16,
    /// Shift of the windows that we send; none where they are not scaled.
    shift: Option<u8>,
}

impl ReceiveWindow {
    /// For a buffer of `capacity` bytes, and segments of at most `maximum_segment` bytes.
    pub fn new(capacity: usize, maximum_segment: u16) -> Self {
        ReceiveWindow { advertised: SequenceNumber::default(), maximum_segment, shift: Some(shift_for(capacity)) }
    }

    /// What we announce as MSS, in bytes.
    pub const fn maximum_segment(&self) -> u16 {
        self.maximum_segment
    }

    /// The shift that our SYN offers, or that was agreed upon.
    pub const fn shift(&self) -> Option<u8> {
        self.shift
    }

    /// The peer's SYN has come; our own has announced the window up to `edge`. Whether the peer scales windows, too.
    pub const fn begin(&mut self, edge: SequenceNumber, is_scaled: bool) {
        self.advertised = edge;
        if !is_scaled {
            self.shift = None;
        }
    }

    /// Whether room up to `edge` is worth a segment that says so: half the buffer or two full segments.
    pub fn is_worth_an_update(&self, edge: SequenceNumber, capacity: usize) -> bool {
        let full_segments = 2 * u32::from(self.maximum_segment);
        edge.bytes_after(self.advertised) >= full_segments.min(capacity as u32 / 2).max(1)
    }

    /// The window to announce, as the wire has it, where there is room from `next` to `edge`; and where its right edge
    /// lies then. The edge moves right only when that is worth a segment, and never left, but for the rounding of the
    /// scale (RFC 7323 section 2.4); what lies beyond a rounded edge but within one announced before is still taken.
    pub fn choose(&self, next: SequenceNumber, edge: SequenceNumber, capacity: usize) -> (u16, SequenceNumber) {
        let worth = u32::from(self.maximum_segment).min(capacity as u32 / 2);
        let edge = if edge.bytes_after(self.advertised) >= worth { edge } else { self.advertised };
        let shift = self.shift.unwrap_or(0);
        let window = (edge.bytes_after(next) >> shift).min(u32::from(u16::MAX)) as u16;
        (window, next + (u32::from(window) << shift))
    }

    /// It was announced up to `edge`.
    pub fn announced(&mut self, edge: SequenceNumber) {
        self.advertised = self.advertised.later(edge);
    }
}

/// The shift with which a window of `capacity` bytes can be told in 16 bits (RFC 7323 section 2.2).
fn shift_for(capacity: usize) -> u8 {
    (0..LARGEST_SHIFT).find(|shift| capacity >> shift <= usize::from(u16::MAX)).unwrap_or(LARGEST_SHIFT)
}
