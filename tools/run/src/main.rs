//! `run`: boots the board in QEMU and shows both of its serial ports as one log.

use anyhow::{Context, Result};
use clap::Parser;
use slopos_run::command_line::{Options, status};
use slopos_run::{Decoder, Event, Printer, Style};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Boots the board in QEMU and shows both of its serial ports as one log.
#[derive(Parser)]
#[command(name = "run", after_help = HELP)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// The kernel's command line: console commands separated by `;`.
    #[arg(long, value_name = "COMMANDS", default_value = "")]
    append: String,
    /// Takes the terminal as the board's serial line; Ctrl-A x quits.
    #[arg(long)]
    interactive: bool,
    /// Keeps in the image what the board writes to its flash.
    #[arg(long)]
    keep_flash: bool,
    /// Exits with the status of the last command instead of QEMU's code.
    #[arg(long)]
    status: bool,
    /// Boots nothing: decodes a saved COM2.
    #[arg(long, value_name = "FILE")]
    decode: Option<PathBuf>,
    /// More arguments for QEMU.
    #[arg(last = true)]
    qemu: Vec<OsString>,
}

const HELP: &str = "\
Examples:
  run --append 'webget http://10.0.2.2:8000/; exit'
  run --interactive
  run --append 'net; exit' --status --times --pcap net.pcap

Exit status:
  QEMU's own, (16 + status of the last command) * 2 + 1: 33 is success, 3 a panic of the kernel
  With --status: the status of the last command; 125 where the board ended without one
  1    the board cannot be started
  2    the command line is wrong
  124  the time that --timeout gives was up";

fn main() -> ExitCode {
    // Codes above 255 do not exist: QEMU's are bytes, and signals have small numbers.
    slopos_cli::main(|arguments| Ok(ExitCode::from(run(arguments)? as u8)))
}

fn run(mut arguments: Arguments) -> Result<i32> {
    if arguments.interactive {
        arguments.options.monitor_by_default();
    }
    let options = &arguments.options;
    if let Some(file) = &arguments.decode {
        decode(&options.kernel(), file, options.times)?;
        return Ok(0);
    }
    let machine = options
        .machine()
        .append(arguments.append)
        .keep_flash(arguments.keep_flash)
        .interactive(arguments.interactive)
        .arguments(arguments.qemu);
    let outcome = options.boot(machine, arguments.interactive)?;
    if outcome.quit {
        return Ok(0);
    }
    Ok(if arguments.status { status(outcome.code) } else { outcome.code })
}

/// Prints the log in a saved COM2.
fn decode(kernel: &Path, file: &Path, times: bool) -> Result<()> {
    let decoder = Decoder::from_elf(kernel)?;
    let mut frames = decoder.stream();
    let mut printer = Printer::new(stdout(), Style::Lines, times);
    let mut input = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut bytes = [0; 65_536];
    loop {
        let count = input.read(&mut bytes).with_context(|| format!("cannot read {}", file.display()))?;
        if count == 0 {
            break;
        }
        for decoded in frames.push(&bytes[..count]) {
            printer.event(&decoded.into())?;
        }
    }
    if let Some(rest) = frames.finish() {
        printer.event(&Event::Log(rest))?;
    }
    printer.finish()?;
    Ok(())
}
