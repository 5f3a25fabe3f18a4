//! The board's own tests, built in where the manifest says `selftest = true`.
//!
//! The command `test` runs them: first what concerns the kernel alone, then whole processes. Each check is a line of
//! the log; `Interrupt tests passed.` is the last one if all held. The command `panic` panics, and `hang` hangs the
//! loop.

mod console;
mod devices;
mod exceptions;
mod interrupts;
mod processes;
mod protection;
mod tally;

use crate::board::Board;
use tally::Tally;

/// Carries out a test command; `None` if the name is not one.
// A function of its own, so that the tests' buffers are not part of the stack frame of the board's loop.
#[inline(never)]
pub fn command(board: &mut Board, name: &str) -> Option<i32> {
    match name {
        "test" => Some(run(board)),
        "panic" => panic!("as asked on the console"),
        "hang" => loop {
            core::hint::spin_loop();
        },
        _ => None,
    }
}

fn run(board: &mut Board) -> i32 {
    let mut tally = Tally::default();
    exceptions::run(&mut tally);
    protection::run(&mut tally);
    interrupts::run(&mut tally, board);
    devices::run(&mut tally, board);
    console::run(&mut tally, board);
    processes::run(&mut tally, board);
    defmt::info!("test: {=u32} passed, {=u32} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        return 1;
    }
    defmt::info!("Interrupt tests passed.");
    0
}
