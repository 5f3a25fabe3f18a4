//! Replies without a socket that wait to be sent.
//!
//! They are owed to whoever makes us owe them, so each kind has a ring of its own, and within a ring nobody keeps out
//! others: where it is full, one that is owed nothing there yet takes the place of the newest reply to the one that is
//! owed most. What is dropped is counted.

use core::net::Ipv4Addr;

use heapless::Deque;
use slopos_kernel::process::ProcessId;

use crate::MacAddress;
use crate::tcp::ResetReply;

/// Replies of one kind that wait at most. A full ring drops one for each newcomer, and that is counted.
pub const REPLIES_MAX: usize = 16;

/// A frame that is owed to nobody's socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// Tells a station which one we are.
    Arp { station: MacAddress, address: Ipv4Addr },
    /// Tells a peer that its connection does not exist, or no longer.
    Reset { station: MacAddress, reply: ResetReply },
}

/// All replies that wait.
#[derive(Default)]
pub(super) struct Replies {
    /// ARP replies, by the station that asked.
    answers: Ring<MacAddress>,
    /// Resets for segments without a connection, by the host that they are said to come from.
    refusals: Ring<Ipv4Addr>,
    /// Resets of connections that a process aborted, by that process.
    aborts: Ring<ProcessId>,
    /// The ring that is looked at first: the turn goes round.
    next: u8,
    /// How many wait, for this is asked before each frame.
    waiting: usize,
}

/// A reply was dropped, this one or another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped;

impl Replies {
    /// Owes a station the answer to its question.
    pub fn answer(&mut self, station: MacAddress, address: Ipv4Addr) -> Result<(), Dropped> {
        let queued = self.answers.push(station, Reply::Arp { station, address });
        self.count(queued)
    }

    /// Owes a host a reset for its segment.
    pub fn refuse(&mut self, station: MacAddress, reply: ResetReply) -> Result<(), Dropped> {
        let queued = self.refusals.push(reply.remote.address, Reply::Reset { station, reply });
        self.count(queued)
    }

    /// Owes a peer the reset of a connection that this process aborted.
    pub fn abort(&mut self, process: ProcessId, station: MacAddress, reply: ResetReply) -> Result<(), Dropped> {
        let queued = self.aborts.push(process, Reply::Reset { station, reply });
        self.count(queued)
    }

    fn count(&mut self, queued: Result<(), Dropped>) -> Result<(), Dropped> {
        self.waiting += usize::from(queued.is_ok());
        queued
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<Reply> {
        if self.is_empty() {
            return None;
        }
        let turn = self.next;
        self.next = (turn + 1) % 3;
        self.waiting = self.waiting.saturating_sub(1);
        (0..3).find_map(|offset| match (turn + offset) % 3 {
            0 => self.answers.pop(),
            1 => self.refusals.pop(),
            _ => self.aborts.pop(),
        })
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Replies::default();
    }
}

/// The replies of one kind, each with whom it is owed to.
struct Ring<K>(Deque<(K, Reply), REPLIES_MAX>);

impl<K> Default for Ring<K> {
    fn default() -> Self {
        Ring(Deque::new())
    }
}

impl<K: Copy + PartialEq> Ring<K> {
    fn push(&mut self, key: K, reply: Reply) -> Result<(), Dropped> {
        let Err(entry) = self.0.push_back((key, reply)) else { return Ok(()) };
        if self.owed(key) == 0
            && let Some(most) = self.0.iter().map(|&(key, _)| key).max_by_key(|&key| self.owed(key))
            && self.owed(most) > 1
            && let Some(newest) = self.0.iter_mut().rev().find(|(key, _)| *key == most)
        {
            *newest = entry;
        }
        Err(Dropped)
    }

    fn owed(&self, key: K) -> usize {
        self.0.iter().filter(|(other, _)| *other == key).count()
    }

    fn pop(&mut self) -> Option<Reply> {
        self.0.pop_front().map(|(_, reply)| reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(number: u8) -> MacAddress {
        MacAddress([2, 0, 0, 0, 0, number])
    }

    fn owed(replies: &mut Replies) -> Vec<u8> {
        let mut owed = Vec::new();
        while let Some(Reply::Arp { station: MacAddress([.., number]), .. }) = replies.pop() {
            owed.push(number);
        }
        owed
    }

    #[test]
    fn in_a_full_ring_who_is_owed_nothing_takes_the_place_of_the_newest_of_who_is_owed_most() {
        let mut replies = Replies::default();
        let mut push = |number| replies.answer(station(number), Ipv4Addr::UNSPECIFIED);
        assert_eq!((push(1), push(2), push(2)), (Ok(()), Ok(()), Ok(())));
        for _ in 3..REPLIES_MAX {
            assert_eq!(push(3), Ok(()));
        }
        assert_eq!((push(3), push(2), push(1)), (Err(Dropped), Err(Dropped), Err(Dropped)));
        assert_eq!((push(4), push(4), push(5)), (Err(Dropped), Err(Dropped), Err(Dropped)));
        let expected = [&[1, 2, 2][..], &[3; REPLIES_MAX - 5], &[5, 4]].concat();
        assert_eq!(owed(&mut replies), expected);
    }

    #[test]
    fn where_each_is_owed_one_a_newcomer_is_dropped() {
        let mut replies = Replies::default();
        for number in 0..REPLIES_MAX as u8 {
            assert_eq!(replies.answer(station(number), Ipv4Addr::UNSPECIFIED), Ok(()));
        }
        assert_eq!(replies.answer(station(99), Ipv4Addr::UNSPECIFIED), Err(Dropped));
        assert!(!owed(&mut replies).contains(&99));
    }
}
