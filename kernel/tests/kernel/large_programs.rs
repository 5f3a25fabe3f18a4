//! Programs that take more than one request to the flash and more than one step of each kind.

use crate::support::{Bench, FIRST, FakeObjects, FakeProcessor, MEMORY, TRUST, kernel, run, sign};
use sha2::{Digest, Sha256};
use slopos_abi::flash::{self, AppHeader, EXECUTE, READ, SECTOR, Segment, WRITE};
use slopos_host_log::Token;
use slopos_kernel::loader::{HASH_BYTES, READ_BYTES, WIPE_BYTES};
use slopos_kernel::process::State;
use slopos_kernel::time::Instant;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of RAM of a process here.
const RAM: usize = 512 * 1024;

/// A segment at a page of RAM: its bytes in memory and in the record, and where they are there.
fn segment(page: u64, memory_bytes: u32, file_bytes: u32, offset: u32, flags: u32) -> Segment {
    Segment { address: MEMORY + page * 4096, memory_bytes, file_bytes, offset, flags: flags | READ, reserved: 0 }
}

fn bytes_of(segment: &Segment) -> std::ops::Range<usize> {
    segment.offset as usize..segment.offset as usize + segment.file_bytes as usize
}

fn place_of(segment: &Segment) -> usize {
    (segment.address - MEMORY) as usize
}

/// A record of these segments, no two of their bytes alike in a row; `spoil` changes it before it is summed.
fn record(segments: &[Segment], sectors: usize, spoil: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = AppHeader::read_from_bytes(&[0; SECTOR]).unwrap();
    header.magic = flash::APP_MAGIC;
    header.version = flash::RECORD_VERSION;
    header.name = flash::name_bytes("app").unwrap();
    header.board = flash::name_bytes(TRUST.board).unwrap();
    header.entry = MEMORY;
    header.segment_count = segments.len() as u32;
    header.segments[..segments.len()].copy_from_slice(segments);
    header.record_bytes = (sectors * SECTOR) as u64;
    let mut record = vec![0; sectors * SECTOR];
    record[..SECTOR].copy_from_slice(header.as_bytes());
    for at in segments.iter().flat_map(bytes_of) {
        record[at] = (at % 251) as u8 + 1;
    }
    spoil(&mut record);
    header.sha256 = Sha256::digest(&record[SECTOR..]).into();
    sign(&mut header);
    record[..SECTOR].copy_from_slice(header.as_bytes());
    record
}

fn bench(flash: Vec<u8>) -> Bench {
    let slot_sectors = (flash.len() / SECTOR) as u64;
    let objects = FakeObjects { flash, slot_sectors, ..FakeObjects::default() };
    let mut cpu = FakeProcessor::with_ram(1, RAM);
    cpu.memory[0].fill(0xff);
    Bench { kernel: kernel(1), cpu, objects }
}

/// Each program is loaded, runs, writes all that it may write, and is started again, twice.
fn loads_again_and_again(segments: &[Segment], sectors: usize) -> Bench {
    let mut bench = bench(record(segments, sectors, |_| ()));
    let mut expected = vec![0; RAM];
    for segment in segments {
        let place = place_of(segment);
        expected[place..][..segment.file_bytes as usize].copy_from_slice(&bench.objects.flash[bytes_of(segment)]);
    }
    for run in 0..3 {
        assert_eq!(bench.start(), State::Ready, "run {run}");
        let wrong = bench.cpu.memory[0].iter().zip(&expected).position(|(found, wanted)| found != wanted);
        assert_eq!(wrong, None, "run {run}");
        for segment in segments.iter().filter(|segment| segment.flags & WRITE != 0) {
            let pages = (segment.memory_bytes as usize).next_multiple_of(4096);
            bench.cpu.memory[0][place_of(segment)..][..pages].fill(0xee);
        }
        bench.kernel.kill(FIRST, &mut bench.objects, Instant::BOOT, &Token);
    }
    bench
}

/// 100,000 bytes of code, a gap, 90,000 bytes of data in 200,000 bytes of memory.
fn large() -> ([Segment; 2], usize) {
    ([segment(0, 100_000, 100_000, 512, EXECUTE), segment(32, 200_000, 90_000, 103_512, WRITE)], 380)
}

#[test]
fn a_program_of_many_requests_is_loaded_and_its_data_are_restored() {
    let (segments, sectors) = large();
    let bench = loads_again_and_again(&segments, sectors);
    // The data are the bytes 103,512 to 193,512 of the record; whole sectors are read.
    assert_eq!(bench.objects.reads, [(0, 512), (202, 32_768), (266, 32_768), (330, 24_576)]);
}

