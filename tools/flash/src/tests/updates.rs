//! Changes of a flash in its place, also on a disk that loses its power at every moment; and what is told of them.

use super::{build, code, elf, ordinary};
use crate::key::PrivateKey;
use crate::migrate::{is_old, migrate};
use crate::status::{Status, status};
use crate::update::{self, How, Medium, Replaced};
use crate::{Image, Program, decode, encode};
use anyhow::Result;
use sha2::{Digest, Sha256};
use slopos_abi::USER_BASE;
use slopos_abi::flash::{AppState, FlashState, NextStart, Reason, SECTOR, STATE_SECTORS, Segment, Slot, Trial};
use slopos_host_log::PowerDisk;
use zerocopy::IntoBytes;

impl Medium for PowerDisk {
    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>> {
        Ok(PowerDisk::read(self, offset as usize, length))
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        PowerDisk::write(self, offset as usize, bytes);
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        PowerDisk::flush(self);
        Ok(())
    }
    fn size(&self) -> u64 {
        PowerDisk::size(self) as u64
    }
}

const TRIAL: How = How { confirm: false, downgrade: false };
const CONFIRM: How = How { confirm: true, downgrade: false };
/// The index of the app that is replaced here, the second of the map.
const CLOCK: usize = 1;

/// A program of this version, and its record.
fn version(text: &str, byte: u8) -> Vec<u8> {
    let mut program = Program::from_elf(&elf(2, 62, USER_BASE, &[code(vec![byte; 1700])])).expect("a program");
    program.version = text.to_owned();
    encode("clock", "b", &program).expect("a record")
}

fn disk() -> PowerDisk {
    let image = Image::build(&super::manifest("128 KiB"), None, |_| Ok(ordinary(0x4000)), super::notes).expect("built");
    let mut disk = PowerDisk::new(image.bytes().to_vec());
    assert_eq!(update::replace(&mut disk, "clock", &version("1.0.0", 1), CONFIRM).expect("put"), Replaced::Confirmed);
    disk
}

fn image(disk: &PowerDisk) -> Image {
    Image::from_bytes(disk.read(0, disk.size())).expect("the map is right")
}

fn state(disk: &PowerDisk) -> AppState {
    image(disk).state().0.apps[CLOCK]
}

/// The versions that a board with this flash would run next, the first of them that is whole.
fn runs(disk: &PowerDisk) -> String {
    let image = image(disk);
    let (_, entry) = image.app("clock").expect("a slot");
    let app = state(disk);
    let order = match app.next_start() {
        NextStart::Trial(_) => [app.spare(), app.confirmed()],
        NextStart::Confirmed | NextStart::UsedUp(_) => [app.confirmed(), app.spare()],
    };
    let whole = order.into_iter().find_map(|slot| image.record(entry, slot).ok());
    update::version(&whole.expect("neither version is whole").0)
}

#[test]
fn a_new_version_goes_to_the_spare_slot_and_is_on_trial() {
    let mut disk = disk();
    let before = image(&disk);
    assert_eq!(update::replace(&mut disk, "clock", &version("1.1.0", 2), TRIAL).expect("put"), Replaced::Trial);
    let after = image(&disk);
    let (_, entry) = after.app("clock").expect("a slot");
    let [confirmed, spare] = [state(&disk).confirmed(), state(&disk).spare()].map(|slot| entry.range(slot));
    assert_eq!((state(&disk).trial(), runs(&disk)), (Trial::Waiting, "1.1.0".to_owned()));
    for (at, (old, new)) in before.bytes().iter().zip(after.bytes()).enumerate() {
        let is_state = STATE_SECTORS.iter().any(|&sector| at / SECTOR == sector as usize);
        assert!(old == new || spare.contains(&at) || is_state, "byte {at}");
    }
    assert_eq!(decode("clock", "b", &after.bytes()[confirmed]).expect("whole").0.app_version, 1 << 24);
    // Another one takes its place in the same slot, and its trial begins anew.
    assert_eq!(update::replace(&mut disk, "clock", &version("1.2.0", 3), TRIAL).expect("put"), Replaced::Trial);
    assert_eq!((state(&disk).confirmed(), runs(&disk)), (Slot::First.other(), "1.2.0".to_owned()));
}

