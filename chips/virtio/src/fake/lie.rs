//! What a device can say of a chain against the rules of its queue (section 2.7), and what the driver must find.

use super::{Chain, Side};
use crate::queue::{DESCRIPTORS_MAX, QueueFault};

/// What a device says of a chain that it was given.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// The chain is another one, so far beyond the last.
    Unknown(u32),
    /// It is one that the driver keeps free, or the middle of a chain.
    NotOutstanding,
    /// The chain was used twice.
    Twice,
    /// So many chains were used, or one more than the device has, whichever is more; 0xffff is a step back.
    Jump(u16),
    /// So many more bytes were written than there is room for, and one.
    TooLong(u32),
}

/// Each kind of lie, with numbers that are nearly right and such that are quite wrong.
pub const LIES: [Lie; 12] = [
    Lie::Unknown(0),
    Lie::Unknown(1),
    Lie::Unknown(0xff00),
    Lie::Unknown(0xffff_ff00),
    Lie::NotOutstanding,
    Lie::Twice,
    Lie::Jump(0),
    Lie::Jump(300),
    Lie::Jump(0x8000),
    Lie::Jump(0xffff),
    Lie::TooLong(0),
    Lie::TooLong(u32::MAX),
];

/// What a lie is told about.
pub struct Subject<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// What an honest device would say it wrote, in bytes.
    pub honest: u32,
    /// A descriptor at which no chain begins that the device has.
    pub other: u16,
    /// How many chains the device has.
    pub outstanding: u16,
}

impl Lie {
    /// Tells it.
    pub fn tell(self, side: &mut Side, subject: &Subject<'_>) {
        let Subject { chain, honest, other, outstanding } = *subject;
        let head = chain.head.into();
        let usable = u32::from(side.size).min(DESCRIPTORS_MAX as u32);
        let (times, id, length) = match self {
            Lie::Unknown(beyond) => (1, usable.saturating_add(beyond), honest),
            Lie::NotOutstanding => (1, other.into(), honest),
            Lie::Twice => (2, head, honest),
            Lie::Jump(claimed) => {
                side.used_index = side.used_index.wrapping_add(claimed.max(outstanding + 1));
                side.show_used();
                return;
            }
            Lie::TooLong(by) => (1, head, chain.room().saturating_add(1).saturating_add(by)),
        };
        for _ in 0..times {
            side.complete(id, length, false);
        }
    }

    /// Whether this is what the driver must find.
    pub fn is_found_as(self, fault: QueueFault) -> bool {
        match self {
            Lie::Unknown(_) => matches!(fault, QueueFault::UnknownDescriptor { .. }),
            Lie::NotOutstanding => matches!(fault, QueueFault::NotOutstanding { .. }),
            // Where the device had only that chain, it has used more than it had.
            Lie::Twice => matches!(fault, QueueFault::NotOutstanding { .. } | QueueFault::IndexJump { .. }),
            Lie::Jump(_) => matches!(fault, QueueFault::IndexJump { .. }),
            Lie::TooLong(_) => matches!(fault, QueueFault::TooLong { .. }),
        }
    }
}
