//! What happens when time passes.

use slopos_kernel::time::{Duration, Instant};

use super::control::{Error, Probe, State};
use super::counters::Counters;
use super::recovery::Phase;
use super::socket::Socket;

/// An acknowledgement waits no longer for more data (RFC 9293 section 3.8.6.3 allows 500 ms; Linux has 40 ms).
pub(super) const DELAYED_ACKNOWLEDGEMENT: Duration = Duration::from_millis(40);
/// Retransmissions, and probes of a closed window, without any answer before a connection is given up (R2 of RFC 9293
/// section 3.8.3): a quarter of an hour or more.
const MOST_RETRANSMISSIONS: u8 = 15;
/// Retransmissions after which the way to the peer is in doubt (R1 of the same section).
const DOUBTFUL_RETRANSMISSIONS: u8 = 3;
/// [`MOST_RETRANSMISSIONS`] where no process waits for it any more.
const MOST_ORPHAN_RETRANSMISSIONS: u8 = 8;
/// Probes of a closed window are no further apart.
const LONGEST_PERSIST: Duration = Duration::from_secs(60);
/// Silence after which a connection is probed (RFC 9293 section 3.8.4: two hours or more).
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(7_200);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(75);
const MOST_KEEP_ALIVE_PROBES: u8 = 9;

/// The timers of one connection; each is off, or runs out at a certain time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// The connect must have been answered.
    pub connect: Option<Instant>,
    /// What was sent must have been acknowledged.
    pub retransmit: Option<Instant>,
    /// The tail of what is on its way must be probed (PTO of RFC 8985).
    pub tail: Option<Instant>,
    /// What is missing has had its time to arrive out of order (RFC 8985 section 6.2).
    pub reordering: Option<Instant>,
    /// The closed window must be probed.
    pub persist: Option<Instant>,
    /// An acknowledgement must go out.
    pub delayed_acknowledgement: Option<Instant>,
    /// TIME-WAIT ends, or an orphan waits no longer for the peer's FIN.
    pub linger: Option<Instant>,
    /// The connection has been silent for long. Receiving does not touch this; it is checked when it runs out.
    pub keep_alive: Option<Instant>,
    /// How often the probes' interval has been doubled.
    pub persist_doublings: u8,
}

