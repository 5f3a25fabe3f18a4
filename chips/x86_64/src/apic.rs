//! The local APIC: interrupts are acknowledged here, and its timer gives the kernel its deadlines.
//!
//! Intel SDM volume 3, chapter 11. Accessed by memory (xAPIC).

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use crate::clock::time_stamp;
use crate::control::write_msr;
use crate::vectors::DEVICE_CLASS;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use slopos_registers::{Hardware, registers};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

register_bitfields![u32,
    /// Spurious-interrupt vector register, section 11.9.
    Spurious [
        /// The vector.
        VECTOR OFFSET(0) NUMBITS(8) [],
        /// The APIC works.
        ENABLE OFFSET(8) NUMBITS(1) []
    ],
    /// Task-priority register, section 11.8.3.1: vectors of this class and those below it wait.
    TaskPriority [
        /// The priority class: the upper half of a vector.
        CLASS OFFSET(4) NUMBITS(4) []
    ],
    /// Low half of the interrupt command register, section 11.6.1.
    Command [
        /// The vector.
        VECTOR OFFSET(0) NUMBITS(8) [],
        /// Fixed delivery is 0; the level is asserted.
        ASSERT OFFSET(14) NUMBITS(1) [],
        /// To whom.
        SHORTHAND OFFSET(18) NUMBITS(2) [
            Myself = 1
        ]
    ],
    /// An entry of the local vector table, section 11.5.1.
    LocalVector [
        /// The vector.
        VECTOR OFFSET(0) NUMBITS(8) [],
        /// Nothing is delivered.
        MASK OFFSET(16) NUMBITS(1) [],
        /// The timer's mode.
        TIMER_MODE OFFSET(17) NUMBITS(2) [
            OneShot = 0,
            Periodic = 1,
            TscDeadline = 2
        ]
    ],
    /// Divide configuration register, section 11.5.4.
    Divide [
        /// Bits 0, 1 and 3 give the divisor.
        DIVISOR OFFSET(0) NUMBITS(4) [
            By16 = 0b0011
        ]
    ]
];

registers! {
    /// The registers, each in a cell of 16 bytes (table 11-1).
    struct Registers in Mmio {
        /// Local APIC identity (section 11.4.6).
        (0x020 => id: ReadOnly<u32>),
        /// Section 11.8.3.1.
        (0x080 => task_priority: WriteOnly<u32, TaskPriority::Register>),
        /// Section 11.8.5.
        (0x0b0 => end_of_interrupt: WriteOnly<u32>),
        /// Section 11.9.
        (0x0f0 => spurious: WriteOnly<u32, Spurious::Register>),
        /// Low half of the interrupt command register (section 11.6.1).
        (0x300 => command_low: WriteOnly<u32, Command::Register>),
        /// Local vector table, timer (section 11.5.1).
        (0x320 => timer: ReadWrite<u32, LocalVector::Register>),
        /// Local vector table, first pin.
        (0x350 => lint0: WriteOnly<u32, LocalVector::Register>),
        /// Local vector table, second pin.
        (0x360 => lint1: WriteOnly<u32, LocalVector::Register>),
        /// Where the timer begins (section 11.5.4).
        (0x380 => initial_count: WriteOnly<u32>),
        /// Where the timer is.
        (0x390 => current_count: ReadOnly<u32>),
        /// Section 11.5.4.
        (0x3e0 => divide: WriteOnly<u32, Divide::Register>),
    }
}

#[cfg(not(test))]
registers! {
    /// One of the eight cells of the in-service register (section 11.8.4).
    struct InService in Mmio {
        /// A bit for each of 32 vectors.
        (0x0 => vectors: ReadOnly<u32>),
    }
}

/// Offset of the first cell of the in-service register, and bytes from one to the next.
#[cfg(not(test))]
const IN_SERVICE: (usize, usize) = (0x100, 0x10);

/// Which interrupts the processor takes, by the priority classes of their vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub enum Admission {
    /// All but those by the exceptions' vectors, which no device may raise.
    All,
    /// Only by vectors of the devices' class and above.
    Expected,
    /// The timer's alone: devices are looked at by the clock.
    Timer,
}

