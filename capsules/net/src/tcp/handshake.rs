//! The handshake (RFC 9293 section 3.5): our SYN, and what is agreed upon when the peer's has come. Window scale,
//! timestamps and SACK are in force only if both sides offer them, and we always do.

use slopos_abi::Endpoint;
use slopos_kernel::time::Instant;

use crate::tcp::clock::TimestampClock;
use crate::tcp::receiver::Receiver;
use crate::tcp::sender::Sender;
use crate::wire::tcp::SequenceNumber;
use crate::wire::tcp::options::{Options, SackBlocks};
use crate::wire::tcp::{Flags, Segment};

/// Our SYN. It offers everything; where the peer's SYN `has_come` it acknowledges that, and has only what that offered.
pub fn syn(
    has_come: bool,
    sender: &Sender<'_>,
    receiver: &Receiver<'_>,
    clock: &TimestampClock,
    (local, remote): (Endpoint, Endpoint),
    now: Instant,
) -> Segment<'static> {
    Segment {
        source_port: local.port,
        destination_port: remote.port,
        sequence: sender.unacknowledged(),
        acknowledgement: if has_come { receiver.next() } else { SequenceNumber::new(0) },
        flags: if has_come { Flags::SYN.with(Flags::ACK) } else { Flags::SYN },
        window: receiver.syn_window(),
        options: Options {
            maximum_segment: Some(receiver.maximum_segment()),
            window_scale: receiver.shift(),
            sack_permitted: !has_come || receiver.is_selective(),
            timestamps: if has_come { clock.option(now) } else { Some(clock.offer(now)) },
            sack: SackBlocks::new(),
        },
        payload: &[],
    }
}

/// The peer's SYN has come. Answers whether it offers a window scale beyond the largest, which RFC 7323 section 2.3
/// wants logged; that is the stack's, which has a budget for it.
pub fn synchronize(
    segment: &Segment<'_>,
    sender: &mut Sender<'_>,
    receiver: &mut Receiver<'_>,
    clock: &mut TimestampClock,
    now: Instant,
) -> bool {
    receiver.synchronize(segment.sequence, &segment.options);
    clock.negotiate(segment.options.timestamps, now);
    sender.negotiate(&segment.options, receiver.maximum_segment(), clock.bytes())
}
