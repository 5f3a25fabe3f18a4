//! `netlab bridge`: carries frames between two wires, and treats them as badly as it is told to.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use slopos_lab::bridge::{Address, Bridge, End};
use slopos_lab::impair::{Counters, Impairments};
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Plays the bad network.
#[derive(Parser)]
#[command(name = "netlab", after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Carries frames between two ends until its standard input ends; then prints what became of them.
    ///
    /// An end is `dgram:OWN,PEER`, for a QEMU with
    /// `-netdev dgram,local.type=unix,local.path=PEER,remote.type=unix,remote.path=OWN`, or `tap:NAME[@NAMESPACE]`.
    Bridge(Options),
}

#[derive(clap::Args)]
struct Options {
    /// One end.
    left: Address,
    /// The other end.
    right: Address,
    /// The impaired direction.
    #[arg(long, value_enum, default_value = "both")]
    direction: Direction,
    /// What the frames' fates are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Frames lost, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    loss: f64,
    /// Frames doubled, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    duplicate: f64,
    /// Frames held back for up to 5 ms while others pass, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    reorder: f64,
    /// Frames with a wrong bit, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    corrupt: f64,
    /// Time that each frame takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Time that some take more, at most, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    jitter: u64,
    /// Rate, in kilobits per second.
    #[arg(long, value_name = "KBIT")]
    rate: Option<u64>,
    /// Bytes that wait for the rate at most.
    #[arg(long, value_name = "BYTES")]
    queue: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    Both,
    ToLeft,
    ToRight,
}

impl Options {
    fn impairments(&self) -> Impairments {
        let per_mille = |percent: f64| (percent.clamp(0.0, 100.0) * 10.0).round() as u64;
        Impairments {
            loss: per_mille(self.loss),
            duplication: per_mille(self.duplicate),
            reordering: per_mille(self.reorder),
            reorder_us: 5_000,
            corruption: per_mille(self.corrupt),
            delay_us: self.delay.saturating_mul(1_000),
            jitter_us: self.jitter.saturating_mul(1_000),
            rate: self.rate.map(|kilobits| kilobits.saturating_mul(1_000) / 8),
            queue_bytes: self.queue,
            outage: None,
        }
    }
}

const HELP: &str = "\
Examples:
  netlab bridge dgram:left,board tap:lab0 --loss 5 --delay 20
  netlab bridge dgram:left,board tap:lab0@lab --direction to-left --rate 10000

Exit status:
  0  the input ended, and so did the bridge
  1  an end cannot be opened, or failed
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(run)
}

fn run(arguments: Arguments) -> Result<()> {
    let Command::Bridge(options) = arguments.command;
    let impairments = [Direction::ToLeft, Direction::ToRight]
        .map(|other| if options.direction == other { Impairments::default() } else { options.impairments() });
    let (left, right) = (End::open(&options.left)?, End::open(&options.right)?);
    let mut bridge = Bridge::new(left, right, impairments, options.seed);
    let stop = Arc::new(AtomicBool::new(false));
    let at_end = Arc::clone(&stop);
    // Not joined: it waits for the end of the input, and the bridge may fail before.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut bytes = [0; 256];
        // An input that fails is at its end as well.
        while matches!(input.read(&mut bytes), Ok(1..)) {}
        at_end.store(true, Ordering::Relaxed);
    });
    eprintln!("netlab: the bridge is up");
    let carried = bridge.run(&stop).context("the bridge")?;
    print("to the right", &carried.to_right);
    print("to the left", &carried.to_left);
    println!("not taken by an end: {}", carried.not_taken);
    Ok(())
}

fn print(direction: &str, counters: &Counters) {
    let Counters { frames, arrived, lost, overflowed, duplicated, reordered, corrupted, .. } = counters;
    println!(
        "{direction}: {frames} frames in, {arrived} out, {lost} lost, {overflowed} overflowed, {duplicated} doubled, \
         {reordered} reordered, {corrupted} corrupted"
    );
}
