//! From the text of a manifest to a [`Manifest`] that can be built.

use crate::commands::{Words, commands};
use crate::error::{Fault, line_of};
use crate::machine::mmio;
use crate::table::{Located, Table, suggest};
use crate::{
    Board, Connect, ConsoleAccess, Data, Entropy, LogForm, Machine, Manifest, Network, OnPanic, Process, Purpose,
    Restart, Start, duration, remote, size,
};
use slopos_abi::limits::{ENTROPY_BUFFER, NAME_MAX, PRIORITIES, PROCESSES_MAX, SOCKETS_MAX};
use slopos_abi::{COMMANDS_NAME, CommandName, ENTROPY_NAME, USER_BASE, USER_END, arguments_max, flash};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of a page: the unit of a process's memory and of the guards around its stack.
pub const PAGE: u64 = 4096;
/// Bytes that the size of a data region is a multiple of: a sector.
pub const DATA_UNIT: u64 = flash::SECTOR as u64;
/// Smallest `max_frame`: an IPv4 packet that every host has to take (RFC 791 section 3.1) and its Ethernet header.
pub const FRAME_MIN: u64 = 576 + 14;
/// Largest `max_frame`: a jumbo frame of 9000 bytes, its Ethernet header and a VLAN tag.
pub const FRAME_MAX: u64 = 9018;
/// Smallest socket buffer, in bytes: below this a connection stalls on every segment.
pub const BUFFER_MIN: u64 = 1 << 10;
/// Largest socket buffer, in bytes: what a scaled window can express (RFC 7323 section 2.3).
pub const BUFFER_MAX: u64 = 1 << 30;

/// The timeouts that a watchdog can have: what both that the kernel drives can count, the chipset's in ticks of 0.6 seconds.
pub const WATCHDOG: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(20 * 60);
/// The default priority, in the middle, so that there is room on both sides.
pub const PRIORITY_DEFAULT: u8 = 3;
/// Longest wait before a restart: with a longer one, restarting would be of no use.
pub const RESTART_MAX: Duration = Duration::from_secs(3600);

/// The whole manifest; `folder` is where data files are looked for.
pub(crate) fn manifest(text: &str, folder: &Path) -> Result<Manifest, Fault> {
    let document = DeTable::parse(text).map_err(|why| {
        let at = why.span().map_or(text.len(), |span| span.start);
        Fault::new(at, why.message())
    })?;
    let root = Table::of_entries("the manifest", document.get_ref(), 0, &["board", "flash", "process", "data"])?;
    let board = match root.get("board") {
        Some(value) => board(value, text)?,
        None => return Err(Fault::new(0, "the manifest lacks the table [board]")),
    };

    let trust = crate::flash::flash(root.get("flash"), text, folder)?;

    let mut regions = Names::new("data region");
    let mut data_regions = Vec::new();
    for value in root.tables("data")? {
        let region = data(value, text, folder, &mut regions)?;
        if region.purpose == Purpose::Seed && data_regions.iter().any(|known: &Data| known.purpose == Purpose::Seed) {
            return Err(Fault::new(
                value.span().start,
                "a second data region with `use = \"seed\"`; there is one seed",
            ));
        }
        data_regions.push(region);
    }

    let words = Words::new(root.tables("process")?, board.selftest);
    let mut names = Names::new("process");
    let mut processes = Vec::new();
    let mut network_bytes = 0;
    for value in root.tables("process")? {
        let at = value.span().start;
        if processes.len() == PROCESSES_MAX {
            return Err(Fault::new(at, format!("this is process {}; at most {PROCESSES_MAX} fit", PROCESSES_MAX + 1)));
        }
        let process = process(value, text, folder, &mut names, &data_regions, &words)?;
        if let Some(path) = &process.path
            && let Some(other) = processes.iter().find(|other: &&Process| other.app == process.app)
            && other.path.as_ref() != Some(path)
        {
            return Err(Fault::new(
                at,
                format!("app `{}` has another `path` in process `{}` on line {}", process.app, other.name, other.line),
            ));
        }
        if let Some(region) = data_regions.iter().find(|region| region.name == process.app) {
            let name = &region.name;
            return Err(Fault::new(
                at,
                format!("app `{name}` and data region `{name}` cannot share one name in the flash"),
            ));
        }
        network_bytes += process.network.as_ref().map_or(0, Network::buffer_bytes);
        if network_bytes > board.network_budget {
            return Err(Fault::new(
                at,
                format!(
                    "with the socket buffers of process `{}` the network needs {} ({network_bytes} bytes); \
                     `network_budget` on line {} allows {} ({} bytes)",
                    process.name,
                    size::show(network_bytes),
                    board.network_budget_line,
                    size::show(board.network_budget),
                    board.network_budget
                ),
            ));
        }
        processes.push(process);
    }
    if processes.is_empty() {
        return Err(Fault::new(0, "the manifest has no [[process]]; there would be nothing to run"));
    }
    Ok(Manifest { board, flash: trust, processes, data: data_regions })
}