impl Admission {
    /// The highest class that waits.
    const fn waiting_class(self) -> u32 {
        match self {
            Admission::All => 0x1,
            Admission::Expected => DEVICE_CLASS as u32 / 16 - 1,
            Admission::Timer => DEVICE_CLASS as u32 / 16,
        }
    }
}

/// Bytes that the registers take.
pub const LENGTH: u64 = 4096;

/// Where an interrupt message to this processor is written (section 11.11.1), to be joined with the APIC's id.
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

/// Where the trap code finds the registers; 0 until [`LocalApic::start`].
#[cfg_attr(not(test), unsafe(link_section = ".bss.cpu"))]
static REGISTERS: AtomicUsize = AtomicUsize::new(0);

/// Where the registers are, once [`LocalApic::start`] has been told.
#[cfg(not(test))]
fn base() -> Option<usize> {
    Some(REGISTERS.load(Relaxed)).filter(|base| *base != 0)
}

/// Tells the local APIC that the interrupt in service is noted.
#[cfg(not(test))]
pub(crate) fn end_of_interrupt() {
    if let Some(base) = base() {
        // SAFETY: `LocalApic::start` was given the address forever; a local APIC writes no memory.
        unsafe { Registers::new(Hardware, base) }.end_of_interrupt.set(0);
    }
}

/// Whether an interrupt by this vector is being served, and not yet ended.
#[cfg(not(test))]
pub(crate) fn in_service(vector: u8) -> bool {
    base().is_some_and(|base| {
        let (first, step) = IN_SERVICE;
        // SAFETY: as in `end_of_interrupt`.
        let cell = unsafe { InService::new(Hardware, base + first + step * usize::from(vector / 32)) };
        cell.vectors.get() >> (vector % 32) & 1 != 0
    })
}

/// The processor's own interrupt controller.
pub struct LocalApic {
    registers: Registers,
    ticks_per_second: u64,
    /// Whether the ticks are the time-stamp counter's, and the timer is set by [`IA32_TSC_DEADLINE`].
    by_deadline: bool,
}

/// The value of the time-stamp counter at which the timer interrupts; 0 is never (section 11.5.4.1).
const IA32_TSC_DEADLINE: u32 = 0x6e0;

impl LocalApic {
    /// Switches it on, its own inputs masked.
    ///
    /// # Safety
    /// `base` must be the mapped registers of this processor's local APIC, forever.
    pub unsafe fn start(base: *mut u8, timer_vector: u8, spurious_vector: u8) -> LocalApic {
        let base = base.expose_provenance();
        REGISTERS.store(base, Relaxed);
        // SAFETY: by the caller's promise.
        let registers = unsafe { Registers::new(Hardware, base) };
        registers.lint0.write(LocalVector::MASK::SET);
        registers.lint1.write(LocalVector::MASK::SET);
        registers.divide.write(Divide::DIVISOR::By16);
        registers.timer.write(LocalVector::VECTOR.val(timer_vector.into()) + LocalVector::TIMER_MODE::OneShot);
        registers.spurious.write(Spurious::VECTOR.val(spurious_vector.into()) + Spurious::ENABLE::SET);
        let apic = LocalApic { registers, ticks_per_second: 0, by_deadline: false };
        apic.admit(Admission::All);
        apic
    }

    /// Which interrupts are taken from now on. Those that are not wait.
    pub fn admit(&self, admission: Admission) {
        self.registers.task_priority.write(TaskPriority::CLASS.val(admission.waiting_class()));
    }

    /// Sends this processor an interrupt, at least by vector 16.
    pub fn send_to_self(&self, vector: u8) {
        self.registers
            .command_low
            .write(Command::VECTOR.val(vector.into()) + Command::ASSERT::SET + Command::SHORTHAND::Myself);
    }

    /// Lets the timer count down from its highest value, for calibration, without an interrupt.
    pub fn start_calibration(&self) {
        self.registers.timer.modify(LocalVector::MASK::SET);
        self.registers.initial_count.set(u32::MAX);
    }

    /// Ticks since [`LocalApic::start_calibration`].
    pub fn calibration_ticks(&self) -> u64 {
        u64::from(u32::MAX - self.registers.current_count.get())
    }

