//! `netlab bridge`: carries frames between two wires, and treats them as badly as it is told to.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use slopos_netlab::bridge::{Address, Bridge, End};
use slopos_netlab::impair::{Counters, Profile};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Plays the bad network.
#[derive(Parser)]
#[command(version)]
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
    /// Frames held back for 5 ms while others pass, in percent.
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
    /// Bytes under way at most.
    #[arg(long, value_name = "BYTES")]
    queue: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    Both,
    ToLeft,
    ToRight,
}

impl Options {
    fn profile(&self) -> Profile {
        let per_mille = |percent: f64| (percent.clamp(0.0, 100.0) * 10.0).round() as u32;
        Profile {
            loss: per_mille(self.loss),
            duplicate: per_mille(self.duplicate),
            reorder: per_mille(self.reorder),
            reorder_by: Duration::from_millis(5),
            corrupt: per_mille(self.corrupt),
            delay: Duration::from_millis(self.delay),
            jitter: Duration::from_millis(self.jitter),
            rate: self.rate.map(|rate| rate.saturating_mul(1000)),
            queue: self.queue,
        }
    }
}

fn main() -> Result<()> {
    let Command::Bridge(options) = Arguments::parse().command;
    let profile = |direction| if options.direction == direction { Profile::default() } else { options.profile() };
    let (to_right, to_left) = (profile(Direction::ToLeft), profile(Direction::ToRight));
    let (left, right) = (End::open(&options.left)?, End::open(&options.right)?);
    let mut bridge = Bridge::new(left, right, to_right, to_left, options.seed);
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
    bridge.run(&stop).context("the bridge")?;
    let (to_right, to_left, unsent) = bridge.counters();
    print("to the right", &to_right);
    print("to the left", &to_left);
    println!("not taken by an end: {unsent}");
    Ok(())
}

fn print(direction: &str, counters: &Counters) {
    let Counters { put, given, lost, overflowed, doubled, reordered, corrupted } = counters;
    println!(
        "{direction}: {put} frames in, {given} out, {lost} lost, {overflowed} overflowed, {doubled} doubled, \
         {reordered} reordered, {corrupted} corrupted"
    );
}