/// The table `[board]`.
fn board(value: &Spanned<DeValue<'_>>, text: &str) -> Result<Board, Fault> {
    let known = [
        "name",
        "network_budget",
        "max_frame",
        "on_panic",
        "log",
        "watchdog",
        "machine",
        "mmio",
        "selftest",
        "flash_size",
    ];
    let table = Table::new("[board]", value, &known)?;
    let flash_size = table.size("flash_size")?;
    let least = flash::SLOTS_BEGIN * flash::SECTOR as u64;
    if flash_size.value < least || !flash_size.value.is_multiple_of(DATA_UNIT) {
        let found = size::show(flash_size.value);
        let need = size::show(least);
        return Err(Fault::new(
            flash_size.at,
            format!(
                "`flash_size` is {found}; it has to be whole sectors of {DATA_UNIT} bytes, at least {need} for its map and its state"
            ),
        ));
    }
    let most = u64::from(u32::MAX) * DATA_UNIT;
    if flash_size.value > most {
        return Err(Fault::new(
            flash_size.at,
            format!("`flash_size` is {}; its map can count {most} bytes", size::show(flash_size.value)),
        ));
    }
    let max_frame = table.number("max_frame", FRAME_MIN, FRAME_MAX)?;
    let network_budget = table.size("network_budget")?;
    let machine = table.choice("machine", &Machine::ALL, Machine::word)?;
    Ok(Board {
        name: name(&table.text("name")?)?,
        network_budget: network_budget.value,
        network_budget_line: line_of(text, network_budget.at),
        max_frame: max_frame.value as u16,
        max_frame_line: line_of(text, max_frame.at),
        on_panic: table.choice("on_panic", &OnPanic::ALL, OnPanic::word)?,
        log: table.choice("log", &LogForm::ALL, LogForm::word)?,
        watchdog: watchdog(&table)?,
        machine,
        mmio: table.get("mmio").map(|value| mmio(value, machine)).transpose()?,
        selftest: table.flag("selftest", false)?,
        flash_size: flash_size.value,
        flash_size_line: line_of(text, flash_size.at),
    })
}

