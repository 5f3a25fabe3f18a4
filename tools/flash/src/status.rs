//! What the versions of each app are: `flash status`.

use crate::image::Image;
use crate::update::{ordinal, version};
use anyhow::Result;
use serde::Serialize;
use slopos_abi::flash::{AppState, KIND_APP, Slot, TRIAL_STARTS, Trial};
use std::fmt::Write;

/// The state of a flash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What is wrong with a state sector, if anything is.
    pub faults: Vec<String>,
    /// The apps, in the order of the map.
    pub apps: Vec<App>,
}

/// An app's two slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct App {
    /// Its name.
    pub app: String,
    /// Both slots.
    pub slots: Vec<Row>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `first` or `second`.
    pub slot: &'static str,
    /// The version there; none where no whole record is.
    pub version: Option<String>,
    /// `confirmed`, `trial`, `spare` or `reverted`.
    pub state: &'static str,
    /// The starts of a trial.
    pub starts: Option<u8>,
    /// Why it was reverted, or what is wrong with the record.
    pub reason: Option<String>,
}

/// The state of each app in a flash.
pub fn status(image: &Image) -> Status {
    let (state, faults) = image.state();
    let faults = faults.iter().map(|(slot, fault)| format!("the {} state sector: {}", ordinal(*slot), fault.text()));
    let apps = image.slots().iter().enumerate().filter(|(_, entry)| entry.kind == KIND_APP).map(|(index, entry)| {
        let rows = Slot::ALL.map(|slot| row(image, entry, state.apps[index], slot));
        App { app: entry.name.clone(), slots: rows.into() }
    });
    Status { faults: faults.collect(), apps: apps.collect() }
}

fn row(image: &Image, entry: &crate::image::Slot, app: AppState, slot: Slot) -> Row {
    let record = image.record(entry, slot);
    let is_confirmed = slot == app.confirmed();
    let (state, starts, why) = match (app.trial(), app.reverted()) {
        _ if is_confirmed => ("confirmed", None, None),
        (Trial::Waiting, _) => ("trial", Some(0), None),
        (Trial::Begun { starts }, _) => ("trial", Some(starts), None),
        (Trial::None, Some(reason)) => ("reverted", None, Some(reason.text().to_owned())),
        (Trial::None, None) => ("spare", None, None),
    };
    let is_empty = image.is_empty(entry, slot);
    let fault = record.as_ref().err().filter(|_| !is_empty).map(|error| format!("bad: {error:#}"));
    let reason = match (why, fault) {
        (Some(why), Some(fault)) => Some(format!("{why}; {fault}")),
        (why, fault) => why.or(fault),
    };
    Row { slot: ordinal(slot), version: record.ok().map(|(header, _)| version(&header)), state, starts, reason }
}

impl Status {
    /// As a table for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for fault in &self.faults {
            // A string takes all that is written to it.
            let _ = writeln!(out, "{fault}");
        }
        let _ = writeln!(out, "{:<16} {:<6} {:<12} state", "app", "slot", "version");
        for App { app, slots } in &self.apps {
            for Row { slot, version, state, starts, reason } in slots {
                let version = version.as_deref().unwrap_or("-");
                let _ = write!(out, "{app:<16} {slot:<6} {version:<12} {state}");
                if let Some(starts) = starts {
                    let _ = write!(out, ", {starts} of {TRIAL_STARTS} starts");
                }
                if let Some(reason) = reason {
                    let _ = write!(out, ": {reason}");
                }
                out.push('\n');
            }
        }
        out
    }

    /// For machines.
    ///
    /// # Errors
    /// None that is known: there is nothing in it that JSON cannot say.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}
