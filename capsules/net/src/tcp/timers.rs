//! The timers of one connection: a table of deadlines, one for each [`Timer`]. What happens when one runs out is the
//! business of whoever set it.

use slopos_kernel::time::Instant;

/// A reason to wake up. When several have run out, they are dealt with in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The connect must have been answered.
    Connect,
    /// TIME-WAIT ends, or an orphan waits no longer for the peer's FIN.
    Linger,
    /// An acknowledgement must go out.
    DelayedAcknowledgement,
    /// What is missing has had its time to arrive out of order (RFC 8985 section 6.2).
    Reordering,
    /// The tail of what is on its way must be probed (PTO of RFC 8985).
    TailProbe,
    /// What was sent must have been acknowledged.
    Retransmission,
    /// The closed window must be probed.
    Persist,
    /// The connection has been silent for long. Receiving does not touch this; it is checked when it runs out.
    KeepAlive,
}

impl Timer {
    /// All of them, in their order.
    pub const ALL: [Timer; 8] = [
        Timer::Connect,
        Timer::Linger,
        Timer::DelayedAcknowledgement,
        Timer::Reordering,
        Timer::TailProbe,
        Timer::Retransmission,
        Timer::Persist,
        Timer::KeepAlive,
    ];
}

/// When each timer runs out; those that are off have no deadline.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    deadlines: [Option<Instant>; Timer::ALL.len()],
}

impl Timers {
    /// When this one runs out, if it is on.
    pub fn deadline(&self, timer: Timer) -> Option<Instant> {
        self.deadlines.get(timer as usize).copied().flatten()
    }

    /// Starts it, or starts it anew.
    pub fn start(&mut self, timer: Timer, deadline: Instant) {
        self.set(timer, Some(deadline));
    }

    /// Starts it unless it is on.
    pub fn ensure(&mut self, timer: Timer, deadline: Instant) {
        if let Some(entry) = self.deadlines.get_mut(timer as usize) {
            entry.get_or_insert(deadline);
        }
    }

    /// Puts its deadline off to this one, if it is on and would run out before.
    pub fn put_off(&mut self, timer: Timer, deadline: Instant) {
        if let Some(Some(entry)) = self.deadlines.get_mut(timer as usize) {
            *entry = deadline.max(*entry);
        }
    }

    /// Starts it, or stops it where there is no deadline.
    pub fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        if let Some(entry) = self.deadlines.get_mut(timer as usize) {
            *entry = deadline;
        }
    }

    /// Stops it.
    pub fn stop(&mut self, timer: Timer) {
        self.set(timer, None);
    }

    /// Stops all of them.
    pub fn stop_all(&mut self) {
        *self = Timers::default();
    }

    /// When the first one runs out.
    pub fn earliest(&self) -> Option<Instant> {
        self.deadlines.into_iter().flatten().min()
    }

    /// Whether this one has run out by `now`; then it is off.
    pub fn expire(&mut self, timer: Timer, now: Instant) -> bool {
        self.deadlines.get_mut(timer as usize).is_some_and(|entry| entry.take_if(|deadline| *deadline <= now).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    #[test]
    fn each_timer_has_an_entry_of_its_own() {
        let mut timers = Timers::default();
        assert_eq!(timers.earliest(), None);
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
            timers.start(timer, at(100 - place as u64));
            assert_eq!(
                (timers.deadline(timer), timers.earliest()),
                (Some(at(100 - place as u64)), timers.deadline(timer))
            );
        }
        timers.stop(Timer::KeepAlive);
        assert_eq!((timers.deadline(Timer::KeepAlive), timers.earliest()), (None, Some(at(94))));
        timers.stop_all();
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn a_timer_runs_out_once_and_not_before_its_time() {
        let mut timers = Timers::default();
        timers.start(Timer::Persist, at(10));
        assert!(!timers.expire(Timer::Persist, Instant::from_micros(9_999)));
        assert!(!timers.expire(Timer::Linger, at(10)));
        assert!(timers.expire(Timer::Persist, at(10)));
        assert!(!timers.expire(Timer::Persist, at(10)));
    }

    #[test]
    fn one_that_is_on_is_neither_ensured_again_nor_put_off_to_an_earlier_time() {
        let mut timers = Timers::default();
        timers.put_off(Timer::Retransmission, at(5));
        assert_eq!(timers.earliest(), None, "what is off stays off");
        timers.ensure(Timer::Retransmission, at(10));
        timers.ensure(Timer::Retransmission, at(20));
        timers.put_off(Timer::Retransmission, at(5));
        assert_eq!(timers.earliest(), Some(at(10)));
        timers.put_off(Timer::Retransmission, at(30));
        assert_eq!(timers.earliest(), Some(at(30)));
    }
}
