//! What the parts of a connection are handed when something happens: the time, the timers, the counters.

use slopos_kernel::time::Instant;

use crate::tcp::counters::Counters;
use crate::tcp::timers::Timers;

/// One segment, one call or one run of the timers.
pub struct Tick<'t> {
    /// When it happens.
    pub now: Instant,
    /// The connection's timers.
    pub timers: &'t mut Timers,
    /// Where it is counted.
    pub counters: &'t mut Counters,
}
