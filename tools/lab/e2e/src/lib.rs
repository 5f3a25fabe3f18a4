//! What the end-to-end tests share: the built boards, and what a fetch came to.
//!
//! What is not as a test wants it panics, with all that the board has said.
//!
//! The tests in `tests/` boot the images that `./just build` has left in build/, each test a board of its own.
#![forbid(unsafe_code)]

pub mod gdb;
pub mod power;
pub mod qtest;
pub mod typist;

use qtest::Qtest;
use slopos_run::{Builder, Decoded, Decoder, Event, Machine, Outcome, Verdict, verdict};
use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a board may run. A boot takes a few seconds; the rest is for machines with better things to do.
const LIMIT: Duration = Duration::from_secs(240);

/// The file in build/ that `./just build` makes.
pub fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../build").join(name);
    assert!(path.is_file(), "{} is missing; run ./just build first, for each manifest of the board", path.display());
    path
}

/// The lines in a log that this kernel in build/ wrote to a serial port.
///
/// # Panics
/// There is no such kernel.
pub fn log_lines(kernel: &str, log: &[u8]) -> Vec<String> {
    let decoder = Decoder::from_elf(&built(kernel)).expect("the kernel's texts");
    let line = |decoded| match decoded {
        Decoded::Line(line) => Some(line.text),
        Decoded::Text(_) => None,
    };
    decoder.stream().push(log).into_iter().filter_map(line).collect()
}

/// The board that is tested: a folder of boards/, which the variable `SLOPOS_BOARD` names. Tests of what only one machine has
/// name that board themselves.
pub fn name() -> String {
    std::env::var("SLOPOS_BOARD").unwrap_or_else(|_| "qemu_q35".to_owned())
}

/// Whether the board that is tested has PCI.
pub fn has_pci() -> bool {
    name() != "microvm"
}

/// QEMU's name of a virtio device, `blk` for instance, for the machine of the board that is tested.
pub fn device(kind: &str) -> String {
    format!("virtio-{kind}-{}", if has_pci() { "pci" } else { "device" })
}

/// A file of the board that is tested, in build/: `.elf` is the kernel, `.img` the flash, `-test.img` that of test.toml.
pub fn own(ending: &str) -> PathBuf {
    built(&format!("{}{ending}", name()))
}

/// The flash of the board of test.toml, as it was built.
pub fn test_flash() -> PathBuf {
    own("-test.img")
}

/// The board of board.toml.
pub fn board() -> Builder {
    machine(&name())
}

/// The board of test.toml: with its own tests built in, and with the programs `syscalls`, `faults` and `calls`.
pub fn test_board() -> Builder {
    machine(&format!("{}-test", name()))
}

/// The board of attack.toml: with programs that attack it.
pub fn attack_board() -> Builder {
    machine(&format!("{}-attack", name()))
}

/// The board of scale.toml: many processes with all the sockets that one can have. They take more memory.
pub fn scale_board() -> Builder {
    machine("qemu_q35-scale").memory("64M")
}

/// A board whose kernel and flash are build/NAME.elf and build/NAME.img.
pub fn machine(name: &str) -> Builder {
    Machine::image(&built(&format!("{name}.elf")).with_extension("")).timeout(LIMIT)
}

/// Boots the board and waits for its end.
pub fn run(board: Builder) -> Report {
    match board.run() {
        Ok(outcome) => Report { outcome },
        Err(why) => panic!("{why:#}"),
    }
}

/// Something to be done when the console has said a text, which is not empty.
pub type Step<'a> = (&'a str, Box<dyn FnOnce() + 'a>);

/// Boots the board and waits for its end. Each step is taken once the console has said its text, behind what the step
/// before waited for.
pub fn run_with_steps(board: Builder, steps: Vec<Step<'_>>) -> Report {
    let mut steps = VecDeque::from(steps);
    let mut said = Vec::new();
    let mut searched = 0;
    let outcome = board.run_with(|event| {
        if let Event::Console(bytes) = event {
            said.extend_from_slice(bytes);
        }
        while let Some((text, _)) = steps.front() {
            let found = said[searched..].windows(text.len()).position(|window| window == text.as_bytes());
            let Some(at) = found else {
                // What was searched once is not searched again, but for the beginning of a match.
                searched = said.len().saturating_sub(text.len() - 1).max(searched);
                break;
            };
            searched += at + text.len();
            if let Some((_, step)) = steps.pop_front() {
                step();
            }
        }
        Ok(())
    });
    match outcome {
        Ok(outcome) => Report { outcome },
        Err(why) => panic!("{why:#}"),
    }
}

