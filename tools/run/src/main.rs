//! `run`: boots the board in QEMU and shows both of its serial ports as one log.

use anyhow::Result;
use clap::Parser;
use slopos_run::command_line::{NO_WORD, Options, status};
use slopos_run::{Decoder, Printer, Stop, Style, decode, writer_of};
use std::ffi::OsString;
use std::io::stdout;
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
    /// Keeps in the image what the board writes to its flash, which one board at a time can do.
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value = "never",
        default_missing_value = "always",
        overrides_with = "keep_flash"
    )]
    keep_flash: Keep,
    /// Exits with the status of the last command instead of QEMU's code; so does an interactive run.
    #[arg(long)]
    status: bool,
    /// Boots nothing: decodes a saved COM2, or the COM1 of a board without another port, with the kernel that wrote it.
    #[arg(long, value_name = "FILE")]
    decode: Option<PathBuf>,
    /// Decodes a log whose beginning is missing, in the belief that this kernel wrote it.
    #[arg(long, requires = "decode")]
    partial: bool,
    /// More arguments for QEMU.
    #[arg(last = true)]
    qemu: Vec<OsString>,
}

/// When what the board writes to its flash is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// Always; if another board keeps it, nothing boots.
    Always,
    /// Unless another board does.
    IfFree,
    /// Never: many boards can share an image.
    Never,
}

const HELP: &str = "\
Examples:
  run --append 'webget http://10.0.2.2:8000/; exit'
  run --interactive
  run --interactive < commands.txt
  run --decode build/com2.bin
  run --append 'net; exit' --status --times --pcap net.pcap

Exit status:
  QEMU's own, (16 + status of the last command) * 2 + 1: 33 is success, 3 a panic of the kernel
  With --status or --interactive: the status of the last command; 125 where the board ended without one
  0    interactive: the person quit, or the input has ended and was answered
  1    the board cannot be started, or the log is not to be decoded
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
        print_saved(&options.kernel(), file, arguments.partial, options.times)?;
        return Ok(0);
    }
    let machine = options
        .machine()
        .append(arguments.append)
        .keep_flash(keeps(arguments.keep_flash, &options.flash()))
        .interactive(arguments.interactive)
        .arguments(arguments.qemu);
    let outcome = options.boot(machine, arguments.interactive)?;
    Ok(match (outcome.stopped, outcome.code) {
        (Some(Stop::Quit), _) => 0,
        // QEMU's own: the board has not succeeded.
        (_, 0) => NO_WORD,
        (_, code) if arguments.status || arguments.interactive => status(code),
        (_, code) => code,
    })
}

/// Whether this board keeps its flash.
fn keeps(when: Keep, flash: &Path) -> bool {
    let holder = if when == Keep::IfFree { writer_of(flash) } else { None };
    if let Some(holder) = &holder {
        eprintln!("run: {} is in use by {holder}: what this board writes there is lost at its end", flash.display());
    }
    when != Keep::Never && holder.is_none()
}

/// Prints the log in what was saved of a port.
fn print_saved(kernel: &Path, file: &Path, partial: bool, times: bool) -> Result<()> {
    let decoder = Decoder::from_elf(kernel)?;
    let mut printer = Printer::new(stdout(), Style::Lines, times).likeness(decoder.likeness());
    let decoded = decode(&decoder, file, partial, |event| Ok(printer.event(&event)?));
    printer.finish()?;
    decoded
}
