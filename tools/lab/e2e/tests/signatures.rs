//! Whose programs run on the built board: each way in which a record is not one that it takes, and its line in the log.

use slopos_abi::flash::{AppHeader, SECTOR};
use slopos_e2e::{Report, run, test_board, test_flash};
use slopos_flash::Image;
use slopos_flash::key::PrivateKey;
use slopos_flash::sign;
use slopos_manifest::key::show_id;
use slopos_run::Transport;
use std::mem::offset_of;

/// Boots the test board with the record of `faults` changed, and asks for that app and for another one.
fn with(change: impl FnOnce(&mut [u8])) -> Report {
    let bytes = std::fs::read(test_flash()).expect("an image");
    let mut image = Image::from_bytes(bytes).expect("a flash map");
    change(image.record_mut("faults").expect("a slot"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("changed.img");
    std::fs::write(&path, image.bytes()).expect("written");
    let board = test_board().flash(&path).network(Transport::None);
    run(board.append("calls 39 1; faults null-read; exit"))
}

/// The program does not run, the rest of the board does, and the log has this one reason.
#[track_caller]
fn refused(report: &Report, reason: &str) {
    report.logs(&format!("flash: app faults rejected: {reason}"));
    report.shows("faults: has no usable image in the flash").lacks("faults: null-read").lacks("panic");
    let lines = report.outcome.log.iter().filter(|line| line.contains("app faults rejected")).count();
    // Once at boot, and once for the command.
    assert!((1..=2).contains(&lines), "{lines} lines\n{}", report.all());
    assert!(!report.outcome.log.iter().any(|line| line.contains("app calls rejected")), "{}", report.all());
}

#[test]
fn a_record_that_somebody_else_signed_is_refused() {
    let stranger = PrivateKey::generate().expect("a key");
    let report = with(|record| sign::sign(record, &stranger).expect("signed"));
    let id = show_id(&stranger.public().id());
    refused(&report, &format!("signed with key {id}, which this kernel does not hold"));
}

#[test]
fn a_record_that_nobody_signed_is_refused() {
    let report = with(|record| {
        record[offset_of!(AppHeader, key_id)..][..8].fill(0);
        record[offset_of!(AppHeader, signature)..SECTOR].fill(0);
    });
    refused(&report, "nobody has signed it");
}

#[test]
fn a_header_that_was_changed_after_it_was_signed_is_refused() {
    for at in [offset_of!(AppHeader, build_id), offset_of!(AppHeader, reserved), offset_of!(AppHeader, signature)] {
        let report = with(|record| record[at] ^= 1);
        refused(&report, "its signature is not that of its header");
    }
}

#[test]
fn contents_that_were_changed_are_refused() {
    refused(&with(|record| record[SECTOR + 1] ^= 1), "Digest");
}

#[test]
fn the_record_of_another_board_is_refused_though_it_is_well_signed() {
    let report = with(|record| {
        record[offset_of!(AppHeader, board)] ^= 1;
        sign::sign(record, &PrivateKey::development()).expect("signed");
    });
    refused(&report, "it is for another board");
}

#[test]
fn the_record_of_another_app_is_refused_though_it_is_well_signed() {
    let mut image = Image::from_bytes(std::fs::read(test_flash()).expect("an image")).expect("a flash map");
    let other = image.record_mut("calls").expect("a slot").to_vec();
    let report = with(|record| {
        let length = record.len().min(other.len());
        record[..length].copy_from_slice(&other[..length]);
    });
    refused(&report, "Name");
}

#[test]
fn a_version_below_the_least_is_refused_though_it_is_well_signed() {
    let report = with(|record| {
        // 0.1.4095: `faults` has to be 0.2.0 at least, by test.toml.
        record[offset_of!(AppHeader, app_version)..][..4].copy_from_slice(&0x1fff_u32.to_le_bytes());
        sign::sign(record, &PrivateKey::development()).expect("signed");
    });
    refused(&report, "version 0.1.4095 is older than 0.2.0, the least of process faults");
}

#[test]
fn a_board_that_trusts_the_development_key_says_so() {
    let report = run(test_board().network(Transport::None).append("ps; faults exit-200; exit"));
    report.logs("flash: the DEVELOPMENT KEY is trusted: everybody can sign programs for this board");
    report.shows("the DEVELOPMENT KEY is trusted").exits(111);
}
