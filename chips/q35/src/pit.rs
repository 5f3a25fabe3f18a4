//! The 8254 interval timer, used once: to measure how fast the processor's own clocks run.
//!
//! Channel 2 counts down once; its output can be read back in the NMI status and control register. Intel ICH9 data
//! sheet, sections 13.3 (timers) and 13.7.1 (NMI status and control).

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

use crate::register::{Bus, Hardware, Port};

/// The timer's clock in hertz.
pub const FREQUENCY_HZ: u64 = 1_193_182;

/// Longest measurement in microseconds: the counter has 16 bits.
pub const MEASUREMENT_MAX_US: u32 = 54_924;

/// Looks at the output per microsecond of measurement, before the timer counts as absent. Enough for a machine that
/// looks once each nanosecond, which QEMU's instruction counting comes near to.
const POLLS_PER_US: u64 = 1_000;

register_bitfields![u8,
    /// Timer control word (section 13.3.1), port 0x43.
    TimerControl [
        /// How the counter runs.
        MODE OFFSET(1) NUMBITS(3) [InterruptOnTerminalCount = 0],
        /// How the count is written.
        ACCESS OFFSET(4) NUMBITS(2) [LowThenHigh = 3],
        /// Which channel.
        CHANNEL OFFSET(6) NUMBITS(2) [Two = 2]
    ],
    /// NMI status and control (section 13.7.1), port 0x61.
    NmiStatus [
        /// Channel 2 counts while this is set.
        TIMER2_GATE OFFSET(0) NUMBITS(1) [],
        /// Channel 2 drives the speaker.
        SPEAKER OFFSET(1) NUMBITS(1) [],
        /// State of channel 2's output.
        TIMER2_OUTPUT OFFSET(5) NUMBITS(1) []
    ]
];

/// Why nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum PitError {
    /// Asked for zero, or for more than [`MEASUREMENT_MAX_US`]. Ask for less.
    BadSpan,
    /// The output does not do what a timer's does: the board has none. Use another clock.
    Absent,
}

/// Two samples with a known time between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement<T> {
    /// The sample at the start.
    pub before: T,
    /// The sample at the end.
    pub after: T,
    /// Time between them, in nanoseconds.
    pub elapsed_ns: u64,
}

/// The interval timer.
pub struct Pit<B: Bus = Hardware> {
    counter2: Port<u8, (), B>,
    control: Port<u8, TimerControl::Register, B>,
    status: Port<u8, NmiStatus::Register, B>,
}

impl<B: Bus> Pit<B> {
    /// The board's timer.
    ///
    /// # Safety
    /// Ports 0x42, 0x43 and 0x61 are the caller's.
    pub const unsafe fn new(bus: B) -> Self {
        // SAFETY: the ports are the caller's, and the timer writes no memory.
        unsafe { Pit { counter2: Port::new(bus, 0x42), control: Port::new(bus, 0x43), status: Port::new(bus, 0x61) } }
    }

    /// Takes a sample, waits `span_us` microseconds, and takes another. The wait is bounded even where there is no
    /// timer.
    ///
    /// # Errors
    /// As [`PitError`] says.
    pub fn measure<T>(&self, span_us: u32, mut sample: impl FnMut() -> T) -> Result<Measurement<T>, PitError> {
        if span_us == 0 || span_us > MEASUREMENT_MAX_US {
            return Err(PitError::BadSpan);
        }
        // At least 1 tick, at most 65,535, by the check above.
        let ticks = (u64::from(span_us) * FREQUENCY_HZ).div_ceil(1_000_000) as u16;
        self.status.modify(NmiStatus::TIMER2_GATE::SET + NmiStatus::SPEAKER::CLEAR);
        self.control.write(
            TimerControl::CHANNEL::Two
                + TimerControl::ACCESS::LowThenHigh
                + TimerControl::MODE::InterruptOnTerminalCount,
        );
        let [low, high] = ticks.to_le_bytes();
        self.counter2.set(low);
        self.counter2.set(high);
        let before = sample();
        // In this mode the output goes low when the count is loaded. Where it is high already, nothing counts: ports
        // without a device read as ones. A span of a few ticks may be over before the look, and is not judged.
        if self.status.is_set(NmiStatus::TIMER2_OUTPUT) && ticks > 256 {
            return Err(PitError::Absent);
        }
        for _ in 0..u64::from(span_us) * POLLS_PER_US {
            if self.status.is_set(NmiStatus::TIMER2_OUTPUT) {
                let after = sample();
                return Ok(Measurement { before, after, elapsed_ns: u64::from(ticks) * 1_000_000_000 / FREQUENCY_HZ });
            }
            core::hint::spin_loop();
        }
        Err(PitError::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn pit(fake: &Fake) -> Pit<&Fake> {
        // SAFETY: the bus is a model in this process's memory.
        unsafe { Pit::new(fake) }
    }

    #[test]
    fn measures_between_two_samples() {
        let fake = Fake::default();
        fake.set_port(0x61, 0x20);
        fake.script(0x61, &[0x02, 0x01, 0x01, 0x21]);
        let mut clock = 0;
        let measured = pit(&fake).measure(10_000, || {
            clock += 500;
            clock
        });
        assert_eq!(measured, Ok(Measurement { before: 500, after: 1_000, elapsed_ns: 10_000_150 }));
        // 10 ms are 11,932 ticks: 0x2e9c.
        assert_eq!(fake.port_log(), [(0x61, 1, 0x01), (0x43, 1, 0xb0), (0x42, 1, 0x9c), (0x42, 1, 0x2e)]);
    }

    #[test]
    fn an_absent_timer_does_not_hang() {
        let ones = Fake::reacting(Some(|ports, port, _| ports.retain(|number, _| *number != port)), None);
        assert_eq!(pit(&ones).measure(10_000, || ()), Err(PitError::Absent));
        let zeros = Fake::default();
        zeros.set_port(0x61, 0);
        assert_eq!(pit(&zeros).measure(1_000, || ()), Err(PitError::Absent));
    }

    #[test]
    fn a_span_that_does_not_fit_the_counter_is_refused() {
        let fake = Fake::default();
        assert_eq!(pit(&fake).measure(0, || ()), Err(PitError::BadSpan));
        assert_eq!(pit(&fake).measure(MEASUREMENT_MAX_US + 1, || ()), Err(PitError::BadSpan));
        assert!(fake.port_log().is_empty());
        assert!((u64::from(MEASUREMENT_MAX_US) * FREQUENCY_HZ).div_ceil(1_000_000) <= 0xffff);
    }
}
