//! The board of scale.toml: many processes with many sockets each, all of which fetch at the same time.

use slopos_e2e::{run, scale_board};
use slopos_lab::files;
use slopos_lab::servers::{Answer, answering, response};

/// Processes of the board.
const PROCESSES: usize = 18;
/// Sockets of each: all that the manifest grants.
const SOCKETS: usize = 29;
/// Bytes that each socket fetches: more than its receive ring has room for.
const BYTES: usize = 100_000;

#[test]
fn eighteen_processes_fetch_over_all_their_sockets_at_once() {
    let url = answering(Answer::Bytes(response(&files::bytes(BYTES))));
    let all: Vec<_> = (0..PROCESSES).map(|number| format!("start spread{number} {SOCKETS} {BYTES} {url}")).collect();
    let done = (1..PROCESSES).fold(scale_board().append(all.join("; ")), |board, _| board.when(": done ", ""));
    let report = run(done.when(": done ", "exit\r"));
    report.exits(0).lacks("failed").lacks("panic: ");
    for number in 0..PROCESSES {
        // A body of another length, or another status than 200, is an error to `spread`.
        report.shows(&format!("spread{number}: done sockets={SOCKETS} bytes={} ", SOCKETS * BYTES));
    }
}
