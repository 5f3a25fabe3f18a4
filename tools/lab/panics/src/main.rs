//! Lists the places in a linked kernel from which a panic can begin.
//!
//! Every direct call or jump in the code that leads to one of the language's panic functions is a place. The debug
//! information tells which source lines it stands for, through all inlining; the first line that is the project's own
//! names the place, and the folder of any of its lines may be forbidden: a place below a forbidden folder makes the
//! exit status 1.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::Parser;
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use slopos_elf::{Code, Frame};
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
#[command(name = "panics", after_help = HELP)]
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
struct Origin {
    /// Source lines from the innermost, `file:line function`.
    lines: Vec<String>,
    /// The panic function.
    target: String,
}

const HELP: &str = "\
Examples:
  panics build/qemu_q35.elf
  panics --brief --forbid capsules/net --forbid chips/virtio build/*.elf

Exit status:
  0  no panic can begin in a forbidden folder
  1  one can, or a kernel cannot be read
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(run)
}

fn run(options: Options) -> Result<ExitCode> {
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

fn report_all(places: &[Origin]) {
    let mut by_line = BTreeMap::<(&str, &str), usize>::new();
    for place in places {
        let own = place.lines.iter().find(|line| !line.starts_with("library/")).or(place.lines.last());
        *by_line.entry((own.map_or("?", |line| line), &place.target)).or_default() += 1;
    }
    for ((line, target), count) in by_line {
        println!("{count:4}  {line}  ({target})");
    }
}

fn places(path: &Path) -> Result<Vec<Origin>> {
    let code = Code::open(path)?;
    let targets = code.functions_named(&PANICS).with_context(|| path.display().to_string())?;
    let text = code.sections().iter().find(|section| section.name == ".text").context("the kernel has no .text")?;
    let mut places = Vec::new();
    let mut decoder = Decoder::with_ip(64, &text.bytes, text.address, DecoderOptions::NONE);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let leads = matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
        );
        // A panic function that calls another is no place of its own.
        if let (true, Some(target)) = (leads, targets.get(&instruction.near_branch_target()))
            && let lines = lines(&code.frames(instruction.ip())?)
            && !lines.iter().all(|line| line.starts_with("library/"))
        {
            places.push(Origin { lines, target: (*target).to_owned() });
        }
    }
    Ok(places)
}

/// The source lines of functions, for a person.
fn lines(frames: &[Frame]) -> Vec<String> {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let line = |frame: &Frame| {
        format!("{}:{} {}", or_unknown(&frame.file), frame.line.unwrap_or(0), or_unknown(&frame.function))
    };
    frames.iter().map(line).collect()
}