    /// Ends the calibration with its result.
    pub fn set_frequency(&mut self, ticks_per_second: u64) {
        self.ticks_per_second = ticks_per_second;
        self.registers.initial_count.set(0);
        self.registers.timer.modify(LocalVector::MASK::CLEAR);
    }

    /// Has the timer go by the time-stamp counter from now on, which runs so fast.
    ///
    /// # Safety
    /// The processor can do so: [`crate::cpuid::Features::tsc_deadline`].
    pub unsafe fn go_by_time_stamp(&mut self, ticks_per_second: u64) {
        self.ticks_per_second = ticks_per_second;
        self.by_deadline = true;
        self.registers.timer.modify(LocalVector::TIMER_MODE::TscDeadline + LocalVector::MASK::CLEAR);
        // The mode's write goes to memory and must arrive before the first deadline, which does not (section 11.5.4.1).
        fence(SeqCst);
    }

    /// Has the timer interrupt once after that many microseconds, at least one tick; at most as long as it can count.
    pub fn set_alarm(&self, micros: u64) {
        let ticks = u128::from(micros) * u128::from(self.ticks_per_second) / 1_000_000;
        if self.by_deadline {
            let deadline = time_stamp().saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX).max(1));
            // SAFETY: `go_by_time_stamp` was promised that the register exists; a deadline only sets the timer.
            return unsafe { write_msr(IA32_TSC_DEADLINE, deadline) };
        }
        self.registers.initial_count.set(u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
    }

    /// This APIC's id.
    pub fn id(&self) -> u8 {
        (self.registers.id.get() >> 24) as u8
    }

    /// The address and data that make a device's message an interrupt `vector` here (section 11.11).
    pub fn message(&self, vector: u8) -> (u64, u32) {
        (MESSAGE_ADDRESS | u64::from(self.id()) << 12, u32::from(vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake() -> (&'static mut [u32; 1024], LocalApic) {
        let memory: &'static mut [u32; 1024] = Box::leak(Box::new([0; 1024]));
        memory[0x20 / 4] = 3 << 24;
        let base = memory.as_mut_ptr().cast();
        // SAFETY: the memory is as large as the registers and lives forever.
        let apic = unsafe { LocalApic::start(base, 0xf0, 0xff) };
        (memory, apic)
    }

    #[test]
    fn starting_enables_it_and_masks_its_own_inputs() {
        let (memory, apic) = fake();
        assert_eq!(memory[0xf0 / 4], 0x100 | 0xff);
        assert_eq!(memory[0x80 / 4], 0x10, "no message raises an exception");
        assert_eq!(memory[0x350 / 4], 1 << 16);
        assert_eq!(apic.message(40), (0xfee0_3000, 40));
    }

    #[test]
    fn by_the_time_stamp_the_timer_has_another_mode() {
        let (memory, mut apic) = fake();
        apic.start_calibration();
        // SAFETY: the test sets no alarm.
        unsafe { apic.go_by_time_stamp(2_600_000_000) };
        assert_eq!(memory[0x320 / 4], 2 << 17 | 0xf0);
    }

    #[test]
    fn a_storm_is_kept_out_by_the_priority_of_its_class() {
        let (memory, apic) = fake();
        apic.admit(Admission::Expected);
        assert_eq!(memory[0x80 / 4], 0xd0);
        apic.admit(Admission::Timer);
        assert_eq!(memory[0x80 / 4], 0xe0);
        apic.send_to_self(0x41);
        assert_eq!(memory[0x300 / 4], 1 << 18 | 1 << 14 | 0x41);
    }

    #[test]
    fn an_alarm_is_at_least_a_tick_and_never_overflows() {
        let (memory, mut apic) = fake();
        apic.set_frequency(62_500_000);
        apic.set_alarm(0);
        assert_eq!(memory[0x380 / 4], 1);
        apic.set_alarm(1_000);
        assert_eq!(memory[0x380 / 4], 62_500);
        apic.set_alarm(u64::MAX);
        assert_eq!(memory[0x380 / 4], u32::MAX);
    }
}
