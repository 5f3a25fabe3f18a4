//! The serial lines as slow as they are on a real board: nothing waits for them, and what is lost is told.

use slopos_e2e::{Report, attack_board, run, test_board};
use slopos_run::{Builder, Transport};
use std::time::Duration;

/// What a line of 115,200 baud carries, in bytes a second.
const SLOW: u32 = 11_500;
const PROMPT: &str = "slopos> ";

/// Lines that the log says it lost.
fn lost(report: &Report) -> usize {
    let told = report.outcome.log.iter().filter_map(|line| {
        let (_, count) = line.split_once("log: ")?;
        count.strip_suffix(" lines were lost, for the port is slow")?.parse::<usize>().ok()
    });
    told.sum()
}

fn tested(board: Builder, times: usize) -> Report {
    let list = "test; ".repeat(times);
    run(board.network(Transport::None).append(format!("{list}exit")))
}

#[test]
fn a_slow_log_loses_nothing_that_fits_its_ring() {
    let fast = tested(test_board(), 1);
    let slow = tested(test_board().line_rates(None, Some(SLOW)), 1);
    assert_eq!(fast.outcome.code, slow.outcome.code);
    assert_eq!((lost(&fast), lost(&slow)), (0, 0), "{}", slow.all());
    // What the tests provoke beside their own lines has budgets in time.
    let steady = |report: &Report| report.outcome.log.iter().filter(|line| line.starts_with("test: ")).count();
    assert_eq!(steady(&fast), steady(&slow), "{}", slow.all());
}

#[test]
fn a_log_that_is_slower_than_what_is_logged_says_how_many_lines_are_missing() {
    let times = 6;
    let all = tested(test_board(), times).outcome.log.len();
    let report = tested(test_board().line_rates(None, Some(400)), times);
    let notices = report.outcome.log.iter().filter(|line| line.contains("lines were lost")).count();
    assert!(notices > 0, "nothing was lost\n{}", report.all());
    // Every line is there or is counted as lost, but for those of a budget in time, of which a test has some.
    let told = report.outcome.log.len() - notices + lost(&report);
    assert!(told.abs_diff(all) <= 8 * times, "{told} of {all}\n{}", report.all());
    report.lacks("malformed");
}

#[test]
fn a_console_flood_leaves_a_modest_writer_its_share() {
    for piece in [1, 2, 64, 512] {
        let board = attack_board()
            .network(Transport::None)
            .line_rates(Some(SLOW), None)
            .append(format!("start accomplice chatter {piece}; hostile lines 100; kill accomplice; exit"));
        let report = run(board);
        report.exits(0).shows("hostile: modest line 100 of 100");
        let text = &report.outcome.console;
        let (first, last) = (text.find("modest line 1 of"), text.find("modest line 100 of"));
        let between = &text[first.expect("the first line")..last.expect("the last line")];
        let own: usize = between.lines().filter(|line| line.contains("modest")).map(|line| line.len() + 1).sum();
        // As many bytes of the other, and what the queue holds.
        assert!(between.len() < 2 * own + 2 * 5 * 1024, "{} of {} bytes, pieces of {piece}", own, between.len());
    }
}

#[test]
fn keys_are_for_the_process_in_the_foreground_alone() {
    for [background, foreground] in [["accomplice", "hostile"], ["hostile", "accomplice"]] {
        let board = attack_board()
            .network(Transport::None)
            .when(PROMPT, format!("start {background} keys\r"))
            // It may still be loaded when the prompt is back.
            .when(format!("{background}: begins keys"), format!("{foreground} keys\r"))
            .when(format!("{foreground}: begins keys"), "secret\r")
            .when(PROMPT, format!("ps; kill {background}; exit\r"));
        let report = run(board.timeout(Duration::from_secs(60)));
        report.exits(0).shows("hostile: heard secret");
        assert_eq!(report.outcome.console.matches("heard").count(), 1, "{}", report.all());
        let mut lines = report.outcome.console.lines();
        let waits = lines.any(|line| line.starts_with(&format!("{background} ")) && line.contains("waiting"));
        assert!(waits, "who reads in the background waits\n{}", report.all());
    }
}

#[test]
fn a_board_whose_lines_nobody_reads_still_comes_to_its_end() {
    // A byte in each tick of the reader: practically nothing.
    let board = test_board().network(Transport::None).line_rates(Some(100), Some(100));
    let report = run(board.append("help; faults null-read; faults exit-200; exit"));
    report.exits(111);
}
