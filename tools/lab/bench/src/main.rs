//! `bench`: measures the board beside a Linux guest; `bench scale` measures what more sockets and processes cost.

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use slopos_bench::figures::Settings;
use slopos_bench::guest::Images;
use slopos_bench::links::Links;
use slopos_bench::measure::{MEASURES, Measure};
use slopos_bench::plot;
use slopos_bench::report::{self, Row, Setting, Verdict};
use slopos_bench::scale::cli as scale;
use slopos_bench::series;
use slopos_cli::{Progress, note};
use slopos_lab::report::write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures the board and a Linux guest in turns, and prints a table of medians.
#[derive(Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true, after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The measures; all of them, unless some are named.
    #[arg(value_parser = PossibleValuesParser::new(MEASURES.iter().map(|measure| measure.name)), value_name = "NAME",
        hide_possible_values = true)]
    names: Vec<String>,
    /// Lists the measures.
    #[arg(long)]
    list: bool,
    /// Runs of each guest after its warm-up; five, or ten where much depends on chance.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// How often a run that other work disturbed is tried again.
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: u32,
    /// Measures Linux with the device's offloads too.
    #[arg(long)]
    with_offloads: bool,
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the table.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Shows disturbed figures too, and says so. For development: the exit status stays 1.
    #[arg(long)]
    disturbed_too: bool,
    /// The board: a folder of boards/, whose kernel and flash are in build/ by its name.
    #[arg(long, value_name = "BOARD", default_value = "qemu_q35")]
    board: String,
    /// The board's files without their endings: IMAGE.elf is the kernel, IMAGE.img the flash; build/BOARD unless given.
    #[arg(long, value_name = "IMAGE", conflicts_with = "board")]
    image: Option<PathBuf>,
    /// The Linux guest's folder.
    #[arg(long, value_name = "FOLDER", default_value = "build/linux")]
    linux: PathBuf,
}

/// What is measured without a Linux guest.
#[derive(Subcommand)]
enum Command {
    Scale(scale::Arguments),
}

const HELP: &str = "\
Examples:
  bench --list
  bench boot tap-bulk --runs 10 --json figures.json
  bench boot --board microvm
  bench scale sockets --apps target/bare-apps/x86_64-unknown-none/release

Exit status:
  0  every figure may be published
  1  one may not: a guest failed, or other work disturbed the machine; or there is nothing to measure with
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(|arguments: Arguments| {
        let publishable = match &arguments.command {
            Some(Command::Scale(arguments)) => scale::measure(arguments),
            None => bench(&arguments),
        }?;
        Ok(if publishable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Whether every figure may be published.
fn bench(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        for Measure { name, about, quantity, bar, .. } in &MEASURES {
            println!("{name:<12} {about} [{}; {bar}]", quantity.unit());
        }
        println!("{:<12} more sockets and processes on a board of its own; see bench scale --help", "scale");
        return Ok(true);
    }
    let names = &arguments.names;
    let measures = MEASURES.iter().filter(|measure| names.is_empty() || names.iter().any(|name| name == measure.name));
    let image = arguments.image.clone().unwrap_or_else(|| Path::new("build").join(&arguments.board));
    let settings = Settings {
        images: Images { board: image, linux: arguments.linux.clone() },
        runs: arguments.runs,
        retries: arguments.retries,
        disturbed_too: arguments.disturbed_too,
        offloads: arguments.with_offloads,
    };
    let setting = setting(arguments)?;
    let links = Links::new()?;
    let mut rows = Vec::new();
    let progress = Progress::new(measures.clone().count() as u64, "measures");
    for measure in measures {
        let row = Row::new(measure, progress.step(measure.about, || series::run(measure, &links, &settings)));
        match (row.verdict, &row.reason) {
            (Verdict::Skipped, Some(reason)) => note(format_args!("SKIPPED: {}: {reason}", measure.name)),
            (Verdict::Failed, Some(reason)) => note(format_args!("{}: {reason}", measure.name)),
            _ => {}
        }
        rows.push(row);
        // All that is there so far, so that a long run that is broken off has not been for nothing.
        if let Some(file) = &arguments.json {
            write(file, &report::json(&setting, &rows)?)?;
        }
    }
    drop(progress);
    println!("{}, {}; Linux guest: {}; server: {}\n", setting.processor, setting.qemu, setting.linux, setting.server);
    print!("{}", report::table(&rows, arguments.with_offloads));
    if arguments.disturbed_too {
        println!("\nMeasured with --disturbed-too: not to be published.");
    }
    if let Some(file) = &arguments.plot {
        plot::write(&rows, file)?;
    }
    Ok(!arguments.disturbed_too && rows.iter().all(|row| row.is_published() || row.verdict == Verdict::Skipped))
}

/// What the figures depend on besides the code.
fn setting(arguments: &Arguments) -> Result<Setting> {
    let file = arguments.linux.join("version");
    let linux = fs::read_to_string(&file)
        .with_context(|| format!("there is no {}; run ./just bench, which makes the Linux guest", file.display()))?;
    let program = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
    let version = std::process::Command::new(&program).arg("--version").output();
    let version = version.with_context(|| format!("{} cannot be started", program.to_string_lossy()))?;
    let version = String::from_utf8_lossy(&version.stdout);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim() == "model name")
        .map(|(_, model)| model.trim())
        .collect();
    let algorithm = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").context("no TCP")?;
    Ok(Setting {
        qemu: version.lines().next().unwrap_or("QEMU of an unknown version").to_owned(),
        linux: linux.trim().to_owned(),
        processor: format!("{} x {}", models.len(), models.first().unwrap_or(&"unknown")),
        server: format!("nginx with {} unless a measure says otherwise", algorithm.trim()),
        disturbed_too: arguments.disturbed_too,
    })
}
