//! ACPI's power management timer, used once: to measure how fast the processor's own clocks run.
//!
//! A counter of 24 or 32 bits that always counts (ACPI 6.5, section 4.8.3.3). Its port stands in the FADT.

use tock_registers::interfaces::Readable;

use crate::reference::Measurement;
use slopos_registers::{Bus, Hardware, registers};

/// How fast it counts, in hertz.
pub const FREQUENCY_HZ: u64 = 3_579_545;
/// Longest measurement in microseconds: well within 24 bits, so that a count is never taken for a smaller one.
pub const MEASUREMENT_MAX_US: u32 = 1_000_000;
/// The bits that every such counter has.
const COUNT: u32 = 0xff_ffff;
/// Looks per microsecond of measurement before the counter is taken to stand still; as in [`crate::pit`].
const POLLS_PER_US: u64 = 1_000;

registers! {
    /// The timer's only register.
    struct Registers in Port {
        /// The count (section 4.8.3.3).
        (0x0 => count: ReadOnly<u32>),
    }
}

/// Why nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum PmTimerError {
    /// Asked for zero, or for more than [`MEASUREMENT_MAX_US`]. Ask for less.
    BadSpan,
    /// The port does not count: there is no such timer. Use another clock.
    Still,
}

/// The timer.
pub struct PmTimer<B: Bus = Hardware> {
    registers: Registers<B>,
}

impl<B: Bus> PmTimer<B> {
    /// The timer at the port that the FADT names.
    ///
    /// # Safety
    /// Reading the four ports from `port` on has no effect that another owner relies on.
    pub const unsafe fn new(bus: B, port: u16) -> Self {
        // SAFETY: by the caller's promise; the timer writes no memory.
        PmTimer { registers: unsafe { Registers::new(bus, port) } }
    }

    /// Waits at least `span_us` microseconds and takes samples on both sides of the start and of the end. The wait is
    /// bounded even where nothing counts.
    ///
    /// # Errors
    /// As [`PmTimerError`] says.
    pub fn measure<T: Copy>(
        &self,
        span_us: u32,
        mut sample: impl FnMut() -> T,
    ) -> Result<Measurement<T>, PmTimerError> {
        if span_us == 0 || span_us > MEASUREMENT_MAX_US {
            return Err(PmTimerError::BadSpan);
        }
        let ticks = (u64::from(span_us) * FREQUENCY_HZ).div_ceil(1_000_000);
        let before = sample();
        let first = self.registers.count.get();
        let start = [before, sample()];
        for _ in 0..u64::from(span_us) * POLLS_PER_US {
            let running = sample();
            let elapsed = u64::from(self.registers.count.get().wrapping_sub(first) & COUNT);
            if elapsed >= ticks {
                let elapsed_ns = elapsed * 1_000_000_000 / FREQUENCY_HZ;
                return Ok(Measurement { start, end: [running, sample()], elapsed_ns });
            }
            core::hint::spin_loop();
        }
        Err(PmTimerError::Still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    const PORT: u16 = 0x608;

    /// Measures on a timer that reads as these counts, then stands still; the samples count the looks at the clock.
    fn measured(counts: &[u32], span_us: u32) -> Result<Measurement<u32>, PmTimerError> {
        let fake = Fake::default();
        for count in counts {
            fake.script_u32(PORT, *count);
        }
        let mut clock = 0;
        // SAFETY: the bus is a model in this process's memory.
        unsafe { PmTimer::new(&fake, PORT) }.measure(span_us, || {
            clock += 1;
            clock
        })
    }

    #[test]
    fn samples_lie_on_both_sides_of_start_and_end() {
        // 1 ms are 3,580 ticks.
        let expected = Measurement { start: [1, 2], end: [4, 5], elapsed_ns: 1_000_127 };
        assert_eq!(measured(&[100, 3_679, 3_680], 1_000), Ok(expected));
    }

    #[test]
    fn a_count_that_begins_anew_goes_on() {
        let expected = Measurement { start: [1, 2], end: [3, 4], elapsed_ns: 1_000_127 };
        assert_eq!(measured(&[0xff_ffff, 3_579], 1_000), Ok(expected));
        // With 32 bits the upper ones do not count.
        assert_eq!(measured(&[0x12ff_ffff, 0x1300_0000 + 3_579], 1_000), Ok(expected));
    }

    #[test]
    fn a_port_that_does_not_count_does_not_hang() {
        assert_eq!(measured(&[], 1_000), Err(PmTimerError::Still));
        // Without a device the port reads as ones; a counter that is stuck reads as what it is stuck at.
        assert_eq!(measured(&[5; 2_000], 1), Err(PmTimerError::Still));
    }

    #[test]
    fn a_span_that_could_wrap_is_refused() {
        assert_eq!(measured(&[], 0), Err(PmTimerError::BadSpan));
        assert_eq!(measured(&[], MEASUREMENT_MAX_US + 1), Err(PmTimerError::BadSpan));
        assert!(u64::from(MEASUREMENT_MAX_US) * FREQUENCY_HZ / 1_000_000 < u64::from(COUNT) / 2);
    }
}
