//! The TCP segment on the wire (RFC 9293 section 3.1): parsed with every length checked, emitted with its checksum.

use core::net::Ipv4Addr;

use bitfield::bitfield;

use crate::wire::checksum::Accumulator;
use crate::wire::ipv4::{Protocol, pseudo_header};

pub mod options;
pub mod sequence;

pub use options::Options;
pub use sequence::{Range, SequenceNumber};

/// The header without options, in bytes.
pub const HEADER_BYTES: usize = 20;

bitfield! {
    /// The header's word of data offset and control bits.
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub struct Flags(u16);
    impl Debug;
    u8;
    /// The header's length in 32-bit words; only what is read off the wire and what is about to be emitted has it.
    data_offset, set_data_offset: 15, 12;
    /// URG: the urgent pointer means something (it is not looked at here).
    pub urgent, set_urgent: 5;
    /// ACK: the acknowledgement number means something.
    pub ack, set_ack: 4;
    /// PSH: the sender has nothing more to say for now.
    pub push, set_push: 3;
    /// RST: there is no such connection.
    pub reset, set_reset: 2;
    /// SYN: the sequence number is the initial one.
    pub syn, set_syn: 1;
    /// FIN: nothing comes behind this segment.
    pub fin, set_fin: 0;
}

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// FIN alone.
    pub const FIN: Flags = Flags(1 << 0);
    /// SYN alone.
    pub const SYN: Flags = Flags(1 << 1);
    /// RST alone.
    pub const RST: Flags = Flags(1 << 2);
    /// PSH alone.
    pub const PSH: Flags = Flags(1 << 3);
    /// ACK alone.
    pub const ACK: Flags = Flags(1 << 4);

    /// These flags and those.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// A segment: header, options and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Where in the stream the payload begins, or where the SYN lies.
    pub sequence: SequenceNumber,
    /// What the sender expects next; only with [`Flags::ack`].
    pub acknowledgement: SequenceNumber,
    /// The control bits.
    pub flags: Flags,
    /// The window as the wire has it: not scaled yet.
    pub window: u16,
    /// The options.
    pub options: Options,
    /// The bytes of the stream that it carries.
    pub payload: &'a [u8],
}

/// Why bytes are no TCP segment; it is dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum ParseError {
    /// Shorter than a header.
    TooShort,
    /// The data offset points into the fixed header or behind the end.
    BadDataOffset,
    /// The checksum over pseudo-header, header and payload is wrong.
    BadChecksum,
}

/// A segment whose checksum has not been looked at: every field may be damaged.
#[derive(Clone, Debug)]
pub struct Unverified<'a> {
    segment: Segment<'a>,
    /// The sum of pseudo-header, header and options.
    sum: Accumulator,
}

impl<'a> Unverified<'a> {
    /// The segment in `bytes`, which are the whole payload of an IPv4 packet from `source` to `destination`.
    ///
    /// # Errors
    /// [`ParseError::TooShort`] and [`ParseError::BadDataOffset`].
    pub fn parse(source: Ipv4Addr, destination: Ipv4Addr, bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, behind) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(ParseError::TooShort)?;
        let &[p0, p1, p2, p3, s0, s1, s2, s3, a0, a1, a2, a3, f0, f1, w0, w1, ..] = header;
        let mut flags = Flags(u16::from_be_bytes([f0, f1]));
        let options_bytes =
            (usize::from(flags.data_offset()) * 4).checked_sub(HEADER_BYTES).ok_or(ParseError::BadDataOffset)?;
        let (options, payload) = behind.split_at_checked(options_bytes).ok_or(ParseError::BadDataOffset)?;
        // A longer segment than a length field can say does not come out of an IPv4 packet.
        let mut sum = pseudo_header(source, destination, Protocol::TCP, bytes.len() as u16);
        sum.add(header);
        if !options.is_empty() {
            sum.add(options);
        }
        flags.set_data_offset(0);
        let segment = Segment {
            source_port: u16::from_be_bytes([p0, p1]),
            destination_port: u16::from_be_bytes([p2, p3]),
            sequence: SequenceNumber::new(u32::from_be_bytes([s0, s1, s2, s3])),
            acknowledgement: SequenceNumber::new(u32::from_be_bytes([a0, a1, a2, a3])),
            flags,
            window: u16::from_be_bytes([w0, w1]),
            options: Options::parse(options),
            payload,
        };
        Ok(Unverified { segment, sum })
    }

    /// What the segment would be if it is undamaged.
    pub fn claimed(&self) -> &Segment<'a> {
        &self.segment
    }

    /// The segment, if it is undamaged.
    ///
    /// # Errors
    /// [`ParseError::BadChecksum`].
    pub fn verify(self) -> Result<Segment<'a>, ParseError> {
        let payload = self.segment.payload;
        self.verify_while(|sum| sum.add(payload))
    }

    /// The segment, if it is undamaged. `take` adds the payload to the sum, and may copy it on the way to where it does
    /// no harm if it is damaged.
    ///
    /// # Errors
    /// [`ParseError::BadChecksum`].
    pub(crate) fn verify_while(mut self, take: impl FnOnce(&mut Accumulator)) -> Result<Segment<'a>, ParseError> {
        take(&mut self.sum);
        if self.sum.is_valid() { Ok(self.segment) } else { Err(ParseError::BadChecksum) }
    }
}