impl Timers {
    fn earliest(&self) -> Option<Instant> {
        [
            self.connect,
            self.retransmit,
            self.tail,
            self.reordering,
            self.persist,
            self.delayed_acknowledgement,
            self.linger,
            self.keep_alive,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Stops all of them.
    pub fn stop_all(&mut self) {
        *self = Timers::default();
    }
}

/// Whether `timer` has run out; then it is off.
fn take_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}

impl Socket<'_> {
    /// When [`Socket::poll`] must be called, if it must.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.control.timers.earliest()
    }

    /// Runs the timers that have run out. To be called whenever [`Socket::next_deadline`] has passed; what becomes due
    /// leaves by [`Socket::transmit`].
    pub fn poll(&mut self, now: Instant, counters: &mut Counters) {
        if self.control.timers.earliest().is_none_or(|earliest| earliest > now) {
            return;
        }
        if take_due(&mut self.control.timers.connect, now) {
            counters.timed_out += 1;
            self.end(Some(Error::TimedOut));
            return;
        }
        if take_due(&mut self.control.timers.linger, now) {
            self.end(None);
            return;
        }
        if take_due(&mut self.control.timers.delayed_acknowledgement, now) {
            counters.delayed_acknowledgements += 1;
            self.control.debt.now = true;
        }
        if take_due(&mut self.control.timers.reordering, now) {
            counters.reordering_timeouts += 1;
            let evidence = self.evidence(None, now);
            self.find_lost(&evidence, counters);
            // What it has found goes out now, so the retransmission timer, which waited for it, starts anew.
            let control = &mut self.control;
            let restarted = now + control.round_trip.timeout();
            control.timers.retransmit = control.timers.retransmit.map(|at| if at <= now { restarted } else { at });
        }
        if take_due(&mut self.control.timers.tail, now) {
            // The retransmission timer waits for the probe's answer.
            self.control.probe = Some(Probe::Tail);
            self.control.timers.retransmit = Some(now + self.control.round_trip.timeout());
        }
        if take_due(&mut self.control.timers.retransmit, now) {
            self.retransmission_timeout(now, counters);
        }
        if take_due(&mut self.control.timers.persist, now) {
            self.persist_timeout(now, counters);
        }
        if take_due(&mut self.control.timers.keep_alive, now) {
            self.keep_alive_timeout(now, counters);
        }
    }

    /// Whether, since this was asked last, so much stayed unanswered that the way to the peer may be broken: the
    /// neighbour on it should be asked whether it is still there (RFC 1122 section 4.2.3.5).
    pub fn take_doubt(&mut self) -> bool {
        core::mem::take(&mut self.control.doubts_way)
    }

    fn give_up(&mut self, counters: &mut Counters) {
        counters.timed_out += 1;
        self.end(Some(Error::TimedOut));
    }

    fn patience(&self) -> u8 {
        if self.control.owned { MOST_RETRANSMISSIONS } else { MOST_ORPHAN_RETRANSMISSIONS }
    }

    /// Nothing was acknowledged for an RTO (RFC 6298 section 5, RFC 5681 section 3.1).
    fn retransmission_timeout(&mut self, now: Instant, counters: &mut Counters) {
        counters.retransmission_timeouts += 1;
        let patience = self.patience();
        let control = &mut self.control;
        control.round_trip.back_off();
        control.timers.retransmit = Some(now + control.round_trip.timeout());
        control.retransmissions = control.retransmissions.saturating_add(1);
        control.doubts_way |= control.retransmissions == DOUBTFUL_RETRANSMISSIONS;
        control.timers.tail = None;
        control.timers.reordering = None;
        control.tail_probe = None;
        if control.probe == Some(Probe::Tail) {
            control.probe = None;
        }
        match control.state {
            // While connecting, the caller's deadline is the limit.
            State::SynSent | State::SynReceived => control.send.syn_due = true,
            _ if control.retransmissions > patience => self.give_up(counters),
            _ => {
                let again = control.recovery.phase() == Phase::Timeout;
                control.congestion.timeout(control.outstanding(), again);
                let segment_size = control.segment_size();
                control.recovery.begin_timeout(control.send.unacknowledged, control.send.next, segment_size, now);
            }
        }
    }

    /// The window has been closed for too long (RFC 9293 section 3.8.6.1). As long as the peer answers the probes the
    /// connection lives.
    fn persist_timeout(&mut self, now: Instant, counters: &mut Counters) {
        if self.control.probes_unanswered >= self.patience() {
            self.give_up(counters);
            return;
        }
        let control = &mut self.control;
        control.probes_unanswered += 1;
        control.probe = Some(Probe::Window);
        control.timers.persist_doublings = control.timers.persist_doublings.saturating_add(1).min(16);
        let interval = self.persist_interval();
        self.control.timers.persist = Some(now + interval);
    }

    fn persist_interval(&self) -> Duration {
        let doublings = self.control.timers.persist_doublings;
        self.control.round_trip.timeout().times(1 << doublings).min(LONGEST_PERSIST)
    }

    /// Starts the persist timer where data waits for a window to open and nothing is on its way that would bring news
    /// of it; stops it otherwise. `since` is when that state may have begun.
    pub(super) fn update_persist(&mut self, since: Instant) {
        if !self.is_blocked_by_window() {
            let control = &mut self.control;
            control.timers.persist = None;
            control.timers.persist_doublings = 0;
            if control.probe == Some(Probe::Window) {
                control.probe = None;
            }
        } else if self.control.timers.persist.is_none() {
            self.control.timers.persist = Some(since + self.persist_interval());
        }
    }

    fn keep_alive_timeout(&mut self, now: Instant, counters: &mut Counters) {
        let control = &mut self.control;
        let silent = now.since(control.last_received_at);
        if silent < KEEP_ALIVE_IDLE {
            control.timers.keep_alive = Some(control.last_received_at + KEEP_ALIVE_IDLE);
            return;
        }
        // What is on its way is repeated by the retransmission timer, and tells as much.
        if control.outstanding() == 0 {
            if control.probes_unanswered >= MOST_KEEP_ALIVE_PROBES {
                self.give_up(counters);
                return;
            }
            control.probes_unanswered += 1;
            control.probe = Some(Probe::KeepAlive);
        }
        control.timers.keep_alive = Some(now + KEEP_ALIVE_INTERVAL);
    }

    /// Starts the keep-alive timer if the process asked for probes.
    pub(super) fn start_keep_alive(&mut self, now: Instant) {
        if self.control.flags.keepalive {
            self.control.timers.keep_alive = Some(now + KEEP_ALIVE_IDLE);
        }
    }
}
