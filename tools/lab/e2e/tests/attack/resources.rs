//! What a process may use, used up: descriptors, sockets, ports, the grant, time, the console.

use crate::board::{CHECK, Count, DOWNLOAD, PROMPT, beside, carry_out, contained, grants_are_back, guard_is_well};
use slopos_e2e::{Report, attack_board, run, run_with_steps};
use slopos_lab::files;
use slopos_lab::servers::moving::Steady;
use slopos_lab::servers::programs::Python;
use slopos_lab::servers::{Answer, answering, refusing};

/// Connects to a port that refuses: far more than there are sockets, or port numbers in use at any time.
const CONNECTS: u32 = 500;

/// What the attacker does to itself alone, and what it keeps from the others.
pub fn attacks() -> Count {
    let mut count = exhausted();
    count.add(killed_while_it_hoards());
    count.add(hogs());
    count
}

/// Attacks that find the limits, and find everything back behind them.
fn exhausted() -> Count {
    let (closed, endless) = (refusing(), answering(Answer::Endless));
    let attacks = [
        contained("descriptors"),
        contained("rights"),
        contained("commands ledger"),
        contained(format!("remotes {closed}")),
        contained("sockets"),
        contained(CHECK),
        contained(format!("ports {closed} {CONNECTS}")),
        contained(CHECK),
        // Once with sockets that the one before has left to the kernel, and once more.
        contained(format!("hoard {endless} exit")),
        contained(format!("hoard {endless} exit")),
    ];
    let (count, report) = carry_out(&attacks);
    report.shows(&format!("hostile: refused {CONNECTS} times"));
    let grant = report.grant("hostile");
    assert!(grant.figure("denials") > 0, "{}", report.all());
    assert!(grant.figure("high_water") > grant.figure("bytes") / 2, "{}", report.all());
    count
}

/// A process that holds its whole grant and is killed has nothing of it a moment later.
fn killed_while_it_hoards() -> Count {
    let endless = answering(Answer::Endless);
    let body = files::bytes(DOWNLOAD);
    let sha256 = files::sha256(&body);
    let server = Steady::serve(body);
    let board = beside(&server)
        .when(PROMPT, format!("start hostile hoard {endless} stay\r"))
        .when("hostile: holds ", "grants; kill hostile; grants; hostile grants\r")
        .when("hostile: contained grants", "")
        .when("webget: done status=200", "sleep 1; grants; exit\r");
    let report = run_with_steps(board, vec![("hostile: contained grants", Box::new(|| server.release()))]);
    report.exits(0).shows(&format!("{sha256}  {DOWNLOAD}"));
    guard_is_well(&report);
    grants_are_back(&report);
    // While it hoarded its sockets were in use, and in the next answer none was.
    let lines: Vec<&str> =
        report.outcome.console.lines().filter(|line| line.starts_with("hostile bytes=")).take(2).collect();
    let [before, after] = lines[..] else { panic!("{}", report.all()) };
    assert!(before.ends_with(" sockets=4/4") && !before.contains(" in_use=0 "), "{before}");
    assert!(after.ends_with(" sockets=0/4") && after.contains(" in_use=0 "), "{after}");
    Count { carried_out: 1, contained: 1 }
}

/// Waits and loops without an end, two attackers at a time, beside a download at full speed each.
fn hogs() -> Count {
    let server = Python::new();
    let sha256 = server.file("file", DOWNLOAD);
    let fetch = format!("webget --sha256 {}", server.url("file"));
    let pairs = [("hog spin", "hog yield"), ("hog call", "wait read"), ("wait sleep", "wait poll")];
    let mut board = attack_board().append("start guard");
    for (hostile, accomplice) in pairs {
        board = board.when(
            PROMPT,
            format!("start hostile {hostile}; start accomplice {accomplice}; {fetch}; kill hostile; kill accomplice\r"),
        );
    }
    let report = run(board.when(PROMPT, "sleep 1; grants; exit\r"));
    let count = went_on_beside(&report, &pairs, &sha256);
    // The flood has a board of its own: nothing is typed into it.
    let flood = [("wait poll-for-ever", "hog print")];
    let script = format!(
        "start guard; start hostile {}; start accomplice {}; {fetch}; kill hostile; kill accomplice; sleep 1.5; grants; exit",
        flood[0].0, flood[0].1
    );
    let report = run(attack_board().append(script));
    let mut total = went_on_beside(&report, &flood, &sha256);
    total.add(count);
    total
}

/// All pairs were begun and never came to an end by themselves, and beside each a download came out right.
#[track_caller]
fn went_on_beside(report: &Report, pairs: &[(&str, &str)], sha256: &str) -> Count {
    report.exits(0).lacks("does not run").lacks("hostile: contained").lacks("accomplice: contained");
    for (hostile, accomplice) in pairs {
        report.shows(&format!("hostile: begins {hostile}")).shows(&format!("accomplice: begins {accomplice}"));
    }
    let fetched = report.outcome.console.matches(&format!("{sha256}  {DOWNLOAD}")).count();
    assert_eq!(fetched, pairs.len(), "{}", report.all());
    guard_is_well(report);
    grants_are_back(report);
    Count { carried_out: 2 * pairs.len(), contained: 2 * pairs.len() }
}
