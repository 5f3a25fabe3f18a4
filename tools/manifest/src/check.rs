//! From the text of a manifest to a [`Manifest`] that can be built.

use crate::error::{Fault, line_of};
use crate::table::{Located, Table, suggest};
use crate::{Board, Data, Manifest, Network, Process, Start, remote, size};
use slopos_abi::{ARGUMENTS_MAX, DESCRIPTORS, USER_BASE, USER_END, flash};
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of a page: the unit of a process's memory and of the guards around its stack.
pub const PAGE: u64 = 4096;
/// Bytes that the size of a data region is a multiple of: a sector.
pub const DATA_UNIT: u64 = flash::SECTOR as u64;
/// Longest name, in bytes: what a slot of the flash map holds.
pub const NAME_MAX: usize = flash::NAME;
/// Most processes of a board: the kernel keeps sets of them in one 64-bit word.
pub const PROCESSES_MAX: usize = 64;
/// Most sockets of a process: its descriptors without the console's three.
pub const SOCKETS_MAX: u64 = DESCRIPTORS as u64 - 3;
/// Smallest `max_frame`: an IPv4 packet that every host has to take (RFC 791 section 3.1) and its Ethernet header.
pub const FRAME_MIN: u64 = 576 + 14;
/// Largest `max_frame`: a jumbo frame of 9000 bytes, its Ethernet header and a VLAN tag.
pub const FRAME_MAX: u64 = 9018;
/// Smallest socket buffer, in bytes: below this a connection stalls on every segment.
pub const BUFFER_MIN: u64 = 1 << 10;
/// Largest socket buffer, in bytes: what a scaled window can express (RFC 7323 section 2.3).
pub const BUFFER_MAX: u64 = 1 << 30;

/// The whole manifest; `folder` is where data files are looked for.
pub(crate) fn manifest(text: &str, folder: &Path) -> Result<Manifest, Fault> {
    let document = DeTable::parse(text).map_err(|why| {
        let at = why.span().map_or(text.len(), |span| span.start);
        Fault::new(at, why.message())
    })?;
    let root = Table::of_entries("the manifest", document.get_ref(), 0, &["board", "process", "data"])?;
    let board = match root.get("board") {
        Some(value) => board(value)?,
        None => return Err(Fault::new(0, "the manifest lacks the table [board]")),
    };

    let mut regions = Names::new("data region");
    let mut data_regions = Vec::new();
    for value in root.tables("data")? {
        data_regions.push(data(value, folder, &mut regions)?);
    }

    let mut names = Names::new("process");
    let mut processes = Vec::new();
    let mut network_bytes = 0;
    for value in root.tables("process")? {
        let at = value.span().start;
        if processes.len() == PROCESSES_MAX {
            return Err(Fault::new(at, format!("this is process {}; at most {PROCESSES_MAX} fit", PROCESSES_MAX + 1)));
        }
        let process = process(value, text, &mut names, &data_regions)?;
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
                     `network_budget` allows {} ({} bytes)",
                    process.name,
                    size::show(network_bytes),
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
    Ok(Manifest { board, processes, data: data_regions })
}

/// The table `[board]`.
fn board(value: &Spanned<DeValue<'_>>) -> Result<Board, Fault> {
    let table = Table::new("[board]", value, &["name", "network_budget", "max_frame", "selftest", "flash_size"])?;
    let flash_size = table.size("flash_size")?;
    let least = (flash::MAP_SECTORS * flash::SECTOR) as u64;
    if flash_size.value < least || !flash_size.value.is_multiple_of(DATA_UNIT) {
        let found = size::show(flash_size.value);
        let need = size::show(least);
        return Err(Fault::new(
            flash_size.at,
            format!(
                "`flash_size` is {found}; it has to be whole sectors of {DATA_UNIT} bytes, at least {need} for its map"
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
    Ok(Board {
        name: name(&table.text("name")?)?,
        network_budget: table.size("network_budget")?.value,
        max_frame: max_frame.value as u16,
        selftest: table.flag("selftest", false)?,
        flash_size: flash_size.value,
    })
}

/// One `[[process]]`.
fn process(value: &Spanned<DeValue<'_>>, text: &str, names: &mut Names, data: &[Data]) -> Result<Process, Fault> {
    let table =
        Table::new("[[process]]", value, &["name", "app", "ram", "stack", "arguments", "start", "flash", "network"])?;
    let own_name = names.take(&table.text("name")?)?;
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
    Ok(Process {
        app: name(&table.text("app")?)?,
        ram: ram.value,
        stack: stack.value,
        arguments: arguments(&table, &own_name)?,
        start,
        flash,
        network,
        line: line_of(text, table.at),
        name: own_name,
    })
}

/// The arguments, which have to fit the block that a process is started with.
fn arguments(table: &Table<'_>, name: &str) -> Result<Vec<String>, Fault> {
    let mut arguments = Vec::new();
    let mut bytes = name.len() + 1;
    for argument in table.texts("arguments")? {
        if argument.value.contains('\0') {
            return Err(Fault::new(argument.at, "an argument cannot hold a NUL, for a NUL ends it"));
        }
        bytes += argument.value.len() + 1;
        if bytes > ARGUMENTS_MAX {
            return Err(Fault::new(
                argument.at,
                format!(
                    "name and arguments so far need {bytes} bytes; a process is started with at most {ARGUMENTS_MAX}"
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
    let sockets = table.number("sockets", 1, SOCKETS_MAX)?;
    let buffer = |key: &str| {
        let bytes = table.size(key)?;
        match bytes.value {
            BUFFER_MIN..=BUFFER_MAX => Ok(bytes.value),
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
    let mut connect = Vec::new();
    for remote in table.texts("connect")? {
        connect.extend(remote::parse(remote.value).map_err(|why| Fault::new(remote.at, format!("`connect`: {why}")))?);
    }
    Ok(Network {
        sockets: sockets.value as u32,
        receive: buffer("receive")?,
        send: buffer("send")?,
        connect,
        line: line_of(text, table.at),
    })
}

/// One `[[data]]`.
fn data(value: &Spanned<DeValue<'_>>, folder: &Path, names: &mut Names) -> Result<Data, Fault> {
    let table = Table::new("[[data]]", value, &["name", "size", "file"])?;
    let size = table.size("size")?;
    if size.value == 0 || !size.value.is_multiple_of(DATA_UNIT) {
        let found = size::show(size.value);
        return Err(Fault::new(size.at, format!("`size` is {found}; it has to be whole sectors of {DATA_UNIT} bytes")));
    }
    let file = match table.get("file") {
        None => None,
        Some(_) => Some(folder.join(table.text("file")?.value)),
    };
    Ok(Data { name: names.take(&table.text("name")?)?, size: size.value, file })
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
