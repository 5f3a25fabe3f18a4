//! The options that `run` and `fetch` share, and how they end.

use crate::accelerator::Accelerator;
use crate::decoder::Decoder;
use crate::kernel::Kernel;
use crate::machine::{Builder, Machine, Transport};
use crate::outcome::{Event, Outcome, Stop};
use crate::printer::{Printer, Style};
use crate::remarks::Remarks;
use crate::signals::{Signals, end_by};
use crate::status::{KILLED, TIMED_OUT, Verdict, verdict};
use crate::terminal::{RawMode, screen_size};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// The exit code where QEMU ended without a word from the guest and the guest's status was asked for.
pub const NO_WORD: i32 = 125;

/// Options that describe the board.
#[derive(clap::Args)]
pub struct Options {
    /// The board's files without their endings: IMAGE.elf is the kernel, IMAGE.img the flash; build/BOARD unless given.
    #[arg(long, value_name = "IMAGE", conflicts_with = "board")]
    image: Option<PathBuf>,
    /// The board: a folder of boards/, whose kernel and flash are in build/ by its name. The machine is what the kernel's
    /// manifest says.
    #[arg(long, value_name = "BOARD", default_value = "qemu_q35")]
    board: String,
    /// How the network device is reached.
    #[arg(long, value_enum, default_value = "modern")]
    net: Transport,
    /// How the flash's device is reached.
    #[arg(long, value_enum, default_value = "transitional")]
    disk: Transport,
    /// More properties of the network device, `vectors=0,host_mtu=1400` for instance.
    #[arg(long, value_name = "PROPERTIES", default_value = "")]
    device_args: String,
    /// Puts the network device behind a PCI Express root port.
    #[arg(long)]
    root_port: bool,
    /// Leaves the second serial port out: the log then comes over the first.
    #[arg(long)]
    one_port: bool,
    /// The board's memory.
    #[arg(long, value_name = "SIZE", default_value = "16M")]
    memory: String,
    /// The accelerator: auto takes KVM where the processor really has it.
    #[arg(long, value_enum, default_value = "auto")]
    accelerator: Accelerator,
    /// Writes every frame of the network to this file.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Stops the board after this time, with exit code 124.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Writes the log to this file too.
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Writes all of the board's memory to this file where the kernel panics; `audit --dump FILE` reads it.
    #[arg(long, value_name = "FILE")]
    dump_on_panic: Option<PathBuf>,
    /// Lets `audit --live` look into the running board through this socket. IMAGE.qmp for a board with a person at it.
    #[arg(long, value_name = "SOCKET")]
    qmp: Option<PathBuf>,
    /// Begins each line of the kernel's log with its time and level.
    #[arg(long)]
    pub times: bool,
    /// Shows console text as it is: with its control characters, and with lines that could be taken for the kernel's.
    #[arg(long)]
    pub raw: bool,
    /// Whether the log is not printed.
    #[arg(skip)]
    pub quiet: bool,
}

/// What takes the bytes of COM1 where they do not belong to the log.
pub type Body<'b> = &'b mut dyn FnMut(&[u8]) -> Result<()>;

impl Options {
    /// The kernel's ELF.
    pub fn kernel(&self) -> PathBuf {
        self.image().with_added_extension("elf")
    }

    /// The flash's image.
    pub fn flash(&self) -> PathBuf {
        self.image().with_added_extension("img")
    }

    fn image(&self) -> PathBuf {
        self.image.clone().unwrap_or_else(|| PathBuf::from("build").join(&self.board))
    }

    /// The board that the options describe.
    pub fn machine(&self) -> Builder {
        let mut machine = Machine::image(&self.image())
            .network(self.net)
            .disk(self.disk)
            .network_properties(&self.device_args)
            .root_port(self.root_port)
            .one_port(self.one_port)
            .memory(&self.memory)
            .accelerator(self.accelerator);
        if let Some(file) = &self.pcap {
            machine = machine.capture(file);
        }
        if let Some(file) = &self.dump_on_panic {
            machine = machine.dump_on_panic(file);
        }
        if let Some(socket) = &self.qmp {
            machine = machine.monitor(socket);
        }
        if let Some(seconds) = self.timeout {
            machine = machine.timeout(Duration::from_secs(seconds));
        }
        machine
    }

    /// Gives an interactive board a monitor of its own, where none was named and no other board has it.
    pub fn monitor_by_default(&mut self) {
        let socket = self.image().with_added_extension("qmp");
        if self.qmp.is_none() && UnixStream::connect(&socket).is_err() {
            self.qmp = Some(socket);
        }
    }

    /// Boots `machine` and prints its log to standard output, and to the transcript where one is wanted.
    ///
    /// # Errors
    /// QEMU cannot be started, or the transcript cannot be written.
    pub fn boot(&self, machine: Builder, interactive: bool) -> Result<Outcome> {
        self.boot_to(machine, interactive, None)
    }

    /// Boots `machine`, gives the bytes of COM1 to `body` and prints all else to standard error, and to the transcript where
    /// one is wanted.
    ///
    /// # Errors
    /// As [`boot`](Options::boot), and those of `body`.
    pub fn boot_apart(&self, machine: Builder, body: Body<'_>) -> Result<Outcome> {
        self.boot_to(machine, false, Some(body))
    }

