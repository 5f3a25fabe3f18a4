//! Versions on trial: which slot of an app runs, and what becomes of a trial.

use crate::Storage;
use crate::call::{Call, Part};
use crate::states::Change;
use slopos_abi::Errno;
use slopos_abi::flash::{AppState, NextStart, Reason, TRIAL_STARTS, Trial};
use slopos_kernel::objects::{Counted, Role, Slots, Verdict};
use slopos_kernel::process::ProcessId;

impl Storage<'_> {
    /// Whether the flash can be written. Where it cannot, no version runs on trial, because its starts could not be
    /// counted.
    pub fn set_writable(&mut self, writable: bool) {
        self.writable = writable;
    }

    /// The state of an app; `None` where there is no such app, or no state sector was valid.
    pub fn app_state(&self, app: &str) -> Option<AppState> {
        let (index, _) = self.known_map()?.app(app)?;
        self.states.app(index)
    }

    /// Whether a change of the state is still to be written.
    pub fn writes_state(&self) -> bool {
        !self.states.is_idle()
    }

    /// The slots of an app, in the order in which they are tried.
    pub(crate) fn slots(&mut self, app: &str) -> Option<Slots> {
        let (index, slots) = self.known_map()?.app(app)?;
        let Some(state) = self.states.app(index) else { return Some(Slots { order: slots, role: Role::Unknown }) };
        let [confirmed, spare] = [state.confirmed(), state.spare()].map(|slot| slots[slot.index()]);
        let usual = Slots { order: [confirmed, spare], role: Role::Confirmed };
        if !state.is_on_trial() {
            return Some(usual);
        }
        if !self.writable {
            // Once for each app.
            if self.told >> (index & 63) & 1 == 0 {
                self.told |= 1 << (index & 63);
                defmt::warn!("flash: app {=str}: the flash is read-only, so the version on trial is not started", app);
            }
            return Some(usual);
        }
        match state.next_start() {
            NextStart::UsedUp(next) if !self.runs(index) => {
                self.change(index, app, next);
                Some(usual)
            }
            _ => Some(Slots { order: [spare, confirmed], role: Role::Trial }),
        }
    }

    /// Counts a start of the version on trial; see [`slopos_kernel::objects::Objects::begin_trial`].
    pub fn begin_trial(&mut self, process: ProcessId, app: &str) -> Counted {
        let Some((index, state)) = self.trial(app) else { return Counted::No };
        let change = match self.part(process) {
            Part::Counting(entry, change) if usize::from(entry) == index => change,
            _ if self.runs(index) => {
                // Another process runs it already: what is counted is how often the version had a chance.
                self.set_part(process, Part::Runs(index as u8));
                return Counted::Yes;
            }
            _ => match state.next_start() {
                NextStart::Trial(next) if self.writable => self.change(index, app, next),
                NextStart::UsedUp(next) => {
                    self.change(index, app, next);
                    return Counted::No;
                }
                _ => return Counted::No,
            },
        };
        match self.states.outcome(change) {
            None => {
                self.set_part(process, Part::Counting(index as u8, change));
                self.waiters.insert(process);
                Counted::Underway
            }
            Some(true) => {
                self.set_part(process, Part::Runs(index as u8));
                Counted::Yes
            }
            Some(false) => {
                self.set_part(process, Part::None);
                defmt::error!("flash: app {=str}: its trial is not started, because that could not be counted", app);
                Counted::No
            }
        }
    }

    /// What a run has shown; see [`slopos_kernel::objects::Objects::judge_trial`].
    pub fn judge_trial(&mut self, process: ProcessId, app: &str, verdict: Verdict) {
        let Some((index, state)) = self.trial(app) else { return };
        let runs = self.part(process) == Part::Runs(index as u8);
        match verdict {
            Verdict::Works if runs => {
                self.change(index, app, state.confirm());
            }
            // A record that was rejected never ran.
            Verdict::Fails(reason) if runs || reason == Reason::Record => {
                self.change(index, app, state.revert(reason));
            }
            _ => {}
        }
    }

    /// The call CONFIRM; see [`slopos_kernel::objects::Objects::confirm_trial`].
    pub fn confirm_trial(&mut self, process: ProcessId, app: &str) -> Result<(), Errno> {
        let change = match self.part(process) {
            Part::Confirming(change) => change,
            _ => {
                self.judge_trial(process, app, Verdict::Works);
                self.states.last_change()
            }
        };
        match self.states.outcome(change) {
            None => {
                self.set_part(process, Part::Confirming(change));
                self.waiters.insert(process);
                Err(Errno::Again)
            }
            Some(written) => {
                self.set_part(process, Part::None);
                if written { Ok(()) } else { Err(Errno::Io) }
            }
        }
    }

    /// An app that has a version on trial.
    fn trial(&self, app: &str) -> Option<(usize, AppState)> {
        let (index, _) = self.known_map()?.app(app)?;
        self.states.app(index).filter(|state| state.is_on_trial()).map(|state| (index, state))
    }

    /// Whether a process runs the version on trial of the app at this index.
    fn runs(&self, index: usize) -> bool {
        self.calls.iter().any(|call| call.part == Part::Runs(index as u8))
    }

    fn part(&self, process: ProcessId) -> Part {
        self.calls.get(process.index()).map_or(Part::None, |call| call.part)
    }

    pub(crate) fn set_part(&mut self, process: ProcessId, part: Part) {
        if let Some(call) = self.calls.get_mut(process.index()) {
            call.part = part;
        }
    }

    /// Changes the state of an app, and tells of it.
    fn change(&mut self, index: usize, app: &str, next: AppState) -> Change {
        match (next.trial(), next.reverted()) {
            (Trial::Begun { starts }, _) => {
                defmt::info!("flash: app {=str}: version on trial, start {=u8} of {=u8}", app, starts, TRIAL_STARTS);
            }
            (Trial::None, Some(reason)) => defmt::warn!("flash: app {=str} reverted: {=str}", app, reason.text()),
            (Trial::None, None) => defmt::info!("flash: app {=str}: the version on trial is confirmed", app),
            (Trial::Waiting, _) => {}
        }
        if !next.is_on_trial() {
            // Nobody runs a version on trial any more.
            let over = |call: &&mut Call| call.part == Part::Runs(index as u8);
            self.calls.iter_mut().filter(over).for_each(|call| call.part = Part::None);
        }
        self.states.set(index, next)
    }
}
