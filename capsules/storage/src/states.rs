//! The state of the flash as the board holds it: read once, changed in memory, and written by one request after
//! another.
//!
//! A change counts at once for what the board does next; whoever needs it to be on the medium waits for
//! [`States::outcome`]. A write goes to the state sector that does not count and is followed by a flush, so whatever
//! the power does, one sector is whole. While a change is being written others may come; they are written together
//! afterwards.

use slopos_abi::flash::{AppState, FlashState, SECTOR, STATE_SECTORS, Slot, StateFault};
use slopos_kernel::loader::sha256;
use slopos_kernel::time::{Duration, Instant};

/// How long a request for the state may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A request that keeps the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateStep {
    /// The bytes of the state go to this sector of the medium.
    Write {
        /// The sector.
        sector: u64,
    },
    /// What was written goes to the medium.
    Flush,
}

/// How far the writing of a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// All changes are written, or could not be.
    Idle,
    /// This step is due.
    Due(StateStep),
    /// The device has the request with this ticket, until then at most.
    Asked(StateStep, u32, Instant),
}

/// Changes are counted; whether one came before another is told by the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change(u32);

impl Change {
    fn is_at_most(self, other: Change) -> bool {
        other.0.wrapping_sub(self.0) < 1 << 31
    }
}

/// The state, once it is read.
#[derive(Debug)]
pub struct States {
    state: FlashState,
    /// The sector that is read next; `None` when both are.
    reading: Option<Slot>,
    /// One of the sectors was valid.
    known: bool,
    stage: Stage,
    /// The last change that was made, that is on the medium, and that could not be written.
    made: Change,
    durable: Change,
    failed: Change,
    /// The change that is being written.
    underway: Change,
    /// What is being written.
    sector: [u8; SECTOR],
    /// The first sector of the flash on its medium.
    base: u64,
}

impl States {
    /// A state that is not read yet.
    pub fn new() -> States {
        let none = Change(0);
        States {
            state: FlashState::NEW,
            reading: Some(Slot::First),
            known: false,
            stage: Stage::Idle,
            made: none,
            durable: none,
            failed: none,
            underway: none,
            sector: [0; SECTOR],
            base: 0,
        }
    }

    /// Begins to read the state of a flash that begins at this sector of its medium.
    pub fn begin(&mut self, base: u64) {
        *self = States { base, ..States::new() };
    }

    /// The sector to be read next; `None` when the state is read.
    pub fn to_read(&self) -> Option<u64> {
        self.reading.map(|slot| self.base.saturating_add(STATE_SECTORS[slot.index()]))
    }

    /// Takes in what was read of that sector; `None` if it could not be read. What is wrong with it is logged.
    pub fn take(&mut self, bytes: Option<&[u8]>) {
        let Some(slot) = self.reading else { return };
        match FlashState::parse(bytes, slot, sha256) {
            Ok(state) if !self.known || state.is_newer(&self.state) => (self.state, self.known) = (state, true),
            Ok(_) => {}
            Err(fault) => report(slot, fault),
        }
        self.reading = match slot {
            Slot::First => Some(Slot::Second),
            Slot::Second => None,
        };
        if self.reading.is_none() && !self.known {
            defmt::error!("flash: no state sector is valid: of each app the higher version that is whole runs");
        }
    }

    /// The state of the app at this index of the map; `None` where no state is known.
    pub fn app(&self, index: usize) -> Option<AppState> {
        self.state.apps.get(index).copied().filter(|_| self.known && self.reading.is_none())
    }

    /// Changes the state of an app that has one. Returns what [`States::outcome`] tells of the change.
    pub fn set(&mut self, index: usize, state: AppState) -> Change {
        if let Some(app) = self.state.apps.get_mut(index)
            && self.known
            && *app != state
        {
            *app = state;
            self.made = Change(self.made.0.wrapping_add(1));
            self.find_due();
        }
        self.made
    }

    /// The last change that was made.
    pub fn last_change(&self) -> Change {
        self.made
    }

    /// What became of a change: it is on the medium, or could not be written; `None` while that is underway.
    pub fn outcome(&self, change: Change) -> Option<bool> {
        if change.is_at_most(self.durable) {
            return Some(true);
        }
        change.is_at_most(self.failed).then_some(false)
    }

    /// Whether nothing is to be written.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    fn find_due(&mut self) {
        let settled = if self.durable.is_at_most(self.failed) { self.failed } else { self.durable };
        if self.stage == Stage::Idle && self.made != settled {
            let (sector, contents) = self.state.encode(sha256);
            self.sector = contents;
            self.underway = self.made;
            self.stage = Stage::Due(StateStep::Write { sector: self.base.saturating_add(sector) });
        }
    }

    /// The request that is due; it is given to the device under this ticket.
    pub fn send(&mut self, ticket: u32, now: Instant) -> Option<StateStep> {
        let Stage::Due(step) = self.stage else { return None };
        self.stage = Stage::Asked(step, ticket, now + LIMIT);
        Some(step)
    }

    /// Whether a request is due.
    pub fn is_due(&self) -> bool {
        matches!(self.stage, Stage::Due(_))
    }

    /// The request that the device has under this ticket.
    pub fn awaits(&self, ticket: u32) -> Option<StateStep> {
        match self.stage {
            Stage::Asked(step, asked, _) if asked == ticket => Some(step),
            _ => None,
        }
    }

    /// The bytes of a state sector to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.sector
    }

    /// Takes in the result of the request with this ticket. `None` if it is none of these; otherwise whether a change
    /// was settled, so that who waits for one has an answer.
    pub fn settle(&mut self, ticket: u32, done: bool) -> Option<bool> {
        let step = self.awaits(ticket)?;
        self.stage = Stage::Idle;
        match (done, step) {
            (true, StateStep::Write { .. }) => {
                self.stage = Stage::Due(StateStep::Flush);
                return Some(false);
            }
            (true, StateStep::Flush) => {
                self.durable = self.underway;
                self.state = self.state.written();
            }
            (false, _) => {
                self.failed = self.underway;
                defmt::error!("flash: the state could not be written");
            }
        }
        self.find_due();
        Some(true)
    }

    /// When the request that the device has is given up.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Asked(_, _, deadline) => Some(deadline),
            _ => None,
        }
    }

    /// Gives the request up if its deadline has passed. Returns whether it did.
    pub fn expire(&mut self, now: Instant) -> bool {
        match self.stage {
            Stage::Asked(_, ticket, deadline) if deadline <= now => self.settle(ticket, false).is_some(),
            _ => false,
        }
    }
}

fn report(slot: Slot, fault: StateFault) {
    defmt::error!("flash: the {=str} state sector is rejected: {=str}", name(slot), fault.text());
}

fn name(slot: Slot) -> &'static str {
    match slot {
        Slot::First => "first",
        Slot::Second => "second",
    }
}
