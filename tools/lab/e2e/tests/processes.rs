//! What processes may do and what they may not, and what is in their flash.

use slopos_e2e::{Report, run, test_board, test_flash};
use slopos_flash::Image;
use slopos_run::Transport;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs commands on the test board, which needs no network for them.
fn commands(list: &str) -> Report {
    run(test_board().network(Transport::None).append(list))
}

/// What `faults` can do that the kernel has to end it for.
const FAULTS: [&str; 18] = [
    "null-read",
    "kernel-read",
    "kernel-write",
    "code-write",
    "constant-write",
    "data-execute",
    "constant-execute",
    "stack-execute",
    "beyond-end",
    "stack-overflow",
    "divide",
    "invalid-opcode",
    "privileged",
    "port-io",
    "sse",
    "x87",
    "breakpoint",
    "non-canonical",
];

#[test]
fn a_process_that_is_started_runs_at_once_though_nothing_else_happens() {
    // The board's clock goes by its instructions, and jumps to the next deadline where it waits: a busy host does not
    // change it. The timer rings each second at the latest, which would start the process then. The commands begin half
    // a second after the boot at the latest: a disk takes no time of this clock, and so counts as slow.
    let clock = ["-icount", "shift=0,sleep=off"];
    let board = test_board().network(Transport::None).arguments(clock).append("sleep 1; faults null-read; exit");
    let report = run(board);
    let killed = report.outcome.log.iter().position(|line| line.starts_with("process faults: killed"));
    let at = killed.and_then(|line| report.outcome.log_times[line]).expect("a time");
    let expected = Duration::from_millis(1_000)..Duration::from_millis(1_700);
    assert!(expected.contains(&at), "{at:?} after the boot\n{}", report.all());
}

#[test]
fn every_system_call_answers_as_documented() {
    let report = commands("syscalls one \"two words\"; exit");
    report.exits(0).shows("syscalls: argument [one]").shows("syscalls: argument [two words]").shows(" checks passed");
}

#[test]
fn a_faulting_process_counts_as_110() {
    for kind in ["null-read", "code-write", "data-execute", "stack-overflow", "privileged", "sse"] {
        commands(&format!("faults {kind}; exit")).exits(110).shows(&format!("faults: {kind}"));
    }
}

#[test]
fn no_fault_is_survived_and_none_hurts_the_board() {
    let list: String = FAULTS.iter().map(|kind| format!("faults {kind}; ")).collect();
    let report = commands(&format!("{list}syscalls; exit"));
    for kind in FAULTS {
        report.shows(&format!("faults: {kind}"));
    }
    report.exits(0).lacks("survived").lacks("faults: read").lacks("panic: ");
}

#[test]
fn an_exit_status_that_cannot_be_reported_counts_as_111() {
    commands("faults exit-200; exit").exits(111);
}

/// The test board's flash with one byte changed in the middle of an app's record.
fn damaged(app: &str, folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(test_flash()).expect("an image");
    let image = Image::from_bytes(bytes.clone()).expect("a flash map");
    let slot = image.slots().iter().find(|slot| slot.name == app).expect("a slot");
    // Behind the header's sector, so in the program itself.
    bytes[(slot.start_sector as usize + 1) * 512 + 100] ^= 1;
    let path = folder.join("damaged.img");
    std::fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn a_damaged_record_is_rejected_and_the_rest_boots() {
    let folder = tempfile::tempdir().expect("a folder");
    let flash = damaged("faults", folder.path());
    let board = || test_board().flash(&flash).network(Transport::None);
    let report = run(board().append("syscalls; exit"));
    report.exits(0).shows(" checks passed");
    let reason = report.outcome.log.iter().find(|line| line.contains("faults"));
    assert!(reason.is_some(), "the log does not say that faults is damaged\n{}", report.all());

    let report = run(board().append("faults null-read; exit"));
    report.lacks("faults: null-read").lacks("panic: ");
    assert_ne!(report.outcome.code, 33, "a damaged program ran\n{}", report.all());
}

#[test]
fn what_is_written_to_a_region_is_there_after_the_next_boot() {
    let folder = tempfile::tempdir().expect("a folder");
    let flash = folder.path().join("kept.img");
    std::fs::copy(test_flash(), &flash).expect("copied");
    let before = std::fs::read(&flash).expect("an image");
    run(test_board().flash(&flash).keep_flash(true).network(Transport::None).append("syscalls; exit")).exits(0);
    let after = std::fs::read(&flash).expect("an image");
    let image = Image::from_bytes(before.clone()).expect("a flash map");
    let slot = |name: &str| image.slots().iter().find(|slot| slot.name == name).expect("a slot");
    // Each boot renews the seed.
    let seed = slot("seed").start_sector as usize * 512;
    let slot = slot("scratch");
    let start = slot.start_sector as usize * 512;
    let end = start + slot.sectors as usize * 512;
    assert_ne!(before[start..end], after[start..end], "syscalls wrote nothing to its region");
    assert_eq!(before[..start], after[..start], "something before the region changed");
    assert_eq!(before[end..seed], after[end..seed], "something after the region changed");
    assert_ne!(before[seed..seed + 32], after[seed..seed + 32], "the seed is the same");
    assert_eq!(before[seed + 512..], after[seed + 512..], "something after the seed changed");
}