#[test]
fn an_older_version_is_refused_unless_it_is_meant() {
    let mut disk = disk();
    let before = disk.clone();
    let error = update::replace(&mut disk, "clock", &version("0.9.9", 2), TRIAL).expect_err("older");
    assert!(error.to_string().contains("version 0.9.9 of app `clock` is older than the confirmed 1.0.0"), "{error}");
    assert!(disk == before, "something was written");
    assert_eq!(update::replace(&mut disk, "clock", &version("1.0.0", 7), TRIAL).expect("equal"), Replaced::Trial);
    let meant = How { downgrade: true, ..TRIAL };
    assert_eq!(update::replace(&mut disk, "clock", &version("0.9.9", 2), meant).expect("meant"), Replaced::Trial);
    assert_eq!(runs(&disk), "0.9.9");
}

#[test]
fn what_is_no_record_of_the_app_or_does_not_fit_is_refused_before_anything_is_written() {
    let mut disk = disk();
    let before = disk.clone();
    let mut refused = |name: &str, record: &[u8], reason: &str| {
        let error = update::replace(&mut disk, name, record, TRIAL).expect_err("refused");
        assert!(format!("{error:#}").contains(reason), "{error:#}");
        assert!(disk == before, "something was written");
    };
    let good = version("1.1.0", 2);
    refused("clokc", &good, "no slot for an app `clokc`; did you mean `clock`?");
    refused("notes", &good, "it has slots for shared, clock");
    refused("shared", &good, "the record is named `clock`");
    let mut damaged = good.clone();
    damaged[900] ^= 1;
    refused("clock", &damaged, "SHA-256 does not match");
    refused("clock", &good[..good.len() - SECTOR], "record of");
    let program = Program::from_elf(&ordinary(0x5000)).expect("a program");
    let large = encode("clock", "b", &program).expect("a record");
    refused("clock", &large, "needs 20 KiB of RAM (20480 bytes); its slot was made for 16 KiB");
}

#[test]
fn where_no_version_is_whole_the_new_one_is_the_confirmed_one() {
    let mut disk = disk();
    let (_, entry) = image(&disk).app("clock").map(|(index, entry)| (index, entry.clone())).expect("a slot");
    for slot in Slot::ALL {
        disk.write(entry.range(slot).start, &[0; SECTOR]);
    }
    assert_eq!(update::replace(&mut disk, "clock", &version("0.1.0", 2), TRIAL).expect("put"), Replaced::Alone);
    assert_eq!((state(&disk).trial(), runs(&disk)), (Trial::None, "0.1.0".to_owned()));
}

#[test]
fn a_damaged_confirmed_version_is_what_is_overwritten_and_not_the_one_that_runs() {
    let mut disk = disk();
    update::replace(&mut disk, "clock", &version("1.1.0", 2), CONFIRM).expect("put");
    // The confirmed one, 1.1.0, is damaged; a board runs 1.0.0.
    let range = image(&disk).app("clock").expect("a slot").1.range(state(&disk).confirmed());
    disk.write(range.start + SECTOR, &[0; SECTOR]);
    assert_eq!(runs(&disk), "1.0.0");
    assert_eq!(update::replace(&mut disk, "clock", &version("1.2.0", 3), TRIAL).expect("put"), Replaced::Trial);
    let image = image(&disk);
    let (_, entry) = image.app("clock").expect("a slot");
    assert_eq!(update::version(&image.record(entry, state(&disk).confirmed()).expect("whole").0), "1.0.0");
    assert_eq!(runs(&disk), "1.2.0");
}

#[test]
fn revert_ends_a_trial_or_returns_to_the_version_before() {
    let mut disk = disk();
    update::replace(&mut disk, "clock", &version("1.1.0", 2), TRIAL).expect("put");
    assert_eq!(update::version(&update::revert(&mut disk, "clock").expect("reverted")), "1.0.0");
    assert_eq!((state(&disk).reverted(), runs(&disk)), (Some(Reason::ByHand), "1.0.0".to_owned()));
    let error = update::revert(&mut disk, "clock").expect_err("what was taken back does not come again");
    assert!(error.to_string().contains("was taken back already: taken back by hand"), "{error}");
    update::replace(&mut disk, "clock", &version("1.1.0", 2), CONFIRM).expect("put");
    assert_eq!(runs(&disk), "1.1.0");
    assert_eq!(update::version(&update::revert(&mut disk, "clock").expect("reverted")), "1.0.0");
    assert_eq!(runs(&disk), "1.0.0");
    let error = update::revert(&mut disk, "shared").expect_err("there was never another");
    assert!(format!("{error:#}").contains("app `shared` has no version to return to in its second slot"), "{error:#}");
}

