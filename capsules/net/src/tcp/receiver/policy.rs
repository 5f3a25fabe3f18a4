//! When what has arrived is acknowledged (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): every other full segment at
//! once, anything else after a while.

use slopos_kernel::time::Duration;

use crate::tcp::limits::DEFAULT_MAXIMUM_SEGMENT;
use crate::tcp::tick::Tick;
use crate::tcp::timers::Timer;

/// An acknowledgement waits no longer for more data (RFC 9293 allows 500 ms; Linux has 40 ms).
const DELAYED_ACKNOWLEDGEMENT: Duration = Duration::from_millis(40);

/// What was received and is not acknowledged yet.
#[derive(Clone, Debug, Default)]
pub struct AcknowledgementPolicy {
    /// Payload received since the last acknowledgement, in bytes.
    bytes: u32,
    /// The largest payload seen, in bytes: what the peer means by a full segment.
    largest_payload: u16,
    /// An acknowledgement must go out now.
    is_due: bool,
}

impl AcknowledgementPolicy {
    /// Whether an acknowledgement must go out now.
    pub const fn is_due(&self) -> bool {
        self.is_due
    }

    /// One must go out now.
    pub const fn at_once(&mut self) {
        self.is_due = true;
    }

    /// A segment brought a payload of `length` bytes; we take no more than `maximum_segment` in one.
    pub fn saw(&mut self, length: u32, maximum_segment: u16) {
        let largest = self.largest_payload.max(length.min(u32::from(u16::MAX)) as u16);
        self.largest_payload = largest.min(maximum_segment);
    }

    /// The stream went on by `bytes`.
    pub fn received(&mut self, bytes: u32, maximum_segment: u16, tick: &mut Tick<'_>) {
        self.bytes = self.bytes.saturating_add(bytes);
        let smallest_full = DEFAULT_MAXIMUM_SEGMENT.min(maximum_segment);
        let full = u32::from(self.largest_payload.max(smallest_full));
        if self.bytes >= 2 * full {
            self.is_due = true;
        } else {
            tick.timers.ensure(Timer::DelayedAcknowledgement, tick.now + DELAYED_ACKNOWLEDGEMENT);
        }
    }

    /// The peer's stream has ended.
    pub const fn ended(&mut self) {
        self.is_due = true;
        self.bytes = 0;
    }

    /// One went out.
    pub const fn sent(&mut self) {
        self.is_due = false;
        self.bytes = 0;
    }
}
