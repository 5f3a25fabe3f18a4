//! Whom a process may connect to, and what it was denied.

use heapless::Deque;
use slopos_abi::{Endpoint, RemoteRange};
use slopos_kernel::log_budget::LogBudget;
use slopos_kernel::time::Instant;

/// Denied remotes that are remembered, so that none of them is logged again and again.
const DENIALS_REMEMBERED: usize = 8;

/// What the manifest grants a process, less what the process has given up.
pub(crate) struct Authority<'a> {
    granted: &'a [RemoteRange],
    /// What the process has narrowed it to.
    limit: RemoteRange,
    denials: u64,
    /// The last remotes that had a line in the log.
    denied: Deque<Endpoint, DENIALS_REMEMBERED>,
    log: LogBudget,
}

impl<'a> Authority<'a> {
    /// The authority over these remotes.
    pub(super) const fn new(granted: &'a [RemoteRange]) -> Self {
        Authority { granted, limit: RemoteRange::ANY, denials: 0, denied: Deque::new(), log: LogBudget::new() }
    }

    /// Whether the process may connect to `remote`.
    pub(crate) fn permits(&self, remote: Endpoint) -> bool {
        self.limit.covers(remote) && self.granted.iter().any(|range| range.covers(remote))
    }

    /// The process gives up all remotes that do not lie in this range as well.
    pub(crate) fn narrow(&mut self, range: &RemoteRange) {
        self.limit = self.limit.intersection(range);
    }

    /// The process has ended: the next one begins with all that the manifest grants.
    pub(crate) fn restore(&mut self) {
        self.limit = RemoteRange::ANY;
    }

    /// Counts a remote that was denied to the process of this name. Answers whether it is worth a line in the log: it
    /// is not among the last that had one, and the budget allows it.
    pub(crate) fn deny(&mut self, remote: Endpoint, process: &'static str, now: Instant) -> bool {
        self.denials += 1;
        if self.denied.iter().any(|denied| *denied == remote) || !self.log.admit(process, now) {
            return false;
        }
        if self.denied.is_full() {
            self.denied.pop_front();
        }
        // There is room now.
        self.denied.push_back(remote).is_ok()
    }

    /// Counts a call for a socket that found none.
    pub(super) fn deny_socket(&mut self) {
        self.denials += 1;
    }

    /// How often the process was denied something since boot.
    pub(super) const fn denials(&self) -> u64 {
        self.denials
    }
}
