//! The window that the peer offers (RFC 9293 section 3.10.7.4, RFC 7323 section 2).

use crate::tcp::limits::LARGEST_SHIFT;
use crate::wire::tcp::Segment;
use crate::wire::tcp::SequenceNumber;

/// How far we may send.
#[derive(Clone, Debug, Default)]
pub struct SendWindow {
    /// SND.WND in bytes.
    size: u32,
    /// The largest window that the peer ever offered, in bytes.
    largest: u32,
    /// SND.WL1.
    sequence: SequenceNumber,
    /// SND.WL2.
    acknowledgement: SequenceNumber,
    /// Shift of the windows that the peer sends.
    shift: u8,
}

impl SendWindow {
    /// SND.WND in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The largest window that the peer ever offered, in bytes.
    pub const fn largest(&self) -> u32 {
        self.largest
    }

    /// The peer's SYN offers this shift, or none. Whether it is more than is allowed; then the most that is counts.
    pub fn negotiate(&mut self, offered: Option<u8>) -> bool {
        self.shift = offered.unwrap_or(0).min(LARGEST_SHIFT);
        offered.is_some_and(|shift| shift > LARGEST_SHIFT)
    }

    /// The window of a segment in bytes; that of a SYN is never scaled.
    fn offered(&self, segment: &Segment<'_>) -> u32 {
        u32::from(segment.window) << if segment.flags.syn() { 0 } else { self.shift }
    }

    /// The window of the segment that acknowledges our SYN.
    pub fn begin(&mut self, segment: &Segment<'_>) {
        self.size = self.offered(segment);
        self.largest = self.size;
        self.sequence = segment.sequence;
        self.acknowledgement = segment.acknowledgement;
    }

    /// Takes over the peer's window unless the segment is older than the one that told it last. Answers whether it
    /// changed. `unacknowledged` is SND.UNA before the segment.
    pub fn update(&mut self, segment: &Segment<'_>, unacknowledged: SequenceNumber) -> bool {
        // What acknowledges more than anything before it was sent later, wherever its data lies in the stream. RFC 9293
        // goes by the sequence number even then; but to move SND.UNA and keep SND.WND would move the window's edge
        // beyond what the peer has offered.
        let is_newest = segment.acknowledgement.is_after(unacknowledged);
        let is_old = segment.acknowledgement.is_before(unacknowledged)
            || segment.sequence.is_before(self.sequence)
            || (segment.sequence == self.sequence && segment.acknowledgement.is_before(self.acknowledgement));
        if is_old && !is_newest {
            return false;
        }
        let size = u32::from(segment.window) << self.shift;
        let changed = size != self.size;
        self.size = size;
        self.largest = self.largest.max(size);
        self.sequence = segment.sequence;
        self.acknowledgement = segment.acknowledgement;
        changed
    }
}
