//! Whole processes: every system call, and everything that a process may not do.

use super::tally::Tally;
use crate::board::Board;
use crate::machine::now;
use slopos_abi::{STATUS_KILLED, STATUS_MAX};
use slopos_kernel::process::{Process, ProcessId};
use slopos_kernel::time::Duration;
use slopos_x86_64::control::wait_for_interrupt;

/// How long a test process may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// The arguments of the program `faults`, and the exception that each must end with.
const FAULTS: [(&str, &str); 18] = [
    ("null-read", "#PF"),
    ("kernel-read", "#PF"),
    ("kernel-write", "#PF"),
    ("code-write", "#PF"),
    ("constant-write", "#PF"),
    ("data-execute", "#PF"),
    ("constant-execute", "#PF"),
    ("stack-execute", "#PF"),
    ("beyond-end", "#PF"),
    ("stack-overflow", "#PF"),
    ("divide", "#DE"),
    ("invalid-opcode", "#UD"),
    ("privileged", "#GP"),
    ("port-io", "#GP"),
    ("sse", "#UD"),
    ("x87", "#NM"),
    ("breakpoint", "#BP"),
    ("non-canonical", "#GP"),
];

pub fn run(tally: &mut Tally, board: &mut Board) {
    tally.check("every system call does what it should", finish(board, "syscalls", &[]) == Some(0));
    for (kind, exception) in FAULTS {
        let status = finish(board, "faults", &[kind]);
        let named = process(board, "faults")
            .and_then(|id| board.kernel.process(id)?.fault())
            .is_some_and(|fault| fault.name.starts_with(exception));
        tally.check(kind, status == Some(STATUS_KILLED) && named);
    }
    tally.check("a status is passed on", finish(board, "faults", &["exit-200"]) == Some(200));
    tally.check("a panic of a process is its own", finish(board, "faults", &["panic"]) == Some(101));
    spin(tally, board);
}

/// A process that never gives up the processor neither stops the others nor the network.
fn spin(tally: &mut Tally, board: &mut Board) {
    let Some(spinner) = begin(board, "faults", &["spin"]) else {
        return tally.check("a spinning process starts", false);
    };
    tally.check("others run beside a spinning process", finish(board, "syscalls", &[]) == Some(0));
    tally.check("it still spins", is_running(board, spinner));
    board.kill(spinner);
    let status = board.kernel.process(spinner).and_then(|process| process.status());
    tally.check("it can be killed", status == Some(STATUS_KILLED) && STATUS_KILLED < STATUS_MAX);
}

fn process(board: &Board, name: &str) -> Option<ProcessId> {
    board.kernel.find(name)
}

fn is_running(board: &Board, id: ProcessId) -> bool {
    board.kernel.process(id).is_some_and(Process::is_running)
}

fn begin(board: &mut Board, name: &str, arguments: &[&str]) -> Option<ProcessId> {
    let id = process(board, name)?;
    board.launch(id, arguments.iter().copied()).ok()?;
    Some(id)
}

/// Runs a process to its end; `None` where it does not start or does not end in time.
fn finish(board: &mut Board, name: &str, arguments: &[&str]) -> Option<i32> {
    let id = begin(board, name, arguments)?;
    let end = now() + RUN_TIMEOUT;
    while is_running(board, id) {
        if now() > end {
            board.kill(id);
            return None;
        }
        if !board.pass() {
            board.alarm.set(Some(now() + Duration::from_millis(5)), now());
            wait_for_interrupt();
        }
    }
    board.kernel.process(id)?.status()
}
