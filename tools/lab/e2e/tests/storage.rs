//! Flashes that are slow, dead, damaged or forged: who waits for them waits, and nobody else.

use sha2::{Digest, Sha256};
use slopos_e2e::{Report, device, run, test_board, test_flash};
use slopos_flash::Image;
use slopos_lab::servers::programs::Python;
use slopos_run::{Builder, Event, Transport};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a sector.
const SECTOR: usize = 512;
/// The entries of the map, each of 32 bytes, and the digest of what follows it: the board's name and the entries.
const MAP_ENTRIES: usize = 64;
const MAP_DIGEST: Range<usize> = 16..48;
/// Where a record's header says how long it is, and what its first segment is.
const RECORD_BYTES: usize = 56;
const SEGMENT: usize = 96;

/// The test board with a block device of its own making; `drive` is what QEMU is told of it.
fn board_with(drive: &str) -> Builder {
    let file = ["-drive".to_owned(), format!("if=none,id=own,{drive}")];
    let board = test_board().disk(Transport::None).arguments(file);
    board.arguments(["-device".to_owned(), format!("{},drive=own", device("blk"))])
}

/// The test board's flash behind QEMU's throttle.
fn throttled(limit: &str) -> Builder {
    let image = test_flash();
    board_with(&format!("format=raw,snapshot=on,file={},throttling.{limit}", image.display()))
}

/// The test board's flash behind QEMU's `blkdebug`, which makes requests fail as these lines say.
fn failing(folder: &Path, rule: &str) -> Builder {
    let (rules, image) = (folder.join("rules"), folder.join("copy.img"));
    std::fs::write(&rules, format!("[inject-error]\nevent = \"none\"\nerrno = \"5\"\n{rule}\n")).expect("written");
    std::fs::copy(test_flash(), &image).expect("copied");
    let (rules, image) = (rules.display(), image.display());
    board_with(&format!("driver=raw,file.driver=blkdebug,file.config={rules},file.image.filename={image}"))
        .network(Transport::None)
}