/// One `[[process]]`.
fn process(
    value: &Spanned<DeValue<'_>>,
    text: &str,
    folder: &Path,
    names: &mut Names,
    data: &[Data],
    words: &Words<'_>,
) -> Result<Process, Fault> {
    let known = [
        "name",
        "app",
        "minimum_version",
        "path",
        "ram",
        "stack",
        "arguments",
        "start",
        "restart",
        "priority",
        "console",
        "flash",
        "network",
        "entropy",
        "commands",
    ];
    let table = Table::new("[[process]]", value, &known)?;
    let given = table.text("name")?;
    let own_name = names.take(&given)?;
    if own_name.contains('-') {
        return Err(Fault::new(
            given.at,
            format!(
                "the process's name \"{own_name}\" holds a hyphen; it names a linker section, where that is a minus"
            ),
        ));
    }
    if CommandName::find(&own_name).is_some() {
        return Err(Fault::new(
            given.at,
            format!(
                "a process cannot be named `{own_name}`: that is a command of the process console, which runs a process by \
                 its name"
            ),
        ));
    }
    let ram = pages(&table, "ram")?;
    let stack = pages(&table, "stack")?;
    // Between program and stack, and above the stack, a page stays empty, so that overruns fault.
    let guards = 2 * PAGE;
    let window = USER_END - USER_BASE;
    let need = ram.value.checked_add(stack.value).and_then(|sum| sum.checked_add(guards));
    if need.is_none_or(|need| need > window) {
        return Err(Fault::new(
            ram.at,
            format!(
                "process `{own_name}`: `ram` {}, `stack` {} and two guard pages of 4 KiB need more than the {} of a \
                 process's addresses",
                size::show(ram.value),
                size::show(stack.value),
                size::show(window)
            ),
        ));
    }
    let start = match table.get("start") {
        None => Start::Command,
        Some(_) => {
            let start = table.text("start")?;
            match start.value {
                "boot" => Start::Boot,
                "command" => Start::Command,
                other => {
                    let meant = suggest(other, ["boot", "command"].into_iter());
                    return Err(Fault::new(
                        start.at,
                        format!("`start` is \"boot\" or \"command\", not \"{other}\"{meant}"),
                    ));
                }
            }
        }
    };
    let mut flash = Vec::new();
    for region in table.texts("flash")? {
        if data.iter().any(|known| known.name == region.value && known.purpose == Purpose::Seed) {
            return Err(Fault::new(region.at, format!("the data region `{}` holds the kernel's seed", region.value)));
        }
        if !data.iter().any(|known| known.name == region.value) {
            let meant = suggest(region.value, data.iter().map(|known| known.name.as_str()));
            return Err(Fault::new(region.at, format!("there is no data region `{}`{meant}", region.value)));
        }
        if flash.iter().any(|known| known == region.value) {
            return Err(Fault::new(region.at, format!("the data region `{}` is named twice", region.value)));
        }
        flash.push(region.value.to_owned());
    }
    let network = match table.get("network") {
        None => None,
        Some(value) => Some(network(value, &own_name, text)?),
    };
    let entropy = match table.get("entropy") {
        None => None,
        Some(value) => Some(entropy(value, &own_name, text)?),
    };
    let app = table.text("app")?;
    Ok(Process {
        app: name(&app)?,
        app_line: line_of(text, app.at),
        minimum_version: crate::flash::minimum_version(&table)?,
        path: match table.get("path") {
            None => None,
            Some(_) => Some(folder.join(table.text("path")?.value)),
        },
        ram: ram.value,
        ram_line: line_of(text, ram.at),
        stack: stack.value,
        stack_line: line_of(text, stack.at),
        arguments: arguments(&table, &own_name, stack.value)?,
        start,
        restart: restart(&table)?,
        priority: match table.get("priority") {
            None => PRIORITY_DEFAULT,
            Some(_) => table.number("priority", 0, PRIORITIES as u64 - 1)?.value as u8,
        },
        console: console(&table)?,
        flash,
        network,
        entropy,
        commands: commands(&table, text, words)?,
        line: line_of(text, table.at),
        name: own_name,
    })
}

/// After how long a watchdog resets the board.
fn watchdog(table: &Table<'_>) -> Result<Option<Duration>, Fault> {
    table.get("watchdog").map(|_| Ok(span(table, "watchdog", WATCHDOG)?.value)).transpose()
}

/// A span of time within these bounds.
fn span(table: &Table<'_>, key: &str, bounds: RangeInclusive<Duration>) -> Result<Located<Duration>, Fault> {
    let text = table.text(key)?;
    let span = duration::parse(text.value).map_err(|why| Fault::new(text.at, format!("`{key}`: {why}")))?;
    if !bounds.contains(&span) {
        let [found, least, most] = [span, *bounds.start(), *bounds.end()].map(duration::show);
        return Err(Fault::new(text.at, format!("`{key}` is {found}; it has to be {least} to {most}")));
    }
    Ok(Located { at: text.at, value: span })
}

/// What the process may do with the console.
fn console(table: &Table<'_>) -> Result<ConsoleAccess, Fault> {
    if table.get("console").is_none() {
        return Ok(ConsoleAccess::Output);
    }
    let given = table.text("console")?;
    let known = [ConsoleAccess::None, ConsoleAccess::Output, ConsoleAccess::Input];
    known.into_iter().find(|console| console.word() == given.value).ok_or_else(|| {
        let meant = suggest(given.value, known.iter().map(|console| console.word()));
        Fault::new(given.at, format!("`console` is \"none\", \"output\" or \"input\", not \"{}\"{meant}", given.value))
    })
}

