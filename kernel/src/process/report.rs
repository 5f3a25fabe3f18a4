//! The lines that a process makes the kernel write, each kind with a budget of the process's own: none can push out
//! another's.

use crate::log_budget::LogBudget;
use crate::processor::Fault;
use crate::time::Instant;

use super::configuration::{Configuration, Restart};

/// The budgets of one process.
pub struct Logs {
    /// It was killed by a fault.
    fault: LogBudget,
    /// It asked for what the manifest does not grant.
    denial: LogBudget,
}

impl Logs {
    pub const fn new() -> Logs {
        Logs { fault: LogBudget::new(), denial: LogBudget::new() }
    }

    /// Says in the log what killed the process. One that starts again by itself can crash as often as its back-off lets it,
    /// so its reports have a budget; any other was started by somebody who waits for the report.
    pub fn report_fault(&mut self, configuration: &Configuration, fault: &Fault, now: Instant) {
        let name = configuration.name;
        if configuration.restart != Restart::Never && !self.fault.admit(name, now) {
            return;
        }
        defmt::error!(
            "process {=str}: killed by {=str}, error {=u64:#x}, address {=u64:#x}, instruction {=u64:#x}, stack {=u64:#x}",
            name,
            fault.name,
            fault.error,
            fault.address,
            fault.instruction,
            fault.stack
        );
    }

    /// Whether a line about something that the manifest does not grant may be written now.
    pub fn admit_denial(&mut self, name: &'static str, now: Instant) -> bool {
        self.denial.admit(name, now)
    }
}
