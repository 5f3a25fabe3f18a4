//! TCP options: those of RFC 9293 section 3.1, RFC 7323 (window scale, timestamps) and RFC 2018 (SACK).
//!
//! Unknown options are skipped by their length. A broken one ends the list; what came before it counts, and the
//! segment is as good as one without options.

use super::{Range, SequenceNumber};

/// Room for options in a header, in bytes: 15 words less the 5 that are always there.
pub const LARGEST_OPTIONS: usize = 40;
/// SACK blocks that fit in [`LARGEST_OPTIONS`].
pub const LARGEST_SACK_BLOCKS: usize = 4;
/// The timestamps option with the padding that aligns it, in bytes (RFC 7323 appendix A).
pub const TIMESTAMPS_BYTES: usize = 12;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// SACK blocks as they stand in the option, most recent first.
pub type SackBlocks = heapless::Vec<Range, LARGEST_SACK_BLOCKS>;

/// The timestamps option (RFC 7323 section 3.2); what a tick lasts is the sender's own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the most recent clock reading that the sender has from us.
    pub echo: u32,
}

/// The options of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The largest payload that the sender can take, options not subtracted, in bytes; in a SYN only.
    pub maximum_segment: Option<u16>,
    /// By how many bits later windows are shifted, as the wire has it, so up to 255; in a SYN only.
    pub window_scale: Option<u8>,
    /// The sender understands SACK; in a SYN only.
    pub sack_permitted: bool,
    /// The clocks.
    pub timestamps: Option<Timestamps>,
    /// What the sender holds out of order. An empty block is left out on reading.
    pub sack: SackBlocks,
}

impl Options {
    /// The options in `bytes`, the header's part behind its first 20 bytes.
    pub fn parse(bytes: &[u8]) -> Options {
        let mut options = Options::default();
        let mut rest = bytes;
        while let Some((&kind, after_kind)) = rest.split_first() {
            match kind {
                END => break,
                NO_OPERATION => {
                    rest = after_kind;
                    continue;
                }
                _ => {}
            }
            let Some(&length) = after_kind.first() else { break };
            let Some((option, after_option)) = rest.split_at_checked(usize::from(length)) else { break };
            // A length of 0 or 1 would not even cover kind and length; there is no telling where the next begins.
            let Some(body) = option.get(2..) else { break };
            options.take(kind, body);
            rest = after_option;
        }
        options
    }

    fn take(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (MAXIMUM_SEGMENT, &[high, low]) => self.maximum_segment = Some(u16::from_be_bytes([high, low])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (SACK_PERMITTED, &[]) => self.sack_permitted = true,
            (TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([v0, v1, v2, v3]),
                    echo: u32::from_be_bytes([e0, e1, e2, e3]),
                });
            }
            (SACK, body) => {
                let (blocks, _) = body.as_chunks::<8>();
                for &[s0, s1, s2, s3, e0, e1, e2, e3] in blocks {
                    let block = Range {
                        start: SequenceNumber::new(u32::from_be_bytes([s0, s1, s2, s3])),
                        end: SequenceNumber::new(u32::from_be_bytes([e0, e1, e2, e3])),
                    };
                    // More than four do not fit in a header, but the option may be there twice.
                    if block.length() > 0 && self.sack.push(block).is_err() {
                        break;
                    }
                }
            }
            _ => {}
        }
    }

    /// How many bytes [`Options::emit`] writes, a multiple of 4.
    pub fn emitted_bytes(&self) -> usize {
        let mut bytes = 0;
        if self.maximum_segment.is_some() {
            bytes += 4;
        }
        if self.sack_permitted {
            bytes += 4;
        }
        if self.window_scale.is_some() {
            bytes += 4;
        }
        if self.timestamps.is_some() {
            bytes += TIMESTAMPS_BYTES;
        }
        bytes + sack_bytes(self.sack.len())
    }

    /// Writes the options to the start of `out`, each aligned to a word by no-operations before it, and answers how
    /// many bytes those are. `None` where they do not fit in `out` or in [`LARGEST_OPTIONS`].
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let length = self.emitted_bytes();
        if length > LARGEST_OPTIONS {
            return None;
        }
        let mut writer = Writer { rest: out.get_mut(..length)? };
        if let Some(maximum) = self.maximum_segment {
            let [high, low] = maximum.to_be_bytes();
            writer.word([MAXIMUM_SEGMENT, 4, high, low]);
        }
        if self.sack_permitted {
            writer.word([NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]);
        }
        if let Some(timestamps) = self.timestamps {
            writer.word([NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10]);
            writer.word(timestamps.value.to_be_bytes());
            writer.word(timestamps.echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            writer.word([NO_OPERATION, WINDOW_SCALE, 3, shift]);
        }
        if !self.sack.is_empty() {
            writer.word([NO_OPERATION, NO_OPERATION, SACK, 2 + 8 * self.sack.len() as u8]);
            for block in &self.sack {
                writer.word(block.start.as_u32().to_be_bytes());
                writer.word(block.end.as_u32().to_be_bytes());
            }
        }
        Some(length)
    }
}

