//! TCP segments (RFC 9293 section 3.1).

use super::bytes::{checksum, long, pseudo_header, word};
use std::net::Ipv4Addr;

/// The sender has no more data.
pub const FIN: u8 = 0x01;
/// Begins a connection.
pub const SYN: u8 = 0x02;
/// Ends a connection at once.
pub const RST: u8 = 0x04;
/// Deliver without waiting for more.
pub const PSH: u8 = 0x08;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;

/// A segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// The number of the first byte, or of the SYN.
    pub sequence: u32,
    /// The number that the sender expects next.
    pub acknowledgement: u32,
    /// [`FIN`], [`SYN`], [`RST`], [`PSH`], [`ACK`] and others.
    pub flags: u8,
    /// The window as it stands in the header, not scaled.
    pub window: u16,
    /// Options as bytes, filled up with zeros to whole words.
    pub options: Vec<u8>,
    /// Bytes of the stream.
    pub payload: Vec<u8>,
}

/// Options that are known by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Largest segment that the sender takes, in bytes of payload.
    pub mss: Option<u16>,
    /// The shift of the sender's windows (RFC 7323 section 2).
    pub shift: Option<u8>,
    /// Selective acknowledgements may be sent (RFC 2018).
    pub sack_permitted: bool,
    /// Ranges that arrived behind a gap.
    pub sack: Vec<(u32, u32)>,
    /// The sender's clock, and the echo of the receiver's (RFC 7323 section 3).
    pub timestamps: Option<(u32, u32)>,
}

impl Options {
    /// The options' bytes, each group aligned to whole words.
    pub fn emit(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mss) = self.mss {
            bytes.extend([2, 4]);
            bytes.extend(mss.to_be_bytes());
        }
        if let Some(shift) = self.shift {
            bytes.extend([1, 3, 3, shift]);
        }
        if self.sack_permitted {
            bytes.extend([1, 1, 4, 2]);
        }
        if let Some((value, echo)) = self.timestamps {
            bytes.extend([1, 1, 8, 10]);
            bytes.extend(value.to_be_bytes());
            bytes.extend(echo.to_be_bytes());
        }
        if !self.sack.is_empty() {
            bytes.extend([1, 1, 5, 2 + 8 * self.sack.len() as u8]);
            for (start, end) in &self.sack {
                bytes.extend(start.to_be_bytes());
                bytes.extend(end.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads options.
    ///
    /// # Errors
    /// One has an impossible length.
    pub fn parse(mut bytes: &[u8]) -> Result<Options, String> {
        let mut options = Options::default();
        while let [kind, rest @ ..] = bytes {
            match kind {
                0 => break,
                1 => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let length = rest.first().map_or(0, |&length| usize::from(length));
            if length < 2 || length > bytes.len() {
                return Err(format!("the TCP option {kind} has the length {length}"));
            }
            let value = &bytes[2..length];
            match (kind, value.len()) {
                (2, 2) => options.mss = Some(word(value, 0)),
                (3, 1) => options.shift = Some(value[0]),
                (4, 0) => options.sack_permitted = true,
                (5, length) if length % 8 == 0 => {
                    options.sack = value.chunks(8).map(|block| (long(block, 0), long(block, 4))).collect();
                }
                (8, 8) => options.timestamps = Some((long(value, 0), long(value, 4))),
                _ => return Err(format!("the TCP option {kind} has the length {length}")),
            }
            bytes = &bytes[length..];
        }
        Ok(options)
    }
}

impl Tcp {
    /// Whether all of these flags are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// How many sequence numbers it takes: its bytes, a SYN and a FIN.
    pub fn length(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    /// Its options.
    ///
    /// # Panics
    /// They make no sense; the board sends none such, for [`Frame::parse`](super::Frame::parse) looks.
    pub fn known_options(&self) -> Options {
        Options::parse(&self.options).expect("options that were looked at before")
    }

    /// The segment's bytes, with the checksum for these two ends.
    pub fn emit(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let words = 5 + self.options.len().div_ceil(4);
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([(words as u8) << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.resize(words * 4, 0);
        bytes.extend(&self.payload);
        let sum = checksum(&[&pseudo_header(source, destination, 6, bytes.len()), &bytes]);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads a segment between these two ends.
    ///
    /// # Errors
    /// What about it makes no sense, a wrong checksum included.
    pub fn parse(bytes: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Result<Tcp, String> {
        let header = bytes.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
        if header < 20 || header > bytes.len() {
            return Err(format!("a TCP header of {header} bytes in {}", bytes.len()));
        }
        if checksum(&[&pseudo_header(source, destination, 6, bytes.len()), bytes]) != 0 {
            return Err("the checksum of a TCP segment".to_owned());
        }
        Options::parse(&bytes[20..header])?;
        Ok(Tcp {
            source: word(bytes, 0),
            destination: word(bytes, 2),
            sequence: long(bytes, 4),
            acknowledgement: long(bytes, 8),
            flags: bytes[13],
            window: word(bytes, 14),
            options: bytes[20..header].to_vec(),
            payload: bytes[header..].to_vec(),
        })
    }

    pub(super) fn describe(&self) -> String {
        let names = [(SYN, "SYN "), (ACK, "ACK "), (PSH, "PSH "), (FIN, "FIN "), (RST, "RST ")];
        let flags: String = names.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name).collect();
        format!(
            "tcp {} -> {} {flags}seq {} ack {} window {} length {} {:?}",
            self.source,
            self.destination,
            self.sequence,
            self.acknowledgement,
            self.window,
            self.payload.len(),
            Options::parse(&self.options)
        )
    }
}
