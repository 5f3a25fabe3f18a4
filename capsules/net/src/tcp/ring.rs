//! A byte ring over memory that a grant gives: the receive ring and the send ring of a connection.
//!
//! Bytes are appended at the end and consumed at the front. The receiver may also place bytes behind the end, where
//! a gap is still open, and let the end move over them when the gap is closed; so reassembly needs no second buffer.

use crate::wire::checksum::Accumulator;

/// Windows are at most 2^30 bytes (RFC 7323 section 2.3), so a longer ring could not be used.
const LARGEST_RING: usize = 1 << 30;

/// A ring of bytes in borrowed memory.
#[derive(Debug, Default)]
pub struct Ring<'a> {
    storage: &'a mut [u8],
    /// Where the first byte lies; below the capacity, or 0 where that is 0.
    head: usize,
    length: usize,
    /// How much of the storage, from its start, may hold bytes of the stream, so wiping leaves out the rest.
    touched: usize,
}

impl<'a> Ring<'a> {
    /// An empty ring in `storage`, of which at most 2^30 bytes are used.
    pub fn new(storage: &'a mut [u8]) -> Self {
        let usable = storage.len().min(LARGEST_RING);
        let storage = storage.get_mut(..usable).unwrap_or_default();
        Ring { storage, head: 0, length: 0, touched: 0 }
    }

    /// How many bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// How many bytes it holds, those behind an open gap not counted.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many bytes can be appended.
    pub fn free(&self) -> usize {
        self.storage.len().saturating_sub(self.length)
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends as much of `bytes` as there is room for and answers how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let written = self.place(0, bytes);
        self.length += written;
        written
    }

    /// Puts `bytes` `offset` bytes behind the end without moving the end, cut off where the ring is full, and
    /// answers how many were put.
    pub fn place(&mut self, offset: usize, bytes: &[u8]) -> usize {
        self.place_with(offset, bytes, copy)
    }

    /// As [`Ring::place`] directly behind the end, and adds what was put to `sum` on the way.
    pub fn place_summed(&mut self, bytes: &[u8], sum: &mut Accumulator) -> usize {
        self.place_with(0, bytes, |destination, source| {
            if let Some(destination) = destination {
                sum.add_copy(destination, source);
            }
        })
    }

    fn place_with(&mut self, offset: usize, bytes: &[u8], mut copy: impl FnMut(Option<&mut [u8]>, &[u8])) -> usize {
        let room = self.free().saturating_sub(offset);
        let length = bytes.len().min(room);
        if length == 0 {
            return 0;
        }
        let start = self.wrap(self.head + self.length + offset);
        let until_wrap = self.storage.len().saturating_sub(start).min(length);
        let first = bytes.get(..until_wrap).unwrap_or_default();
        let second = bytes.get(until_wrap..length).unwrap_or_default();
        copy(self.storage.get_mut(start..start + first.len()), first);
        if !second.is_empty() {
            copy(self.storage.get_mut(..second.len()), second);
        }
        let reached = if second.is_empty() { start + first.len() } else { self.storage.len() };
        self.touched = self.touched.max(reached);
        length
    }

    /// Moves the end over `length` bytes that were placed behind it, at most to where the ring is full. Answers over
    /// how many.
    pub fn extend(&mut self, length: usize) -> usize {
        let length = length.min(self.free());
        self.length += length;
        length
    }

    /// Moves as many bytes from the front to `destination` as fit and answers how many those were.
    pub fn read(&mut self, destination: &mut [u8]) -> usize {
        let (first, second) = self.slices(0, destination.len());
        let (first_length, second_length) = (first.len(), second.len());
        copy(destination.get_mut(..first_length), first);
        copy(destination.get_mut(first_length..first_length + second_length), second);
        self.consume(first_length + second_length);
        first_length + second_length
    }

    /// Drops `length` bytes from the front, at most all.
    pub fn consume(&mut self, length: usize) {
        let length = length.min(self.length);
        self.head = self.wrap(self.head + length);
        self.length -= length;
    }

    /// Moves an empty ring back to the start of its memory, so that little of it is touched. Only while nothing is
    /// placed behind the end.
    pub fn rewind(&mut self) {
        if self.length == 0 {
            self.head = 0;
        }
    }

    /// Up to `length` bytes from `offset` on, as the two pieces that they lie in; the second one is mostly empty.
    pub fn slices(&self, offset: usize, length: usize) -> (&[u8], &[u8]) {
        let length = length.min(self.length.saturating_sub(offset));
        if length == 0 {
            return (&[], &[]);
        }
        let start = self.wrap(self.head + offset);
        let until_wrap = self.storage.len().saturating_sub(start).min(length);
        let first = self.storage.get(start..start + until_wrap).unwrap_or(&[]);
        let second = self.storage.get(..length.saturating_sub(until_wrap)).unwrap_or(&[]);
        (first, second)
    }

