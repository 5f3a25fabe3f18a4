//! The grants and the processes' own memory: compares the ELF with the manifest.

use crate::audit::{COMMANDS, ENTROPY, GrantAccount, NETWORK, ProcessAccount, Row, Unaccounted, grant_section};
use crate::memory::Memory;
use crate::slopos::{self, Part};
use crate::value::{Space, Value};
use crate::world::{self, Object};
use anyhow::{Context, Result};
use slopos_elf::image::{Image, Section};
use slopos_elf::types::{Shape, TypeId};
use slopos_manifest::{Expanded, ExpandedEntropy, ExpandedNetwork, ExpandedProcess, Item, Product};

/// Collects what the accounts of all processes have in common.
pub struct Accounts<'a> {
    image: &'a Image,
    memory: Memory,
    manifest: &'a Expanded,
    /// What is wrong so far.
    pub problems: Vec<String>,
    /// What nobody owns so far.
    pub unaccounted: Vec<Unaccounted>,
}

impl<'a> Accounts<'a> {
    /// None yet.
    pub fn new(image: &'a Image, manifest: &'a Expanded) -> Accounts<'a> {
        let memory = Memory::of_image(image);
        Accounts { image, memory, manifest, problems: Vec::new(), unaccounted: Vec::new() }
    }

    fn line(&self, line: usize) -> String {
        format!("{}:{line}", self.manifest.file)
    }

    /// A static's value, inside its cell.
    fn inside(&self, object: &Object) -> Option<Value<'_>> {
        let space = Space { image: self.image, memory: &self.memory };
        space.at(object.kind?, object.address).unwrapped().ok()
    }

    /// The account of one process.
    pub fn process(&mut self, process: &ExpandedProcess) -> ProcessAccount {
        let mut account =
            ProcessAccount { name: process.name.clone(), line: process.line, ..ProcessAccount::default() };
        let own = format!(".process.{}", process.name);
        match self.image.section(&own) {
            Some(section) => account.memory = self.own_memory(section, process),
            None => self.problems.push(format!("the ELF has no section {own}, which the manifest asks for")),
        }
        let network = process.network.as_ref().map(|network| (network, network.line));
        let entropy = process.entropy.map(|entropy| (entropy, entropy.line));
        let commands = process.commands.first().map(|&(_, line)| (line, line));
        if let Some((section, network)) = self.asked_for(process, NETWORK, "[process.network]", network) {
            account.grants.push(self.grant(section, process, network));
        }
        if let Some((section, entropy)) = self.asked_for(process, ENTROPY, "[process.entropy]", entropy) {
            account.grants.push(self.random(section, process, entropy));
        }
        if let Some((section, line)) = self.asked_for(process, COMMANDS, "`commands`", commands) {
            let statics = [(slopos::LINE, "command"), (slopos::REQUEST, "request")];
            account.grants.push(self.statics(section, COMMANDS, line, statics));
        }
        account
    }

    /// The section of a process's grant and the table that asks for it, where both are there; a problem where one is.
    fn asked_for<T>(
        &mut self,
        process: &ExpandedProcess,
        capsule: &str,
        key: &str,
        table: Option<(T, usize)>,
    ) -> Option<(&'a Section, T)> {
        let grant = grant_section(&process.name, capsule);
        let name = &process.name;
        match (self.image.section(&grant), table) {
            (Some(section), Some((table, _))) => return Some((section, table)),
            (None, None) => {}
            (None, Some((_, line))) => {
                let line = self.line(line);
                self.problems.push(format!("{line}: `{name}` has {key}, and the ELF no {grant}"));
            }
            (Some(section), None) => {
                let line = self.line(process.line);
                let bytes = section.size;
                self.problems.push(format!("{line}: `{name}` has no {key}, and the ELF has {bytes} bytes in {grant}"));
            }
        }
        None
    }

    /// The account of `.grant.NAME.entropy`.
    fn random(&mut self, section: &Section, process: &ExpandedProcess, entropy: ExpandedEntropy) -> GrantAccount {
        let contents = world::contents(self.image, section);
        let (buffer, line) = (entropy.buffer.value, self.line(entropy.buffer.line));
        if let Some(object) = contents.objects.iter().find(|object| object.short() == slopos::RANDOM) {
            // A static cell has a flag that says whether it was handed out.
            let inside = self.inside(object).and_then(|value| Some(value.kind().ok()?.size)).unwrap_or(object.size);
            if inside != buffer {
                self.disagree(&line, &format!("`buffer` of `{}`", process.name), buffer, inside);
            }
        }
        let statics = [(slopos::RANDOM, "random bytes"), (slopos::REGION, "region")];
        self.statics(section, ENTROPY, entropy.buffer.line, statics)
    }

    /// The account of a grant with these statics, each with what it is, that a line of the manifest asks for.
    fn statics(&mut self, section: &Section, capsule: &str, line: usize, statics: [(&str, &str); 2]) -> GrantAccount {
        let contents = world::contents(self.image, section);
        let line = self.line(line);
        let mut rows = Vec::new();
        for (name, what) in statics {
            match contents.objects.iter().find(|object| object.short() == name) {
                None => self.problems.push(format!("{} has no static {name}", section.name)),
                Some(object) => {
                    rows.push(Row { what: what.into(), bytes: object.size, asked_by: line.clone(), ..Row::default() });
                }
            }
        }
        rows.extend(world::padding(contents.padding));
        self.unaccounted.extend(contents.unaccounted);
        GrantAccount { capsule: capsule.into(), bytes: section.size, rows }
    }

    /// The rows of `.process.NAME`.
    fn own_memory(&mut self, section: &Section, process: &ExpandedProcess) -> Vec<Row> {
        let contents = world::contents(self.image, section);
        let mut rows = world::rows(&contents);
        for (name, item) in [(slopos::RAM, process.ram), (slopos::STACK, process.stack)] {
            let Some(index) = contents.objects.iter().position(|object| object.short() == name) else {
                self.problems.push(format!("{} has no static {name}", section.name));
                continue;
            };
            let row = &mut rows[index];
            row.asked_by = format!("{}:{}", self.manifest.file, item.line);
            if row.bytes != item.value {
                let name = name.to_lowercase();
                let (line, found) = (self.line(item.line), row.bytes);
                self.disagree(&line, &format!("`{name}` of `{}`", process.name), item.value, found);
            }
        }
        self.unaccounted.extend(contents.unaccounted);
        rows
    }

    fn disagree(&mut self, line: &str, what: &str, asked: u64, found: u64) {
        self.problems.push(format!("{line}: {what} is {asked} in the manifest and {found} in the ELF"));
    }

    /// The account of `.grant.NAME.net`.
    fn grant(&mut self, section: &Section, process: &ExpandedProcess, network: &ExpandedNetwork) -> GrantAccount {
        let contents = world::contents(self.image, section);
        let mut rows = Vec::new();
        let mut flags = 0;
        for name in [slopos::RECEIVE, slopos::SEND, slopos::CONTROL, slopos::SET] {
            if !contents.objects.iter().any(|object| object.short() == name) {
                self.problems.push(format!("{} has no static {name}", section.name));
            }
        }
        for object in &contents.objects {
            let Some((kind, size)) = self.inside(object).and_then(|value| Some((value.id(), value.kind().ok()?.size)))
            else {
                self.problems
                    .push(format!("{}: the debugging information does not have {}", section.name, object.name));
                flags += object.size;
                continue;
            };
            flags += object.size.saturating_sub(size);
            match object.short() {
                slopos::RECEIVE => rows.push(self.buffers("receive", kind, size, process, network, network.receive)),
                slopos::SEND => rows.push(self.buffers("send", kind, size, process, network, network.send)),
                slopos::CONTROL => rows.extend(self.control(kind, process, network)),
                slopos::SET => rows.push(Row {
                    what: "socket set".into(),
                    bytes: size,
                    asked_by: self.line(network.line),
                    ..Row::default()
                }),
                _ => rows.push(Row {
                    what: object.name.clone(),
                    bytes: size,
                    asked_by: object.declared.clone(),
                    ..Row::default()
                }),
            }
        }
        if flags > 0 {
            // A static cell has a flag that says whether it was handed out, and padding around it.
            rows.push(Row {
                what: "flags of cells".into(),
                bytes: flags,
                asked_by: self.line(network.line),
                ..Row::default()
            });
        }
        // In one order, whatever the linker's was; what has no place in it keeps its own.
        let order = ["receive buffers", "send buffers"].into_iter().chain(Part::ALL.map(Part::name));
        let order: Vec<&str> = order.chain(["socket set"]).collect();
        rows.sort_by_key(|row: &Row| order.iter().position(|what| row.what == *what).unwrap_or(order.len()));
        rows.extend(world::padding(contents.padding));
        self.unaccounted.extend(contents.unaccounted);
        GrantAccount { capsule: NETWORK.into(), bytes: section.size, rows }
    }

    /// The row of one kind of buffers; its size and its shape have to be the manifest's.
    fn buffers(
        &mut self,
        key: &str,
        kind: TypeId,
        size: u64,
        process: &ExpandedProcess,
        network: &ExpandedNetwork,
        product: Product,
    ) -> Row {
        let line = self.line(product.line);
        let what = |part: &str| format!("{part} of `{key}` of `{}`", process.name);
        if size != product.bytes {
            self.disagree(&line, &what("the sum"), product.bytes, size);
        }
        let (count, each) = self.array(kind).unwrap_or((0, kind));
        let each = self.array(each).map_or(0, |(bytes, _)| bytes);
        if count != product.count {
            let sockets = self.line(network.sockets.line);
            self.disagree(&sockets, &what("the number"), product.count, count);
        }
        if each != product.each {
            self.disagree(&line, &what("each"), product.each, each);
        }
        Row { what: format!("{key} buffers"), count, bytes: size, asked_by: line }
    }

    /// The rows of the control blocks.
    fn control(&mut self, kind: TypeId, process: &ExpandedProcess, network: &ExpandedNetwork) -> Vec<Row> {
        let Item { value: asked, line } = network.sockets;
        let line = self.line(line);
        let (count, socket) = self.array(kind).unwrap_or((0, kind));
        if count != asked {
            self.disagree(&line, &format!("`sockets` of `{}`", process.name), asked, count);
        }
        let sums = slopos::parts(&self.image.types, socket);
        let mut rows = Vec::new();
        for part in Part::ALL {
            let each = sums[part as usize];
            if each == 0 {
                self.problems
                    .push(format!("a socket has no {}: the audit's list of types is out of date", part.name()));
            }
            rows.push(Row {
                what: part.name().into(),
                count,
                bytes: each.saturating_mul(count),
                asked_by: line.clone(),
            });
        }
        rows
    }

    /// Count and element of an array.
    fn array(&self, kind: TypeId) -> Option<(u64, TypeId)> {
        match self.image.types.get(kind)?.shape {
            Shape::Array { element, count } => Some((count, element)),
            _ => None,
        }
    }

    /// Compares the constants in the kernel with the manifest: names, priorities, restarts, and `connect`.
    pub fn check_constants(&mut self) {
        let found = self.constants();
        match found {
            Ok(problems) => self.problems.extend(problems),
            Err(why) => self.problems.push(format!("the kernel's constants cannot be read: {why:#}")),
        }
    }

    fn constants(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let mut compare = |line: String, what: String, asked: &str, found: &str| {
            if asked != found {
                problems.push(format!("{line}: {what} is {asked} in the manifest and {found} in the ELF"));
            }
        };
        let space = Space { image: self.image, memory: &self.memory };
        let configurations = space.named("slopos_board_pc::statics::CONFIGURATIONS")?.elements()?;
        let count = self.manifest.processes.len();
        compare(
            self.manifest.file.clone(),
            "the number of processes".into(),
            &count.to_string(),
            &configurations.len().to_string(),
        );
        for (index, (process, found)) in self.manifest.processes.iter().zip(&configurations).enumerate() {
            let line = || self.line(process.line);
            let what = |key: &str| format!("`{key}` of `{}`", process.name);
            compare(line(), what("name"), &process.name, found.path("name")?.text()?);
            compare(line(), what("app"), &process.app, found.path("app")?.text()?);
            let boot = process.start == slopos_manifest::Start::Boot;
            compare(line(), what("start"), &boot.to_string(), &found.path("start_at_boot")?.truth()?.to_string());
            let priority = found.path("priority")?.number()?.to_string();
            compare(line(), what("priority"), &process.priority.to_string(), &priority);
            compare(line(), what("restart"), &restart(process), &compiled_restart(found)?);
            if let Some(network) = &process.network {
                let compiled = compiled_remotes(space, index, network.connect.len())?;
                let asked: Vec<&str> = network.connect.iter().map(|(remote, _)| remote.as_str()).collect();
                compare(self.line(network.line), what("connect"), &asked.join(" "), &compiled);
            }
            if let Some((_, line)) = process.commands.first() {
                let compiled =
                    space.named(&format!("slopos_board_pc::statics::process_{index}::ALLOWED"))?.elements()?;
                let compiled: Vec<&str> = compiled.iter().map(Value::text).collect::<Result<_>>()?;
                let asked: Vec<&str> = process.commands.iter().map(|(word, _)| word.as_str()).collect();
                compare(self.line(*line), what("commands"), &asked.join(" "), &compiled.join(" "));
            }
        }
        Ok(problems)
    }
}

