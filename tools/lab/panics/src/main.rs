//! Lists the places in a linked kernel from which a panic can begin.
//!
//! Every direct call or jump in the code that leads to one of the language's panic functions is a place. The debug
//! information tells which source lines it stands for, through all inlining; the first line that is the project's own
//! names the place, and the folder of any of its lines may be forbidden: a place below a forbidden folder makes the
//! exit status 1.
#![forbid(unsafe_code)]

use addr2line::Loader;
use anyhow::{Context, Result, anyhow};
use clap::Parser;
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Beginnings of the demangled names of functions that never return because something is wrong.
const PANICS: [&str; 8] = [
    "core::panicking::",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::cell::panic_already",
];

/// Lists the places in kernels from which a panic can begin.
#[derive(Parser)]
struct Options {
    /// The kernels, one after the other.
    #[arg(default_value = "build/qemu_q35.elf")]
    elves: Vec<PathBuf>,
    /// A folder in which no panic may begin; may be given more than once.
    #[arg(long = "forbid", value_name = "FOLDER")]
    forbidden: Vec<String>,
    /// Only the places in forbidden folders, and the number of all.
    #[arg(long)]
    brief: bool,
}

/// Where a panic can begin.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Source lines from the innermost, `file:line function`.
    lines: Vec<String>,
    /// The panic function.
    target: String,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let mut clean = true;
    for elf in &options.elves {
        clean &= report(elf, &options)?;
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the places in one kernel; whether none is in a forbidden folder.
fn report(elf: &Path, options: &Options) -> Result<bool> {
    let places = places(elf)?;
    let forbidden: BTreeSet<_> = places
        .iter()
        .filter(|place| place.lines.iter().any(|line| options.forbidden.iter().any(|folder| line.contains(folder))))
        .collect();
    if !options.brief {
        report_all(&places);
    }
    for place in &forbidden {
        println!("forbidden: {}", place.target);
        place.lines.iter().for_each(|line| println!("    {line}"));
    }
    let (all, forbidden) = (places.len(), forbidden.len());
    println!("{}: {all} places where a panic can begin, {forbidden} in forbidden folders", elf.display());
    Ok(forbidden == 0)
}

fn report_all(places: &[Place]) {
    let mut by_line = BTreeMap::<(&str, &str), usize>::new();
    for place in places {
        let own = place.lines.iter().find(|line| !line.starts_with("library/")).or(place.lines.last());
        *by_line.entry((own.map_or("?", |line| line), &place.target)).or_default() += 1;
    }
    for ((line, target), count) in by_line {
        println!("{count:4}  {line}  ({target})");
    }
}

fn places(path: &Path) -> Result<Vec<Place>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let elf = object::File::parse(&*bytes)?;
    let targets: BTreeMap<u64, String> = elf
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .filter_map(|symbol| Some((symbol.address(), format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?)))))
        .filter(|(_, name)| PANICS.iter().any(|panic| name.starts_with(panic)))
        .collect();
    if targets.is_empty() {
        return Err(anyhow!("{} has no symbol of a panic function: is it stripped?", path.display()));
    }
    let text = elf.section_by_name(".text").context("the kernel has no .text")?;
    let code = text.data()?;
    let loader = Loader::new(path).map_err(|error| anyhow!("no debug information: {error}"))?;
    let mut places = Vec::new();
    let mut decoder = Decoder::with_ip(64, code, text.address(), DecoderOptions::NONE);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let leads = matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
        );
        // A panic function that calls another is no place of its own.
        if let (true, Some(target)) = (leads, targets.get(&instruction.near_branch_target()))
            && let lines = lines(&loader, instruction.ip())?
            && !lines.iter().all(|line| line.starts_with("library/"))
        {
            places.push(Place { lines, target: target.clone() });
        }
    }
    Ok(places)
}

/// The source lines that an address stands for, from the innermost of what was inlined.
fn lines(loader: &Loader, address: u64) -> Result<Vec<String>> {
    let mut frames = loader.find_frames(address).map_err(|error| anyhow!("debug information is damaged: {error}"))?;
    let mut lines = Vec::new();
    while let Some(frame) = frames.next().map_err(|error| anyhow!("debug information is damaged: {error}"))? {
        let (file, line) =
            frame.location.map_or(("?", 0), |place| (place.file.unwrap_or("?"), place.line.unwrap_or(0)));
        let function = frame.function.map_or_else(
            || "?".into(),
            |function| function.demangle().map_or_else(|_| "?".to_string(), |name| name.into_owned()),
        );
        lines.push(format!("{}:{line} {function}", shorten(file)));
    }
    Ok(lines)
}

/// A source file's path from the workspace or the standard library on.
fn shorten(file: &str) -> &str {
    if let Some(at) = file.find("/library/") {
        return &file[at + 1..];
    }
    // A library of others: from its own folder on.
    if let Some((_, path)) = file.split_once("/registry/src/") {
        return path.split_once('/').map_or(path, |(_, path)| path);
    }
    let folders = ["kernel/", "capsules/", "chips/", "boards/"];
    let start = folders.iter().filter_map(|folder| file.find(&format!("/{folder}"))).min();
    start.map_or(file, |at| &file[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_workspace_or_the_library() {
        assert_eq!(shorten("/somewhere/src/kernel/src/grant.rs"), "kernel/src/grant.rs");
        assert_eq!(shorten("/usr/src/rustc-1.0/library/core/src/option.rs"), "library/core/src/option.rs");
        assert_eq!(shorten("/cache/registry/src/mirror/heapless-0.9/src/vec.rs"), "heapless-0.9/src/vec.rs");
        assert_eq!(shorten("main.rs"), "main.rs");
    }
}
