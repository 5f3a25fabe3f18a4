//! The table of all texts.

use crate::program::program;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use slopos_log::lines::Class;
use std::collections::BTreeMap;

/// What a symbol of `defmt`'s is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Tag {
    /// A line of this level.
    #[serde(rename = "defmt_trace")]
    Trace,
    /// A line of this level.
    #[serde(rename = "defmt_debug")]
    Debug,
    /// A line of this level.
    #[serde(rename = "defmt_info")]
    Info,
    /// A line of this level.
    #[serde(rename = "defmt_warn")]
    Warn,
    /// A line of this level.
    #[serde(rename = "defmt_error")]
    Error,
    /// A line without a level.
    #[serde(rename = "defmt_println")]
    Println,
    /// How a value of a basic type is shown.
    #[serde(rename = "defmt_prim")]
    Prim,
    /// How a value of a type that derives its form is shown; bars are between the variants of an enum.
    #[serde(rename = "defmt_derived")]
    Derived,
    /// How a value is shown that is a set of flags; no kernel can.
    #[serde(rename = "defmt_bitflags")]
    Bitflags,
    /// A part of how a value is shown.
    #[serde(rename = "defmt_write")]
    Write,
    /// How the time is shown.
    #[serde(rename = "defmt_timestamp")]
    Timestamp,
    /// Another one, which nothing that a kernel can show refers to.
    #[serde(other)]
    Other,
}

/// A symbol of `defmt`'s.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// What for.
    pub tag: Tag,
    /// The text.
    #[serde(rename = "data")]
    pub text: String,
}

/// The table of these entries, by their index.
///
/// # Errors
/// A text has something that a kernel cannot show, or they are too many.
pub fn table(entries: &BTreeMap<u16, Entry>) -> Result<Vec<u8>> {
    let count = entries.last_key_value().map_or(0, |(last, _)| usize::from(*last) + 1);
    let head = 4 + 2 * count;
    let mut places = vec![0_u16; count];
    let mut time = 0;
    let mut texts = Vec::new();
    for (&index, entry) in entries {
        let Some(text) = text(entry).with_context(|| format!("the text {:?} of the log", entry.text))? else {
            continue;
        };
        let place = u16::try_from(head + texts.len()).context("the texts of the log are more than 64 KiB")?;
        match entry.tag {
            Tag::Timestamp => time = place,
            _ => places[usize::from(index)] = place,
        }
        texts.extend(text);
    }
    if time == 0 {
        bail!("the log has no time stamp");
    }
    let count = u16::try_from(count).context("the log has too many texts")?;
    let head = [count, time].into_iter().chain(places).flat_map(u16::to_le_bytes);
    Ok(head.chain(texts).collect())
}

/// A text with its class; `None` where nothing refers to it.
fn text(Entry { tag, text }: &Entry) -> Result<Option<Vec<u8>>> {
    let class = match tag {
        Tag::Trace => Class::Trace,
        Tag::Debug => Class::Debug,
        Tag::Info => Class::Info,
        Tag::Warn => Class::Warn,
        Tag::Error => Class::Error,
        Tag::Println => Class::Line,
        Tag::Derived if text.contains('|') => Class::Enum,
        Tag::Prim | Tag::Derived | Tag::Bitflags | Tag::Write | Tag::Timestamp => Class::Value,
        Tag::Other => return Ok(None),
    };
    let mut bytes = vec![class as u8];
    let variants: Vec<&str> = if class == Class::Enum { text.split('|').collect() } else { vec![text] };
    if class == Class::Enum {
        bytes.extend(u16::try_from(variants.len()).context("it has too many variants")?.to_le_bytes());
    }
    for variant in variants {
        let program = program(variant)?;
        bytes.extend(u16::try_from(program.len()).context("it is too long")?.to_le_bytes());
        bytes.extend(program);
    }
    Ok(Some(bytes))
}
