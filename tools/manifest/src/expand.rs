//! The manifest with everything worked out: what `manifest --expand` prints and what the kernel's ELF carries.
//!
//! The audit reads it from the ELF and compares it with the sections and symbols there, so each number has the line of
//! the manifest that asked for it.

use crate::key::show_id;
use crate::{
    ConsoleAccess, Entropy, Key, LogForm, Machine, Manifest, Mmio, Network, OnPanic, Process, Restart, Start, Unsigned,
    duration, size,
};
use serde::{Deserialize, Serialize};
use slopos_abi::flash::AppVersion;
use std::fmt;
use std::time::Duration;

/// The version of the embedded manifest's form.
const VERSION: u32 = 1;

/// A manifest in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expanded {
    /// The form of all this.
    version: u32,
    /// The manifest, as messages name it.
    pub file: String,
    /// What concerns the board as a whole.
    pub board: ExpandedBoard,
    /// The processes, in the order of their numbers in the kernel.
    pub processes: Vec<ExpandedProcess>,
}

/// A number of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The number: bytes, unless the field says otherwise.
    pub value: u64,
    /// The manifest's line.
    pub line: usize,
}

/// Memory that is there once for each socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// How many sockets.
    pub count: u64,
    /// Bytes of each.
    pub each: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The manifest's line that says how much each has.
    pub line: usize,
}

/// What concerns the board as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpandedBoard {
    /// The board's name.
    pub name: String,
    /// Most bytes of all network memory.
    pub network_budget: Item,
    /// Largest Ethernet frame in bytes.
    pub max_frame: Item,
    /// Bytes of the flash.
    pub flash_size: u64,
    /// Whether the board's own tests are built in.
    pub selftest: bool,
    /// What follows a kernel panic.
    #[serde(default)]
    pub on_panic: OnPanic,
    /// What the log is written as.
    #[serde(skip_serializing_if = "LogForm::is_default", default)]
    pub log: LogForm,
    /// After how long without progress a watchdog resets the board, in milliseconds, if one is to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub watchdog_ms: Option<u64>,
    /// The kind of machine.
    #[serde(default)]
    pub machine: Machine,
    /// Where virtio devices are, on a machine without PCI, unless the command line says it.
    #[serde(default)]
    pub mmio: Option<Mmio>,
    /// The keys, one of which has to have signed a program.
    #[serde(default)]
    pub keys: Vec<ExpandedKey>,
    /// What happens to a program that nobody has signed.
    #[serde(default)]
    pub unsigned: Unsigned,
}

/// A key that signs programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpandedKey {
    /// Its file as the manifest writes it, and the line; `None` where it names no keys.
    pub file: Option<(String, usize)>,
    /// What the header of a record calls it.
    pub id: String,
    /// Everybody has its private half.
    pub development: bool,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpandedProcess {
    /// Its name.
    pub name: String,
    /// The program that it runs.
    pub app: String,
    /// The oldest version of the program that it runs, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minimum_version: Option<String>,
    /// The manifest's line on which it begins.
    pub line: usize,
    /// Bytes of its code, constants and data.
    pub ram: Item,
    /// Bytes of its stack.
    pub stack: Item,
    /// Arguments that it is started with.
    pub arguments: Vec<String>,
    /// When it is started.
    pub start: Start,
    /// The first and the longest wait before it starts again, in milliseconds, where it does.
    pub restart_ms: Option<(u64, u64)>,
    /// Who runs first; the lower number does.
    pub priority: u8,
    /// What it may do with the console.
    pub console: ConsoleAccess,
    /// Data regions that it may open.
    pub flash: Vec<String>,
    /// Its network, if it has any.
    pub network: Option<ExpandedNetwork>,
    /// Its random bytes, if it has any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entropy: Option<ExpandedEntropy>,
    /// What it may have the process console run, each word with the manifest's line.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub commands: Vec<(String, usize)>,
}

/// A process's random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpandedEntropy {
    /// The manifest's line on which the table begins.
    pub line: usize,
    /// Bytes of its buffer.
    pub buffer: Item,
}

