//! Signals that end a run: the board is stopped and the terminal restored, and then the tool ends as the signal has it.

use rustix::termios::Termios;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// How long the orderly end may take: whoever reads the output may have stopped reading.
const GRACE: Duration = Duration::from_secs(2);

/// The signal that came, if one did.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<AtomicI32>);

impl Signals {
    /// Takes SIGINT, SIGTERM and SIGHUP from now on, except those that are ignored, as `nohup` has it. If the tool does
    /// not end in two seconds, it is ended, with standard input set to `terminal`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn watch(terminal: Option<Termios>) -> Result<Signals> {
        let ignored = ignored();
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut arriving = signal_hook::iterator::Signals::new(wanted)?;
        let signals = Signals::default();
        let received = signals.clone();
        std::thread::spawn(move || {
            if let Some(signal) = arriving.forever().next() {
                received.0.store(signal, Ordering::Relaxed);
                std::thread::sleep(GRACE);
                if let Some(terminal) = &terminal {
                    crate::terminal::restore(terminal);
                }
                end_by(signal);
            }
        });
        Ok(signals)
    }

    /// The signal that came.
    pub fn received(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }
}

/// Ends this process as a signal does that nobody takes, so that a shell sees which it was.
pub fn end_by(signal: i32) -> ! {
    // It returns only where the signal cannot be raised; the shell's number for it says the same.
    let _raised = emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

/// The signals that this process ignores, a bit each, as proc(5) has it; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
