//! Sequence numbers: 32 bits that wrap (RFC 9293 section 3.4), and ranges of them.
//!
//! Two numbers can be put in order only while they are less than 2^31 apart, which windows of at most 2^30 bytes
//! ensure. The order is not transitive over the whole circle, so there is no `Ord`; comparisons have names.

use core::ops::{Add, AddAssign, Sub};

/// A position in the byte stream of one direction; SYN and FIN take one each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, defmt::Format)]
pub struct SequenceNumber(u32);

impl SequenceNumber {
    /// The sequence number as the wire has it.
    pub const fn new(value: u32) -> Self {
        SequenceNumber(value)
    }

    /// The number for the wire.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// How far this lies after `other`, in bytes; negative where it lies before.
    pub const fn offset_from(self, other: SequenceNumber) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// How far this lies after `other`, in bytes; zero where it does not.
    pub const fn bytes_after(self, other: SequenceNumber) -> u32 {
        let offset = self.offset_from(other);
        if offset > 0 { offset as u32 } else { 0 }
    }

    /// Whether this lies before `other`.
    pub const fn is_before(self, other: SequenceNumber) -> bool {
        self.offset_from(other) < 0
    }

    /// Whether this lies after `other`.
    pub const fn is_after(self, other: SequenceNumber) -> bool {
        self.offset_from(other) > 0
    }

    /// The later of the two.
    pub const fn later(self, other: SequenceNumber) -> Self {
        if self.is_before(other) { other } else { self }
    }

    /// The earlier of the two.
    pub const fn earlier(self, other: SequenceNumber) -> Self {
        if self.is_after(other) { other } else { self }
    }
}

impl Add<u32> for SequenceNumber {
    type Output = SequenceNumber;
    fn add(self, bytes: u32) -> SequenceNumber {
        SequenceNumber(self.0.wrapping_add(bytes))
    }
}

impl Sub<u32> for SequenceNumber {
    type Output = SequenceNumber;
    fn sub(self, bytes: u32) -> SequenceNumber {
        SequenceNumber(self.0.wrapping_sub(bytes))
    }
}

impl AddAssign<u32> for SequenceNumber {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

/// A stretch of the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte.
    pub start: SequenceNumber,
    /// The byte behind the last one.
    pub end: SequenceNumber,
}

impl Range {
    /// Its length in bytes; zero where `end` does not lie after `start`.
    pub const fn length(&self) -> u32 {
        self.end.bytes_after(self.start)
    }

    /// Whether the byte at `position` is part of it.
    pub const fn contains(&self, position: SequenceNumber) -> bool {
        !position.is_before(self.start) && position.is_before(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let before = SequenceNumber::new(u32::MAX - 1);
        let after = before + 3;
        assert_eq!(after, SequenceNumber::new(1));
        assert!(before.is_before(after) && after.is_after(before));
        assert_eq!(after.offset_from(before), 3);
        assert_eq!(before.offset_from(after), -3);
        assert_eq!(after - 3, before);
        assert_eq!(before.later(after), after);
        assert_eq!(before.earlier(after), before);
    }

    #[test]
    fn bytes_after_is_zero_where_it_lies_before() {
        let number = SequenceNumber::new(10);
        assert_eq!((number + 5).bytes_after(number), 5);
        assert_eq!(number.bytes_after(number), 0);
        assert_eq!((number - 5).bytes_after(number), 0);
    }
}