/// A process's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpandedNetwork {
    /// The manifest's line on which it begins.
    pub line: usize,
    /// How many sockets.
    pub sockets: Item,
    /// Receive buffers.
    pub receive: Product,
    /// Send buffers.
    pub send: Product,
    /// Whom it may connect to, each with the manifest's line.
    pub connect: Vec<(String, usize)>,
}

impl Expanded {
    /// The manifest in full; `file` is what messages call it.
    pub fn new(manifest: &Manifest, file: &str) -> Expanded {
        let board = &manifest.board;
        Expanded {
            version: VERSION,
            file: file.to_owned(),
            board: ExpandedBoard {
                name: board.name.clone(),
                network_budget: Item { value: board.network_budget, line: board.network_budget_line },
                max_frame: Item { value: board.max_frame.into(), line: board.max_frame_line },
                flash_size: board.flash_size,
                selftest: board.selftest,
                on_panic: board.on_panic,
                log: board.log,
                watchdog_ms: board.watchdog.map(millis),
                machine: board.machine,
                mmio: board.mmio,
                keys: manifest.flash.keys.iter().map(key).collect(),
                unsigned: manifest.flash.unsigned,
            },
            processes: manifest.processes.iter().map(process).collect(),
        }
    }

    /// What the kernel's ELF carries.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers have a JSON form")
    }

    /// Reads what [`to_json`](Expanded::to_json) wrote.
    ///
    /// # Errors
    /// It is not that, or of another version.
    pub fn from_json(text: &str) -> Result<Expanded, String> {
        let expanded: Expanded = serde_json::from_str(text).map_err(|why| why.to_string())?;
        match expanded.version {
            VERSION => Ok(expanded),
            other => Err(format!("it is of version {other}, and this tool knows {VERSION}")),
        }
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}

fn key(key: &Key) -> ExpandedKey {
    ExpandedKey {
        file: key.file.clone().map(|file| (file, key.line)),
        id: show_id(&key.public.id()),
        development: key.public.is_development(),
    }
}

fn process(process: &Process) -> ExpandedProcess {
    ExpandedProcess {
        name: process.name.clone(),
        app: process.app.clone(),
        minimum_version: Some(process.minimum_version)
            .filter(|&version| version != AppVersion::default())
            .map(|version| version.to_string()),
        line: process.line,
        ram: Item { value: process.ram, line: process.ram_line },
        stack: Item { value: process.stack, line: process.stack_line },
        arguments: process.arguments.clone(),
        start: process.start,
        restart_ms: match process.restart {
            Restart::Never => None,
            Restart::Backoff { first, maximum } => Some((millis(first), millis(maximum))),
        },
        priority: process.priority,
        console: process.console,
        flash: process.flash.clone(),
        network: process.network.as_ref().map(network),
        entropy: process.entropy.map(|Entropy { buffer, buffer_line, line }| ExpandedEntropy {
            line,
            buffer: Item { value: buffer, line: buffer_line },
        }),
        commands: process.commands.iter().map(|command| (command.word.clone(), command.line)).collect(),
    }
}

fn network(network: &Network) -> ExpandedNetwork {
    let count = u64::from(network.sockets);
    let product = |each: u64, line: usize| Product { count, each, bytes: count * each, line };
    ExpandedNetwork {
        line: network.line,
        sockets: Item { value: count, line: network.sockets_line },
        receive: product(network.receive, network.receive_line),
        send: product(network.send, network.send_line),
        connect: network.connect.iter().map(|connect| (connect.remote.to_string(), connect.line)).collect(),
    }
}

