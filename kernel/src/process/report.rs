//! The log lines that a process causes. Each kind has a budget for each process, so that no process pushes out the
//! lines of another.

use crate::log_budget::LogBudget;
use crate::processor::Fault;
use crate::time::Instant;

use super::configuration::{Configuration, Restart};

/// The log budgets of one process.
pub struct Logs {
    /// It was killed by a fault.
    fault: LogBudget,
    /// It made a request that the manifest does not allow.
    denial: LogBudget,
}

impl Logs {
    pub const fn new() -> Logs {
        Logs { fault: LogBudget::new(), denial: LogBudget::new() }
    }

    /// Logs the fault that killed the process. A process that is restarted can crash as often as its back-off allows,
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

    /// Whether a log line about a denied request may be written now.
    pub fn admit_denial(&mut self, name: &'static str, now: Instant) -> bool {
        self.denial.admit(name, now)
    }
}
