//! Data on its way past the receive ring, to a process that waits for it.

use core::ops::Range;

use crate::wire::checksum::Accumulator;

/// Data that comes next in its stream. It still lies where the device put it, and may be damaged.
///
/// Whoever knows the buffer of a process that waits in a read can [copy it there](Arrival::copy_to), once instead of by
/// way of the ring. Data that is left alone goes into the ring.
pub struct Arrival<'a> {
    payload: &'a [u8],
    /// What the reader's buffer holds already.
    delivered: usize,
    sum: &'a mut Accumulator,
    copied: bool,
}

impl<'a> Arrival<'a> {
    /// `payload`, for a reader that has got `delivered` bytes.
    pub(super) fn new(payload: &'a [u8], delivered: u32, sum: &'a mut Accumulator) -> Self {
        Arrival { payload, delivered: delivered as usize, sum, copied: false }
    }

    /// The bytes of the reader's buffer that it fills.
    pub fn place(&self) -> Range<usize> {
        self.delivered..self.delivered.saturating_add(self.payload.len())
    }

    /// Copies it to this part of the reader's buffer, and sums it on the way. Nothing happens where the length is not
    /// that of [`Arrival::place`].
    ///
    /// What is found to be damaged afterwards does not count, though it was written; the buffer must be one whose
    /// bytes mean nothing until the read returns.
    pub fn copy_to(&mut self, buffer: &mut [u8]) {
        if !self.copied && buffer.len() == self.payload.len() {
            self.sum.add_copy(buffer, self.payload);
            self.copied = true;
        }
    }

    /// Whether it is in the reader's buffer.
    pub(super) fn is_copied(&self) -> bool {
        self.copied
    }
}
