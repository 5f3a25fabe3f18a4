//! The board's manifest: what runs, with how much memory, allowed to do what.
//!
//! [`load`] reads and checks it. The board's `build.rs` turns the result into statics, and the `flash` tool into
//! slots of the flash, so both believe the same file. What cannot be built is refused here, with the file, the
//! line, the need and the limit.
//!
//! ```toml
//! [board]
//! name = "qemu_q35"               # of the kernel and the flash image that are built
//! network_budget = "1 MiB"        # most that grants and shared network memory may sum up to
//! max_frame = 1514                # largest Ethernet frame in bytes, header included, frame check sequence not
//! flash_size = "1 MiB"
//! on_panic = "halt"               # or "reboot" or "poweroff", where QEMU's debug-exit is missing; "halt" by default
//! log = "frames"                  # or "text": plain lines, which need no decoding; "frames" where it is missing
//! watchdog = "5 s"                # resets a board that makes no progress for so long, 3 s to 20 min; none by default
//! machine = "q35"                 # or "microvm": virtio over MMIO, without PCI; "q35" where it is missing
//! selftest = false                # builds the board's own tests in; false where it is missing
//!
//! [board.mmio]                    # windows of virtio devices, where the command line names none; for "microvm" alone
//! address = 0xfeb00000            # of the first window
//! size = "512 B"                  # of each; the next one follows it
//! count = 24
//! interrupt = 24                  # global system interrupt of the first window; the next one has the next
//!
//! [flash]                         # whose programs run; without this table those signed with the development key
//! keys = ["keys/ours.pub"]        # public Ed25519 keys (PEM), beside the manifest; one of them has to have signed
//! unsigned = "refuse"             # or "warn": programs that nobody has signed run; "refuse" where it is missing
//!
//! [[process]]
//! name = "webget"
//! app = "webget"                  # the program in the flash; several processes may run the same
//! minimum_version = "0.2.0"       # the oldest version of the app that it runs; any where it is missing
//! path = "../../../webget"        # its crate, where that is not of this tree; relative to the manifest's folder
//! ram = "128 KiB"                 # code, constants and data together
//! stack = "32 KiB"
//! arguments = []                  # given to the program where its command gives none
//! start = "command"               # or "boot"
//! restart = "never"               # or { backoff = "100 ms", maximum = "10 s" }; "never" where it is missing
//! priority = 3                    # 0 to 7; 0 runs first, and 3 is what a process has where it is missing
//! console = "output"              # or "input", which is both, or "none"; "output" where it is missing
//! flash = ["scratch"]             # data regions that it may open
//! commands = ["webget", "ps"]     # commands and processes that it may have the process console run; none by default
//!
//! [process.network]               # without this table the process has no network at all
//! sockets = 4
//! receive = "64 KiB"              # receive buffer of each socket
//! send = "16 KiB"                 # send buffer of each socket
//! connect = ["10.0.2.0/24:80,8000-8999"]    # nobody where it is missing; entries may not overlap
//!
//! [process.entropy]               # without this table the process cannot open the entropy device
//! buffer = "64 B"                 # random bytes that it may have at a time, 16 B to 64 B: its share
//!
//! [[data]]
//! name = "scratch"
//! size = "64 KiB"
//! file = "scratch.bin"            # what it holds at first, beside the manifest; zeros where it is missing
//!
//! [[data]]
//! name = "seed"
//! size = "512 B"
//! use = "seed"                    # the kernel keeps a seed for its secrets here; no process may open it
//! ```
#![forbid(unsafe_code)]

mod check;
mod commands;
pub mod duration;
mod error;
mod expand;
mod flash;
pub mod key;
mod machine;
mod read;
mod remote;
pub mod size;
mod table;
#[cfg(test)]
mod tests;

pub use check::{
    BUFFER_MAX, BUFFER_MIN, DATA_UNIT, FRAME_MAX, FRAME_MIN, PAGE, PRIORITY_DEFAULT, RESTART_MAX, WATCHDOG,
};
pub use error::Error;
pub use expand::{
    Expanded, ExpandedBoard, ExpandedEntropy, ExpandedKey, ExpandedNetwork, ExpandedProcess, Item, Product,
};
pub use flash::{Flash, Key, Unsigned};
pub use key::PublicKey;
pub use read::{load, parse};
pub use table::suggest;

use serde::{Deserialize, Serialize};
use slopos_abi::RemoteRange;
use slopos_abi::flash::AppVersion;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A board, its processes and what is in its flash beside the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What concerns the board as a whole.
    pub board: Board,
    /// Whose programs the board runs.
    pub flash: Flash,
    /// The processes, in the order of the file; the index is the process's number in the kernel.
    pub processes: Vec<Process>,
    /// The flash regions that hold no program.
    pub data: Vec<Data>,
}

