//! From reset to the first page, on each kind of network device, and how a run ends.

use slopos_e2e::{board, fetch, run, test_board};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::{Transport, Verdict, verdict};
use std::time::{Duration, Instant};

/// Boots, fetches a page, and looks for every line that is an interface.
#[track_caller]
fn log_has_its_lines(transport: Transport) {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let report = fetch(board().network(transport), &url);
    report
        .exits(0)
        .logs("virtio-net: ready mac=52:54:00:12:34:56 ")
        .logs("dhcp: lease 10.0.2.15/24 gateway 10.0.2.2 ")
        .logs("arp: gateway 10.0.2.2 is-at 52:55:0a:00:02:02")
        .shows("HTTP/1.1 200 OK")
        .shows("a page to be seen")
        .shows(&format!("webget: GET {url}"))
        .shows("webget: done status=200 count=1 bytes=18 seconds=")
        .lacks("run: ");
    assert!(report.outcome.qemu.is_empty(), "{}", report.all());
}

#[test]
fn a_modern_device_boots_to_a_page() {
    log_has_its_lines(Transport::Modern);
}

#[test]
fn a_legacy_device_boots_to_a_page() {
    log_has_its_lines(Transport::Legacy);
}

#[test]
fn a_processor_without_the_newer_protections_boots_to_a_page() {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    let report = fetch(board().arguments(["-cpu", "qemu64"]), &url);
    report.exits(0).shows("a page to be seen").logs("boot: the processor has no ").lacks("panic: ");
    run(test_board().network(Transport::None).arguments(["-cpu", "qemu64"]).append("syscalls; exit")).exits(0);
}

#[test]
fn a_transitional_device_boots_to_a_page() {
    log_has_its_lines(Transport::Transitional);
}

/// The board's own tests.
#[track_caller]
fn self_tests_pass(transport: Transport) {
    let report = run(test_board().network(transport).append("test; exit"));
    report.exits(0);
    let found = report.outcome.log.iter().any(|line| line == "Interrupt tests passed.");
    assert!(found, "the interrupt tests did not pass\n{}", report.all());
}

#[test]
fn the_boards_own_tests_pass_on_a_modern_device() {
    self_tests_pass(Transport::Modern);
}

#[test]
fn the_boards_own_tests_pass_on_a_legacy_device() {
    self_tests_pass(Transport::Legacy);
}

#[test]
fn the_boards_own_tests_pass_on_a_transitional_device() {
    self_tests_pass(Transport::Transitional);
}

#[test]
fn without_a_network_device_commands_run_at_once() {
    let begin = Instant::now();
    run(board().network(Transport::None).append("exit")).exits(0);
    // With a device that gives no lease the commands would wait for 120 seconds.
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn an_unknown_command_counts_as_111() {
    let report = run(board().network(Transport::None).append("no-such-command; exit"));
    report.exits(111);
    assert_eq!(report.outcome.code, 255);
}

#[test]
fn the_status_is_that_of_the_last_command() {
    let list = "no-such-command; sleep 0.1; exit";
    run(board().network(Transport::None).append(list)).exits(0);
}

#[test]
fn a_panic_has_a_code_and_a_message_of_its_own() {
    let report = run(test_board().network(Transport::None).append("panic; exit"));
    assert_eq!((report.outcome.code, verdict(report.outcome.code)), (3, Verdict::Panic), "{}", report.all());
    report.shows("panic: ");
}

#[test]
fn a_person_at_the_console_can_run_commands() {
    let board = board().network(Transport::None).when("slopos> ", "help\r").when("slopos> ", "nonsense\r");
    let report = run(board.when("slopos> ", "exit\r"));
    report.exits(111).shows("sleep SECONDS");
}
