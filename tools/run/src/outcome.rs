//! The events of a run of the board, and its result.

use crate::decoder::Decoded;
use crate::lines::Line;
use std::time::{Duration, Instant};

/// An event while the board runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes from COM1.
    Console(Vec<u8>),
    /// A line of the kernel's log from COM2.
    Log(Line),
    /// What processes wrote to descriptor 2, and the process console, where that travels apart from COM1.
    Beside(Vec<u8>),
    /// A line of QEMU's own output.
    Qemu(String),
}

/// Why a board was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its time was up.
    Late,
    /// The person wanted it, or the input has ended and was answered.
    Quit,
    /// The input has ended, and the board says nothing that could be waited for.
    Silent,
    /// A signal to this tool.
    Signal(i32),
}

impl From<Decoded> for Event {
    fn from(decoded: Decoded) -> Event {
        match decoded {
            Decoded::Line(line) => Event::Log(line),
            Decoded::Text(bytes) => Event::Beside(bytes),
        }
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// QEMU's exit code; [`TIMED_OUT`](crate::TIMED_OUT) where the time was up; [`KILLED`](crate::KILLED) where a signal ended QEMU.
    /// [`verdict`](crate::verdict) reads it.
    pub code: i32,
    /// Why the board was stopped, where it did not end by itself. The code says nothing then, unless the time was up.
    pub stopped: Option<Stop>,
    /// When QEMU was started. Reading the kernel's log format comes before, and must not count as boot time.
    pub started: Instant,
    /// COM1; bytes that are not UTF-8 are replaced. Of more than 32 MiB the beginning and the end, with a line between
    /// that says how much was left out.
    pub console: String,
    /// What travelled apart from COM1, in the same bounds.
    pub beside: String,
    /// The kernel's log, in the same bounds.
    pub log: Vec<String>,
    /// The kernel's time stamp of each of these lines, since the boot.
    pub log_times: Vec<Option<Duration>>,
    /// QEMU's own output, in the same bounds.
    pub qemu: Vec<String>,
}

impl Outcome {
    /// Whether a line of the kernel's log, or of the console, contains `text`; what travelled apart counts as the console's.
    pub fn says(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text)) || self.console.contains(text) || self.beside.contains(text)
    }

    /// All output, for finding out what went wrong: the console, the kernel's log, QEMU.
    pub fn words(&self) -> String {
        [&self.console, &self.beside, &self.log.join("\n"), &self.qemu.join("\n")]
            .map(|text| text.trim_end())
            .join("\n")
    }
}
