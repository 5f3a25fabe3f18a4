//! Every system call with random arguments, millions of times, by two processes at once.

use crate::board::{Count, DOWNLOAD, beside, others_are_well};
use slopos_e2e::run_with_steps;
use slopos_lab::files;
use slopos_lab::servers::moving::Steady;
use slopos_lab::servers::sinking;

/// Calls of each process.
const CALLS: usize = 1_500_000;
/// The seeds; another one is another storm.
const SEEDS: [u64; 2] = [20_260_801, 3];

/// Both storms on one board.
pub fn attacks() -> Count {
    let body = files::bytes(DOWNLOAD);
    let sha256 = files::sha256(&body);
    let server = Steady::serve(body);
    let sink = sinking();
    let storm = |seed| format!("storm {seed} {CALLS} {sink}");
    let (hostile, accomplice) = (storm(SEEDS[0]), storm(SEEDS[1]));
    let board = beside(&server)
        .when("slopos> ", format!("start hostile {hostile}; start accomplice {accomplice}\r"))
        .when("webget: done status=200", "hostile grants; grants; exit\r");
    let over = ": contained storm";
    let report = run_with_steps(board, vec![(over, Box::new(|| ())), (over, Box::new(|| server.release()))]);
    report.exits(0);
    for (process, seed) in [("hostile", SEEDS[0]), ("accomplice", SEEDS[1])] {
        report.shows(&format!("{process}: begins storm {seed}")).shows(&format!("{process}: contained storm"));
        report.shows(&format!("hostile: storm seed={seed} calls={CALLS} ok="));
    }
    report.shows("hostile: contained grants").lacks("killed by");
    others_are_well(&report, &sha256);
    Count { carried_out: 2, contained: 2 }
}