/// What concerns the board as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Names the kernel and the flash image that are built from the manifest.
    pub name: String,
    /// Most bytes that all network memory may sum up to: the grants of all processes and what is shared. The socket
    /// buffers are checked against it here, the whole by the audit of the built kernel.
    pub network_budget: u64,
    /// The manifest's line of `network_budget`.
    pub network_budget_line: usize,
    /// Largest Ethernet frame in bytes: header included, frame check sequence not.
    pub max_frame: u16,
    /// The manifest's line of `max_frame`.
    pub max_frame_line: usize,
    /// Whether the board's own tests are built into the kernel.
    pub selftest: bool,
    /// What the board does after a kernel panic.
    pub on_panic: OnPanic,
    /// What the kernel's log is written as.
    pub log: LogForm,
    /// After how long without progress a watchdog resets the board, if one is to.
    pub watchdog: Option<Duration>,
    /// The kind of machine that the kernel is for.
    pub machine: Machine,
    /// Where virtio devices are, on a machine without PCI, unless the command line says it.
    pub mmio: Option<Mmio>,
    /// Bytes of the flash.
    pub flash_size: u64,
    /// The manifest's line of `flash_size`.
    pub flash_size_line: usize,
}

/// A kind of machine: which of the folders in boards/ composes the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// One with PCI, as QEMU's q35.
    #[default]
    Q35,
    /// One without: QEMU's microvm, Firecracker.
    MicroVm,
}

impl Machine {
    /// Each of them.
    pub const ALL: [Machine; 2] = [Machine::Q35, Machine::MicroVm];

    /// The word in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Machine::Q35 => "q35",
            Machine::MicroVm => "microvm",
        }
    }

    /// The folder in boards/.
    pub fn folder(self) -> &'static str {
        match self {
            Machine::Q35 => "qemu_q35",
            Machine::MicroVm => "microvm",
        }
    }
}

/// Windows of memory in which virtio devices may be, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mmio {
    /// Physical address of the first.
    pub address: u64,
    /// Bytes of each.
    pub size: u64,
    /// How many there are.
    pub count: u64,
    /// Global system interrupt of the first; each has the one after that of the window before it.
    pub interrupt: u64,
}

/// What the board does after a kernel panic, where it cannot end QEMU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnPanic {
    /// Stops, for somebody to look at it.
    #[default]
    Halt,
    /// Starts anew.
    Reboot,
    /// Switches itself off.
    PowerOff,
}

impl OnPanic {
    /// All of them, the default first.
    pub const ALL: [OnPanic; 3] = [OnPanic::Halt, OnPanic::Reboot, OnPanic::PowerOff];

    /// The word in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            OnPanic::Halt => "halt",
            OnPanic::Reboot => "reboot",
            OnPanic::PowerOff => "poweroff",
        }
    }
}

/// What the kernel's log is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogForm {
    /// `defmt` frames, which are decoded with the kernel's ELF.
    #[default]
    Frames,
    /// Lines of text. The kernel holds their texts in memory.
    Text,
}

impl LogForm {
    /// All of them, the default first.
    pub const ALL: [LogForm; 2] = [LogForm::Frames, LogForm::Text];

    /// The word in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            LogForm::Frames => "frames",
            LogForm::Text => "text",
        }
    }

    /// Whether it is what a board has whose manifest says nothing.
    pub(crate) fn is_default(&self) -> bool {
        *self == LogForm::default()
    }
}

/// A process: a program, its memory and its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process's own name, unique on the board.
    pub name: String,
    /// The program in the flash that it runs.
    pub app: String,
    /// The manifest's line of `app`.
    pub app_line: usize,
    /// The oldest version of the app that it runs.
    pub minimum_version: AppVersion,
    /// The folder of the program's crate, with the manifest's folder put in front; `None` for a program of this tree.
    pub path: Option<PathBuf>,
    /// Bytes for the program's segments, counted from the first address of a process; whole pages.
    pub ram: u64,
    /// The manifest's line of `ram`.
    pub ram_line: usize,
    /// Bytes of its stack; whole pages.
    pub stack: u64,
    /// The manifest's line of `stack`.
    pub stack_line: usize,
    /// Arguments that it is started with where the command gives none.
    pub arguments: Vec<String>,
    /// When it is started.
    pub start: Start,
    /// What happens when it ends.
    pub restart: Restart,
    /// Who runs first, below [`PRIORITIES`](slopos_abi::limits::PRIORITIES); the lower number does.
    pub priority: u8,
    /// What it may do with the console.
    pub console: ConsoleAccess,
    /// The data regions of the flash that it may open; each is one of [`Manifest::data`].
    pub flash: Vec<String>,
    /// Its network; `None` means no network at all, rather than an empty one.
    pub network: Option<Network>,
    /// Its random bytes; `None` means that it has none.
    pub entropy: Option<Entropy>,
    /// The commands and processes that it may have the process console run.
    pub commands: Vec<AllowedCommand>,
    /// The manifest's line on which the process begins.
    pub line: usize,
}

