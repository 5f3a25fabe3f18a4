//! What the fuzzer's bytes mean to the target `stack`: a list of commands, one after the other.
//!
//! Any bytes are a list of commands, and each command is as likely as the others. Numbers are big-endian.

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Time passes.
    Wait {
        /// In microseconds, up to 2^37 (a day and a half).
        micros: u64,
    },
    /// A frame arrives.
    Frame {
        /// Its addresses, lengths and checksums are made right first.
        fix: bool,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The server of a connection sends a segment.
    Segment(Box<Segment>),
    /// A process reads.
    Read {
        /// On which connection.
        line: u8,
        /// How many bytes at most.
        bytes: u16,
    },
    /// A process writes.
    Write {
        /// On which connection.
        line: u8,
        /// How many bytes.
        bytes: u16,
    },
    /// A process ends its stream.
    Finish {
        /// On which connection.
        line: u8,
    },
    /// A process lets go.
    Close {
        /// Of which connection.
        line: u8,
    },
    /// A process opens one more connection.
    Open {
        /// Which process, and what it asks for.
        how: u8,
    },
    /// The DHCP server answers the last question, or says what nobody asked.
    Dhcp {
        /// The message type.
        kind: u8,
        /// The lease, in seconds.
        seconds: u32,
        /// The last byte of the address.
        address: u8,
    },
    /// A station speaks ARP.
    Arp {
        /// 0: a request, else a reply.
        operation: u8,
        /// The last bytes of the sender's station and address, and of the target's address.
        sender_mac: u8,
        /// See `sender_mac`.
        sender: u8,
        /// See `sender_mac`.
        target: u8,
    },
    /// The device says something about the link.
    Link {
        /// Whether it is up.
        up: bool,
        /// How large a packet may be.
        mtu: u16,
    },
    /// A process is killed.
    Kill {
        /// Which one.
        process: u8,
    },
}

/// A segment, told relative to where the connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Which connection.
    pub line: u8,
    /// The control bits.
    pub flags: u8,
    /// How far behind what comes next it begins.
    pub sequence: i16,
    /// How far behind the last that was sent it acknowledges.
    pub acknowledgement: i16,
    /// The window as the wire has it.
    pub window: u16,
    /// Options, any bytes.
    pub options: Vec<u8>,
    /// Bytes of payload.
    pub payload: u16,
}

/// Bytes of a frame at most.
const FRAME_MAX: u16 = 1_600;
/// Bytes of a payload at most.
const PAYLOAD_MAX: u16 = 2_000;
const KINDS: u8 = 13;

/// Reads commands.
pub struct Reader<'d> {
    rest: &'d [u8],
}

impl<'d> Reader<'d> {
    /// From the start of `data`.
    pub fn new(data: &'d [u8]) -> Self {
        Reader { rest: data }
    }

    fn bytes(&mut self, count: usize) -> Option<&'d [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(*self.bytes(1)?.first()?)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn command(&mut self) -> Option<Command> {
        Some(match self.byte()? % KINDS {
            0 => {
                let coded = self.short()?;
                Command::Wait { micros: u64::from(coded & 0x7ff) << (coded >> 11).min(26) }
            }
            kind @ (1 | 2) => {
                let length = self.short()? % FRAME_MAX;
                Command::Frame { fix: kind == 2, bytes: self.bytes(usize::from(length))?.to_vec() }
            }
            3 => {
                let (line, flags) = (self.byte()?, self.byte()?);
                let (sequence, acknowledgement) = (self.short()? as i16, self.short()? as i16);
                let window = self.short()?;
                let options = usize::from(self.byte()? % 41);
                let options = self.bytes(options)?.to_vec();
                let payload = self.short()? % PAYLOAD_MAX;
                let segment = Segment { line, flags, sequence, acknowledgement, window, options, payload };
                Command::Segment(Box::new(segment))
            }
            4 => Command::Read { line: self.byte()?, bytes: self.short()? },
            5 => Command::Write { line: self.byte()?, bytes: self.short()? },
            6 => Command::Finish { line: self.byte()? },
            7 => Command::Close { line: self.byte()? },
            8 => Command::Open { how: self.byte()? },
            9 => {
                let kind = self.byte()?;
                let seconds = u32::from_be_bytes(self.bytes(4)?.try_into().ok()?);
                Command::Dhcp { kind, seconds, address: self.byte()? }
            }
            10 => Command::Arp {
                operation: self.byte()?,
                sender_mac: self.byte()?,
                sender: self.byte()?,
                target: self.byte()?,
            },
            11 => Command::Link { up: self.byte()? & 1 != 0, mtu: self.short()? },
            _ => Command::Kill { process: self.byte()? & 1 },
        })
    }
}