/// Bytes that the SACK option takes with so many blocks, padding included; none at all without blocks.
pub const fn sack_bytes(blocks: usize) -> usize {
    if blocks == 0 { 0 } else { 4 + 8 * blocks }
}

/// Fills a slice word by word; its caller has measured it.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl Writer<'_> {
    fn word(&mut self, word: [u8; 4]) {
        if let Some((place, rest)) = core::mem::take(&mut self.rest).split_first_chunk_mut() {
            *place = word;
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u32, end: u32) -> Range {
        Range { start: SequenceNumber::new(start), end: SequenceNumber::new(end) }
    }

    fn emitted(options: &Options) -> Vec<u8> {
        let mut out = [0; LARGEST_OPTIONS];
        let length = options.emit(&mut out).unwrap();
        assert_eq!(length % 4, 0);
        out[..length].to_vec()
    }

    #[test]
    fn nothing_counts_behind_the_end_of_the_options() {
        // RFC 9293 section 3.1. What lies there may look like options.
        assert_eq!(Options::parse(&[END, 2, MAXIMUM_SEGMENT, 4, 0x05, 0xb4]), Options::default());
    }

    #[test]
    fn blocks_that_hold_nothing_are_left_out() {
        let mut bytes = vec![SACK, 26];
        for edge in [5_u32, 5, 9, 7, 20, 21] {
            bytes.extend(edge.to_be_bytes());
        }
        assert_eq!(Options::parse(&bytes).sack.as_slice(), [block(20, 21)]);
    }

    #[test]
    fn the_options_of_a_syn_survive_the_wire() {
        let options = Options {
            maximum_segment: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 0xdead_beef, echo: 1 }),
            sack: SackBlocks::new(),
        };
        let bytes = emitted(&options);
        assert_eq!(bytes.len(), 24);
        assert_eq!(Options::parse(&bytes), options);
    }

    #[test]
    fn timestamps_and_three_sack_blocks_fill_the_room_exactly() {
        let mut options = Options { timestamps: Some(Timestamps { value: 1, echo: 2 }), ..Options::default() };
        for start in [100, 300, 500] {
            options.sack.push(block(start, start + 50)).unwrap();
        }
        let bytes = emitted(&options);
        assert_eq!(bytes.len(), LARGEST_OPTIONS);
        assert_eq!(Options::parse(&bytes), options);
        options.sack.push(block(700, 750)).unwrap();
        assert_eq!(options.emit(&mut [0; 60]), None);
    }

    #[test]
    fn unknown_options_are_skipped() {
        assert_eq!(Options::parse(&[254, 4, 9, 9, 1, 2, 4, 0x02, 0x18, 0]).maximum_segment, Some(536));
    }

    #[test]
    fn a_broken_option_ends_the_list_and_harms_nothing() {
        for broken in [&[8, 0][..], &[8, 1], &[8, 11, 0], &[8], &[3, 200, 1]] {
            let mut bytes = vec![2, 4, 0x05, 0xb4];
            bytes.extend(broken);
            let options = Options::parse(&bytes);
            assert_eq!(options, Options { maximum_segment: Some(1460), ..Options::default() }, "{broken:?}");
        }
    }

    #[test]
    fn an_option_of_the_wrong_length_is_skipped() {
        let options = Options::parse(&[2, 3, 5, 3, 4, 1, 1, 4, 3, 0, 5, 5, 0, 0, 0]);
        assert_eq!(options, Options::default());
    }

    #[test]
    fn what_follows_the_end_of_the_list_is_not_read() {
        assert_eq!(Options::parse(&[1, 0, 4, 2]), Options::default());
    }

    #[test]
    fn any_bytes_parse_and_what_was_parsed_fits_again() {
        let mut state = 7u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..LARGEST_OPTIONS)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let byte = (state >> 56) as u8;
                    if byte & 1 == 0 { byte % 12 } else { byte }
                })
                .collect();
            let options = Options::parse(&bytes);
            let mut out = [0; 80];
            if let Some(length) = options.emit(&mut out) {
                assert_eq!(Options::parse(&out[..length]), options);
            }
        }
    }
}
