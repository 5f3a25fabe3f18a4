//! A log that was saved: all of COM2 in a file, or all of COM1 of a board that has no other port.

use crate::decoder::Decoder;
use crate::outcome::Event;
use crate::pieces::Part;
use anyhow::{Context, Result, bail};
use slopos_abi::LOG_BEGINNING;
use std::path::Path;

/// Gives each line of the log in `file` to `print`, and each text. A `partial` log lacks its beginning, and is taken to be
/// this kernel's.
///
/// # Errors
/// The file cannot be read, holds no log or that of another kernel, or a part of it is missing or damaged; what could be
/// decoded has been printed then. What `print` returns.
pub fn decode(decoder: &Decoder, file: &Path, partial: bool, mut print: impl FnMut(Event) -> Result<()>) -> Result<()> {
    let name = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    if !decoder.has_texts() {
        bail!("the kernel has no defmt data to decode {name} with");
    }
    if bytes.is_empty() {
        bail!("{name} is empty: no kernel has written to it");
    }
    let mut stream = decoder.saved(partial);
    let mut damaged = 0;
    for part in parts(decoder, &bytes, partial) {
        match part {
            Part::Text(text) => print(Event::Console(text))?,
            Part::Log(log) => stream.push(&log).into_iter().try_for_each(|decoded| print(decoded.into()))?,
            Part::Damaged(_) => damaged += 1,
        }
        if let Some(why) = stream.refusal() {
            bail!("{name}: {why}");
        }
    }
    let malformed = stream.malformed();
    if let Some(rest) = stream.finish() {
        print(Event::Log(rest))?;
        bail!("{name} ends within a frame: the end of the log is missing");
    }
    if malformed + damaged > 0 {
        bail!("{name} is damaged: {} of its frames could not be decoded", malformed + damaged);
    }
    Ok(())
}

/// What is in the file: a log from its first byte on, or pieces of one between the text of a console. The first piece that
/// holds anything has the log's beginning, unless that is missing.
fn parts(decoder: &Decoder, bytes: &[u8], partial: bool) -> Vec<Part> {
    let mut shared = decoder.shared();
    let mut parts = shared.push(bytes);
    parts.extend(shared.finish());
    let first = parts.iter().find_map(|part| match part {
        Part::Log(log) if !log.is_empty() => Some(log),
        _ => None,
    });
    let alone = bytes.starts_with(LOG_BEGINNING.as_bytes());
    if !alone && first.is_some_and(|log| partial || log.starts_with(LOG_BEGINNING.as_bytes())) {
        parts
    } else {
        vec![Part::Log(bytes.to_vec())]
    }
}