/// Runs a board while `work` goes on beside it, in a thread of its own.
pub fn run_beside(work: impl FnOnce() -> anyhow::Result<()> + Send, board: impl FnOnce() -> Report) -> Report {
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| work().unwrap_or_else(|why| panic!("{why:#}")));
        let report = board();
        if let Err(why) = beside.join() {
            panic!("beside the board: {why:?}\n{}", report.all());
        }
        report
    })
}

/// Boots a board, does `change` when the firmware has ended and before the kernel begins, then `look` beside it.
pub fn run_changed<T: Debug + Send>(
    board: Builder,
    change: impl FnOnce(&mut Qtest) -> anyhow::Result<T> + Send,
    look: impl FnOnce(&mut Qtest, T) -> anyhow::Result<()> + Send,
) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let (registers, debugger) = (qtest::Socket::new(folder.path()), gdb::Socket::new(folder.path()));
    let board = debugger.open(registers.open(board));
    // Physical address of the kernel's 32-bit entry, as its ELF says.
    let elf = std::fs::read(built("qemu_q35.elf")).expect("the kernel");
    let entry = u64::from_le_bytes(elf[24..32].try_into().expect("eight bytes"));
    let work = || {
        let mut stub = debugger.connect()?;
        let mut board = registers.connect()?;
        stub.run_to(entry)?;
        let changed = change(&mut board)?;
        stub.leave()?;
        look(&mut board, changed)
    };
    run_beside(work, || run(board))
}

/// The IPv4 packets that the board sent, as Ethernet frames, from the capture of a run that has ended.
pub fn sent(capture: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(capture).expect("a capture");
    // A header of 24 bytes, then 16 bytes before each frame (pcap, little-endian).
    let (mut rest, mut frames) = (&bytes[24..], Vec::new());
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let frame = &rest[16..16 + length];
        rest = &rest[16 + length..];
        if frame[6..12] == [0x52, 0x54, 0, 0x12, 0x34, 0x56] && frame[12..14] == [8, 0] {
            frames.push(frame.to_vec());
        }
    }
    frames
}

/// Boots the board, has it run `webget ARGUMENTS`, and waits for its end.
pub fn fetch(board: Builder, arguments: &str) -> Report {
    run(board.append(format!("webget {arguments}; exit")))
}

/// How a run went, with checks that show all of it where they fail.
pub struct Report {
    /// The run.
    pub outcome: Outcome,
}

impl Report {
    /// Checks that the board exited, and with this status of its last command.
    #[track_caller]
    pub fn exits(&self, status: u8) -> &Report {
        let found = verdict(self.outcome.code);
        assert_eq!(found, Verdict::Exit(status), "QEMU's code is {}\n{}", self.outcome.code, self.all());
        self
    }

    /// Checks that the kernel's log has a line that begins with this text.
    #[track_caller]
    pub fn logs(&self, text: &str) -> &Report {
        let found = self.outcome.log.iter().any(|line| line.starts_with(text));
        assert!(found, "the log lacks a line {text:?}\n{}", self.all());
        self
    }

    /// Checks that the console has this text.
    #[track_caller]
    pub fn shows(&self, text: &str) -> &Report {
        assert!(self.outcome.console.contains(text), "the console lacks {text:?}\n{}", self.all());
        self
    }

    /// Checks that neither the log nor the console has this text.
    #[track_caller]
    pub fn lacks(&self, text: &str) -> &Report {
        assert!(!self.outcome.says(text), "{text:?} should not be there\n{}", self.all());
        self
    }

    /// The figures of a process in the last output of the command `grants`.
    #[track_caller]
    pub fn grant(&self, process: &str) -> Grant {
        let start = format!("{process} bytes=");
        let line = self.outcome.console.lines().rev().find_map(|line| line.find(&start).map(|at| &line[at..]));
        let line = line.unwrap_or_else(|| panic!("no grant of {process}\n{}", self.all()));
        let figures = line.split_whitespace().filter_map(|word| word.split_once('='));
        Grant(figures.map(|(name, figure)| (name.to_owned(), figure.to_owned())).collect())
    }

    /// All that was said, for a person. Long console output is cut.
    pub fn all(&self) -> String {
        let Outcome { console, log, qemu, .. } = &self.outcome;
        let console: String = console.chars().take(8_000).collect();
        format!("--- console\n{console}\n--- log\n{}\n--- qemu\n{}", log.join("\n"), qemu.join("\n"))
    }
}

/// A line of `grants`, by its names.
pub struct Grant(HashMap<String, String>);

impl Grant {
    /// A figure; of `sockets=1/4` the 1, those in use.
    #[track_caller]
    pub fn figure(&self, name: &str) -> u64 {
        let figure = self.0.get(name).and_then(|figure| figure.split('/').next()?.parse().ok());
        figure.unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }
}