impl<'a> Segment<'a> {
    /// The segment in `bytes`, which are the whole payload of an IPv4 packet from `source` to `destination`.
    ///
    /// # Errors
    /// What is wrong with it; each deserves a counter of its own.
    pub fn parse(source: Ipv4Addr, destination: Ipv4Addr, bytes: &'a [u8]) -> Result<Segment<'a>, ParseError> {
        Unverified::parse(source, destination, bytes)?.verify()
    }

    /// How many sequence numbers it takes: its payload, and one each for SYN and FIN.
    pub fn sequence_length(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.flags.syn()) + u32::from(self.flags.fin())
    }

    /// Writes the segment to the start of `out` and answers its length in bytes. `None` where it does not fit.
    pub fn emit(&self, source: Ipv4Addr, destination: Ipv4Addr, out: &mut [u8]) -> Option<usize> {
        self.emit_with(source, destination, (self.payload, &[]), out)
    }

    /// Writes the segment with `payload`, which lies in two pieces, in place of its own. The payload is summed while
    /// it is copied.
    pub(crate) fn emit_with(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload: (&[u8], &[u8]),
        out: &mut [u8],
    ) -> Option<usize> {
        let options_bytes = self.options.emitted_bytes();
        let header_bytes = HEADER_BYTES + options_bytes;
        let length = header_bytes + payload.0.len() + payload.1.len();
        let (header, body) = out.get_mut(..length)?.split_at_mut_checked(header_bytes)?;
        let (first, second) = body.split_at_mut_checked(payload.0.len())?;

        let mut flags = self.flags;
        flags.set_data_offset((header_bytes / 4) as u8);
        let (fixed, options) = header.split_first_chunk_mut::<HEADER_BYTES>()?;
        self.options.emit(options)?;
        let [p0, p1] = self.source_port.to_be_bytes();
        let [p2, p3] = self.destination_port.to_be_bytes();
        let [s0, s1, s2, s3] = self.sequence.as_u32().to_be_bytes();
        let [a0, a1, a2, a3] = self.acknowledgement.as_u32().to_be_bytes();
        let [f0, f1] = flags.0.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        *fixed = [p0, p1, p2, p3, s0, s1, s2, s3, a0, a1, a2, a3, f0, f1, w0, w1, 0, 0, 0, 0];

        let mut sum = pseudo_header(source, destination, Protocol::TCP, u16::try_from(length).ok()?);
        sum.add(fixed);
        sum.add(options);
        sum.add_copy(first, payload.0);
        sum.add_copy(second, payload.1);
        let [c0, c1] = sum.checksum().to_be_bytes();
        let [.., checksum_high, checksum_low, _, _] = fixed;
        (*checksum_high, *checksum_low) = (c0, c1);
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::options::Timestamps;

    const US: Ipv4Addr = Ipv4Addr::from_octets([10, 0, 2, 15]);
    const PEER: Ipv4Addr = Ipv4Addr::from_octets([10, 0, 2, 2]);

    /// A SYN put together by hand: port 49152 to 80, sequence number 1, MSS 1460.
    const SYN: [u8; 24] =
        [0xc0, 0x00, 0x00, 0x50, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0xbf, 0xc4, 0, 0, 2, 4, 0x05, 0xb4];

    fn sample(payload: &[u8]) -> Segment<'_> {
        Segment {
            source_port: 49_152,
            destination_port: 80,
            sequence: SequenceNumber::new(0xffff_fff0),
            acknowledgement: SequenceNumber::new(7),
            flags: Flags::ACK.with(Flags::PSH),
            window: 0x1234,
            options: Options { timestamps: Some(Timestamps { value: 5, echo: 6 }), ..Options::default() },
            payload,
        }
    }

