//! Two network processes with quotas of their own at once, and what the manifest does not allow.

use crate::board::{DOWNLOAD, PROMPT};
use slopos_e2e::{attack_board, fetch, run_with_steps};
use slopos_lab::files;
use slopos_lab::servers::moving::Page;
use slopos_lab::servers::programs::Python;

#[test]
fn a_long_lived_monitor_and_a_download_run_side_by_side() {
    let server = Python::new();
    let sha256 = server.file("file", DOWNLOAD);
    let (first, second) = (b"the first page".as_slice(), b"the second page".as_slice());
    let page = Page::serve(first);
    let board = attack_board()
        .append(format!("start monitor --every 0.2 {}", page.url()))
        .when("monitor: status=200", format!("webget --sha256 --count 2 {}\r", server.url("file")))
        .when("webget: done", "")
        .when("monitor: answers again", "grants\r")
        .when(PROMPT, "kill monitor; sleep 1; grants; exit\r");
    let report = run_with_steps(
        board,
        vec![
            ("webget: done", Box::new(|| page.change(second))),
            ("monitor: changed:", Box::new(|| page.stop())),
            ("monitor: failed:", Box::new(|| page.start())),
        ],
    );
    report.exits(0).shows(&format!("webget: done status=200 count=2 bytes={} ", 2 * DOWNLOAD));
    let console = &report.outcome.console;
    assert_eq!(console.matches(&format!("{sha256}  {DOWNLOAD}")).count(), 2, "{}", report.all());
    report.shows(&format!("monitor: status=200 bytes={} sha256={}", first.len(), files::sha256(first)));
    report.shows(&format!(
        "monitor: changed: bytes={} (was {}) sha256={}",
        second.len(),
        first.len(),
        files::sha256(second)
    ));
    for once in ["monitor: status=", "monitor: changed:", "monitor: failed: connection refused", "monitor: answers"] {
        assert_eq!(console.matches(once).count(), 1, "{once}\n{}", report.all());
    }
    // Both quotas are the manifest's, and nobody holds anything in the end.
    for (process, sockets, least) in [("webget", "/4", 4 * (80 << 10)), ("monitor", "/2", 2 * (10 << 10))] {
        let grant = report.grant(process);
        assert!(grant.figure("bytes") >= least && grant.figure("high_water") > 0, "{}", report.all());
        assert_eq!((grant.figure("in_use"), grant.figure("sockets")), (0, 0), "{}", report.all());
        let line = console.lines().rev().find(|line| line.starts_with(&format!("{process} bytes=")));
        assert!(line.is_some_and(|line| line.ends_with(sockets)), "{line:?}");
    }
}

#[test]
fn monitor_gives_up_what_it_does_not_need_and_stops_when_it_is_asked_to() {
    let page = Page::serve(b"a page");
    let script = format!("monitor --every 0.1 --count 3 {}; exit", page.url());
    let report = run_with_steps(attack_board().append(script), vec![]);
    report.exits(0).shows("monitor: looked 3 times").lacks("monitor: changed");
    assert_eq!(report.outcome.console.matches("monitor: status=200").count(), 1, "{}", report.all());
}

#[test]
fn a_remote_that_the_manifest_does_not_cover_is_77_and_the_entry_is_named() {
    let report = fetch(attack_board(), "http://10.0.2.3/");
    report.exits(77).shows("connect = [\"10.0.2.3/32:80\"]").logs("net: process webget may not connect to 10.0.2.3:80");
    let script = "monitor --count 2 http://10.0.2.3:8080/; exit";
    let report = run_with_steps(attack_board().append(script), vec![]);
    report.exits(77).shows("connect = [\"10.0.2.3/32:8080\"]");
}