/// When a process is started again, in the manifest's words.
fn restart(process: &ExpandedProcess) -> String {
    match process.restart_ms {
        None => "never".into(),
        Some((first, maximum)) => format!("{first} ms to {maximum} ms"),
    }
}

/// The same as the kernel was compiled with it.
fn compiled_restart(configuration: &Value<'_>) -> Result<String> {
    let (name, backoff) = configuration.field("restart")?.variant()?;
    if name == "Never" {
        return Ok("never".into());
    }
    let millis = |field: &str| -> Result<u64> { Ok(backoff.field(field)?.number()? / 1_000) };
    Ok(format!("{} ms to {} ms", millis("first")?, millis("maximum")?))
}

/// Whom the kernel lets a process connect to, as it was compiled with it.
fn compiled_remotes(space: Space<'_>, index: usize, count: usize) -> Result<String> {
    if count == 0 {
        // An empty list needs no memory, so there may be no static either.
        return Ok(String::new());
    }
    let authority = space.named(&format!("slopos_board_pc::statics::process_{index}::AUTHORITY"))?;
    let mut remotes = Vec::new();
    for remote in authority.elements()? {
        let number = |field: &str| remote.field(field)?.number();
        let address = remote.field("address")?.bytes()?;
        let address = <[u8; 4]>::try_from(address).context("an address that is not of four bytes")?;
        let port = |field: &str| -> Result<u16> { Ok(u16::try_from(number(field)?)?) };
        let remote = slopos_abi::RemoteRange {
            address: address.into(),
            prefix: u8::try_from(number("prefix")?)?,
            first_port: port("first_port")?,
            last_port: port("last_port")?,
        };
        remotes.push(remote.to_string());
    }
    Ok(remotes.join(" "))
}