#[test]
fn both_state_sectors_broken_leave_the_higher_version_and_the_next_change_mends_them() {
    let mut disk = disk();
    update::replace(&mut disk, "clock", &version("1.1.0", 2), TRIAL).expect("put");
    for sector in STATE_SECTORS {
        let mut bytes = disk.read(sector as usize * SECTOR, SECTOR);
        bytes[99] ^= 1;
        disk.write(sector as usize * SECTOR, &bytes);
    }
    let broken = image(&disk);
    assert_eq!((broken.state().1.len(), runs(&disk)), (2, "1.1.0".to_owned()));
    assert_eq!(status(&broken).faults.len(), 2);
    update::replace(&mut disk, "clock", &version("1.2.0", 3), TRIAL).expect("put");
    assert_eq!((image(&disk).state().1.len(), runs(&disk)), (1, "1.2.0".to_owned()));
    update::revert(&mut disk, "clock").expect("reverted");
    assert_eq!((image(&disk).state().1.len(), runs(&disk)), (0, "1.1.0".to_owned()));
}

/// Cuts the power at every moment of a change, with every subset of what was not flushed; answers how many disks were
/// left.
fn cut_everywhere(before: &PowerDisk, change: impl Fn(&mut PowerDisk), old: &str, new: &str) -> usize {
    let mut disk = before.clone();
    disk.keep_moments();
    change(&mut disk);
    let mut left = 0;
    for (seed, moment) in (1..).zip(disk.take_moments()) {
        for cut in moment.after_cuts(seed) {
            let version = runs(&cut);
            assert!(version == old || version == new, "{version} runs, neither {old} nor {new}");
            left += 1;
            // What was cut can be done again, and is whole then.
            let mut again = cut;
            change(&mut again);
            assert_eq!(runs(&again), new);
        }
    }
    left
}

#[test]
fn whatever_the_moment_of_the_cut_the_old_version_runs_or_the_new_one() {
    let one = disk();
    let mut two = one.clone();
    update::replace(&mut two, "clock", &version("1.1.0", 2), TRIAL).expect("put");
    let put = |how: How| {
        move |disk: &mut PowerDisk| {
            update::replace(disk, "clock", &version("1.2.0", 3), how).expect("put");
        }
    };
    let mut left = 0;
    for how in [TRIAL, CONFIRM] {
        left += cut_everywhere(&one, put(how), "1.0.0", "1.2.0");
    }
    // A trial is replaced: in between, the confirmed one runs.
    for how in [TRIAL, CONFIRM] {
        let mut disk = two.clone();
        disk.keep_moments();
        put(how)(&mut disk);
        for (seed, moment) in (1..).zip(disk.take_moments()) {
            for cut in moment.after_cuts(seed) {
                assert!(["1.0.0", "1.1.0", "1.2.0"].contains(&runs(&cut).as_str()), "{}", runs(&cut));
                left += 1;
            }
        }
    }
    left += cut_everywhere(&two, |disk| drop(update::revert(disk, "clock")), "1.1.0", "1.0.0");
    assert!(left > 500, "{left} cuts");
}

#[test]
fn the_status_of_each_slot_is_told_to_people_and_to_machines() {
    let mut disk = disk();
    update::replace(&mut disk, "clock", &version("1.1.0", 2), TRIAL).expect("put");
    let shown = status(&image(&disk)).table();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], "app              slot   version      state");
    assert!(lines.contains(&"clock            first  1.1.0        trial, 0 of 3 starts"), "{shown}");
    assert!(lines.contains(&"clock            second 1.0.0        confirmed"), "{shown}");
    assert!(lines.contains(&"shared           second -            spare"), "{shown}");
    update::revert(&mut disk, "clock").expect("reverted");
    let json = status(&image(&disk)).json().expect("JSON");
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["apps"][1]["slots"][0]["state"], "reverted");
    assert_eq!(value["apps"][1]["slots"][0]["reason"], "taken back by hand");
    let Status { faults, apps } = status(&image(&disk));
    assert_eq!((faults.len(), apps.len()), (0, 2));
}

#[test]
fn a_region_is_read_and_written_as_a_whole() {
    let mut image = build(0x4000).expect("built");
    assert!(image.region("notes").expect("a region").starts_with(b"remember\0"));
    image.put_region("notes", b"other").expect("it fits");
    let notes = image.region("notes").expect("a region");
    assert!(notes.starts_with(b"other\0") && notes[5..].iter().all(|&byte| byte == 0));
    image.put_region("notes", &[7; 1024]).expect("it fits");
    let error = image.put_region("notes", &[7; 1025]).expect_err("too many");
    assert_eq!(error.to_string(), "1025 bytes do not fit the data region `notes` of 1024 bytes");
    let error = image.region("note").expect_err("none");
    assert_eq!(error.to_string(), "the flash has no data region `note`; did you mean `notes`?; it has notes");
    image.verify(&[]).expect("the apps are as they were");
}

