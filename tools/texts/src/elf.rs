//! The texts in an ELF file: found in the names of symbols, and put where the kernel looks for them.

use crate::table::{Entry, table};
use anyhow::{Context, Result, anyhow, bail};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _};
use std::collections::BTreeMap;

/// The symbol of the room for the texts; boards/pc has it.
const ROOM: &str = "__log_texts";

/// The texts in the symbols of an ELF file, by their index.
///
/// # Errors
/// The file is none, or a symbol of `defmt`'s is not as `defmt` makes them.
pub fn entries(elf: &[u8]) -> Result<BTreeMap<u16, Entry>> {
    let file = ElfFile64::<LittleEndian>::parse(elf).context("expected a 64-bit ELF file, as ./just build makes")?;
    let section = file.section_by_name(".defmt").context("it has no texts of a log")?.index();
    let mut entries = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.section_index() == Some(section)) {
        let name = symbol.name().context("a symbol's name")?;
        // Others are marks between the levels.
        if name.starts_with('{') {
            let entry: Entry = serde_json::from_str(name).with_context(|| format!("the symbol {name}"))?;
            let index = u16::try_from(symbol.address()).context("an index is two bytes long")?;
            entries.insert(index, entry);
        }
    }
    Ok(entries)
}

/// Puts the texts of a kernel into the room that it has for them. Returns how many bytes they take; `None` where it has no
/// room, for its log is frames.
///
/// # Errors
/// The room is too small, or a text has something that a kernel cannot show. The kernel is as it was then.
pub fn put(kernel: &mut [u8]) -> Result<Option<usize>> {
    let Some((start, length)) = room(kernel)? else { return Ok(None) };
    let texts = table(&entries(kernel)?)?;
    if texts.len() > length {
        bail!(
            "the texts of the log take {} bytes, and there are {length}: ROOM in boards/pc/src/log/lines.rs",
            texts.len()
        );
    }
    let room = kernel.get_mut(start..start + length).ok_or_else(|| anyhow!("{ROOM} is beyond the end of the file"))?;
    let (used, rest) = room.split_at_mut(texts.len());
    used.copy_from_slice(&texts);
    rest.fill(0);
    Ok(Some(texts.len()))
}

/// Where in the file the room is, and how many bytes it has.
fn room(elf: &[u8]) -> Result<Option<(usize, usize)>> {
    let file = ElfFile64::<LittleEndian>::parse(elf).context("expected a 64-bit ELF file, as ./just build makes")?;
    let Some(symbol) = file.symbols().find(|symbol| symbol.name() == Ok(ROOM)) else { return Ok(None) };
    let index = symbol.section_index().with_context(|| format!("{ROOM} is in no section"))?;
    let section = file.section_by_index(index)?;
    let (start, length) = section.file_range().with_context(|| format!("{ROOM} is not in the file"))?;
    let within = symbol.address().checked_sub(section.address());
    match within.filter(|within| within.checked_add(symbol.size()).is_some_and(|end| end <= length)) {
        Some(within) => Ok(Some(((start + within) as usize, symbol.size() as usize))),
        None => bail!("{ROOM} is not within its section"),
    }
}