/// When a process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// As soon as the board is up.
    Boot,
    /// When its name is given as a command on the console or the kernel's command line.
    Command,
}

/// What a process may do with the serial console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleAccess {
    /// Nothing.
    None,
    /// Write.
    Output,
    /// Write, and read what is typed while it runs in the foreground.
    Input,
}

impl ConsoleAccess {
    /// As the manifest writes it.
    pub const fn word(self) -> &'static str {
        match self {
            ConsoleAccess::None => "none",
            ConsoleAccess::Output => "output",
            ConsoleAccess::Input => "input",
        }
    }
}

/// What happens when a process ends by itself or by a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    Never,
    /// It starts again: first after `first`, then after twice the wait before, up to `maximum`.
    Backoff {
        /// The first wait, at least a millisecond.
        first: Duration,
        /// The longest wait, at least `first` and at most [`RESTART_MAX`].
        maximum: Duration,
    },
}

/// A word that may begin a command or name a process in it, and the manifest's line that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedCommand {
    /// The word.
    pub word: String,
    /// The line.
    pub line: usize,
}

/// A set of remotes that a process may connect to, and the manifest's line that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The remotes.
    pub remote: RemoteRange,
    /// The line.
    pub line: usize,
}

/// A process's network: how much of it, and with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// How many sockets it has, 1 to [`SOCKETS_MAX`](slopos_abi::limits::SOCKETS_MAX).
    pub sockets: u32,
    /// The manifest's line of `sockets`.
    pub sockets_line: usize,
    /// Bytes of the receive buffer of each socket.
    pub receive: u64,
    /// The manifest's line of `receive`.
    pub receive_line: usize,
    /// Bytes of the send buffer of each socket.
    pub send: u64,
    /// The manifest's line of `send`.
    pub send_line: usize,
    /// Whom it may connect to; nobody where this is empty. No two overlap.
    pub connect: Vec<Connect>,
    /// The manifest's line on which the network begins.
    pub line: usize,
}

impl Network {
    /// Bytes of all the socket buffers together. Control blocks come on top.
    pub fn buffer_bytes(&self) -> u64 {
        // Both factors are checked to be small, so this cannot overflow.
        u64::from(self.sockets) * (self.receive + self.send)
    }
}

/// A process's random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy {
    /// Bytes of its buffer, within [`ENTROPY_BUFFER`](slopos_abi::limits::ENTROPY_BUFFER).
    pub buffer: u64,
    /// The manifest's line of `buffer`.
    pub buffer_line: usize,
    /// The manifest's line on which the table begins.
    pub line: usize,
}

/// A region of the flash that holds no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The region's name, by which a process opens it.
    pub name: String,
    /// Its bytes; whole sectors.
    pub size: u64,
    /// The manifest's line of `size`.
    pub size_line: usize,
    /// What it holds at first, with the manifest's folder put in front; zeros where there is none.
    pub file: Option<PathBuf>,
    /// What the kernel uses it for; processes may open only what it does not use.
    pub purpose: Purpose,
}

/// What a data region is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For the processes that may open it.
    Processes,
    /// The kernel keeps a seed for the network's secrets in it, and renews it at each boot.
    Seed,
}

impl Manifest {
    /// Checks that there is a program for each app of this tree, before anything is compiled; `path` names the manifest in the message.
    ///
    /// # Errors
    /// The first app that is none of `programs`.
    pub fn check_programs(&self, path: &Path, programs: &[String]) -> Result<(), Error> {
        let mut here = self.processes.iter().filter(|process| process.path.is_none());
        match here.find(|process| !programs.contains(&process.app)) {
            None => Ok(()),
            Some(process) => {
                let meant = suggest(&process.app, programs.iter().map(String::as_str));
                let message = format!("process `{}`: there is no program `{}`{meant}", process.name, process.app);
                Err(Error { path: path.to_owned(), line: process.app_line, message })
            }
        }
    }

    /// The region in which the kernel keeps a seed, where there is one.
    pub fn seed(&self) -> Option<&Data> {
        self.data.iter().find(|region| region.purpose == Purpose::Seed)
    }
}
