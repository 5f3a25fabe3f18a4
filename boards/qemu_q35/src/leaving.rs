//! The end of a run: connections are reset, the lease is given back, and what was printed and logged goes out.
//!
//! The loop goes on meanwhile, so nothing here waits. A network, a line or a log that takes nothing any more is given
//! up after a while.

use crate::board::Board;
use crate::log;
use crate::panic::leave;
use slopos_kernel::time::{Duration, Instant};

/// How long the last frames may take.
const FRAMES: Duration = Duration::from_millis(100);
/// How long a port may take nothing before what it should have taken is given up.
const STUCK: Duration = Duration::from_secs(1);
/// How often to look again.
const LOOK: Duration = Duration::from_millis(1);

/// How far the end of the run has come.
pub struct Leaving {
    /// What to leave with.
    code: u8,
    /// Until when frames are waited for; `None` once they are gone.
    frames_until: Option<Instant>,
    /// Bytes that had not gone out when this was last looked at, and since when there are so many.
    left: (usize, Instant),
    next_look: Instant,
}

impl Leaving {
    /// When to look again even if nothing happens.
    pub fn next_deadline(&self) -> Instant {
        self.next_look
    }
}

impl Board {
    /// Begins to leave. No process runs from now on.
    pub fn begin_to_leave(&mut self, now: Instant) {
        self.capsules.stack.release(now);
        let code = self.process_console.exit_code();
        self.leaving = Some(Leaving { code, frames_until: Some(now + FRAMES), left: (0, now), next_look: now });
    }

    /// One turn of leaving, after the ports were served. Never comes back once everything is out or given up.
    pub fn leave_on(&mut self, now: Instant) {
        self.serial.send(&mut self.capsules.console);
        log::send();
        // What still comes in is taken: while it waits, the loop would not sleep.
        self.receive_frames(now);
        let frames_gone = self.last_frames(now);
        let Some(leaving) = &mut self.leaving else { return };
        leaving.next_look = now + LOOK;
        if frames_gone {
            leaving.frames_until = None;
        }
        let left = self.capsules.console.waiting_bytes() + log::waiting_bytes();
        if left != leaving.left.0 {
            leaving.left = (left, now);
        }
        let sent = left == 0 && self.serial.is_sent() && log::is_sent();
        let given_up = now.since(leaving.left.1) >= STUCK;
        if leaving.frames_until.is_none() && (sent || given_up) {
            leave(leaving.code);
        }
    }

    /// Sends what the network still has to say. Answers whether that is gone, or will not go.
    fn last_frames(&mut self, now: Instant) -> bool {
        let until = self.leaving.as_ref().and_then(|leaving| leaving.frames_until);
        if until.is_none_or(|until| now >= until) {
            return true;
        }
        self.send_frames(now);
        let Some(device) = &mut self.network else { return true };
        device.reclaim();
        device.transmitting() == 0 || device.is_broken().is_some()
    }
}
