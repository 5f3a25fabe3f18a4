//! The policy of the board's loop: when it polls for frames, when it arms the network device's interrupts, and how long
//! it stays in processes. It touches no hardware, so it is tested in virtual time.

use crate::scheduler::Step;
use crate::time::{Duration, Instant};

/// The most frames received, and the most sent, in one pass of the loop. Few enough that a sender with a window of 64
/// KiB gets the first acknowledgements while its last frames are still on their way.
pub const FRAMES_PER_PASS: usize = 16;
/// How long after a frame the loop polls for the next, with the device's interrupts off.
pub const WATCH: Duration = Duration::from_millis(1);
/// How long a process that was woken runs before it is interrupted to poll for frames. It seldom runs that long.
pub const STAY: Duration = Duration::from_millis(4);
/// How long due frames wait for a process that may add to them.
pub const COALESCE: Duration = Duration::from_micros(50);

/// The state of the policy, kept from one pass to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacing {
    /// Until when the loop polls for frames instead of arming interrupts.
    watched_until: Instant,
}

impl Pacing {
    /// Frames were received or sent, so more are likely soon.
    pub fn note_frames(&mut self, frames: usize, now: Instant) {
        if frames > 0 {
            self.watched_until = now + WATCH;
        }
    }

    /// Whether due frames are sent before processes run. They wait for a process that was woken, so that an
    /// acknowledgement goes with its answer; any other process could delay them for long.
    pub fn sends_first(&self, next_is_woken: bool) -> bool {
        !next_is_woken
    }

    /// To be called before the loop runs processes. `arm` arms the device's interrupts, and returns whether frames wait
    /// already.
    ///
    /// While frames keep coming, polling costs less than interrupts. A process that was woken soon waits again; any
    /// other may compute for long and must not delay frames.
    pub fn begin_stay(&self, next_is_woken: bool, now: Instant, arm: impl FnOnce() -> bool) -> Stay {
        let interrupt_at = if next_is_woken && now < self.watched_until {
            Some(now + STAY)
        } else {
            // No interrupt may come for frames that wait already. The process runs nevertheless: otherwise a flood of
            // frames could keep it from running for ever.
            arm().then(|| now + WATCH)
        };
        Stay { began: now, for_woken: next_is_woken, interrupt_at }
    }
}

/// One stay of the loop in processes: several steps without a pass in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    began: Instant,
    /// It runs processes that were woken.
    for_woken: bool,
    interrupt_at: Option<Instant>,
}

impl Stay {
    /// When the running process is interrupted at the latest, to poll for frames.
    pub fn interrupt_at(&self) -> Option<Instant> {
        self.interrupt_at
    }

    /// Whether the stay is over after a step that ended at `now`. Frames that waited for woken processes do not wait
    /// for others, and never longer than [`COALESCE`] and one step.
    pub fn is_over(&self, step: Step, next_is_woken: bool, now: Instant) -> bool {
        let others = step == Step::Yielded && self.for_woken && !next_is_woken;
        others || now > self.began + COALESCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    /// A loop that saw frames at 10 ms.
    fn watching() -> Pacing {
        let mut pacing = Pacing::default();
        pacing.note_frames(3, at(10_000));
        pacing
    }

    #[test]
    fn while_frames_keep_coming_who_was_woken_runs_without_the_devices_interrupts() {
        let armed = |pacing: &Pacing, woken, micros| {
            let mut armed = false;
            pacing.begin_stay(woken, at(micros), || {
                armed = true;
                false
            });
            armed
        };
        let mut pacing = watching();
        assert!(!armed(&pacing, true, 10_000) && !armed(&pacing, true, 10_999));
        assert!(armed(&pacing, true, 11_000), "the last frame is a millisecond ago");
        assert!(armed(&pacing, false, 10_000), "anybody else may compute for long");
        pacing.note_frames(0, at(10_900));
        assert!(armed(&pacing, true, 11_000), "no frame came");
        pacing.note_frames(1, at(10_900));
        assert!(!armed(&pacing, true, 11_899));
    }

    #[test]
    fn a_process_is_interrupted_where_no_interrupt_of_the_device_would_come() {
        let pacing = watching();
        let interrupted = |woken, micros, waiting| pacing.begin_stay(woken, at(micros), || waiting).interrupt_at();
        assert_eq!(interrupted(true, 10_500, false), Some(at(14_500)), "frames are looked for");
        assert_eq!(interrupted(true, 12_000, false), None, "the device interrupts");
        assert_eq!(interrupted(false, 10_500, false), None);
        assert_eq!(interrupted(false, 10_500, true), Some(at(11_500)), "frames wait already");
        assert_eq!(interrupted(true, 12_000, true), Some(at(13_000)));
    }

    #[test]
    fn the_loop_stays_with_who_was_woken_and_no_longer_than_frames_may_wait() {
        let stay = |woken| Pacing::default().begin_stay(woken, at(1_000), || false);
        for (woken, step, next_is_woken, over) in [
            (true, Step::Running, true, false),
            (true, Step::Yielded, true, false),
            (true, Step::Yielded, false, true),
            (true, Step::Running, false, false),
            (false, Step::Yielded, false, false),
            (false, Step::Yielded, true, false),
        ] {
            let found = stay(woken).is_over(step, next_is_woken, at(1_001));
            assert_eq!(found, over, "for woken {woken}, after {step:?}, next is woken {next_is_woken}");
        }
        assert!(!stay(true).is_over(Step::Running, true, at(1_050)));
        assert!(stay(true).is_over(Step::Running, true, at(1_051)));
    }

    #[test]
    fn what_is_due_is_sent_first_unless_who_was_woken_may_add_to_it() {
        assert!(Pacing::default().sends_first(false) && !Pacing::default().sends_first(true));
    }
}