/// A flash with one slot's map entry and bytes changed.
struct Forged {
    bytes: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Forged {
    fn new() -> Forged {
        let bytes = std::fs::read(test_flash()).expect("an image");
        Forged { bytes, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Where a slot's entry of the map is, and its first byte on the flash.
    fn find(&self, name: &str) -> (usize, usize) {
        let image = Image::from_bytes(self.bytes.clone()).expect("a flash map");
        let index = image.slots().iter().position(|slot| slot.name == name).expect("a slot");
        (MAP_ENTRIES + 32 * index, image.slots()[index].start_sector as usize * SECTOR)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes the map's digest right again.
    fn sign_map(&mut self) {
        let count = u32::from_le_bytes(self.bytes[12..16].try_into().expect("four bytes")) as usize;
        let digest = Sha256::digest(&self.bytes[MAP_DIGEST.end..MAP_ENTRIES + 32 * count]);
        self.put(MAP_DIGEST.start, &digest);
    }

    /// The flash as a file of so many bytes; what is behind its own is a hole.
    fn write(&self, length: u64) -> PathBuf {
        let path = self.folder.path().join("forged.img");
        std::fs::write(&path, &self.bytes).expect("written");
        let file = std::fs::File::options().write(true).open(&path).expect("a file");
        file.set_len(length).expect("a sparse file");
        path
    }

    /// Runs commands on the test board with this flash, without network.
    fn run(&self, length: u64, commands: &str) -> Report {
        run(test_board().flash(self.write(length)).network(Transport::None).append(commands))
    }
}

#[test]
fn a_flash_of_one_request_a_second_slows_only_who_waits_for_it() {
    let server = Python::new();
    let sha256 = server.file("file", 64 << 10);
    // `syscalls` reads and writes its region all the while, a request a second; `webget` says so for each file it has.
    let script = format!("start syscalls; webget --sha256 --count 1000 {}; ps; exit", server.url("file"));
    let (mut text, mut said) = (String::new(), Vec::new());
    let outcome = throttled("iops-total=1").append(script).run_with(|event| {
        if let Event::Console(bytes) = event {
            text.push_str(&String::from_utf8_lossy(bytes));
            if text.contains("webget: GET") {
                said.push(Instant::now());
            }
        }
        Ok(())
    });
    let report = Report { outcome: outcome.expect("a run") };
    report.exits(0).lacks("checks passed").lacks("virtio-blk: broken");
    report.shows(&format!("{sha256}  65536"));
    let pauses: Vec<Duration> = said.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let whole = pauses.iter().sum::<Duration>();
    // A kernel that waits for the flash stands still for a second with each request, nearly all the time. A busy host
    // stands still now and then.
    let stood: Duration = pauses.iter().filter(|pause| **pause > Duration::from_millis(600)).sum();
    assert!(whole > Duration::from_secs(1), "too short to see anything: {whole:?}");
    assert!(stood < whole / 2, "stood still for {stood:?} of {whole:?}\n{}", report.all());
}

#[test]
fn a_flash_that_answers_nothing_is_given_up_and_the_board_lives_on() {
    // The map comes through; what is asked for next would take hours.
    let report = run(throttled("bps-total=1").network(Transport::None).append("webget http://10.0.2.2/; ps; exit"));
    report
        .exits(0)
        .shows("webget: has no usable image in the flash")
        .shows("PROCESS")
        .logs("virtio-blk: broken: Timeout");
    report.logs("flash: app webget rejected: Device").lacks("panic");
}

#[test]
fn what_is_to_be_durable_is_flushed_and_a_flush_that_fails_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = run(failing(folder.path(), "iotype = \"flush\"").append("syscalls; exit"));
    report.shows("syscalls: make durable: EIO").logs("flash: writing the device's cache out failed: Medium");
    report.exits(1);
}

#[test]
fn a_sector_that_cannot_be_read_costs_one_app_and_the_rest_boots() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, start) = Forged::new().find("faults");
    let rule = format!("iotype = \"read\"\nsector = \"{}\"", start / SECTOR + 3);
    let report = run(failing(folder.path(), &rule).append("syscalls; faults null-read; exit"));
    report.exits(111).shows(" checks passed").shows("faults: has no usable image in the flash");
    report.logs("flash: app faults rejected: Device");
}

#[test]
fn a_record_that_claims_2_gib_is_refused_at_once_and_the_rest_boots() {
    let mut forged = Forged::new();
    let (entry, start) = forged.find("faults");
    // A slot of its own, large enough, with the header of the app and its claim.
    let slot = (2_u64 << 20).div_ceil(SECTOR as u64) as u32;
    let header = forged.bytes[start..start + SECTOR].to_vec();
    forged.bytes.resize(slot as usize * SECTOR + SECTOR, 0);
    let at = slot as usize * SECTOR;
    forged.put(at, &header);
    forged.put(at + RECORD_BYTES, &(2_u64 << 30).to_le_bytes());
    forged.put(entry + 20, &slot.to_le_bytes());
    forged.put(entry + 24, &(4_u32 << 20).to_le_bytes());
    forged.sign_map();
    let began = Instant::now();
    let report = forged.run(5 << 30, "syscalls; faults null-read; exit");
    report.exits(111).shows(" checks passed").logs("flash: app faults rejected: Length");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_segment_that_claims_4_gib_is_refused_and_the_rest_boots() {
    for (offset, why) in [(8, "a segment's memory"), (12, "a segment's bytes"), (16, "their place")] {
        let mut forged = Forged::new();
        let (_, start) = forged.find("faults");
        forged.put(start + SEGMENT + offset, &u32::MAX.to_le_bytes());
        let report = forged.run(1 << 20, "syscalls; faults null-read; exit");
        report.exits(111).shows(" checks passed").logs("flash: app faults rejected: ").lacks("panic");
        assert!(report.outcome.console.contains("faults: has no usable image"), "{why}\n{}", report.all());
    }
}

#[test]
fn a_region_over_an_apps_slot_is_refused_and_the_rest_boots() {
    let mut forged = Forged::new();
    let ((region, _), (_, app)) = (forged.find("scratch"), forged.find("faults"));
    forged.put(region + 20, &((app / SECTOR) as u32).to_le_bytes());
    forged.sign_map();
    let before = forged.bytes.clone();
    let report = forged.run(1 << 20, "faults exit-200; syscalls; faults null-read; exit");
    // `syscalls` cannot open its region any more, and the program is whole.
    report.exits(110).logs("flash: region scratch rejected: it lies over another entry");
    report.shows("syscalls: open a region: ENOENT").shows("faults: null-read");
    assert!(before == forged.bytes);
}

#[test]
fn two_entries_of_one_name_and_one_beyond_the_end_are_refused() {
    let mut forged = Forged::new();
    let ((twin, _), (far, _)) = (forged.find("calls"), forged.find("scratch"));
    forged.put(twin, b"syscalls\0\0\0\0\0\0\0\0");
    forged.put(far + 24, &u32::MAX.to_le_bytes());
    forged.sign_map();
    let report = forged.run(1 << 20, "faults null-read; calls; exit");
    report.exits(111).shows("faults: null-read").shows("calls: has no usable image in the flash");
    report.logs("flash: app syscalls rejected: another entry has its name");
    report.logs("flash: region scratch rejected: it goes beyond the end of the flash");
    report.logs("flash: no app calls for process calls");
}
