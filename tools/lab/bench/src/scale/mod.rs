//! What a socket or a process more costs: the same bytes over more and more of them, on a board of its own.
//!
//! [`cli`] is the command, [`run`] makes the runs of a [`Point`], [`report`] holds them against the first point of
//! their curve, [`plot`] draws them.

pub mod cli;
pub mod plot;
pub mod report;
pub mod run;

use anyhow::{Context, Result, bail};
use slopos_lab::report::value;
use std::fmt::Write;

/// Most of one process: what its descriptor table has beside the console's three. The manifest grants as many.
pub const SOCKETS_EACH: u32 = 29;
/// Processes of the board.
pub const PROCESSES: u32 = 18;

/// How much a figure per byte may be worse than that of one socket.
pub const TOLERANCE: f64 = 0.10;

/// Bytes of all bodies together in the shorter and in the longer run of a pair. A figure is what the longer one has
/// more: what both do falls out, which is boot, connections, requests, slow start.
pub const TOTALS: [u64; 2] = [64 << 20, 256 << 20];

/// Seconds that the board waits when one process has ended, for the others. All of them have the same to do for each of
/// their sockets.
const OTHERS_SECONDS: u32 = 3;

/// So many sockets in so many processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Sockets in all.
    pub sockets: u32,
    /// Processes that they are spread over.
    pub processes: u32,
}

/// Points whose figures are held against that of the first.
#[derive(Clone, Copy, Debug)]
pub struct Curve {
    /// What grows.
    pub name: &'static str,
    /// Its points.
    pub points: [Point; 5],
}

const fn point(sockets: u32, processes: u32) -> Point {
    Point { sockets, processes }
}

/// More sockets, over as many processes as it takes; then more processes with the same sockets.
pub const CURVES: [Curve; 2] = [
    Curve { name: "sockets", points: [point(1, 1), point(8, 1), point(32, 2), point(128, 5), point(512, 18)] },
    Curve { name: "processes", points: [point(16, 1), point(16, 2), point(16, 4), point(16, 8), point(16, 16)] },
];

impl Point {
    /// The sockets of each process, as even as can be.
    pub fn split(self) -> Vec<u32> {
        let (each, more) = (self.sockets / self.processes, self.sockets % self.processes);
        (0..self.processes).map(|process| each + u32::from(process < more)).collect()
    }

    /// Bytes of a body, where all of them together have `total`.
    pub fn bytes_each(self, total: u64) -> u64 {
        total / u64::from(self.sockets)
    }

    /// The console's commands for a run: all processes in the background but one, which the console waits for.
    pub fn commands(self, url: &str, bytes_each: u64) -> String {
        let mut commands = String::new();
        for (process, sockets) in self.split().into_iter().enumerate().rev() {
            let start = if process == 0 { "" } else { "start " };
            write!(commands, "{start}spread{process} {sockets} {bytes_each} {url}; ").expect("a string takes all");
        }
        // One process ends when it is done, and there is nobody to wait for.
        if self.processes > 1 {
            write!(commands, "sleep {OTHERS_SECONDS}; ").expect("a string takes all");
        }
        commands.truncate(commands.trim_end_matches("; ").len());
        commands
    }

    /// How long the transfer took by the board's clock, in seconds: from the first process's begin to the last one's
    /// end.
    ///
    /// # Errors
    /// A process has not said that it is done, or received something else than it had to.
    pub fn seconds(self, console: &str, bytes_each: u64) -> Result<f64> {
        let (mut begin, mut end) = (u64::MAX, 0);
        for (process, sockets) in self.split().into_iter().enumerate() {
            let name = format!("spread{process}: done ");
            let line = console.lines().find_map(|line| line.trim_end().strip_prefix(&name));
            let line = line.with_context(|| format!("spread{process} is not done"))?;
            let figure = |key: &str| -> Result<u64> {
                Ok(value(line, key).with_context(|| format!("no {key} in {line:?}"))?.parse()?)
            };
            if (figure("sockets")?, figure("bytes")?) != (sockets.into(), bytes_each * u64::from(sockets)) {
                bail!("spread{process} had {sockets} sockets with {bytes_each} bytes each to fetch: {line}");
            }
            (begin, end) = (begin.min(figure("begin_ms")?), end.max(figure("end_ms")?));
        }
        if end <= begin {
            bail!("the transfer was too short for the board's clock");
        }
        Ok((end - begin) as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_fits_the_board_and_moves_the_same_bytes() {
        for point in CURVES.iter().flat_map(|curve| curve.points) {
            let split = point.split();
            assert_eq!(split.iter().sum::<u32>(), point.sockets);
            assert!(split.iter().all(|&sockets| (1..=SOCKETS_EACH).contains(&sockets)), "{split:?}");
            assert!(split.len() as u32 <= PROCESSES);
            for total in TOTALS {
                assert_eq!(point.bytes_each(total) * u64::from(point.sockets), total);
            }
            // The kernel takes 1,024 bytes of command line.
            let bytes_each = point.bytes_each(TOTALS[1]);
            let commands = point.commands(&format!("http://10.0.2.2:65535/{bytes_each}"), bytes_each);
            assert!(commands.len() + "; exit".len() <= 1024, "{}", commands.len());
        }
    }

    #[test]
    fn the_last_command_is_waited_for() {
        assert_eq!(point(1, 1).commands("u", 5), "spread0 1 5 u");
        assert_eq!(point(5, 2).commands("u", 7), "start spread1 2 7 u; spread0 3 7 u; sleep 3");
    }

    #[test]
    fn a_transfer_lasts_from_the_first_begin_to_the_last_end() {
        let console = "spread1: done sockets=2 bytes=14 begin_ms=100 end_ms=350\r\nother\n\
                       spread0: done sockets=3 bytes=21 begin_ms=102 end_ms=600\r\n";
        assert_eq!(point(5, 2).seconds(console, 7).unwrap(), 0.5);
        assert!(point(5, 2).seconds(console, 8).is_err(), "other bytes");
        assert!(point(4, 2).seconds(console, 7).is_err(), "other sockets");
        let (first, _) = console.split_once("other").expect("two lines");
        assert!(point(5, 2).seconds(first, 7).unwrap_err().to_string().contains("spread0 is not done"));
    }
}
