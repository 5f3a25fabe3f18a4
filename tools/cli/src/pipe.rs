//! A closed pipe: what reads this tool's output has seen enough.
//!
//! Rust ignores SIGPIPE, so that writing gives an error instead. An error unwinds, which ends what the tool has started (a
//! board, a server); only then the tool ends by the signal. What is printed with `println!` panics, and a hook ends that.

use anyhow::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, ErrorKind, stdout};
use std::panic;

/// Has a panic of `println!` end the tool as an error does: quietly where nobody reads, else with a line.
pub fn watch(failure: u8) {
    let other = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let Some(why) = panic.payload_as_str().and_then(|text| text.strip_prefix("failed printing to ")) else {
            return other(panic);
        };
        if is_gone() {
            end();
        }
        crate::note(why);
        std::process::exit(failure.into());
    }));
}

/// Whether an error comes from standard output, because its reader is gone.
pub fn is_broken(error: &Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken)) && is_gone()
}

/// Ends the process as SIGPIPE does where it is not ignored.
pub fn end() -> ! {
    // It returns only where the signal cannot be raised; the shell's number for it says the same.
    let _raised = emulate_default_handler(SIGPIPE);
    std::process::exit(128 + SIGPIPE)
}

/// Whether standard output is a pipe without a reader.
fn is_gone() -> bool {
    let output = stdout();
    let mut polled = [PollFd::new(&output, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::ERR)
}
