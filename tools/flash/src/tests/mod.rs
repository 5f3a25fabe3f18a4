//! Programs that fit and programs that do not, from hand-made ELF files to the written image.

mod updates;

use super::*;
use crate::key::PrivateKey;
use crate::sign::Signer;
use anyhow::{Result, anyhow};
use slopos_abi::flash::{EXECUTE, KIND_APP, KIND_DATA, READ, SECTOR, WRITE};
use slopos_abi::{USER_BASE, USER_END};
use slopos_manifest::{Manifest, PublicKey};
use std::path::Path;

const R: u32 = 4;
const W: u32 = 2;
const X: u32 = 1;
const LOAD: u32 = 1;

/// A program header: type, flags, virtual address, bytes in memory, bytes in the file.
struct Head(u32, u32, u64, u64, Vec<u8>);

/// An ELF file by the ELF-64 specification: the file header, the program headers, the segments' bytes.
fn elf(kind: u16, machine: u16, entry: u64, heads: &[Head]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(kind.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(entry.to_le_bytes());
    file.extend(64_u64.to_le_bytes()); // program headers follow at once
    file.extend(0_u64.to_le_bytes()); // no section headers
    file.extend(0_u32.to_le_bytes());
    for field in [64, 56, heads.len() as u16, 64, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    let mut offset = 64 + 56 * heads.len() as u64;
    for Head(kind, flags, address, memory, bytes) in heads {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for field in [offset, *address, *address, bytes.len() as u64, *memory, 4096] {
            file.extend(field.to_le_bytes());
        }
        offset += bytes.len() as u64;
    }
    for Head(.., bytes) in heads {
        file.extend(bytes);
    }
    file
}

/// A program with code, constants and data, of `ram` bytes in all.
fn ordinary(ram: u64) -> Vec<u8> {
    let data = USER_BASE + 0x2000;
    let heads = [
        Head(LOAD, R | X, USER_BASE, 300, vec![0xc3; 300]),
        Head(LOAD, R, USER_BASE + 0x1000, 21, vec![0x41; 21]),
        Head(LOAD, R | W, data, USER_BASE + ram - data, vec![0x42; 9]),
    ];
    elf(2, 62, USER_BASE + 16, &heads)
}

#[track_caller]
fn refused(file: &[u8], reason: &str) {
    let error = Program::from_elf(file).expect_err("a wrong program was taken");
    assert!(format!("{error:#}").contains(reason), "{error:#}");
}

fn code(bytes: Vec<u8>) -> Head {
    Head(LOAD, R | X, USER_BASE, 0x1000, bytes)
}

#[test]
fn an_ordinary_program_is_taken_segment_by_segment() {
    let program = Program::from_elf(&ordinary(0x8000)).expect("an ordinary program");
    assert_eq!(program.entry, USER_BASE + 16);
    let found: Vec<_> =
        program.pieces.iter().map(|p| (p.address - USER_BASE, p.memory_bytes, p.bytes.len(), p.rights())).collect();
    assert_eq!(
        found,
        [(0, 300, 300, "r-x".to_owned()), (0x1000, 21, 21, "r--".to_owned()), (0x2000, 0x6000, 9, "rw-".to_owned())]
    );
    assert_eq!(program.span(), 0x8000);
}

#[test]
fn a_segment_inside_a_page_gets_zeros_in_front() {
    let file = elf(2, 62, USER_BASE + 0x123, &[Head(LOAD, R | X, USER_BASE + 0x123, 4, vec![1, 2, 3, 4])]);
    let program = Program::from_elf(&file).expect("taken");
    let [piece] = &program.pieces[..] else { panic!("one segment") };
    assert_eq!((piece.address, piece.memory_bytes), (USER_BASE, 0x127));
    assert_eq!(piece.bytes[..0x123], [0; 0x123]);
    assert_eq!(piece.bytes[0x123..], [1, 2, 3, 4]);
}

#[test]
fn what_is_no_program_for_this_board_is_refused() {
    refused(b"#!/bin/sh\n", "not a 64-bit little-endian ELF");
    refused(&elf(2, 183, USER_BASE, &[code(vec![0])]), "not built for x86_64");
    refused(&elf(3, 62, USER_BASE, &[code(vec![0])]), "--no-pie");
    refused(&elf(2, 62, USER_BASE, &[]), "has 0 segments");
    refused(&elf(2, 62, USER_BASE, &[code(vec![0]), Head(7, R, 0, 8, vec![])]), "thread-local");
    refused(&elf(2, 62, USER_BASE, &[code(vec![0]), Head(2, R, 0, 8, vec![])]), "dynamically");
    let many: Vec<_> = (0..9).map(|n| Head(LOAD, R | X, USER_BASE + n * 0x1000, 1, vec![0])).collect();
    refused(&elf(2, 62, USER_BASE, &many), "has 9 segments; 1 to 8");
    let mut short = elf(2, 62, USER_BASE, &[code(vec![0; 100])]);
    short.truncate(short.len() - 1);
    refused(&short, "outside the file");
}

#[test]
fn rights_and_pages_are_kept_apart() {
    let wx = Head(LOAD, R | W | X, USER_BASE, 8, vec![0]);
    refused(&elf(2, 62, USER_BASE, &[wx]), "writable and executable");
    let blind = Head(LOAD, X, USER_BASE, 8, vec![0]);
    refused(&elf(2, 62, USER_BASE, &[blind]), "cannot be read");
    let neighbour = Head(LOAD, R | W, USER_BASE + 0xff8, 8, vec![0]);
    refused(&elf(2, 62, USER_BASE, &[code(vec![0]), neighbour]), "share a page");
    let constants = Head(LOAD, R, USER_BASE + 0x1000, 8, vec![0]);
    refused(&elf(2, 62, USER_BASE + 0x1000, &[code(vec![0]), constants]), "in no executable segment");
    refused(&elf(2, 62, USER_BASE + 0x1000, &[code(vec![0])]), "in no executable segment");
}

#[test]
fn a_program_stays_in_the_window_of_a_process() {
    let below = Head(LOAD, R | X, USER_BASE - 0x1000, 8, vec![0]);
    refused(&elf(2, 62, USER_BASE, &[below]), "below 0x400000");
    let beyond = Head(LOAD, R | W, USER_END - 0x1000, 0x1001, vec![0]);
    refused(&elf(2, 62, USER_BASE, &[code(vec![0]), beyond]), "beyond 0x600000");
    let endless = Head(LOAD, R | W, USER_BASE + 0x1000, u64::MAX, vec![0]);
    refused(&elf(2, 62, USER_BASE, &[code(vec![0]), endless]), "beyond 0x600000");
}

#[test]
fn a_record_reads_back_and_any_flipped_bit_is_seen() {
    let program = Program::from_elf(&ordinary(0x4000)).expect("an ordinary program");
    let record = encode("clock", "b", &program).expect("encoded");
    assert_eq!(record.len() % SECTOR, 0);
    let (header, read) = decode("clock", "b", &record).expect("a good record");
    assert_eq!(read, program);
    assert_eq!(header.record_bytes, record.len() as u64);
    for segment in &header.segments[..3] {
        assert_eq!(segment.offset % 8, 0);
    }
    assert!(decode("other", "b", &record).is_err());
    assert!(decode("clock", "c", &record).is_err());
    for byte in SECTOR..record.len() {
        let mut damaged = record.clone();
        damaged[byte] ^= 0x10;
        assert!(decode("clock", "b", &damaged).is_err(), "the flipped bit in byte {byte} was not seen");
    }
    assert!(decode("clock", "b", &record[..record.len() - SECTOR]).is_err());
}

#[test]
fn each_flipped_bit_of_a_header_is_seen() {
    let key = PrivateKey::development();
    let mut record = encode("clock", "b", &Program::from_elf(&ordinary(0x4000)).expect("a program")).expect("encoded");
    sign::sign(&mut record, &key).expect("signed");
    let signer =
        |record: &[u8]| decode("clock", "b", record).and_then(|(header, _)| sign::signer(&header, &[*key.public()]));
    assert_eq!(signer(&record).expect("good"), Signer::Known(*key.public()));
    for bit in 0..SECTOR * 8 {
        let mut damaged = record.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // A key's id that is another one is a signature that nobody here can check.
        let found = signer(&damaged);
        assert!(matches!(found, Err(_) | Ok(Signer::Unknown(_))), "bit {bit}: {found:?}");
    }
}

#[test]
fn a_signature_of_elsewhere_is_taken_only_where_it_fits() {
    let (ours, theirs) = (PrivateKey::generate().expect("a key"), PrivateKey::development());
    let mut record = encode("clock", "b", &Program::from_elf(&ordinary(0x4000)).expect("a program")).expect("encoded");
    let bytes = sign::prepare(&mut record, ours.public()).expect("a record");
    let wrong = sign::attach(&mut record.clone(), ours.public(), theirs.sign(&bytes)).expect_err("another key's");
    assert!(wrong.to_string().contains("not that of this record"), "{wrong}");
    sign::attach(&mut record, ours.public(), ours.sign(&bytes)).expect("its own");
    let (header, _) = decode("clock", "b", &record).expect("good");
    assert_eq!(
        sign::signer(&header, &[*theirs.public(), *ours.public()]).expect("good"),
        Signer::Known(*ours.public())
    );
    assert_eq!(sign::signer(&header, &[]).expect("good"), Signer::Unknown(ours.public().id()));
    // Two signatures of the same are the same: builds stay reproducible.
    let mut again = record.clone();
    sign::sign(&mut again, &ours).expect("signed");
    assert_eq!(again, record);
}

/// A board with two processes of one app, another app, and a data region with a file.
fn manifest(flash_size: &str) -> Manifest {
    let text = format!(
        r#"
        [board]
        name = "b"
        network_budget = "0 B"
        max_frame = 1514
        flash_size = "{flash_size}"
        [[process]]
        name = "one"
        app = "shared"
        ram = "16 KiB"
        stack = "4 KiB"
        [[process]]
        name = "two"
        app = "shared"
        ram = "32 KiB"
        stack = "4 KiB"
        [[process]]
        name = "clock"
        app = "clock"
        ram = "16 KiB"
        stack = "4 KiB"
        [[data]]
        name = "notes"
        size = "1 KiB"
        file = "notes.txt"
        "#
    );
    slopos_manifest::parse(&text, Path::new("here/board.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn notes(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("here/notes.txt") { Ok(b"remember".to_vec()) } else { Err(anyhow!("{}", path.display())) }
}

fn build(ram: u64) -> Result<Image> {
    Image::build(&manifest("1 MiB"), Some(&PrivateKey::development()), |_| Ok(ordinary(ram)), notes)
}

#[test]
fn an_image_has_a_slot_for_each_app_and_region() {
    let image = build(0x4000).expect("built");
    assert_eq!(image.bytes().len(), 1 << 20);
    let slots: Vec<_> = image.slots().iter().map(|s| (s.name.as_str(), s.kind, s.start_sector, s.sectors)).collect();
    assert_eq!(slots, [("shared", KIND_APP, 24, 72), ("clock", KIND_APP, 168, 40), ("notes", KIND_DATA, 248, 2)]);
    image.verify(&[PublicKey::development()]).expect("all good");
    let read = Image::from_bytes(image.bytes().to_vec()).expect("reads back");
    assert_eq!(read, image);
    let notes = &image.bytes()[248 * SECTOR..250 * SECTOR];
    assert!(notes.starts_with(b"remember\0"));
    assert!(notes[8..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_program_larger_than_a_process_is_refused_with_need_and_limit() {
    let error = build(0x5000).expect_err("too large for process one");
    assert_eq!(
        error.to_string(),
        "process `one`: app `shared` needs 20 KiB of RAM (20480 bytes); change line 10 of the manifest from `ram = \"16 KiB\"` \
         to `ram = \"20 KiB\"`"
    );
}

#[test]
fn what_does_not_fit_the_flash_is_refused_with_need_and_limit() {
    // Map and state 24, apps twice 72 and 40, data 2: 250 sectors.
    assert!(Image::build(&manifest("128000 B"), None, |_| Ok(ordinary(0x4000)), notes).is_ok());
    let error =
        Image::build(&manifest("127488 B"), None, |_| Ok(ordinary(0x4000)), notes).expect_err("one sector short");
    assert!(error.to_string().contains("need 128000 bytes of flash; change line 6 of the manifest from `flash_size = \"127488 B\"` to `flash_size = \"128 KiB\"`"), "{error}");
    let large = |_: &Path| Ok(vec![0; 1025]);
    let error = Image::build(&manifest("1 MiB"), None, |_| Ok(ordinary(0x4000)), large).expect_err("file too large");
    assert!(
        error
            .to_string()
            .contains("has 1025 bytes; change line 24 of the manifest from `size = \"1 KiB\"` to `size = \"1536 B\"`"),
        "{error}"
    );
}

#[test]
fn a_damaged_record_is_found_and_the_rest_stays_good() {
    let image = build(0x4000).expect("built");
    let mut bytes = image.bytes().to_vec();
    bytes[25 * SECTOR] ^= 1;
    let damaged = Image::from_bytes(bytes).expect("the map is right");
    let found: Vec<_> = damaged.inspect(&[]).into_iter().map(|(_, contents)| contents.is_ok()).collect();
    assert_eq!(found, [false, true, true]);
    assert!(
        format!("{:#}", damaged.verify(&[PublicKey::development()]).expect_err("bad"))
            .contains("slot `shared`: SHA-256 does not match")
    );
}

#[test]
fn a_damaged_map_is_refused() {
    let image = build(0x4000).expect("built");
    for byte in 0..64 + 3 * 32 {
        let mut bytes = image.bytes().to_vec();
        bytes[byte] ^= 4;
        assert!(Image::from_bytes(bytes).is_err(), "the flipped bit in byte {byte} was not seen");
    }
    assert!(Image::from_bytes(image.bytes()[..249 * SECTOR].to_vec()).is_err());
    assert!(Image::from_bytes(Vec::new()).is_err());
}

#[test]
fn flags_mean_the_same_in_elf_and_record() {
    let program = Program::from_elf(&ordinary(0x4000)).expect("a program");
    let flags: Vec<_> = program.pieces.iter().map(|piece| piece.flags).collect();
    assert_eq!(flags, [READ | EXECUTE, READ, READ | WRITE]);
}
