//! Sets of one process's sockets.

use slopos_abi::limits::SOCKETS_MAX;
use slopos_kernel::objects::SocketIndex;

const _: () = assert!(SOCKETS_MAX <= u64::BITS as usize, "each socket has a bit");

/// Some of a process's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketBits(u64);

impl SocketBits {
    /// None of them.
    pub(crate) const EMPTY: SocketBits = SocketBits(0);

    const fn of(socket: SocketIndex) -> u64 {
        1 << (socket.0 % u64::BITS as u16)
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, socket: SocketIndex) {
        self.0 |= Self::of(socket);
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, socket: SocketIndex) {
        self.0 &= !Self::of(socket);
    }

    /// These but not those.
    pub(crate) fn without(self, other: SocketBits) -> SocketBits {
        SocketBits(self.0 & !other.0)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self == SocketBits::EMPTY
    }

    /// The first of them from `first` on, or else the first of all.
    pub(crate) fn next_from(self, first: usize) -> Option<SocketIndex> {
        let later = u32::try_from(first).ok().and_then(|first| u64::MAX.checked_shl(first)).unwrap_or(0) & self.0;
        let bits = if later != 0 { later } else { self.0 };
        (bits != 0).then(|| SocketIndex(bits.trailing_zeros() as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_of_a_set_goes_round() {
        let mut bits = SocketBits::EMPTY;
        assert_eq!(bits.next_from(0), None);
        for index in [2, 5, 63] {
            bits.insert(SocketIndex(index));
        }
        for (from, next) in [(0, 2), (2, 2), (3, 5), (6, 63), (63, 63), (64, 2), (usize::MAX, 2)] {
            assert_eq!(bits.next_from(from), Some(SocketIndex(next)), "from {from}");
        }
        let mut passed = SocketBits::EMPTY;
        passed.insert(SocketIndex(5));
        assert_eq!(bits.without(passed).next_from(3), Some(SocketIndex(63)));
        bits.remove(SocketIndex(63));
        assert_eq!(bits.next_from(6), Some(SocketIndex(2)));
    }
}