#[test]
fn all_of_a_record_is_read_once_in_requests_of_32_kib() {
    let (segments, sectors) = large();
    let mut bench = bench(record(&segments, sectors, |_| ()));
    assert_eq!(bench.start(), State::Ready);
    let mut next = 0;
    for &(sector, length) in &bench.objects.reads {
        assert_eq!((sector, length), (next, READ_BYTES.min((sectors - next as usize) * SECTOR)));
        next += (length / SECTOR) as u64;
    }
    assert_eq!((next, READ_BYTES), (380, 32_768));
}

#[test]
fn segments_of_all_sorts_are_loaded_and_restored() {
    // Zeros alone first and in between, with offsets that mean nothing; a gap of a page; data in four pieces, of
    // which the last ends with the record and with the RAM, and constants between them, which stay.
    let segments = [
        segment(0, 5_000, 0, 700, EXECUTE),
        segment(2, 4_096, 4_096, 512, EXECUTE),
        segment(3, 8, 8, 4_608, WRITE),
        segment(4, 9_000, 0, 40, WRITE),
        segment(8, 100, 64, 8_712, WRITE),
        segment(10, 8_192, 8, 8_776, 0),
        segment(127, 4_096, 944, 8_784, WRITE),
    ];
    let bench = loads_again_and_again(&segments, 19);
    assert_eq!(bench.objects.reads, [(0, 512), (9, 512), (17, 512), (17, 1_024)]);
}

#[test]
fn what_belongs_to_no_segment_has_to_be_zeros_however_good_the_digest() {
    let (segments, sectors) = large();
    let last = sectors * SECTOR - 1;
    for at in [100_512, 101_000, 103_511, 193_512, last] {
        let mut bench = bench(record(&segments, sectors, |record| record[at] = 1));
        assert_eq!(bench.start(), State::NoImage, "byte {at}");
    }
}

#[test]
fn damage_anywhere_in_a_large_record_is_found() {
    let (segments, sectors) = large();
    let good = record(&segments, sectors, |_| ());
    for at in (512..good.len()).step_by(19_997).chain([100_511, 103_512, 193_511]) {
        let mut bench = bench(good.clone());
        bench.objects.flash[at] ^= 0x80;
        assert_eq!(bench.start(), State::NoImage, "byte {at}");
    }
    // And at a restart, in what is read again.
    for at in (103_512..193_512).step_by(19_997).chain([193_511]) {
        let mut bench = bench(good.clone());
        assert_eq!(bench.start(), State::Ready);
        bench.kernel.kill(FIRST, &mut bench.objects, Instant::BOOT, &Token);
        bench.objects.flash[at] ^= 0x80;
        assert_eq!(bench.start(), State::NoImage, "byte {at} at a restart");
    }
}

#[test]
fn a_step_wipes_64_kib_and_hashes_4_kib_at_most() {
    assert_eq!((WIPE_BYTES, HASH_BYTES), (65_536, 4_096));
    let (segments, sectors) = large();
    let mut bench = bench(record(&segments, sectors, |_| ()));
    bench.begin();
    let step = |bench: &mut Bench| run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
    step(&mut bench);
    for wiped in (0..RAM).step_by(WIPE_BYTES) {
        let (before, behind) = bench.cpu.memory[0].split_at(wiped);
        assert!(before.iter().all(|&byte| byte == 0) && behind.iter().all(|&byte| byte == 0xff), "{wiped} bytes");
        step(&mut bench);
    }
    assert!(bench.cpu.memory[0].iter().all(|&byte| byte == 0));
    // Of what arrived one step hashes a piece: so many steps, at least, and not many more than there is to do.
    let mut steps = 0;
    while bench.kernel.process(FIRST).unwrap().state() == State::Loading {
        step(&mut bench);
        bench.objects.serve(&mut bench.kernel, &mut bench.cpu);
        steps += 1;
    }
    let hashed = sectors * SECTOR + 90_000;
    assert!((hashed / HASH_BYTES..hashed / HASH_BYTES + 20).contains(&steps), "{steps} steps");
}

#[test]
fn a_device_that_gives_too_little_fails_the_load() {
    let (segments, sectors) = large();
    let mut bench = bench(record(&segments, sectors, |_| ()));
    bench.begin();
    while bench.objects.fetches.is_empty() {
        run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
    }
    bench.objects.fetches.clear();
    let short = bench.objects.flash[..READ_BYTES - 1].to_vec();
    bench.kernel.take_in(FIRST, &short, &mut bench.cpu, &Token);
    bench.kernel.wake(slopos_kernel::process::ProcessSet::ALL);
    run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
    assert_eq!(bench.kernel.process(FIRST).unwrap().state(), State::NoImage);
}