impl fmt::Display for Expanded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let board = &self.board;
        writeln!(out, "{}: board {}", self.file, board.name)?;
        row(out, "network_budget", &bytes(board.network_budget.value), board.network_budget.line)?;
        row(out, "max_frame", &format!("{} bytes", board.max_frame.value), board.max_frame.line)?;
        writeln!(out, "  {:<16}{}", "flash_size", bytes(board.flash_size))?;
        writeln!(out, "  {:<16}{}", "selftest", board.selftest)?;
        writeln!(out, "  {:<16}{}", "on_panic", board.on_panic.word())?;
        writeln!(out, "  {:<16}{}", "log", board.log.word())?;
        if let Some(millis) = board.watchdog_ms {
            writeln!(out, "  {:<16}{}", "watchdog", duration::show(Duration::from_millis(millis)))?;
        }
        writeln!(out, "  {:<16}{}", "machine", board.machine.word())?;
        if let Some(Mmio { address, size, count, interrupt }) = board.mmio {
            writeln!(
                out,
                "  {:<16}{count} windows of {size} bytes from {address:#x}, interrupts from {interrupt}",
                "mmio"
            )?;
        }
        for key in &board.keys {
            writeln!(out, "  {:<16}{key}", "key")?;
        }
        writeln!(out, "  {:<16}{}", "unsigned", board.unsigned.word())?;
        for process in &self.processes {
            writeln!(out, "\n{process}")?;
        }
        self.totals(out)
    }
}

impl fmt::Display for ExpandedKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some((file, line)) => write!(out, "{} of {file}, line {line}", self.id)?,
            None => write!(out, "{}", self.id)?,
        }
        if self.development { write!(out, ", the DEVELOPMENT KEY: everybody can sign with it") } else { Ok(()) }
    }
}

impl Expanded {
    fn totals(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\ntotals")?;
        let memory: u64 = self.processes.iter().map(|process| process.ram.value + process.stack.value).sum();
        writeln!(out, "  {:<16}{}", "process memory", bytes(memory))?;
        let networks = || self.processes.iter().filter_map(|process| process.network.as_ref());
        let sums: Vec<u64> = networks().map(|network| network.receive.bytes + network.send.bytes).collect();
        let buffers: u64 = sums.iter().sum();
        writeln!(out, "  {:<16}{}", "socket buffers", sum(&sums))?;
        let budget = self.board.network_budget.value;
        writeln!(
            out,
            "  {:<16}{budget} - {buffers} = {} bytes, for control blocks and what is shared; the audit weighs them",
            "budget left",
            budget.saturating_sub(buffers)
        )
    }
}

impl fmt::Display for ExpandedProcess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = match self.start {
            Start::Boot => "starts at boot",
            Start::Command => "starts by command",
        };
        let restart = match self.restart_ms {
            None => "never restarted".to_owned(),
            Some((first, maximum)) => {
                let show = |millis: u64| duration::show(std::time::Duration::from_millis(millis));
                format!("restarted after {}, twice that each time, up to {}", show(first), show(maximum))
            }
        };
        writeln!(
            out,
            "process {} (line {}): app {}, {start}, {restart}, priority {}, console {}",
            self.name,
            self.line,
            self.app,
            self.priority,
            self.console.word()
        )?;
        if let Some(version) = &self.minimum_version {
            writeln!(out, "  {:<16}{version}", "minimum_version")?;
        }
        if !self.arguments.is_empty() {
            writeln!(out, "  {:<16}{:?}", "arguments", self.arguments)?;
        }
        if !self.flash.is_empty() {
            writeln!(out, "  {:<16}{}", "flash", self.flash.join(", "))?;
        }
        row(out, "ram", &bytes(self.ram.value), self.ram.line)?;
        row(out, "stack", &bytes(self.stack.value), self.stack.line)?;
        writeln!(out, "  {:<16}{}", "memory", sum(&[self.ram.value, self.stack.value]))?;
        match &self.network {
            None => write!(out, "  {:<16}none", "network")?,
            Some(network) => write!(out, "{network}")?,
        }
        if let Some(ExpandedEntropy { buffer, .. }) = self.entropy {
            write!(out, "\n  {:<16}{:<64}line {}", "entropy", bytes(buffer.value), buffer.line)?;
        }
        for (word, line) in &self.commands {
            write!(out, "\n  {:<16}{word:<64}line {line}", "commands")?;
        }
        Ok(())
    }
}

