//! What a person sees of work that takes longer than two seconds.

use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The name that begins each line, once [`crate::main`] has it.
pub(crate) static NAME: OnceLock<String> = OnceLock::new();
/// The bar that is drawn, so that a line can be written above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Prints a line on standard error, `TOOL: text`, above the bar if there is one.
pub fn note(text: impl Display) {
    let line = || match NAME.get() {
        Some(name) => eprintln!("{name}: {text}"),
        None => eprintln!("{text}"),
    };
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(line),
        None => line(),
    }
}

/// How far work of several steps is: a bar on standard error while this value lives, where that is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// Work of so many steps, which are named in the plural. There is one bar at a time.
    pub fn new(steps: u64, named: &'static str) -> Progress {
        let bar = ProgressBar::new(steps).with_prefix(named);
        // A template that is wrong would leave the crate's own.
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:24}] {pos} of {len} {prefix}  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Progress(bar)
    }

    /// Whether nobody sees the bar, because standard error is no terminal.
    pub fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// So many steps are done.
    pub fn done(&self, steps: u64) {
        self.0.set_position(steps);
    }

    /// Says what is done now; where there is no bar, in a line.
    pub fn now(&self, what: impl Display) {
        if self.is_hidden() {
            note(what);
        } else {
            self.0.set_message(what.to_string());
        }
    }

    /// Does the work of one step, and says what it is.
    pub fn step<T>(&self, what: impl Display, work: impl FnOnce() -> T) -> T {
        self.now(what);
        let done = work();
        self.0.inc(1);
        done
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
