//! The command `bench scale`.

use super::report::{self, Measured, Memory};
use super::run::Bench;
use super::{CURVES, plot};
use crate::links::Wire;
use anyhow::{Result, bail};
use slopos_audit::{Audit, account};
use slopos_cli::Progress;
use slopos_lab::report::write;
use std::path::{Path, PathBuf};

/// Moves the same bytes over more and more sockets and processes, and prints what each costs per byte. Exits with 1 where
/// memory grows by more than the grants, or where a figure cannot be published, because a run failed or other work
/// disturbed it.
#[derive(clap::Args)]
pub struct Arguments {
    /// One curve alone: sockets or processes.
    curve: Option<String>,
    /// Timed runs of each point.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How often a run that other work disturbed is tried again.
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: u32,
    /// Takes QEMU's user networking instead of a tap in a network namespace.
    #[arg(long)]
    user: bool,
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the curves.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The board's files without their endings: IMAGE.elf is the kernel, IMAGE.img the flash.
    #[arg(long, value_name = "IMAGE", default_value = "build/qemu_q35-scale")]
    image: PathBuf,
    /// The kernel of the board with one network process, for what is shared.
    #[arg(long, value_name = "ELF", default_value = "build/qemu_q35.elf")]
    small: PathBuf,
    /// The folder with the ELF files of the apps.
    #[arg(long, value_name = "FOLDER")]
    apps: PathBuf,
}

/// Measures, and says whether every figure may be published.
///
/// # Errors
/// A run fails, or a file cannot be written.
pub fn measure(arguments: &Arguments) -> Result<bool> {
    let chosen: Vec<_> =
        CURVES.iter().filter(|curve| arguments.curve.as_deref().is_none_or(|name| name == curve.name)).collect();
    if chosen.is_empty() {
        bail!("there is no such curve; there are {}", CURVES.map(|curve| curve.name).join(" and "));
    }
    let wire = if arguments.user { Wire::User } else { Wire::Tap };
    let bench = Bench::new(&arguments.image, &arguments.apps, wire, arguments.retries)?;
    let memory = Memory::of(&audit(&bench.kernel())?, &audit(&arguments.small)?)?;
    let mut curves = Vec::new();
    // Each point has a warm-up, its runs, and a count of instructions.
    let points = chosen.iter().map(|curve| curve.points.len() as u64).sum::<u64>();
    let progress = Progress::new(points * (u64::from(arguments.runs) + 2), "runs");
    for curve in chosen {
        let mut figures: Vec<_> = curve.points.map(|point| (point, Vec::new())).into_iter().collect();
        // A warm-up, then in turns, so that what changes on the machine meanwhile changes all points alike.
        for round in 0..=arguments.runs {
            for (point, samples) in &mut figures {
                let what = format!("round {round}: {} sockets in {} processes", point.sockets, point.processes);
                let sample = progress.step(what, || bench.timed(*point))?;
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        let figures = figures.into_iter().map(|(point, samples)| {
            let what = format!("counting {} sockets in {} processes", point.sockets, point.processes);
            Ok((point, samples, progress.step(what, || bench.counted(point))?))
        });
        let figures = figures.collect::<Result<Vec<_>>>()?;
        curves.push(Measured::of(curve, &figures, &memory)?);
    }
    drop(progress);
    println!("Nobody but the board and nginx, {}.\n", if arguments.user { "user networking" } else { "a tap" });
    print!("{}", report::text(&curves, &memory));
    if let Some(file) = &arguments.json {
        write(file, &report::json(&curves, &memory)?)?;
    }
    if let Some(file) = &arguments.plot {
        plot::write(&curves, file)?;
    }
    Ok(memory.grows_by_the_grants() && curves.iter().all(Measured::is_published))
}

fn audit(kernel: &Path) -> Result<Audit> {
    let (image, manifest) = slopos_audit::read(kernel)?;
    Ok(account::audit(&image, &manifest))
}