    /// Empties the ring and overwrites every byte that was ever in it.
    pub fn wipe(&mut self) {
        self.storage.iter_mut().take(self.touched).for_each(|byte| *byte = 0);
        self.head = 0;
        self.length = 0;
        self.touched = 0;
    }

    /// A position below twice the capacity, brought below the capacity.
    fn wrap(&self, position: usize) -> usize {
        if position >= self.storage.len() { position - self.storage.len() } else { position }
    }
}

/// Copies between pieces of equal length, as every caller cuts them.
fn copy(destination: Option<&mut [u8]>, source: &[u8]) {
    if let Some(destination) = destination.filter(|destination| destination.len() == source.len()) {
        destination.copy_from_slice(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_across_the_wrap() {
        let mut storage = [0; 7];
        let mut ring = Ring::new(&mut storage);
        let (mut next_in, mut next_out) = (0u8, 0u8);
        for step in 0..200 {
            let bytes: Vec<u8> = (0..step % 6).map(|i| next_in.wrapping_add(i)).collect();
            next_in = next_in.wrapping_add(ring.append(&bytes) as u8);
            let mut out = vec![0; (step % 5) as usize];
            let read = ring.read(&mut out);
            for byte in &out[..read] {
                assert_eq!(*byte, next_out);
                next_out = next_out.wrapping_add(1);
            }
            assert_eq!(ring.length() + ring.free(), 7);
        }
        assert!(next_out > 100);
    }

    #[test]
    fn a_ring_that_is_emptied_each_time_touches_no_more_than_it_ever_held() {
        let mut storage = [0; 100];
        let mut ring = Ring::new(&mut storage);
        for _ in 0..20 {
            ring.append(b"abcdef");
            ring.consume(4);
            ring.rewind();
            assert_eq!(ring.slices(0, 2), (&b"ef"[..], &b""[..]), "what is in it stays");
            ring.consume(2);
            ring.rewind();
        }
        assert_eq!(ring.touched, 6);
    }

    #[test]
    fn what_is_placed_behind_a_gap_is_read_once_the_gap_is_closed() {
        let mut storage = [0; 8];
        let mut ring = Ring::new(&mut storage);
        ring.append(b"abcdef");
        ring.consume(6);
        assert_eq!(ring.place(2, b"cdefgh"), 6);
        assert!(ring.is_empty());
        ring.append(b"ab");
        ring.extend(4);
        let mut out = [0; 8];
        assert_eq!(ring.read(&mut out), 6);
        assert_eq!(&out[..6], b"abcdef");
    }

    #[test]
    fn what_is_summed_on_the_way_is_what_was_put_wherever_the_ring_wraps() {
        for start in 0..9 {
            let mut storage = [0; 9];
            let mut ring = Ring::new(&mut storage);
            ring.append(&[7; 9][..start]);
            ring.consume(start);
            let mut sum = Accumulator::new();
            assert_eq!(ring.place_summed(b"abcdefg", &mut sum), 7);
            assert_eq!(sum.checksum(), crate::wire::checksum::of(b"abcdefg"), "from {start}");
            assert!(ring.is_empty(), "nothing counts before the end moves");
            ring.extend(7);
            let mut out = [0; 9];
            assert_eq!(ring.read(&mut out), 7);
            assert_eq!(&out[..7], b"abcdefg");
        }
    }

    #[test]
    fn a_full_ring_takes_nothing() {
        let mut storage = [0; 3];
        let mut ring = Ring::new(&mut storage);
        assert_eq!(ring.append(b"abcd"), 3);
        assert_eq!(ring.append(b"d"), 0);
        assert_eq!(ring.place(1, b"d"), 0);
        ring.extend(5);
        assert_eq!(ring.length(), 3);
    }

    #[test]
    fn a_ring_without_memory_is_harmless() {
        let mut ring = Ring::new(&mut []);
        assert_eq!(ring.append(b"a"), 0);
        assert_eq!(ring.read(&mut [0; 4]), 0);
        ring.consume(1);
        ring.wipe();
        assert_eq!(ring.slices(0, 1), (&[][..], &[][..]));
    }

    #[test]
    fn wiping_leaves_no_byte_behind() {
        let mut storage = [0; 8];
        let mut ring = Ring::new(&mut storage);
        ring.append(b"abcdef");
        ring.consume(5);
        ring.append(b"ghij");
        ring.place(1, b"k");
        ring.wipe();
        assert!(ring.is_empty());
        assert_eq!(storage, [0; 8]);
    }

    #[test]
    fn slices_give_both_pieces() {
        let mut storage = [0; 4];
        let mut ring = Ring::new(&mut storage);
        ring.append(b"abc");
        ring.consume(2);
        ring.append(b"def");
        assert_eq!(ring.slices(0, 9), (&b"cd"[..], &b"ef"[..]));
        assert_eq!(ring.slices(1, 2), (&b"d"[..], &b"e"[..]));
        assert_eq!(ring.slices(3, 2), (&b"f"[..], &b""[..]));
        assert_eq!(ring.slices(4, 2), (&b""[..], &b""[..]));
    }
}
