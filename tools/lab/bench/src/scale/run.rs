//! The runs of a point: timed ones, watched for disturbance, and counted ones under the plugin of `tools/lab/count`.

use super::{Point, TOTALS};
use crate::links::{Links, Wire};
use crate::load::{Meter, undisturbed};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use slopos_count::figure::Figure;
use slopos_count::profile::{Board, Peer};
use slopos_count::symbols::Symbols;
use slopos_run::{Accelerator, Machine, Verdict, verdict};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Memory of the board, in MiB: its grants are 34.
const MEMORY: u32 = 64;

/// Longest timed run.
const LIMIT: Duration = Duration::from_secs(120);

/// What the runs need.
pub struct Bench {
    links: Links,
    wire: Wire,
    board: Board,
    symbols: Symbols,
    /// How often a disturbed run is tried again.
    retries: u32,
}

/// A pair of timed runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Bytes of bodies, in units of 10^6 a second: what the longer run has more of them, by what it takes longer.
    pub rate: f64,
    /// The same of the longer run alone, from the first connect to the last byte.
    pub with_connections: f64,
    /// What other work took meanwhile, in cores; the greater of the two runs'.
    pub other_load: f64,
    /// Whether the figures are not to be believed.
    pub disturbed: bool,
}

/// One timed run.
struct Timed {
    seconds: f64,
    other_load: f64,
    disturbed: bool,
}

impl Bench {
    /// For the board `image`, and the program that `apps` has for it.
    ///
    /// # Errors
    /// A server does not start, or the board is not built.
    pub fn new(image: &Path, apps: &Path, wire: Wire, retries: u32) -> Result<Bench> {
        let board = Board { image: image.to_owned(), memory: MEMORY };
        let symbols = Symbols::open(&board.kernel(), &apps.join("spread"))?;
        Ok(Bench { links: Links::new()?, wire, board, symbols, retries })
    }

    /// The kernel's ELF.
    pub fn kernel(&self) -> PathBuf {
        self.board.kernel()
    }

    /// A pair of timed runs, each tried again while other work disturbs it.
    ///
    /// # Errors
    /// The board does not boot, or a process does not receive what it has to.
    pub fn timed(&self, point: Point) -> Result<Sample> {
        let [short, long] = [self.once(point, TOTALS[0])?, self.once(point, TOTALS[1])?];
        let more = long.seconds - short.seconds;
        ensure!(more > 0.0, "a longer run took {} s, and a shorter one {} s", long.seconds, short.seconds);
        Ok(Sample {
            rate: (TOTALS[1] - TOTALS[0]) as f64 / 1e6 / more,
            with_connections: TOTALS[1] as f64 / 1e6 / long.seconds,
            other_load: short.other_load.max(long.other_load),
            disturbed: short.disturbed || long.disturbed,
        })
    }

    fn once(&self, point: Point, total: u64) -> Result<Timed> {
        let bytes_each = point.bytes_each(total);
        let commands = point.commands(&self.links.job(self.wire, bytes_each, 1)?.url, bytes_each);
        // The work in the namespace is another thread's, and what is known of symbols stays in this one.
        let image = &self.board.image;
        let run = || {
            let site = self.links.site(self.wire, None)?;
            let meter = Meter::start(&site.pids())?;
            let outcome = site.within(|netdev| {
                Machine::image(image)
                    .append(format!("{commands}; exit"))
                    .netdev(netdev)
                    .memory(format!("{MEMORY}M"))
                    .accelerator(Accelerator::Tcg)
                    .timeout(LIMIT)
                    .run()
            })?;
            let load = meter.finish()?;
            let seconds = match verdict(outcome.code) {
                Verdict::Exit(0) => point.seconds(&outcome.console, bytes_each).with_context(|| outcome.words())?,
                other => bail!("the board ended with {other:?}:\n{}", outcome.words()),
            };
            let disturbed = load.disturbed();
            Ok((Timed { seconds, other_load: load.share(), disturbed }, disturbed))
        };
        undisturbed(self.retries, run)
    }

    /// Instructions per KiB: what the longer of two runs has more than the shorter one.
    ///
    /// # Errors
    /// As [`Bench::timed`].
    pub fn counted(&self, point: Point) -> Result<Figure> {
        let run = |total| -> Result<_> {
            let bytes_each = point.bytes_each(total);
            let commands = point.commands(&self.links.job(self.wire, bytes_each, 1)?.url, bytes_each);
            let (site, board) = (self.links.site(self.wire, None)?, &self.board);
            let (profile, console) = site.within(|netdev| board.run(&commands, Peer::Link(netdev)))?;
            point.seconds(&console, bytes_each).with_context(|| console.clone())?;
            self.symbols.sort(&profile)
        };
        Figure::between("per KiB", [run(TOTALS[0])?, run(TOTALS[1])?], (TOTALS[1] - TOTALS[0]) / 1024)
    }
}
