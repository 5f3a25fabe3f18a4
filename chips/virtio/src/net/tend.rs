//! Looks after the device: finds out that it is of no use, resets it, and starts it again.

use super::{Broken, Condition, Net, StartError, Waiting};
use crate::transport::{Recovered, TransportError};
use slopos_registers::Bus;

/// How long a device may keep frames without sending one, in microseconds. Longer than any pause of a device that
/// works: a reset costs the frames that are with it.
pub const STALL_US: u64 = 5_000_000;
/// Most of that which passes between two looks. More has passed where nobody looked, because the whole machine stood
/// still or had nothing to do; then the device may have had no time either. The status is looked at as often.
const LOOK_US: u64 = 1_000_000;

/// What [`Net::tend`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the stack has to hear of it"]
pub enum Tended {
    /// The device is as it was.
    Same,
    /// It has become of no use.
    Lost,
    /// It works, for the first time or again. Hardware address, MTU and link may be others than before; frames that
    /// were with it are lost.
    Back,
}

impl<B: Bus> Net<B> {
    /// Whether [`Net::tend`] has anything to do in this pass: in most passes it has not.
    #[inline]
    pub fn needs_tending(&self, idle: bool, now_us: u64) -> bool {
        let watched = || self.waiting.is_some() || self.transmit.queue.in_flight() > 0;
        let status_due = || now_us.saturating_sub(self.looked_us) >= LOOK_US;
        self.broken.is_some() || !self.recovery.is_working() || idle && (watched() || status_due())
    }

    /// Looks after the device, at `now_us`, in microseconds of any clock that does not go back. To be called in each
    /// pass; `idle` says that nothing was received in it, and only then the device is looked at. [`Net::due_us`] says
    /// when the next call is due though nothing happens.
    ///
    /// One line is logged for each change of the device's state, and none for a try that ends as the one before it.
    pub fn tend(&mut self, idle: bool, now_us: u64) -> Tended {
        let was_working = self.recovery.is_working();
        if was_working && self.broken.is_none() {
            if !idle {
                return Tended::Same;
            }
            self.watch_transmission(now_us);
            self.watch_status(now_us);
        }
        if was_working && let Some(broken) = self.broken {
            self.fail(broken, now_us);
            return Tended::Lost;
        }
        let mut outcome = Tended::Same;
        // A reset that is done when it is first looked at is one call.
        loop {
            let started = match self.transport.recover(&mut self.recovery, now_us) {
                Recovered::Rest => return outcome,
                Recovered::Reset => self.bring_up(),
                Recovered::Timeout => Err(TransportError::ResetTimeout.into()),
                Recovered::Gone => Err(TransportError::Gone.into()),
            };
            match started {
                Ok(()) => {
                    self.recovery.works(now_us);
                    self.looked_us = now_us;
                    outcome = Tended::Back;
                }
                Err(StartError::Transport(TransportError::Gone)) => self.fail(Broken::Gone, now_us),
                Err(error) => self.fail(Broken::NotStarted(error), now_us),
            }
        }
    }

    /// When [`Net::tend`] is to be called though nothing happens, by its clock. `None` where nothing is known to be
    /// due.
    pub fn due_us(&self) -> Option<u64> {
        match self.broken {
            None => self.waiting.map(|last| last.looked_us.saturating_add(LOOK_US)),
            Some(_) => self.recovery.due_us(),
        }
    }

    /// How the device is, for a person.
    pub fn condition(&self, now_us: u64) -> Condition {
        let next_try_us = self.recovery.due_us().unwrap_or(now_us).saturating_sub(now_us);
        match self.broken {
            None => Condition::Working,
            Some(_) if self.recovery.is_resetting() => Condition::Resetting,
            Some(Broken::Gone) => Condition::Gone { next_try_us },
            Some(_) => Condition::Failed { next_try_us },
        }
    }

    /// Whether nothing can be hoped of the device: it has never worked, and its last start failed.
    pub fn is_hopeless(&self) -> bool {
        !self.proven && self.broken.is_some() && !self.recovery.is_resetting()
    }

    /// The steps of section 3.1.1 after the reset.
    fn bring_up(&mut self) -> Result<(), StartError> {
        self.transport.announce_driver()?;
        self.set_up()?;
        self.broken = None;
        self.logged = None;
        self.counters.recoveries += u64::from(self.proven);
        self.proven = true;
        Ok(())
    }

    /// Leaves the device alone for a while.
    fn fail(&mut self, broken: Broken, now_us: u64) {
        self.waiting = None;
        self.broken = Some(broken);
        if broken != Broken::Gone {
            self.transport.fail();
        }
        self.transport.cut_off();
        let pause_ms = self.recovery.failed(now_us) / 1_000;
        // One line for each state, not for each try.
        if self.logged != Some(broken) {
            defmt::error!("virtio-net: broken: {}, next try in {=u64} ms", broken, pause_ms);
            self.logged = Some(broken);
        }
    }

    /// Looks whether the device is still there, once a second.
    fn watch_status(&mut self, now_us: u64) {
        if self.broken.is_none() && now_us.saturating_sub(self.looked_us) >= LOOK_US {
            self.looked_us = now_us;
            self.is_healthy();
        }
    }

    /// Looks whether the device sends what it was given: one that for [`STALL_US`] has kept frames and sent none is
    /// broken. No interrupt tells of this. Between two looks no more than a second counts.
    pub(super) fn watch_transmission(&mut self, now_us: u64) {
        if self.transmit.queue.in_flight() == 0 {
            self.waiting = None;
            return;
        }
        // What was sent is taken back first: else one frame that was would hide that the others are not.
        self.reclaim();
        let in_flight = self.transmit.queue.in_flight();
        if self.broken.is_some() || in_flight == 0 {
            self.waiting = None;
            return;
        }
        let sent = self.counters.transmitted.wrapping_sub(in_flight.into());
        let mut waited_us = 0;
        if let Some(last) = self.waiting.filter(|last| last.sent == sent) {
            let passed_us = now_us.saturating_sub(last.looked_us).min(LOOK_US);
            waited_us = last.waited_us + passed_us;
            // Should a notification have been lost, the device hears of its frames now.
            if waited_us / LOOK_US != last.waited_us / LOOK_US
                && let Some(doorbell) = &self.transmit.doorbell
            {
                doorbell.ring();
                self.counters.notifications += 1;
            }
        }
        self.waiting = Some(Waiting { sent, looked_us: now_us, waited_us });
        if waited_us > STALL_US {
            self.break_down(Broken::TransmitStalled { frames: in_flight });
        }
    }
}
