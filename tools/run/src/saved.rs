//! A log that was saved: all of COM2 in a file.

use crate::decoder::{Decoded, Decoder};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Gives each line of the log in `file` to `print`, and each text of processes. A `partial` log lacks its beginning, and is taken to be this kernel's.
///
/// # Errors
/// The file cannot be read, holds no log or that of another kernel, or a part of it is missing or damaged; what could be
/// decoded has been printed then. What `print` returns.
pub fn decode(
    decoder: &Decoder,
    file: &Path,
    partial: bool,
    mut print: impl FnMut(Decoded) -> Result<()>,
) -> Result<()> {
    let name = file.display();
    let mut input = File::open(file).with_context(|| format!("cannot read {name}"))?;
    if !decoder.has_texts() {
        bail!("the kernel has no defmt data to decode {name} with");
    }
    let mut stream = decoder.saved(partial);
    let mut bytes = [0; 65_536];
    loop {
        let count = input.read(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        if count == 0 {
            break;
        }
        for line in stream.push(&bytes[..count]) {
            print(line)?;
        }
        if let Some(why) = stream.refusal() {
            bail!("{name}: {why}");
        }
    }
    if stream.is_empty() {
        bail!("{name} is empty: no kernel has written to it");
    }
    let malformed = stream.malformed();
    if let Some(rest) = stream.finish() {
        print(Decoded::Line(rest))?;
        bail!("{name} ends within a frame: the end of the log is missing");
    }
    if malformed > 0 {
        bail!("{name} is damaged: {malformed} of its frames could not be decoded");
    }
    Ok(())
}
