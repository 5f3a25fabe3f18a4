//! Resets: how a segment without a connection is answered, and how a connection is torn down.

use slopos_abi::Endpoint;

use crate::wire::tcp::options::Options;
use crate::wire::tcp::{Flags, Segment, SequenceNumber};

/// A reset to be sent; it needs no connection to exist any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetReply {
    /// Where it comes from.
    pub local: Endpoint,
    /// Where it goes.
    pub remote: Endpoint,
    /// Its sequence number: the one that the peer expects, or else it would not believe it.
    pub sequence: SequenceNumber,
    /// What it acknowledges, if anything.
    pub acknowledgement: Option<SequenceNumber>,
}

/// The answer to a segment from `remote` to `local` for which there is no connection (RFC 9293 section 3.10.7.1).
/// A reset is never answered.
pub fn reset_for(local: Endpoint, remote: Endpoint, segment: &Segment<'_>) -> Option<ResetReply> {
    if segment.flags.reset() {
        return None;
    }
    let reply = if segment.flags.ack() {
        ResetReply { local, remote, sequence: segment.acknowledgement, acknowledgement: None }
    } else {
        let end = segment.sequence + segment.sequence_length();
        ResetReply { local, remote, sequence: SequenceNumber::new(0), acknowledgement: Some(end) }
    };
    Some(reply)
}

impl ResetReply {
    /// Writes the segment to the start of `out` and answers its length in bytes, which is 20; 0 where `out` is
    /// shorter.
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let segment = Segment {
            source_port: self.local.port,
            destination_port: self.remote.port,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement.unwrap_or_default(),
            flags: if self.acknowledgement.is_some() { Flags::RST.with(Flags::ACK) } else { Flags::RST },
            window: 0,
            options: Options::default(),
            payload: &[],
        };
        segment.emit(self.local.address, self.remote.address, out).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const LOCAL: Endpoint = Endpoint { address: Ipv4Addr::from_octets([10, 0, 2, 15]), port: 50_000 };
    const REMOTE: Endpoint = Endpoint { address: Ipv4Addr::from_octets([10, 0, 2, 2]), port: 80 };

    fn segment(flags: Flags) -> Segment<'static> {
        Segment {
            source_port: REMOTE.port,
            destination_port: LOCAL.port,
            sequence: SequenceNumber::new(100),
            acknowledgement: SequenceNumber::new(900),
            flags,
            window: 10,
            options: Options::default(),
            payload: b"four",
        }
    }

    fn answer(flags: Flags) -> Option<(SequenceNumber, SequenceNumber, Flags)> {
        let mut out = [0; 20];
        assert_eq!(reset_for(LOCAL, REMOTE, &segment(flags))?.emit(&mut out), 20);
        let reply = Segment::parse(LOCAL.address, REMOTE.address, &out).unwrap();
        assert_eq!((reply.source_port, reply.destination_port), (LOCAL.port, REMOTE.port));
        Some((reply.sequence, reply.acknowledgement, reply.flags))
    }

    #[test]
    fn an_acknowledging_segment_is_reset_at_the_number_that_it_expects() {
        assert_eq!(answer(Flags::ACK), Some((SequenceNumber::new(900), SequenceNumber::new(0), Flags::RST)));
    }

    #[test]
    fn a_segment_without_ack_is_reset_by_acknowledging_all_of_it() {
        let expected = (SequenceNumber::new(0), SequenceNumber::new(105), Flags::RST.with(Flags::ACK));
        assert_eq!(answer(Flags::SYN), Some(expected));
    }

    #[test]
    fn a_reset_is_not_answered() {
        assert_eq!(answer(Flags::RST), None);
        assert_eq!(answer(Flags::RST.with(Flags::ACK)), None);
    }

    #[test]
    fn too_little_room_emits_nothing() {
        assert_eq!(reset_for(LOCAL, REMOTE, &segment(Flags::ACK)).unwrap().emit(&mut [0; 19]), 0);
    }
}