/// What happens when the process ends.
fn restart(table: &Table<'_>) -> Result<Restart, Fault> {
    let Some(value) = table.get("restart") else { return Ok(Restart::Never) };
    let at = value.span().start;
    match value.get_ref() {
        DeValue::String(word) if word == "never" => Ok(Restart::Never),
        DeValue::Table(_) => {
            let table = Table::new("`restart`", value, &["backoff", "maximum"])?;
            let wait = |key| span(&table, key, Duration::from_millis(1)..=RESTART_MAX);
            let (first, maximum) = (wait("backoff")?, wait("maximum")?);
            if maximum.value < first.value {
                return Err(Fault::new(
                    maximum.at,
                    format!(
                        "`maximum` is {}, less than the first wait of {}",
                        duration::show(maximum.value),
                        duration::show(first.value)
                    ),
                ));
            }
            Ok(Restart::Backoff { first: first.value, maximum: maximum.value })
        }
        DeValue::String(word) => {
            let meant = suggest(word, ["never"].into_iter());
            Err(Fault::new(at, format!("`restart` {RESTART_FORMS}, not \"{word}\"{meant}")))
        }
        _ => Err(Fault::new(at, format!("`restart` {RESTART_FORMS}"))),
    }
}

/// What `restart` may be.
const RESTART_FORMS: &str = "is \"never\" or { backoff = \"100 ms\", maximum = \"10 s\" }";

/// The arguments, which have to fit the block that a process with such a stack is started with.
fn arguments(table: &Table<'_>, name: &str, stack: u64) -> Result<Vec<String>, Fault> {
    let most = arguments_max(usize::try_from(stack).unwrap_or(usize::MAX));
    let mut arguments = Vec::new();
    let mut bytes = name.len() + 1;
    for argument in table.texts("arguments")? {
        if argument.value.contains('\0') {
            return Err(Fault::new(argument.at, "an argument cannot hold a NUL, for a NUL ends it"));
        }
        bytes += argument.value.len() + 1;
        if bytes > most {
            return Err(Fault::new(
                argument.at,
                format!(
                    "name and arguments so far need {bytes} bytes; a process with this stack is started with at most \
                     {most}"
                ),
            ));
        }
        arguments.push(argument.value.to_owned());
    }
    Ok(arguments)
}

/// One `[process.network]`.
fn network(value: &Spanned<DeValue<'_>>, process: &str, text: &str) -> Result<Network, Fault> {
    let table = Table::new("[process.network]", value, &["sockets", "receive", "send", "connect"])?;
    let sockets = table.number("sockets", 1, SOCKETS_MAX as u64)?;
    let buffer = |key: &str| {
        let bytes = table.size(key)?;
        match bytes.value {
            BUFFER_MIN..=BUFFER_MAX => Ok(bytes),
            found => Err(Fault::new(
                bytes.at,
                format!(
                    "process `{process}`: `{key}` is {}; it has to be {} to {}",
                    size::show(found),
                    size::show(BUFFER_MIN),
                    size::show(BUFFER_MAX)
                ),
            )),
        }
    };
    let (receive, send) = (buffer("receive")?, buffer("send")?);
    Ok(Network {
        sockets: sockets.value as u32,
        sockets_line: line_of(text, sockets.at),
        receive: receive.value,
        receive_line: line_of(text, receive.at),
        send: send.value,
        send_line: line_of(text, send.at),
        connect: connect(&table, text)?,
        line: line_of(text, table.at),
    })
}

/// One `[process.entropy]`.
fn entropy(value: &Spanned<DeValue<'_>>, process: &str, text: &str) -> Result<Entropy, Fault> {
    let table = Table::new("[process.entropy]", value, &["buffer"])?;
    let buffer = table.size("buffer")?;
    let (least, most) = (*ENTROPY_BUFFER.start() as u64, *ENTROPY_BUFFER.end() as u64);
    if !(least..=most).contains(&buffer.value) {
        return Err(Fault::new(
            buffer.at,
            format!(
                "process `{process}`: `buffer` of its entropy is {}; it has to be {} to {}",
                size::show(buffer.value),
                size::show(least),
                size::show(most)
            ),
        ));
    }
    Ok(Entropy { buffer: buffer.value, buffer_line: line_of(text, buffer.at), line: line_of(text, table.at) })
}

