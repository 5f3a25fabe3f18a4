//! The machine that host tests run on, as a board: it gives `defmt` a logger and a clock, so that tests of crates
//! that log link. Frames are encoded and dropped: what tests assert is behaviour, not log text. How many there were is
//! counted, since lines that come from outside have budgets.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

#[defmt::global_logger]
struct Logger;

thread_local! {
    static LINES: Cell<usize> = const { Cell::new(0) };
}

/// How many lines this thread has logged.
pub fn lines() -> usize {
    LINES.get()
}

static TAKEN: AtomicBool = AtomicBool::new(false);

// SAFETY: `acquire` spins until no other thread holds the logger, so the calls up to `release` never interleave.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        while TAKEN.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        LINES.set(LINES.get() + 1);
        TAKEN.store(false, Ordering::Release);
    }

    unsafe fn write(_bytes: &[u8]) {}
}

defmt::timestamp!("{=u64:us}", 0);

/// Every capability, for tests: on this machine the tests are the board.
pub struct Token;

// SAFETY: this crate is the board of tests, and no image of a real board links it.
unsafe impl slopos_kernel::capability::ManageProcesses for Token {}
// SAFETY: as above.
unsafe impl slopos_kernel::capability::EnterProcessMemory for Token {}
// SAFETY: as above.
unsafe impl slopos_kernel::capability::HandFrames for Token {}
// SAFETY: as above.
unsafe impl slopos_kernel::capability::ReadGrants for Token {}
