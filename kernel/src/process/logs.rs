//! What a process may still say in the log.

use crate::log_budget::LogBudget;

/// The budgets of one process.
pub struct Logs {
    /// It was killed by a fault.
    pub(super) fault: LogBudget,
    /// It asked for what the manifest does not grant.
    pub(super) denial: LogBudget,
}

impl Logs {
    pub const fn new() -> Logs {
        Logs { fault: LogBudget::new(), denial: LogBudget::new() }
    }
}
