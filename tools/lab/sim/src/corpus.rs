//! The fuzzer's corpus, made from the frames of simulated exchanges, and disks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use slopos_abi::USER_BASE;
use slopos_abi::flash::{EXECUTE, READ, WRITE};
use slopos_abi::flash::{KIND_DATA, MAP_MAGIC, MAP_VERSION, MapEntry, MapHeader, PARTITION_TYPE, SECTOR};
use slopos_flash::key::PrivateKey;
use slopos_flash::{Piece, Program};
use slopos_net::wire::arp::Packet;
use slopos_net::wire::ethernet::{EtherType, Header};
use slopos_net::wire::ipv4::{self, Protocol};
use slopos_net::wire::tcp::HEADER_BYTES;
use slopos_net::wire::tcp::SequenceNumber;
use slopos_net::wire::udp;

use crate::network::{Heard, run_and_listen};
use crate::targets::commands::{self, Command, Segment};
use crate::targets::flash;
use crate::targets::record::{APP, BOARD};
use crate::targets::{MAP_SECTOR, REGION};
use crate::watch::segment_of;
use zerocopy::IntoBytes;

/// Exchanges that are turned into lists of commands.
const LISTS: usize = 10;
/// Files of each parser.
const FILES: usize = 4;
/// Bytes of a file at most.
const LARGEST: usize = 1_500;
/// Frames of a list of commands.
const FRAMES: usize = 60;
/// Seeds that are tried.
const SEEDS: u64 = 60;

/// Where the control bits are in a segment's header.
const CONTROL_BITS: usize = 13;

/// The files by target, each with what its interest is, so that no two are of the same kind.
#[derive(Default)]
struct Corpus {
    files: BTreeMap<(&'static str, String), Vec<u8>>,
}

impl Corpus {
    fn add(&mut self, target: &'static str, kind: String, bytes: &[u8]) {
        let count = self.files.keys().filter(|(other, _)| *other == target).count();
        if count < FILES && bytes.len() <= LARGEST {
            self.files.entry((target, kind)).or_insert_with(|| bytes.to_vec());
        }
    }