impl fmt::Display for ExpandedNetwork {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(out, "sockets", &self.sockets.value.to_string(), self.sockets.line)?;
        row(out, "receive", &self.receive.to_string(), self.receive.line)?;
        row(out, "send", &self.send.to_string(), self.send.line)?;
        write!(out, "  {:<16}{}", "buffers", sum(&[self.receive.bytes, self.send.bytes]))?;
        for (remote, line) in &self.connect {
            write!(out, "\n  {:<16}{remote:<64}line {line}", "connect")?;
        }
        if self.connect.is_empty() {
            write!(out, "\n  {:<16}nobody", "connect")?;
        }
        Ok(())
    }
}

impl fmt::Display for Product {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} sockets * {} = {} bytes", self.count, bytes(self.each), self.bytes)
    }
}

/// One line of a table, with the manifest's line that asked for it.
fn row(out: &mut fmt::Formatter<'_>, name: &str, value: &str, line: usize) -> fmt::Result {
    writeln!(out, "  {name:<16}{value:<64}line {line}")
}

/// A size as a person writes it, with what it comes to.
fn bytes(count: u64) -> String {
    let short = size::show(count);
    let unit = short.split(' ').next_back().and_then(|unit| size::parse(&format!("1 {unit}")).ok());
    match (unit, short.split_once(' ')) {
        (Some(unit @ 2..), Some((number, _))) => format!("{short} ({number} * {unit} = {count} bytes)"),
        _ => format!("{count} bytes"),
    }
}

/// A sum with its terms.
fn sum(terms: &[u64]) -> String {
    let total: u64 = terms.iter().sum();
    match terms {
        [] | [_] => format!("{total} bytes"),
        _ => format!("{} = {total} bytes", terms.iter().map(u64::to_string).collect::<Vec<_>>().join(" + ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use std::path::Path;

    const TEXT: &str = r#"[board]
name = "board"
network_budget = "1 MiB"
max_frame = 1514
flash_size = "1 MiB"
[[process]]
name = "web"
app = "webget"
ram = "128 KiB"
stack = "8 KiB"
restart = { backoff = "100 ms", maximum = "1 min" }
[process.network]
sockets = 4
receive = "64 KiB"
send = "1500 B"
"#;

    fn expanded() -> Expanded {
        let manifest = parse(TEXT, Path::new("board.toml")).expect("right");
        Expanded::new(&manifest, "boards/board.toml")
    }

    #[test]
    fn every_multiplication_is_shown() {
        let text = expanded().to_string();
        for shown in [
            "boards/board.toml: board board",
            "1 MiB (1 * 1048576 = 1048576 bytes)",
            "128 KiB (128 * 1024 = 131072 bytes)",
            "131072 + 8192 = 139264 bytes",
            "4 sockets * 64 KiB (64 * 1024 = 65536 bytes) = 262144 bytes",
            "4 sockets * 1500 bytes = 6000 bytes",
            "262144 + 6000 = 268144 bytes",
            "1048576 - 268144 = 780432 bytes",
            "restarted after 100 ms, twice that each time, up to 1 min",
            "connect         nobody",
        ] {
            assert!(text.contains(shown), "{shown:?} is missing in\n{text}");
        }
    }

    #[test]
    fn each_number_stands_beside_its_line() {
        let expanded = expanded();
        let network = expanded.processes[0].network.as_ref().expect("a network");
        assert_eq!((expanded.board.network_budget.line, expanded.board.max_frame.line), (3, 4));
        assert_eq!((network.sockets.line, network.receive.line, network.send.line), (13, 14, 15));
        let line = |name: &str| {
            let text = expanded.to_string();
            text.lines().find(|line| line.trim_start().starts_with(name)).map(str::to_owned).expect("a row")
        };
        assert!(line("receive").ends_with("line 14"), "{}", line("receive"));
    }

    #[test]
    fn what_the_elf_carries_reads_back() {
        let expanded = expanded();
        assert_eq!(Expanded::from_json(&expanded.to_json()), Ok(expanded.clone()));
        let other = expanded.to_json().replace("\"version\":1", "\"version\":2");
        assert!(Expanded::from_json(&other).expect_err("another version").contains("version 2"));
        assert!(Expanded::from_json("{}").is_err());
    }
}