impl Iterator for Reader<'_> {
    type Item = Command;

    fn next(&mut self) -> Option<Command> {
        self.command()
    }
}

/// The bytes that mean `command`, for the corpus; a time is rounded down to what can be told.
pub fn write(command: &Command, out: &mut Vec<u8>) {
    match command {
        Command::Wait { micros } => {
            let shift = (64 - micros.leading_zeros()).saturating_sub(11).min(26);
            out.push(0);
            out.extend(((shift << 11) as u16 | (micros >> shift).min(0x7ff) as u16).to_be_bytes());
        }
        Command::Frame { fix, bytes } => {
            let length = bytes.len().min(usize::from(FRAME_MAX) - 1);
            out.push(1 + u8::from(*fix));
            out.extend((length as u16).to_be_bytes());
            out.extend(&bytes[..length]);
        }
        Command::Segment(segment) => {
            out.extend([3, segment.line, segment.flags]);
            for number in [segment.sequence as u16, segment.acknowledgement as u16, segment.window] {
                out.extend(number.to_be_bytes());
            }
            out.push(segment.options.len().min(40) as u8);
            out.extend(segment.options.iter().take(40));
            out.extend(segment.payload.min(PAYLOAD_MAX - 1).to_be_bytes());
        }
        Command::Read { line, bytes } | Command::Write { line, bytes } => {
            out.extend([if matches!(command, Command::Read { .. }) { 4 } else { 5 }, *line]);
            out.extend(bytes.to_be_bytes());
        }
        Command::Finish { line } => out.extend([6, *line]),
        Command::Close { line } => out.extend([7, *line]),
        Command::Open { how } => out.extend([8, *how]),
        Command::Dhcp { kind, seconds, address } => {
            out.extend([9, *kind]);
            out.extend(seconds.to_be_bytes());
            out.push(*address);
        }
        Command::Arp { operation, sender_mac, sender, target } => {
            out.extend([10, *operation, *sender_mac, *sender, *target]);
        }
        Command::Link { up, mtu } => {
            out.extend([11, u8::from(*up)]);
            out.extend(mtu.to_be_bytes());
        }
        Command::Kill { process } => out.extend([12, *process]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_survives_being_written() {
        let segment = Segment {
            line: 1,
            flags: 0x12,
            sequence: -3,
            acknowledgement: 7,
            window: 900,
            options: vec![2, 4, 5, 180],
            payload: 1_000,
        };
        let commands = [
            Command::Wait { micros: 1_000 },
            Command::Wait { micros: 3_600_000_000 >> 21 << 21 },
            Command::Frame { fix: true, bytes: vec![1, 2, 3] },
            Command::Frame { fix: false, bytes: vec![] },
            Command::Segment(Box::new(segment)),
            Command::Read { line: 0, bytes: 500 },
            Command::Write { line: 1, bytes: 65_535 },
            Command::Finish { line: 2 },
            Command::Close { line: 3 },
            Command::Open { how: 4 },
            Command::Dhcp { kind: 5, seconds: 3_600, address: 15 },
            Command::Arp { operation: 1, sender_mac: 2, sender: 2, target: 15 },
            Command::Link { up: true, mtu: 1_500 },
            Command::Kill { process: 1 },
        ];
        let mut bytes = Vec::new();
        for command in &commands {
            write(command, &mut bytes);
        }
        assert_eq!(Reader::new(&bytes).collect::<Vec<_>>(), commands);
    }

    #[test]
    fn a_command_that_is_cut_off_is_none() {
        assert_eq!(Reader::new(&[4, 0]).next(), None);
        assert_eq!(Reader::new(&[]).next(), None);
    }
}
