//! Budgets for the lines that the wire, the device or a process makes the stack write.

use slopos_kernel::log_budget::LogBudget;

/// One budget for each place that writes a line. The DHCP client has its own two, and each process one for what it may
/// not do.
#[derive(Default)]
pub(super) struct Logs {
    /// The link went up or down.
    pub link: LogBudget,
    /// The gateway is at this station.
    pub gateway: LogBudget,
    /// The gateway does not answer any more.
    pub silent_gateway: LogBudget,
    /// A lease ran out.
    pub expiry: LogBudget,
    /// Somebody else uses our address, and it is defended.
    pub conflict: LogBudget,
    /// Somebody else uses our address, and it is given up.
    pub decline: LogBudget,
    /// A peer offers a window scale that cannot be.
    pub window_scale: LogBudget,
}
