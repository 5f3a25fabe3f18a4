//! What tests on the host need beside the crate they test: a logger and a clock for `defmt`, so that crates which log
//! link, capability tokens, and a disk that loses its power. Frames are encoded and dropped: what tests assert is behaviour, not log text. How many
//! there were is counted, since lines that come from outside have budgets.

mod power;

pub use power::PowerDisk;

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

/// Every capability, for tests.
pub struct Token;

// SAFETY: only tests depend on this crate, and no image of a board links it: here the tests are the composition.
unsafe impl slopos_kernel::capability::ManageProcesses for Token {}
// SAFETY: as above.
unsafe impl slopos_kernel::capability::EnterProcessMemory for Token {}
// SAFETY: as above.
unsafe impl slopos_kernel::capability::HandFrames for Token {}
// SAFETY: as above.
unsafe impl slopos_kernel::capability::ReadGrants for Token {}
