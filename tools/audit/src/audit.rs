//! The result of an audit, as the JSON schema in the README has it.

use crate::live::Live;
use crate::memory::total;
use serde::{Deserialize, Serialize};

/// The network's capsule.
pub const NETWORK: &str = "net";
/// The capsule of random bytes.
pub const ENTROPY: &str = "entropy";
/// The part of the process console that processes ask for commands.
pub const COMMANDS: &str = "commands";

/// The section of a grant.
pub fn grant_section(process: &str, capsule: &str) -> String {
    format!(".grant.{process}.{capsule}")
}

/// The version of the JSON's schema.
pub const SCHEMA: u32 = 1;

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The board's name.
    pub board: String,
    /// The manifest, as its messages name it.
    pub manifest: String,
    /// The kernel's build id in hexadecimal digits.
    pub build_id: String,
    /// The kernel runs what is signed with the development key, whose private half everybody has.
    #[serde(default)]
    pub development_key: bool,
    /// The processes, in the order of the manifest.
    pub processes: Vec<ProcessAccount>,
    /// The shared network memory, item by item.
    pub shared: Vec<Row>,
    /// All other writable memory of the kernel's image, by owner.
    pub owners: Vec<Owner>,
    /// Bytes of all grants.
    pub grant_bytes: u64,
    /// Bytes of the shared network memory.
    pub shared_bytes: u64,
    /// The manifest's `network_budget`.
    pub budget_bytes: u64,
    /// The manifest's line of it.
    pub budget_line: usize,
    /// Bytes that the linker left between sections so that each begins where it must.
    pub padding_bytes: u64,
    /// Writable bytes of the image that nobody owns.
    pub unaccounted_bytes: u64,
    /// What those bytes are.
    pub unaccounted: Vec<Unaccounted>,
    /// All writable bytes of the image.
    pub writable_bytes: u64,
    /// What is wrong, a sentence each. The audit passes where there is none.
    pub problems: Vec<String>,
    /// What a board held when it was looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<Live>,
}

/// What an audit says where [`Audit::development_key`] is set.
pub const DEVELOPMENT_KEY: &str = "the DEVELOPMENT KEY is trusted: everybody can sign programs for this board";

impl Audit {
    /// Bytes of all network memory.
    pub fn network_bytes(&self) -> u64 {
        self.grant_bytes.saturating_add(self.shared_bytes)
    }

    /// Whether nothing is wrong.
    pub fn passes(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A process and its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessAccount {
    /// Its name.
    pub name: String,
    /// The manifest's line on which it begins.
    pub line: usize,
    /// What capsules hold for it: its network memory, and its random bytes; empty for a process without any.
    pub grants: Vec<GrantAccount>,
    /// Its own memory: code, data, stack, page tables.
    pub memory: Vec<Row>,
}

impl ProcessAccount {
    /// Its network memory, by capsule.
    pub fn network(&self) -> impl Iterator<Item = &GrantAccount> {
        self.grants.iter().filter(|grant| grant.capsule == NETWORK)
    }

    /// Bytes of its network memory.
    pub fn network_bytes(&self) -> u64 {
        total(self.network().map(|grant| grant.bytes))
    }

    /// Bytes of all its grants.
    pub fn grant_bytes(&self) -> u64 {
        total(self.grants.iter().map(|grant| grant.bytes))
    }

    /// Bytes of its own memory.
    pub fn memory_bytes(&self) -> u64 {
        total(self.memory.iter().map(|row| row.bytes))
    }
}

/// What a capsule holds for a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantAccount {
    /// The capsule.
    pub capsule: String,
    /// Bytes of the section.
    pub bytes: u64,
    /// What they are; the rows sum up to `bytes`.
    pub rows: Vec<Row>,
}

/// Some memory with a purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    pub what: String,
    /// How often it is there, once for each socket; 0 where that means nothing.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub count: u64,
    /// Bytes of all of it.
    pub bytes: u64,
    /// The line of the manifest that asked for it, or of the source that declares it; empty for padding.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub asked_by: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A part of the system with memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Whose it is.
    pub owner: String,
    /// The section that it lies in.
    pub section: String,
    /// Bytes of the section.
    pub bytes: u64,
    /// What they are; the rows sum up to `bytes`.
    pub rows: Vec<Row>,
}

/// Writable memory that nobody owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unaccounted {
    /// The section that it lies in; empty between sections.
    pub section: String,
    /// Its address.
    pub address: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The symbol, or what is known instead.
    pub what: String,
    /// The source line that declares it, where that is known.
    pub declared: String,
}
