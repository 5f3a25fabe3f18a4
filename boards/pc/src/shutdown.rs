//! The end of a run: connections are reset, the lease is released, and console output and log are sent.
//!
//! The loop goes on meanwhile, so nothing here waits. A network or a port that makes no progress is given up after a
//! while; a port is not where descriptor 2 travels in the log, for there the output is wanted to its last byte.

use crate::board::Board;
use crate::log;
use crate::power;
use crate::progress::Shutdown;
use slopos_kernel::time::{Duration, Instant};
use slopos_process_console::{EXIT_BASE, Way};

/// How long the last frames may take.
const FRAMES: Duration = Duration::from_millis(100);
/// How long the state of the flash may take: which version is confirmed has to be on the medium.
const STATE: Duration = Duration::from_secs(2);
/// How long a port may take nothing before its output is given up.
const STUCK: Duration = Duration::from_secs(1);
/// How often to look again.
const LOOK: Duration = Duration::from_millis(1);

impl Board {
    /// Begins the shutdown. No process runs from now on.
    pub fn begin_shutdown(&mut self, way: Way, now: Instant) {
        self.capsules.stack.release(now);
        let code = self.process_console.exit_code();
        let by_code = way == Way::Exit && power::code_reaches_host();
        if way == Way::Exit && !by_code {
            self.say(format_args!("exit: status {}", code - EXIT_BASE));
        }
        if way != Way::Reboot && !by_code && !power::has_off() {
            defmt::warn!("exit: ACPI names no way to switch this machine off, so it is reset");
        }
        self.shutdown = Some(Shutdown {
            way,
            code,
            frames_until: Some(now + FRAMES),
            state_until: now + STATE,
            left: (0, now),
            next_look: now,
        });
    }

    /// One step of the shutdown, in each pass. Does not return once everything is sent or given up.
    pub fn continue_shutdown(&mut self, now: Instant) {
        log::send();
        self.serial.send(&mut self.capsules.console);
        // Frames that still arrive are taken: the loop does not sleep while any wait.
        self.receive_frames(now);
        let frames_gone = self.last_frames(now);
        let Some(shutdown) = &mut self.shutdown else { return };
        shutdown.next_look = now + LOOK;
        if frames_gone {
            shutdown.frames_until = None;
        }
        let left = self.capsules.console.waiting_bytes() + log::waiting_bytes();
        if left != shutdown.left.0 {
            shutdown.left = (left, now);
        }
        let sent = left == 0 && self.serial.is_sent() && log::is_sent();
        // Who has text sent apart reads both ports, takes their time and wants all of it.
        let given_up = now.since(shutdown.left.1) >= STUCK && !log::carries_text();
        let state_kept = !self.capsules.flash.storage.writes_state() || now >= shutdown.state_until;
        if shutdown.frames_until.is_none() && state_kept && (sent || given_up) {
            match shutdown.way {
                Way::Exit => power::leave(shutdown.code),
                Way::PowerOff => power::power_off(),
                Way::Reboot => power::reboot(),
            }
        }
    }

    /// Sends the network's last frames. Returns whether they are sent or given up.
    fn last_frames(&mut self, now: Instant) -> bool {
        let until = self.shutdown.as_ref().and_then(|shutdown| shutdown.frames_until);
        if until.is_none_or(|until| now >= until) {
            return true;
        }
        self.send_frames(now);
        let Some(device) = &mut self.network else { return true };
        device.reclaim();
        device.transmitting() == 0 || device.is_broken().is_some()
    }
}