    #[test]
    fn each_flag_has_its_place_on_the_wire() {
        // RFC 9293 section 3.1.
        for (flag, bit) in [(Flags::FIN, 1), (Flags::SYN, 2), (Flags::RST, 4), (Flags::PSH, 8), (Flags::ACK, 16)] {
            let mut out = [0; 100];
            Segment { flags: flag, ..sample(b"") }.emit(US, PEER, &mut out).unwrap();
            assert_eq!(out[13], bit);
        }
    }

    #[test]
    fn a_flag_that_is_set_stays_set() {
        assert_eq!(Flags::ACK.with(Flags::FIN).with(Flags::ACK), Flags::ACK.with(Flags::FIN));
    }

    #[test]
    fn a_known_segment_is_read_field_by_field() {
        let segment = Segment::parse(US, PEER, &SYN).unwrap();
        assert_eq!((segment.source_port, segment.destination_port), (49_152, 80));
        assert_eq!(segment.sequence, SequenceNumber::new(1));
        assert_eq!(segment.flags, Flags::SYN);
        assert_eq!(segment.window, 0xffff);
        assert_eq!(segment.options.maximum_segment, Some(1460));
        assert_eq!(segment.sequence_length(), 1);
        let mut out = [0; 24];
        assert_eq!(segment.emit(US, PEER, &mut out), Some(24));
        assert_eq!(out, SYN);
    }

    #[test]
    fn a_segment_survives_the_wire() {
        for length in 0..50 {
            let payload: Vec<u8> = (0..length).collect();
            let segment = sample(&payload);
            let mut out = [0xaa; 100];
            let emitted = segment.emit(US, PEER, &mut out).unwrap();
            assert_eq!(emitted, 32 + payload.len());
            assert_eq!(Segment::parse(US, PEER, &out[..emitted]), Ok(segment));
        }
    }

    #[test]
    fn a_payload_in_two_pieces_is_the_same_segment() {
        let payload = b"an odd number of bytes!";
        let (mut whole, mut pieces) = ([0; 100], [0; 100]);
        for cut in 0..=payload.len() {
            let length = sample(payload).emit(US, PEER, &mut whole);
            assert_eq!(sample(&[]).emit_with(US, PEER, payload.split_at(cut), &mut pieces), length);
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let mut out = [0; 100];
        let length = sample(b"payload").emit(US, PEER, &mut out).unwrap();
        for bit in 0..length * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert!(Segment::parse(US, PEER, &out[..length]).is_err(), "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Segment::parse(US, US, &out[..length]), Err(ParseError::BadChecksum));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        assert_eq!(Segment::parse(US, PEER, &[]), Err(ParseError::TooShort));
        assert_eq!(Segment::parse(US, PEER, &SYN[..19]), Err(ParseError::TooShort));
        assert_eq!(Segment::parse(US, PEER, &SYN[..20]), Err(ParseError::BadDataOffset));
        let mut short = SYN;
        short[12] = 0x40;
        assert_eq!(Segment::parse(US, PEER, &short), Err(ParseError::BadDataOffset));
    }

    #[test]
    fn too_little_room_emits_nothing() {
        let mut out = [0; 38];
        assert_eq!(sample(b"payload").emit(US, PEER, &mut out), None);
    }
}
