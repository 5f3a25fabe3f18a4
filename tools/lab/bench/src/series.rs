//! A measure's runs: a warm-up of each guest, then the guests in turns, each run watched for disturbance.

use crate::figures::{Figures, Sample, Settings};
use crate::guest::Guest;
use crate::links::Links;
use crate::load::{Load, Meter, undisturbed};
use crate::measure::{Measure, Quantity};
use crate::memory;
use anyhow::{Context, Result};
use slopos_cli::note;
use slopos_lab::report::Summary;

/// What became of a measure.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Figures of each guest, the board's first.
    Measured(Vec<Figures>),
    /// Other work did not let it be measured; what it was.
    Disturbed(String),
    /// It cannot be measured on this machine.
    Skipped(String),
}

/// Measures.
///
/// # Errors
/// A guest does not boot, or does not receive what it has to.
pub fn run(measure: &Measure, links: &Links, settings: &Settings) -> Result<Outcome> {
    // Tried here, so that what this machine cannot do is told from what fails.
    if let Err(why) = links.site(measure.wire, measure.congestion_control) {
        return Ok(Outcome::Skipped(format!("{why:#}")));
    }
    if measure.quantity == Quantity::Memory {
        return memory::run(measure, links, settings).map(Outcome::Measured);
    }
    let guests = settings.guests();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); guests.len()];
    let runs = settings.runs.unwrap_or(measure.runs);
    for round in 0..=runs {
        for (guest, samples) in guests.iter().zip(&mut samples) {
            // The same round loses by the same seed, whoever's turn it is. The warm-up is round 0.
            let sample = match once(measure, links, settings, *guest, round)? {
                Ok(sample) => sample,
                // A warm-up may be disturbed.
                Err(_) if round == 0 => continue,
                Err(why) => return Ok(Outcome::Disturbed(why)),
            };
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let figures = guests.iter().zip(samples).map(|(guest, samples)| {
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let summary = Summary::of(&values).context("no run")?;
        Ok(Figures { guest: *guest, summary, samples })
    });
    figures.collect::<Result<_>>().map(Outcome::Measured)
}

/// One run, tried again while other work disturbs it. The inner error says what disturbed the last one.
fn once(
    measure: &Measure,
    links: &Links,
    settings: &Settings,
    guest: Guest,
    round: u32,
) -> Result<std::result::Result<Sample, String>> {
    let job = links.job(measure.wire, measure.length, measure.count)?;
    let run = || {
        let site = links.site(measure.wire, measure.congestion_control)?;
        let meter = Meter::start(&site.pids())?;
        let passed = site.run(&settings.images, guest, &job, u64::from(round), None)?;
        let load = meter.finish()?;
        let value = measure.quantity.of(&passed.run).context("the transfer was too short for the guest's clock")?;
        let doubt = doubt(&load, passed.run.clocks_agree());
        let disturbed = doubt.is_some();
        let sample = Sample {
            value,
            guest_seconds: passed.run.done.seconds,
            host_seconds: passed.run.host.as_secs_f64(),
            other_load: load.share(),
            frames_not_taken: passed.not_taken,
            disturbed,
        };
        let kind = if round == 0 { "warm-up".to_owned() } else { format!("run {round}") };
        note(format_args!(
            "{} {}, {kind}: {} {}{}",
            measure.name,
            guest.title(),
            measure.quantity.show(value),
            measure.quantity.unit(),
            doubt.as_ref().map_or(String::new(), |why| format!(" (disturbed: {why})"))
        ));
        Ok(((sample, doubt), disturbed))
    };
    let (sample, doubt) = undisturbed(if round == 0 { 0 } else { settings.retries }, run)?;
    Ok(match doubt {
        Some(why) if !settings.disturbed_too => Err(why),
        _ => Ok(sample),
    })
}

/// Why a run's figure is not to be believed.
fn doubt(load: &Load, clocks_agree: bool) -> Option<String> {
    if load.disturbed() {
        Some(format!("other work took {:.0} % of a core", load.share() * 100.0))
    } else if !clocks_agree {
        Some("guest and host do not agree on how long it took".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_figure_is_doubted_for_load_and_for_clocks() {
        let load = |others| {
            let ms = Duration::from_millis;
            Load { wall: ms(1_000), own: ms(900), others: ms(others) }
        };
        assert_eq!(doubt(&load(20), true), None);
        assert!(doubt(&load(340), true).is_some_and(|why| why.contains("34 % of a core")));
        assert!(doubt(&load(20), false).is_some_and(|why| why.contains("how long")));
    }
}
