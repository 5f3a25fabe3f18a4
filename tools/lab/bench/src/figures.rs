//! How a measure is run, and the figures that its runs give.

use crate::guest::{Guest, Images};
use serde::Serialize;
use slopos_lab::report::Summary;

/// How a series is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the guests' files are.
    pub images: Images,
    /// Runs of each guest; each measure's own number where there is none.
    pub runs: Option<u32>,
    /// How often a disturbed run is tried again.
    pub retries: u32,
    /// Whether a disturbed run counts when it cannot be had better. For development only.
    pub disturbed_too: bool,
    /// Whether Linux with its offloads is measured too.
    pub offloads: bool,
}

impl Settings {
    /// The guests, in the order of their turns.
    pub fn guests(&self) -> &'static [Guest] {
        if self.offloads {
            &[Guest::Slopos, Guest::Linux, Guest::LinuxOffloads]
        } else {
            &[Guest::Slopos, Guest::Linux]
        }
    }
}

/// One run that counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// The figure.
    pub value: f64,
    /// How long the transfer took by the guest's clock, in seconds; the figure of a rate is made of it.
    pub guest_seconds: f64,
    /// The same by the host's clock.
    pub host_seconds: f64,
    /// What other work took meanwhile, in cores.
    pub other_load: f64,
    /// Frames that an end of the bridge did not take.
    pub frames_not_taken: u64,
    /// Whether the figure is not to be believed.
    pub disturbed: bool,
}

/// The runs of one guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Who.
    pub guest: Guest,
    /// What they come to.
    #[serde(flatten)]
    pub summary: Summary,
    /// The runs.
    pub samples: Vec<Sample>,
}