/// A flash of version 1 with one app and one region, as it was written then.
fn old_flash() -> Vec<u8> {
    let record = |name: &str| {
        let mut header = vec![0; SECTOR];
        header[..8].copy_from_slice(b"SLOPAPP\0");
        header[8] = 1;
        header[12] = 1;
        header[16..16 + name.len()].copy_from_slice(name.as_bytes());
        header[32..40].copy_from_slice(&USER_BASE.to_le_bytes());
        header[40..48].copy_from_slice(&1024_u64.to_le_bytes());
        let segment =
            Segment { address: USER_BASE, memory_bytes: 300, file_bytes: 300, offset: 512, flags: 5, reserved: 0 };
        header[80..112].copy_from_slice(segment.as_bytes());
        let mut record = [header, vec![0xc3; 300], vec![0; 212]].concat();
        let digest = Sha256::digest(&record);
        record[48..80].copy_from_slice(&digest);
        record
    };
    let mut table = Vec::new();
    for (name, kind, start, sectors) in [("shared", 1_u32, 4_u32, 65_u32), ("clock", 1, 69, 33), ("notes", 2, 102, 2)] {
        let mut entry = [0; 32];
        entry[..name.len()].copy_from_slice(name.as_bytes());
        for (at, number) in [(16, kind), (20, start), (24, sectors)] {
            entry[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        table.extend(entry);
    }
    let mut bytes = [b"SLOPFLSH".as_slice(), &1_u32.to_le_bytes(), &3_u32.to_le_bytes()].concat();
    bytes.extend(Sha256::digest(&table));
    bytes.resize(64, 0);
    bytes.extend(table);
    bytes.resize(1 << 20, 0);
    bytes[4 * SECTOR..][..1024].copy_from_slice(&record("shared"));
    bytes[69 * SECTOR..][..1024].copy_from_slice(&record("clock"));
    bytes[102 * SECTOR..][..5].copy_from_slice(b"saved");
    bytes
}

#[test]
fn a_flash_of_version_1_becomes_one_of_today_with_its_apps_and_its_data() {
    let old = old_flash();
    assert!(is_old(&old));
    let error = Image::from_bytes(old.clone()).expect_err("an old map");
    assert!(error.to_string().contains("run `flash migrate`"), "{error}");
    let image = migrate(&old, &super::manifest("1 MiB"), Some(&PrivateKey::development())).expect("migrated");
    image.verify(&[]).expect("all good");
    assert!(!is_old(image.bytes()));
    assert!(image.region("notes").expect("a region").starts_with(b"saved\0"));
    let (index, entry) = image.app("clock").expect("a slot");
    let (header, program) = image.record(entry, Slot::First).expect("a record");
    assert!(!header.is_unsigned());
    assert_eq!(program.pieces[0].bytes, [0xc3; 300]);
    assert_eq!(image.state().0.apps[index], AppState::confirmed_in(Slot::First));
    assert_eq!(image.state().1, []);
}

#[test]
fn an_old_flash_that_is_damaged_or_has_more_than_the_manifest_is_refused() {
    let manifest = super::manifest("1 MiB");
    let refused = |bytes: &[u8], reason: &str| {
        let error = migrate(bytes, &manifest, None).expect_err("refused");
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    };
    let good = old_flash();
    let mut bad = good.clone();
    bad[70] ^= 1;
    refused(&bad, "the flash map's SHA-256 does not match");
    bad = good.clone();
    bad[5 * SECTOR + 7] ^= 1;
    refused(&bad, "app `shared`: its SHA-256 does not match");
    refused(&good[..4 * SECTOR], "goes beyond the flash");
    refused(&[0; 4096], "this is no flash of version 1");
    bad = good;
    bad[64 + 64..][..5].copy_from_slice(b"other");
    let digest = Sha256::digest(&bad[64..160]);
    bad[16..48].copy_from_slice(&digest);
    refused(&bad, "the manifest has no data region `other`, which the flash holds; it would be lost");
}

#[test]
fn a_new_flash_has_both_state_sectors_and_the_same_in_each() {
    let image = build(0x4000).expect("built");
    let (state, faults) = image.state();
    assert_eq!((state.apps, faults.len(), state.sequence()), (FlashState::NEW.apps, 0, 2));
}
