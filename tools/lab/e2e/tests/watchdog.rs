//! The watchdog that the manifest asks for, on the board of test.toml; and what a board says of how its last boot ended.
//!
//! These boards start again at a reset, which ends QEMU in other tests.

use slopos_e2e::{Report, Step, run, run_with_steps, test_board};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::Builder;
use slopos_run::qmp::Qmp;

const PROMPT: &str = "slopos> ";

/// A board whose QEMU goes on at a reset.
fn lasting() -> Builder {
    test_board().arguments(["-action", "reboot=reset"])
}

/// What is typed into the boot that follows: it fetches a page, and ends by this command.
fn fetch_and(end: &str) -> String {
    format!("webget {}; {end}\r", answering(Answer::Bytes(response(b"a page to be seen\n"))))
}

/// Hangs the loop of a board with this watchdog, and ends the boot that follows.
fn hang(watchdog: &[&str]) -> Report {
    run(lasting().arguments(watchdog).when(PROMPT, "hang\r").when(PROMPT, fetch_and("exit")))
}

/// How often the log has a line that begins with this text.
fn count(report: &Report, text: &str) -> usize {
    report.outcome.log.iter().filter(|line| line.starts_with(text)).count()
}

#[test]
fn a_loop_that_hangs_is_reset_by_the_chipsets_timer() {
    let report = hang(&["-global", "ICH9-LPC.noreboot=off"]);
    report.exits(0).shows("a page to be seen").logs("boot: after a reset by the watchdog TCO");
    assert_eq!(count(&report, "watchdog: TCO resets the board after 10800 ms"), 2, "{}", report.all());
    assert_eq!(count(&report, "boot: after"), 1, "{}", report.all());
}

#[test]
fn a_loop_that_hangs_is_reset_by_a_watchdog_on_pci() {
    let report = hang(&["-device", "i6300esb"]);
    report.exits(0).shows("a page to be seen").logs("boot: after a reset by the watchdog i6300esb");
    assert_eq!(count(&report, "watchdog: i6300esb resets the board after 10001 ms"), 2, "{}", report.all());
}

#[test]
fn a_loop_that_goes_on_is_not_reset_while_it_sleeps_or_a_process_spins() {
    // Either takes longer than the watchdog does.
    let commands = "sleep 13; start faults spin; sleep 13; kill faults; exit";
    let report = run(lasting().arguments(["-device", "i6300esb"]).append(commands));
    report.exits(0).logs("watchdog: i6300esb").lacks("boot: after");
}

#[test]
fn a_machine_without_a_watchdog_is_told_of() {
    let report = run(test_board().arguments(["-M", "pc"]).append("exit"));
    report.exits(0).logs("watchdog: the manifest wants one, and the machine has none that can be used");
}

#[test]
fn a_reboot_begins_anew_and_says_so() {
    let report = run(lasting().when(PROMPT, "reboot\r").when(PROMPT, fetch_and("exit")));
    report.exits(0).shows("a page to be seen").logs("boot: after the command reboot");
    assert_eq!(count(&report, "boot: log="), 2, "{}", report.all());
    // The watchdog was stopped before, and has not fired.
    report.lacks("by the watchdog");
}

#[test]
fn a_panic_that_reboots_says_so() {
    let report = run(lasting().debug_exit(false).when(PROMPT, "panic\r").when(PROMPT, fetch_and("poweroff")));
    assert_eq!(report.outcome.code, 0, "{}", report.all());
    report.shows("panic: as asked on the console").shows("a page to be seen").logs("boot: after a panic");
}

#[test]
fn a_reset_from_outside_is_told_from_those_that_the_board_asks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("qmp");
    let reset = || {
        Qmp::connect(&socket).and_then(|mut qmp| qmp.execute("system_reset", None)).expect("QEMU resets the board");
    };
    let steps: Vec<Step<'_>> = vec![(PROMPT, Box::new(reset))];
    // The first line that is typed comes with the second prompt.
    let board = lasting().monitor(&socket).when(PROMPT, "").when(PROMPT, "exit\r");
    let report = run_with_steps(board, steps);
    report.exits(0).logs("boot: after a reset that the board did not ask for");
}

#[test]
fn a_machine_that_was_switched_on_says_nothing_of_before() {
    run(test_board().append("exit")).exits(0).lacks("boot: after");
}