    fn add_frame(&mut self, frame: &[u8]) -> Option<()> {
        let (header, payload) = Header::parse(frame)?;
        let kind = format!("{:04x}", header.ether_type.0);
        self.add("ethernet", kind, frame);
        if header.ether_type == EtherType::ARP {
            let packet = Packet::parse(payload)?;
            self.add("arp", format!("{:?}", packet.operation).to_lowercase(), payload);
            return Some(());
        }
        let (packet, transport) = ipv4::Header::parse(payload).ok()?;
        self.add("ipv4", format!("protocol-{}", packet.protocol.0), payload);
        if packet.protocol == Protocol::UDP {
            let (_, message) = udp::Header::parse(packet.source, packet.destination, transport).ok()?;
            let kind = format!("dhcp-{}", message.get(242)?);
            self.add("udp", kind.clone(), transport);
            self.add("dhcp", kind, message);
            return Some(());
        }
        let (_, segment, _) = segment_of(frame)?;
        let kind = format!("flags-{:02x}-options-{}", transport.get(CONTROL_BITS)?, segment.options.emitted_bytes());
        self.add("tcp", kind.clone(), transport);
        let options = transport.get(HEADER_BYTES..transport.len() - segment.payload.len())?;
        if !options.is_empty() {
            self.add("tcp_options", kind, options);
        }
        Some(())
    }
}

/// Writes the corpus into a folder for each target, and answers how many files that were.
///
/// # Errors
/// Where an exchange fails, or a file cannot be written.
pub fn write(folder: &Path) -> Result<usize> {
    let mut corpus = Corpus::default();
    let mut lists = 0;
    for seed in 0..SEEDS {
        let (_, heard) = run_and_listen(seed, false, true)?;
        for (_, frame) in &heard {
            // Broken frames come by themselves.
            let _: Option<()> = corpus.add_frame(frame);
        }
        if lists < LISTS && heard.len() > 20 {
            corpus.files.insert(("stack", format!("exchange-{seed}")), commands_of(&heard));
            lists += 1;
        }
    }
    for (kinds, name) in [(0b0101, "first"), (0b0111, "both"), (0b1111, "both-and-module"), (0b0110, "second")] {
        corpus.files.insert(("partitions", name.to_owned()), disk(kinds));
    }
    let [map, state] = flash::seeds();
    corpus.add("map", "app-and-region".to_owned(), &map);
    corpus.add("state", "on-trial".to_owned(), &state);
    corpus.files.insert(("record", "program".to_owned()), program()?);
    for ((target, name), bytes) in &corpus.files {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(corpus.files.len())
}

/// A disk of 64 sectors with a partition that is a flash, as the target `partitions` reads it.
fn disk(kinds: u8) -> Vec<u8> {
    let mut disk = vec![0; 7 * SECTOR];
    let put = |disk: &mut [u8], at: usize, bytes: &[u8]| disk[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut disk, 450, &[0xee]);
    put(&mut disk, 510, &[0x55, 0xaa]);
    // The header: its revision and length; its block and the second one's; the blocks that partitions may have; the entries'
    // first block, how many they are and how long.
    put(&mut disk, SECTOR, b"EFI PART\0\0\x01\0\x5c\0\0\0");
    for (at, number) in [(24, 1_u64), (32, 63), (40, 3), (48, 60), (72, 2), (80, 4 | 128 << 32)] {
        put(&mut disk, SECTOR + at, &number.to_le_bytes());
    }
    put(&mut disk, 2 * SECTOR, &PARTITION_TYPE);
    put(&mut disk, 2 * SECTOR + 32, &(MAP_SECTOR as u64).to_le_bytes());
    put(&mut disk, 2 * SECTOR + 40, &60_u64.to_le_bytes());
    let name = |text: &str| std::array::from_fn(|index| text.as_bytes().get(index).copied().unwrap_or(0));
    let header =
        MapHeader { magic: MAP_MAGIC, version: MAP_VERSION, entries: 1, sha256: [0; 32], board: name("board") };
    let entry = MapEntry { name: name(REGION), kind: KIND_DATA, start_sector: 16, sectors: 8, slots: 1 };
    put(&mut disk, MAP_SECTOR * SECTOR, &[header.as_bytes(), entry.as_bytes()].concat());
    [&[63, kinds], &disk[..]].concat()
}

/// A record with code and data.
fn program() -> Result<Vec<u8>> {
    let piece = |page: u64, flags, bytes: &[u8]| Piece {
        address: USER_BASE + page * 4096,
        memory_bytes: 5_000,
        flags: flags | READ,
        bytes: bytes.to_vec(),
    };
    let pieces = vec![piece(0, EXECUTE, &[0x90; 100]), piece(2, WRITE, &[1; 50])];
    let program = Program { entry: USER_BASE + 16, pieces, version: "1.2.3".to_owned(), build_id: [7; 20] };
    let mut record = slopos_flash::encode(APP, BOARD, &program)?;
    slopos_flash::sign::sign(&mut record, &PrivateKey::development())?;
    Ok(record)
}

/// An exchange as commands: the server's segments relative to where the connection is, all others as frames, with a
/// process that reads, writes and lets go in between.
fn commands_of(heard: &[Heard]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next: BTreeMap<u16, (u8, SequenceNumber)> = BTreeMap::new();
    let mut last_us = 0;
    for (number, (at_us, frame)) in heard.iter().take(FRAMES).enumerate() {
        commands::write(&Command::Wait { micros: at_us - last_us }, &mut out);
        last_us = *at_us;
        let Some((_, segment, bytes)) = segment_of(frame) else {
            if frame.len() < 100 {
                commands::write(&Command::Frame { fix: true, bytes: frame.clone() }, &mut out);
            }
            continue;
        };
        let lines = next.len() as u8;
        let (line, expected) = next.entry(segment.source_port).or_insert_with(|| {
            if lines > 0 {
                commands::write(&Command::Open { how: lines }, &mut out);
            }
            (lines, segment.sequence)
        });
        let transport = frame.len() - bytes;
        let options = frame.get(transport + HEADER_BYTES..frame.len() - segment.payload.len()).unwrap_or(&[]).to_vec();
        let told = Segment {
            line: *line,
            flags: frame.get(transport + CONTROL_BITS).copied().unwrap_or(0),
            sequence: segment.sequence.offset_from(*expected) as i16,
            acknowledgement: 0,
            window: segment.window,
            options,
            payload: segment.payload.len() as u16,
        };
        *expected = expected.later(segment.sequence + segment.sequence_length());
        let line = *line;
        commands::write(&Command::Segment(Box::new(told)), &mut out);
        match number % 4 {
            0 => commands::write(&Command::Write { line, bytes: 700 }, &mut out),
            2 => commands::write(&Command::Read { line, bytes: 2_000 }, &mut out),
            _ => {}
        }
    }
    commands::write(&Command::Finish { line: 0 }, &mut out);
    commands::write(&Command::Close { line: 0 }, &mut out);
    commands::write(&Command::Wait { micros: 100_000_000 }, &mut out);
    out
}
