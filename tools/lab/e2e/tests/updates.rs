//! Versions on trial on the real board: counted, confirmed, reverted; and whatever moment the power is cut at, the old
//! version runs or the new one.
//!
//! The app is `calls` of the test board: without arguments it says how it is used, and one word of that tells the
//! versions apart. SLOPOS_CUTS is how many cuts at chosen moments are tried beside those between all requests; `./just
//! soak-flash N` sets it.

use slopos_e2e::power::{moments, requests};
use slopos_e2e::{Report, device, run, test_board, test_flash};
use slopos_flash::key::PrivateKey;
use slopos_flash::sign::sign;
use slopos_flash::update::{self, How, Medium};
use slopos_flash::{Image, encode};
use slopos_run::{Builder, Transport};
use std::collections::BTreeSet;
use std::path::PathBuf;

const APP: &str = "calls";
/// What the old version says of itself and what the new one does.
const OLD: &str = "usage: calls CALL COUNT";
const NEW: &str = "usage: calls CALL TIMES";
/// A run that ends well.
const WELL: &str = "calls yield 1";

/// A flash in a file of its own.
struct Flash {
    folder: tempfile::TempDir,
}

struct Bytes(Vec<u8>);

impl Medium for Bytes {
    fn read(&mut self, offset: u64, length: usize) -> anyhow::Result<Vec<u8>> {
        Ok(self.0[offset as usize..][..length].to_vec())
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The bytes of the test board's flash, with the new version on trial.
fn on_trial() -> Vec<u8> {
    let mut bytes = Bytes(std::fs::read(test_flash()).expect("an image"));
    let image = Image::from_bytes(bytes.0.clone()).expect("a flash map");
    let (index, entry) = image.app(APP).expect("a slot");
    let (_, mut program) = image.record(entry, image.state().0.apps[index].confirmed()).expect("a record");
    let (old, new) = (b"CALL COUNT", b"CALL TIMES");
    let mut found = 0;
    for piece in &mut program.pieces {
        while let Some(at) = piece.bytes.windows(old.len()).position(|window| window == old) {
            piece.bytes[at..at + new.len()].copy_from_slice(new);
            found += 1;
        }
    }
    assert!(found > 0, "the program does not say what tells its versions apart");
    let mut record = encode(APP, image.board(), &program).expect("a record");
    sign(&mut record, &PrivateKey::development()).expect("signed");
    update::replace(&mut bytes, APP, &record, How::default()).expect("replaced");
    bytes.0
}

impl Flash {
    fn new(bytes: &[u8]) -> Flash {
        let flash = Flash { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(flash.path(), bytes).expect("written");
        flash
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("flash.img")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).expect("a flash")
    }

    /// The test board with this flash as it is, through these drivers of QEMU's.
    fn board(&self, drive: &str) -> Builder {
        let drive = drive.replace("PATH", &self.path().display().to_string());
        let board = test_board().network(Transport::None).disk(Transport::None);
        let board = board.arguments(["-drive".to_owned(), format!("if=none,id=own,{drive}")]);
        board.arguments(["-device".to_owned(), format!("{},drive=own", device("blk"))])
    }

    /// Boots it, and runs commands.
    fn run(&self, commands: &str) -> Report {
        run(self.board("format=raw,file=PATH").append(commands))
    }

    /// The lines of `flash status` about the app.
    fn status(&self) -> String {
        let image = Image::from_bytes(self.bytes()).expect("a flash map");
        slopos_flash::status::status(&image).table()
    }
}

/// Which version a board with this flash runs.
#[track_caller]
fn runs(report: &Report) -> &'static str {
    let found: Vec<_> = [OLD, NEW].into_iter().filter(|text| report.outcome.console.contains(text)).collect();
    match found[..] {
        [one] => one,
        _ => panic!("neither version runs, or both\n{}", report.all()),
    }
}

#[test]
fn a_new_version_is_counted_before_it_runs_and_confirmed_by_its_good_end() {
    let flash = Flash::new(&on_trial());
    let report = flash.run("calls; calls yield 1; exit");
    assert_eq!(runs(&report), NEW);
    report.exits(0).logs("flash: app calls: version on trial, start 1 of 3");
    report.logs("flash: app calls: version on trial, start 2 of 3");
    report.logs("flash: app calls: the version on trial is confirmed");
    assert!(flash.status().contains("calls            second 0.2.0        confirmed"), "{}", flash.status());
    assert_eq!(runs(&flash.run("calls; exit")), NEW);
}

#[test]
fn three_boots_without_a_good_end_bring_the_old_version_back() {
    let flash = Flash::new(&on_trial());
    for _ in 0..3 {
        let report = flash.run("calls; exit");
        assert_eq!(runs(&report), NEW);
        report.exits(2);
    }
    let report = flash.run("calls; calls yield 1; exit");
    assert_eq!(runs(&report), OLD);
    report.exits(0).logs("flash: app calls reverted: it was started 3 times and not confirmed");
    assert!(flash.status().contains("reverted: it was started 3 times"), "{}", flash.status());
}

#[test]
fn a_record_that_is_damaged_on_trial_gives_way_to_the_old_version() {
    let mut bytes = on_trial();
    let image = Image::from_bytes(bytes.clone()).expect("a flash map");
    let (index, entry) = image.app(APP).expect("a slot");
    bytes[entry.range(image.state().0.apps[index].spare()).start + 1000] ^= 1;
    let flash = Flash::new(&bytes);
    let report = flash.run("calls; exit");
    assert_eq!(runs(&report), OLD);
    report.logs("flash: app calls rejected: Digest").logs("flash: app calls reverted: its record was rejected");
}

#[test]
fn a_flash_that_cannot_be_written_runs_the_confirmed_version_and_says_so() {
    let bytes = on_trial();
    let flash = Flash::new(&bytes);
    let report = run(flash.board("format=raw,read-only=on,file=PATH").append("calls; exit"));
    assert_eq!(runs(&report), OLD);
    report.logs("flash: app calls: the flash is read-only, so the version on trial is not started");
    assert!(flash.bytes() == bytes);
}

#[test]
fn a_start_that_cannot_be_counted_is_of_the_confirmed_version() {
    let flash = Flash::new(&on_trial());
    let rules = flash.folder.path().join("rules");
    std::fs::write(&rules, "[inject-error]\nevent = \"none\"\niotype = \"write\"\nerrno = \"5\"\n").expect("written");
    let drive = format!("driver=raw,file.driver=blkdebug,file.config={},file.image.filename=PATH", rules.display());
    let report = run(flash.board(&drive).append("calls; exit"));
    assert_eq!(runs(&report), OLD);
    report.logs("flash: the state could not be written");
}

/// What the board writes to this flash while it carries out commands, as QEMU logs it.
fn written(flash: &Flash, commands: &str) -> Vec<slopos_e2e::power::Request> {
    let log = flash.folder.path().join("log");
    std::fs::write(&log, []).expect("a file");
    let drive = format!(
        "driver=blklogwrites,file.driver=file,file.filename=PATH,log.driver=file,log.filename={},log-sector-size=512",
        log.display()
    );
    run(flash.board(&drive).append(commands)).exits(0);
    requests(&log)
}

/// Boots a board from what a cut has left, and answers which version it runs.
fn version_after(bytes: &[u8]) -> (&'static str, Report) {
    let report = Flash::new(bytes).run("calls; exit");
    report.exits(2);
    (runs(&report), report)
}

#[test]
fn whatever_request_the_power_is_cut_behind_the_old_version_runs_or_the_new_one() {
    let before = on_trial();
    let flash = Flash::new(&before);
    let requests = written(&flash, &format!("{WELL}; exit"));
    assert!(requests.len() >= 4, "a count and a confirmation, each flushed: {requests:?}");
    // The flash's regions are of no interest: what is written lies before them.
    let mut seen = BTreeSet::new();
    for (seed, moment) in (1..).zip(moments(before.clone(), &requests)) {
        for disk in moment.after_cuts(seed) {
            let bytes = disk.read(0, disk.size());
            if seen.insert(bytes[..24 * 512].to_vec()) {
                let (version, report) = version_after(&bytes);
                assert_eq!(version, NEW, "all that was written speaks for the new version\n{}", report.all());
            }
        }
    }
    assert!(seen.len() >= 4, "{} states of the flash", seen.len());
    // Once it is confirmed, it stays so.
    let (version, report) = version_after(&flash.bytes());
    assert_eq!(version, NEW);
    report.lacks("on trial");
}

#[test]
fn a_board_that_is_killed_at_any_moment_has_a_version_that_runs() {
    let cuts: u64 = std::env::var("SLOPOS_CUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(4);
    let before = on_trial();
    let (mut old, mut new) = (0, 0);
    for cut in 1..=cuts {
        let flash = Flash::new(&before);
        // QEMU is killed once the board has said so much, at a place that the number of the cut chooses.
        let until = cut.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 24;
        let mut events = 0;
        let board = flash.board("format=raw,file=PATH").append(format!("{WELL}; calls; {WELL}; exit"));
        let killed = board.run_with(|_| {
            events += 1;
            anyhow::ensure!(events <= until, "killed");
            Ok(())
        });
        assert!(killed.is_err() || events <= until, "the board was not killed");
        let report = flash.run("calls; calls yield 1; exit");
        report.exits(0);
        match runs(&report) {
            OLD => old += 1,
            _ => new += 1,
        }
    }
    println!("{cuts} kills: the old version ran {old} times, the new one {new}");
    assert_eq!(old + new, cuts);
    assert_eq!(old, 0, "a trial that was cut short twice at most still has a start left");
}
