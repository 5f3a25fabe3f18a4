//! The manifest with one process more, everything that is written in it kept.

use anyhow::{Context, Result, anyhow, bail};
use std::path::Path;
use toml_edit::{DocumentMut, Item, value};

/// What a new process gets, before its name and its path are put in.
const ENTRY: &str = include_str!("../template/entry.toml");

/// The text of a manifest with an entry for the app `name`. `path` is the folder of an app outside of the tree, as the
/// manifest is to say it. `file` is the manifest's own path, for messages.
///
/// # Errors
/// The manifest is wrong, has such a process or such an app, or would be wrong with the entry.
pub fn add(text: &str, file: &Path, name: &str, path: Option<&str>) -> Result<String> {
    let manifest = slopos_manifest::parse(text, file)?;
    if let Some(known) = manifest.processes.iter().find(|known| known.name == name || known.app == name) {
        bail!("{}:{}: a process has the name or the app `{name}` already", file.display(), known.line);
    }
    let mut document: DocumentMut = text.parse().with_context(|| file.display().to_string())?;
    // Behind `app`, where a reader looks for it.
    let path = path.map_or(String::new(), |path| format!("path = {}\n", value(path)));
    let entry: DocumentMut =
        ENTRY.replace("NAME", name).replace("PATH", &path).parse().context("the template of an entry")?;
    let template = entry.get("process").and_then(Item::as_array_of_tables).and_then(|all| all.get(0));
    let mut table = template.cloned().context("the template of an entry has no [[process]]")?;
    // Without places of their own they stand behind the last process.
    table.set_position(None);
    table.decor_mut().set_prefix("\n");
    if let Some(network) = table.get_mut("network").and_then(Item::as_table_mut) {
        network.set_position(None);
    }
    let processes = document.get_mut("process").and_then(Item::as_array_of_tables_mut);
    processes.with_context(|| format!("{}: no [[process]]", file.display()))?.push(table);
    let text = document.to_string();
    let with = slopos_manifest::parse(&text, file).map_err(|error| anyhow!("with `{name}`: {error}"))?;
    slopos_flash::slots(&with).with_context(|| format!("with `{name}`"))?;
    Ok(text)
}
