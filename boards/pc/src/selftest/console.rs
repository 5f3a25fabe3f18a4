//! Output of the process console is sent at once, even if nothing else happens.

use super::tally::Tally;
use crate::board::Board;
use crate::serial::Terminal;
use crate::statics::CONFIGURATIONS;
use slopos_process_console::{Input, Memory, ProcessConsole};
use static_cell::ConstStaticCell;

#[unsafe(link_section = ".owner.console")]
static PROCESS_CONSOLE: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

/// Passes of the loop until it would sleep; a command takes a few.
const PASSES_MAX: usize = 10_000;

pub fn run(tally: &mut Tally, board: &mut Board) {
    // The tests may be run more than once.
    let Some(memory) = PROCESS_CONSOLE.try_take() else { return };
    // The process console in use waits for the tests to end.
    let console = ProcessConsole::new("", "", memory, &CONFIGURATIONS);
    let own = core::mem::replace(&mut board.process_console, console);
    rest(board);
    for command in ["\r", "help\r", "ps\r", "net\r", "grants\r", "version\r", "nobody\r"] {
        let mut only_lines = true;
        for &byte in command.as_bytes() {
            let mut terminal = Terminal(&mut board.capsules.console);
            only_lines &= board.process_console.input(byte, &mut terminal) == Input::Done;
        }
        let rests = rest(board);
        tally.check("a command is complete before the board sleeps", only_lines && rests && board.report.is_none());
        tally.check("nothing waits for a port that will not interrupt", board.output_moves());
    }
    board.process_console = own;
}

/// Lets the board work until it would sleep.
fn rest(board: &mut Board) -> bool {
    (0..PASSES_MAX).any(|_| !board.pass())
}
