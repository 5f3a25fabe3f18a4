//! The 8254 interval timer, used once: to measure how fast the processor's own clocks run.
//!
//! Channel 2 counts down once; its output can be read back in the NMI status and control register. Intel ICH9 data
//! sheet, sections 13.3 (timers) and 13.7.1 (NMI status and control).

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

use crate::reference::Measurement;
use slopos_registers::{Bus, Hardware, registers};

/// The timer's clock in hertz.
pub const FREQUENCY_HZ: u64 = 1_193_182;

/// Longest measurement in microseconds: the counter has 16 bits.
pub const MEASUREMENT_MAX_US: u32 = 54_924;

/// Looks at the output per microsecond of measurement, before the timer counts as absent. Enough for a machine that
/// looks once each nanosecond, which QEMU's instruction counting comes near to.
const POLLS_PER_US: u64 = 1_000;

register_bitfields![u8,
    /// Timer control word (section 13.3.1).
    TimerControl [
        /// How the counter runs.
        MODE OFFSET(1) NUMBITS(3) [InterruptOnTerminalCount = 0],
        /// How the count is written.
        ACCESS OFFSET(4) NUMBITS(2) [LowThenHigh = 3],
        /// Which channel.
        CHANNEL OFFSET(6) NUMBITS(2) [Two = 2]
    ],
    /// NMI status and control (section 13.7.1).
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
    /// The output was never seen low: either nothing counts, or the machine stood still for the whole span. Try again;
    /// where it never changes, there is no timer.
    NotSeenRunning,
    /// The output does not do what a timer's does: the board has none. Use another clock.
    Absent,
}

registers! {
    /// The registers of the timer's channel 2, by their ports.
    struct Registers in Port {
        /// Counter access port of channel 2 (section 13.3.3).
        (0x42 => counter2: WriteOnly<u8>),
        /// Section 13.3.1.
        (0x43 => control: WriteOnly<u8, TimerControl::Register>),
        /// Section 13.7.1.
        (0x61 => status: ReadWrite<u8, NmiStatus::Register>),
    }
}

/// The interval timer.
pub struct Pit<B: Bus = Hardware> {
    registers: Registers<B>,
}

impl<B: Bus> Pit<B> {
    /// The board's timer.
    ///
    /// # Safety
    /// Ports 0x42, 0x43 and 0x61 are the caller's.
    pub const unsafe fn new(bus: B) -> Self {
        // SAFETY: the ports are the caller's, and the timer writes no memory.
        Pit { registers: unsafe { Registers::new(bus, 0) } }
    }

    /// Waits `span_us` microseconds and takes samples on both sides of the start and of the end. The wait is bounded
    /// even where there is no timer.
    ///
    /// # Errors
    /// As [`PitError`] says.
    pub fn measure<T: Copy>(&self, span_us: u32, mut sample: impl FnMut() -> T) -> Result<Measurement<T>, PitError> {
        if span_us == 0 || span_us > MEASUREMENT_MAX_US {
            return Err(PitError::BadSpan);
        }
        // At least 1 tick, at most 65,535, by the check above.
        let ticks = (u64::from(span_us) * FREQUENCY_HZ).div_ceil(1_000_000) as u16;
        self.registers.status.modify(NmiStatus::TIMER2_GATE::SET + NmiStatus::SPEAKER::CLEAR);
        self.registers.control.write(
            TimerControl::CHANNEL::Two
                + TimerControl::ACCESS::LowThenHigh
                + TimerControl::MODE::InterruptOnTerminalCount,
        );
        let [low, high] = ticks.to_le_bytes();
        self.registers.counter2.set(low);
        let before = sample();
        self.registers.counter2.set(high);
        let begun = sample();
        // In this mode the output goes low when the count is loaded. Where it is high already, nothing counts (ports
        // without a device read as ones), or the look comes so late that the span is over.
        if self.registers.status.is_set(NmiStatus::TIMER2_OUTPUT) {
            return Err(PitError::NotSeenRunning);
        }
        let mut running = begun;
        for _ in 0..u64::from(span_us) * POLLS_PER_US {
            let now = sample();
            if self.registers.status.is_set(NmiStatus::TIMER2_OUTPUT) {
                let elapsed_ns = u64::from(ticks) * 1_000_000_000 / FREQUENCY_HZ;
                return Ok(Measurement { start: [before, begun], end: [running, sample()], elapsed_ns });
            }
            running = now;
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
    fn samples_lie_on_both_sides_of_start_and_end() {
        let fake = Fake::default();
        fake.set_port(0x61, 0x20);
        fake.script(0x61, &[0x02, 0x01, 0x01, 0x21]);
        let mut clock = 0;
        let measured = pit(&fake).measure(10_000, || {
            clock += 500;
            clock
        });
        // Two looks while it runs: the second one sees the end.
        assert_eq!(measured, Ok(Measurement { start: [500, 1_000], end: [1_500, 2_500], elapsed_ns: 10_000_150 }));
        // 10 ms are 11,932 ticks: 0x2e9c.
        assert_eq!(fake.port_log(), [(0x61, 1, 0x01), (0x43, 1, 0xb0), (0x42, 1, 0x9c), (0x42, 1, 0x2e)]);
    }

    #[test]
    fn an_absent_timer_does_not_hang() {
        let ones = Fake::reacting(Some(|ports, port, _| ports.retain(|number, _| *number != port)), None);
        assert_eq!(pit(&ones).measure(10_000, || ()), Err(PitError::NotSeenRunning));
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
