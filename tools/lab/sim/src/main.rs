//! `sim`: runs simulated networks by seed. A seed that fails is printed with the command that runs it again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use slopos_cli::{Progress, note};
use slopos_sim::Figures;

/// Seeds that a thread takes at a time.
const SHARE: u64 = 50;
/// How often a long run says how far it is where there is no terminal.
const REPORT: Duration = Duration::from_secs(10);

/// Runs the network stack in simulated networks.
#[derive(Parser)]
#[command(name = "sim", after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds, up to the first that fails, and prints what was counted.
    Soak {
        /// How many.
        #[arg(default_value_t = 100_000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many at a time; by default as many as there are processors.
        #[arg(long)]
        threads: Option<usize>,
        /// Goes on after a failure.
        #[arg(long)]
        keep_going: bool,
    },
    /// Runs one seed.
    Seed {
        /// Which one.
        seed: u64,
        /// Prints the scenario and each frame.
        #[arg(long)]
        trace: bool,
    },
    /// Prints the commands that an input of the fuzz target `stack` means, and runs them.
    Commands {
        /// The input.
        file: PathBuf,
    },
    /// Writes the corpus for the fuzzer from the frames of simulated exchanges.
    Corpus {
        /// Where to; each target gets a folder.
        folder: PathBuf,
    },
}

const HELP: &str = "\
Examples:
  sim soak 100000 --keep-going
  sim seed 4711 --trace
  sim commands crash-0123456789abcdef

Exit status:
  0  every seed passed
  1  a seed failed, and is printed with the command that runs it again; or a file cannot be read or written
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(run)
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let passed = match arguments.command {
        Command::Soak { seeds, from, threads, keep_going } => soak(from, seeds, threads, keep_going),
        Command::Seed { seed, trace } => one(seed, trace),
        Command::Commands { file } => commands(&file),
        Command::Corpus { folder } => slopos_sim::corpus::write(&folder).map(|files| {
            println!("{files} files");
            true
        }),
    }?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(seed: u64, error: &anyhow::Error) {
    note(format_args!("seed {seed}: {error:#}"));
    note(format_args!("again: cargo run --release -p slopos-sim -- seed {seed} --trace"));
}

fn one(seed: u64, trace: bool) -> Result<bool> {
    match slopos_sim::run(seed, trace) {
        Ok(figures) => {
            print!("{figures}");
            Ok(true)
        }
        Err(error) => {
            report(seed, &error);
            Ok(false)
        }
    }
}

fn commands(file: &Path) -> Result<bool> {
    let input = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    for command in slopos_sim::targets::commands::Reader::new(&input) {
        println!("{command:?}");
    }
    slopos_sim::targets::stack(&input);
    Ok(true)
}

/// What the threads share.
struct Soak {
    next: AtomicU64,
    end: u64,
    stop: AtomicBool,
    failures: AtomicU64,
    sum: Mutex<Figures>,
}

impl Soak {
    fn work(&self, keep_going: bool) {
        while !self.stop.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(SHARE, Ordering::Relaxed);
            if first >= self.end {
                return;
            }
            let mut figures = Figures::default();
            for seed in first..self.end.min(first + SHARE) {
                match slopos_sim::run(seed, false) {
                    Ok(one) => figures += one,
                    Err(error) => {
                        report(seed, &error);
                        self.failures.fetch_add(1, Ordering::Relaxed);
                        self.stop.store(!keep_going, Ordering::Relaxed);
                    }
                }
            }
            *self.sum.lock().unwrap_or_else(PoisonError::into_inner) += figures;
        }
    }
}

fn soak(from: u64, seeds: u64, threads: Option<usize>, keep_going: bool) -> Result<bool> {
    let threads = match threads {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism()?.get(),
    };
    let begun = Instant::now();
    let soak = Soak {
        next: AtomicU64::new(from),
        end: from.saturating_add(seeds),
        stop: AtomicBool::new(false),
        failures: AtomicU64::new(0),
        sum: Mutex::new(Figures::default()),
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| soak.work(keep_going))).collect();
        let bar = Progress::new(seeds, "seeds");
        let mut reported = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            let taken = soak.next.load(Ordering::Relaxed).min(soak.end) - from;
            bar.done(taken);
            if bar.is_hidden() && reported.elapsed() >= REPORT {
                reported = Instant::now();
                note(format_args!("{taken} of {seeds} seeds, {} s", begun.elapsed().as_secs()));
            }
        }
    });
    print!("{}", soak.sum.lock().unwrap_or_else(PoisonError::into_inner));
    let failures = soak.failures.into_inner();
    println!("{:<36} {failures:>16}", "failures");
    println!("{:<36} {:>16.1}", "seconds on this machine", begun.elapsed().as_secs_f64());
    Ok(failures == 0)
}