/// The remotes that the process may connect to. Entries that overlap are refused: a person who deletes one of them
/// expects its range to be out of reach from then on.
fn connect(table: &Table<'_>, text: &str) -> Result<Vec<Connect>, Fault> {
    let mut connect: Vec<Connect> = Vec::new();
    for entry in table.texts("connect")? {
        let wrong = |why: String| Fault::new(entry.at, format!("`connect`: {why}"));
        for remote in remote::parse(entry.value).map_err(&wrong)? {
            if let Some(other) = connect.iter().find(|other| other.remote.overlaps(&remote)) {
                return Err(wrong(format!("{remote} overlaps {} of line {}", other.remote, other.line)));
            }
            connect.push(Connect { remote, line: line_of(text, entry.at) });
        }
    }
    Ok(connect)
}

/// One `[[data]]`.
fn data(value: &Spanned<DeValue<'_>>, text: &str, folder: &Path, names: &mut Names) -> Result<Data, Fault> {
    let table = Table::new("[[data]]", value, &["name", "size", "file", "use"])?;
    let size = table.size("size")?;
    if size.value == 0 || !size.value.is_multiple_of(DATA_UNIT) {
        let found = size::show(size.value);
        return Err(Fault::new(size.at, format!("`size` is {found}; it has to be whole sectors of {DATA_UNIT} bytes")));
    }
    let file = match table.get("file") {
        None => None,
        Some(_) => Some(folder.join(table.text("file")?.value)),
    };
    let purpose = match table.get("use") {
        None => Purpose::Processes,
        Some(_) => {
            let found = table.text("use")?;
            if found.value != "seed" {
                return Err(Fault::new(found.at, format!("`use` is \"{}\"; it can be \"seed\"", found.value)));
            }
            if file.is_some() {
                return Err(Fault::new(found.at, "a region with `use = \"seed\"` takes no `file`: a seed is secret"));
            }
            Purpose::Seed
        }
    };
    let given = table.text("name")?;
    for (reserved, what) in [(ENTROPY_NAME, "the entropy device"), (COMMANDS_NAME, "the way to the process console")] {
        if given.value == reserved {
            return Err(Fault::new(
                given.at,
                format!("a data region cannot be called `{reserved}`: by that name processes open {what}"),
            ));
        }
    }
    let name = names.take(&given)?;
    Ok(Data { name, size: size.value, size_line: line_of(text, size.at), file, purpose })
}

/// A size of whole pages, at least one.
fn pages(table: &Table<'_>, key: &str) -> Result<Located<u64>, Fault> {
    let bytes = table.size(key)?;
    if bytes.value == 0 || !bytes.value.is_multiple_of(PAGE) {
        let above = size::show(bytes.value.max(1).checked_next_multiple_of(PAGE).unwrap_or(PAGE));
        return Err(Fault::new(
            bytes.at,
            format!("`{key}` is {}; it has to be whole pages of 4 KiB, {above} say", size::show(bytes.value)),
        ));
    }
    Ok(bytes)
}

/// A name that fits the flash map, link sections and command lines alike.
fn name(text: &Located<&str>) -> Result<String, Fault> {
    let name = text.value;
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Fault::new(text.at, format!("the name \"{name}\" has {} bytes; 1 to {NAME_MAX} fit", name.len())));
    }
    let fits = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    match name.chars().find(|&letter| !fits(letter)) {
        Some(wrong) => Err(Fault::new(
            text.at,
            format!("the name \"{name}\" holds {wrong:?}; a name is made of a to z, 0 to 9, _ and -"),
        )),
        None => Ok(name.to_owned()),
    }
}

/// The names that are taken.
struct Names {
    kind: &'static str,
    taken: BTreeMap<String, usize>,
}

impl Names {
    /// None taken yet.
    fn new(kind: &'static str) -> Names {
        Names { kind, taken: BTreeMap::new() }
    }

    /// Takes the name, unless another has it.
    fn take(&mut self, text: &Located<&str>) -> Result<String, Fault> {
        let name = name(text)?;
        match self.taken.insert(name.clone(), text.at) {
            None => Ok(name),
            Some(_) => Err(Fault::new(text.at, format!("a second {} has the name `{name}`", self.kind))),
        }
    }
}