    fn boot_to(&self, machine: Builder, interactive: bool, mut body: Option<Body<'_>>) -> Result<Outcome> {
        let decoder = Decoder::from_elf(&self.kernel())?;
        let kernel = self.check(&machine)?;
        let terminal = if interactive { Some(RawMode::enter().context("the terminal")?) } else { None };
        let signals = Signals::watch(terminal.as_ref().and_then(RawMode::before)).context("signals")?;
        let machine = machine.signals(signals);
        let style = if interactive { Style::Terminal } else { Style::Lines };
        let likeness = decoder.likeness();
        let printer = |output: Box<dyn Write>, style| {
            Printer::new(output, style, self.times).raw(self.raw).likeness(likeness.clone())
        };
        let (output, named, live): (Box<dyn Write>, _, _) = match body {
            None => (Box::new(stdout()), "standard output", stdout().is_terminal()),
            Some(_) => (Box::new(stderr()), "standard error", stderr().is_terminal()),
        };
        let size = (interactive && live).then_some(screen_size as fn() -> _);
        let mut screen = printer(output, style).colour(size.is_some()).screen(size);
        let mut remarks = Remarks::new(body.is_some() && live);
        let mut transcript = match &self.transcript {
            None => None,
            Some(path) => {
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                Some(printer(Box::new(file), Style::Lines))
            }
        };
        let listener = |event: &Event| {
            if let (Event::Console(bytes), Some(body)) = (event, &mut body) {
                return body(bytes);
            }
            if !self.quiet || matches!(event, Event::Console(_) | Event::Beside(_)) {
                remarks.pass(event, &mut stderr(), |event| screen.event(event).context(named))?;
            }
            match &mut transcript {
                Some(transcript) => transcript.event(event).context("the transcript"),
                None => Ok(()),
            }
        };
        let outcome = machine.run_with(listener)?;
        let last_words = last_words(&outcome, self.timeout);
        remarks.finish(&mut stderr()).context(named)?;
        if matches!(outcome.stopped, Some(Stop::Quit | Stop::Signal(_))) {
            // The shell's prompt begins a line of its own. What fails here fails below.
            let _ended = screen.end_line();
        }
        let shown = finish(screen, last_words.as_deref()).context(named);
        if let Some(transcript) = transcript {
            finish(transcript, last_words.as_deref()).context("the transcript")?;
        }
        drop(terminal);
        if let Some(Stop::Signal(signal)) = outcome.stopped {
            // The terminal may have gone, so whether all was shown is no matter.
            end_by(signal);
        }
        shown?;
        if outcome.stopped.is_none() && verdict(outcome.code) == Verdict::NoWord {
            eprintln!("run: QEMU ended with code {} before the board exited, which is code 33 or higher", outcome.code);
            if outcome.console.is_empty() && outcome.log.is_empty() {
                let (path, need) = (self.kernel(), kernel.memory_mebibytes());
                eprintln!("run: the board has said nothing; {} needs {need} MiB of memory", path.display());
            }
        }
        Ok(outcome)
    }

    /// The kernel, which can boot on this machine as far as can be told before.
    fn check(&self, machine: &Builder) -> Result<Kernel> {
        let path = self.kernel();
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let kernel = Kernel::parse(&bytes)?;
        kernel.check(machine.memory_bytes()).with_context(|| format!("{} cannot boot", path.display()))?;
        Ok(kernel)
    }
}

/// What the log's reader should know about how the board ended.
fn last_words(outcome: &Outcome, timeout: Option<u64>) -> Option<String> {
    match (outcome.stopped, outcome.code) {
        (Some(Stop::Late), _) => Some(format!("run: stopped after {} s, the board did not exit", timeout.unwrap_or(0))),
        (Some(Stop::Silent), _) => {
            Some("run: stopped, for the input has ended and the board says nothing more".to_owned())
        }
        (None, KILLED) => Some("run: a signal ended QEMU".to_owned()),
        _ => None,
    }
}

/// Writes what is left of a log, and then a line of our own.
fn finish(printer: Printer<impl Write>, last_words: Option<&str>) -> std::io::Result<()> {
    let mut output = printer.finish()?;
    if let Some(text) = last_words {
        writeln!(output, "{text}")?;
    }
    output.flush()
}

/// The status of the guest's last command as an exit code, with a word on a panic.
pub fn status(code: i32) -> i32 {
    match verdict(code) {
        Verdict::Exit(status) => i32::from(status),
        Verdict::TimedOut => TIMED_OUT,
        Verdict::Panic => {
            eprintln!("run: the kernel panicked");
            NO_WORD
        }
        Verdict::NoWord => NO_WORD,
    }
}

/// A word as the board's command line takes it: in quotes where a blank or a semicolon would end it; `None` where no
/// quotes help, for there is no way to write a quote or a control character.
pub fn quote(word: &str) -> Option<String> {
    if word.contains('"') || word.contains(char::is_control) {
        return None;
    }
    let plain = !word.is_empty() && !word.contains([';', ' ']);
    Some(if plain { word.to_owned() } else { format!("\"{word}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_would_end_early_are_quoted() {
        assert_eq!(quote("http://10.0.2.2/a?b=c").as_deref(), Some("http://10.0.2.2/a?b=c"));
        assert_eq!(quote("http://10.0.2.2/a;b").as_deref(), Some("\"http://10.0.2.2/a;b\""));
        assert_eq!(quote("two words").as_deref(), Some("\"two words\""));
        assert_eq!(quote("").as_deref(), Some("\"\""));
        assert_eq!(quote("a\"b"), None);
        assert_eq!(quote("a\nb"), None);
    }
}
