//! `audit`: which process holds how much network memory, and why.

use anyhow::{Context, Result};
use clap::Parser;
use slopos_audit::audit::SCHEMA;
use slopos_audit::{Audit, Memory, account, compare, html, live, text};
use std::path::PathBuf;
use std::process::ExitCode;

/// Says which process holds how much network memory, and why.
#[derive(Parser)]
#[command(name = "audit", after_help = HELP)]
struct Arguments {
    /// The board: a folder of boards/, whose kernel is in build/ by its name.
    #[arg(long, value_name = "BOARD", default_value = "qemu_q35", conflicts_with = "image")]
    board: String,
    /// The board's files without their endings: IMAGE.elf is the kernel, IMAGE.qmp the monitor of a running board;
    /// build/BOARD unless given.
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// Looks into the memory of a board that was started by `./just run`.
    #[arg(long, conflicts_with = "dump")]
    live: bool,
    /// The monitor of the running board, where it is not IMAGE.qmp.
    #[arg(long, value_name = "SOCKET", requires = "live")]
    qmp: Option<PathBuf>,
    /// Looks into a memory dump that QEMU's dump-guest-memory wrote.
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// Prints JSON instead of tables; tools/audit/README.md describes it.
    #[arg(long)]
    json: bool,
    /// Writes a page for a browser to this file as well.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints what changed since this JSON was written, instead of tables.
    #[arg(long, value_name = "OLD.json", conflicts_with = "json")]
    compare: Option<PathBuf>,
    /// Prints what is wrong and nothing else.
    #[arg(long, conflicts_with_all = ["json", "compare"])]
    quiet: bool,
}

const HELP: &str = "\
Examples:
  audit
  audit --live                                    while ./just run has a board
  audit --dump memory.dump --html audit.html
  audit --compare boards/qemu_q35/audit.json
  audit --board microvm

Exit status:
  0  every byte has an owner, the kernel is as the manifest says, and the budget holds
  1  one of these is not so: the message says which
  2  the audit could not be made, or the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main_or(2, run)
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let files = arguments.image.clone().unwrap_or_else(|| PathBuf::from("build").join(&arguments.board));
    let (image, manifest) = slopos_audit::read(&files.with_added_extension("elf"))?;
    let mut audit = account::audit(&image, &manifest);
    if arguments.live {
        let socket = arguments.qmp.clone().unwrap_or_else(|| files.with_added_extension("qmp"));
        let found = live::look_at_board(&image, &manifest, &socket)?;
        audit.problems.extend(found.disagreements());
        audit.live = Some(found);
    } else if let Some(file) = &arguments.dump {
        let found = live::look(&image, &manifest, &Memory::of_dump(file)?)?;
        // The board may have stopped in the middle of changing its sums, so a difference is told and is no fault.
        for disagreement in found.disagreements() {
            eprintln!("audit: note: {disagreement}");
        }
        audit.live = Some(found);
    }
    if let Some(file) = &arguments.html {
        std::fs::write(file, html::page(&audit)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    print!("{}", output(&arguments, &audit)?);
    for problem in &audit.problems {
        eprintln!("audit: {problem}");
    }
    Ok(if audit.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What goes to standard output.
fn output(arguments: &Arguments, audit: &Audit) -> Result<String> {
    if arguments.quiet {
        return Ok(String::new());
    }
    if arguments.json {
        return Ok(serde_json::to_string_pretty(audit)? + "\n");
    }
    let Some(file) = &arguments.compare else { return Ok(text::Text(audit).to_string()) };
    let old = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let old: Audit = serde_json::from_str(&old).with_context(|| format!("{} is no audit", file.display()))?;
    anyhow::ensure!(
        old.schema == SCHEMA,
        "{} has schema {}, and this tool writes {SCHEMA}",
        file.display(),
        old.schema
    );
    Ok(compare::compare(&old, audit))
}
