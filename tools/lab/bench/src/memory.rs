//! The least memory with which a guest boots and fetches, by bisection.

use crate::figures::{Figures, Sample, Settings};
use crate::guest::Guest;
use crate::links::Links;
use crate::measure::Measure;
use anyhow::{Context, Result, bail};
use slopos_cli::note;
use slopos_lab::report::Summary;

/// With how many MiB each guest does boot.
fn enough(guest: Guest) -> u32 {
    match guest {
        Guest::Slopos => 16,
        Guest::Linux | Guest::LinuxOffloads => 256,
    }
}

/// Finds the least memory of each guest.
///
/// # Errors
/// A guest does not boot with what it has elsewhere.
pub fn run(measure: &Measure, links: &Links, settings: &Settings) -> Result<Vec<Figures>> {
    let job = links.job(measure.wire, measure.length, measure.count)?;
    let site = links.site(measure.wire, measure.congestion_control)?;
    let mut all = Vec::new();
    for guest in settings.guests() {
        let size = least(1, enough(*guest), |size| {
            let run = site.run(&settings.images, *guest, &job, 0, Some(size));
            note(format_args!(
                "{} {} with {size} MiB: {}",
                measure.name,
                guest.title(),
                if run.is_ok() { "boots" } else { "no" }
            ));
            run.map(drop)
        })?;
        let value = f64::from(size);
        let summary = Summary::of(&[value]).context("a size is a number")?;
        // No time is measured, so that nothing can disturb it.
        let sample = Sample {
            value,
            guest_seconds: 0.0,
            host_seconds: 0.0,
            other_load: 0.0,
            frames_not_taken: 0,
            disturbed: false,
        };
        all.push(Figures { guest: *guest, summary, samples: vec![sample] });
    }
    Ok(all)
}

/// The least size from `low` to `high` that `works`, where every larger one works too.
fn least(low: u32, high: u32, mut works: impl FnMut(u32) -> Result<()>) -> Result<u32> {
    if let Err(why) = works(high) {
        bail!("it does not boot with {high} MiB: {why:#}");
    }
    // Everything below `low` is too small or not asked for; `high` works.
    let (mut low, mut high) = (low, high);
    while low < high {
        let middle = low + (high - low) / 2;
        if works(middle).is_ok() {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_found_in_few_steps() {
        for answer in 1..=256 {
            let mut steps = 0;
            let found = least(1, 256, |size| {
                steps += 1;
                if size >= answer { Ok(()) } else { bail!("too small") }
            });
            assert_eq!(found.expect("one works"), answer);
            assert!(steps <= 9, "{steps}");
        }
        assert!(least(1, 16, |_| bail!("never")).is_err());
    }
}
