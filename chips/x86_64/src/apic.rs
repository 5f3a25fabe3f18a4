//! The local APIC: interrupts are acknowledged here, and its timer gives the kernel its deadlines.
//!
//! Intel SDM volume 3, chapter 11. Its registers are in memory (xAPIC), or model-specific ones where the loader has switched
//! it to x2APIC mode ([`place`]): they are the same, at other places, and an id has 32 bits instead of 8.

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use crate::clock::time_stamp;
#[cfg(not(test))]
use crate::control::{read_msr, write_msr};
use crate::vectors::DEVICE_CLASS;
use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use slopos_registers::{Bus, Hardware, Width, registers};
#[cfg(test)]
use tests::{read_msr, write_msr};
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

/// Bytes that the registers take in memory.
pub const LENGTH: u64 = 4096;

/// Where the local APIC is and whether it is on; bit 10 is x2APIC mode (sections 11.4.4 and 11.12.1).
const IA32_APIC_BASE: u32 = 0x1b;
const X2APIC_MODE: u64 = 1 << 10;
/// The bits of the address in it.
const APIC_BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Where the registers stand in for an address in x2APIC mode: the model-specific register of one is its address here,
/// divided by 16 (section 11.12.1.2). Nothing else of the kernel is mapped so low.
const X2APIC_BASE: usize = 0x800 << 4;

/// Where this processor's local APIC has its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory, from this physical address on.
    Memory(u64),
    /// Among the model-specific registers (x2APIC).
    ModelSpecific,
}

/// Asks the processor.
///
/// # Safety
/// The code runs in ring 0.
pub unsafe fn place() -> Place {
    // SAFETY: every processor with 64 bits has the register.
    let base = unsafe { read_msr(IA32_APIC_BASE) };
    if base & X2APIC_MODE != 0 { Place::ModelSpecific } else { Place::Memory(base & APIC_BASE_ADDRESS) }
}

/// The way to the registers in either mode.
#[derive(Clone, Copy)]
struct Way;

/// The model-specific register that stands for a register at this address; `None` is memory.
const fn model_specific(address: usize) -> Option<u32> {
    if address < X2APIC_BASE + LENGTH as usize { Some((address >> 4) as u32) } else { None }
}

impl Bus for Way {
    unsafe fn port_read<T: Width>(self, port: u16) -> T {
        // SAFETY: the caller's promise is the same.
        unsafe { Hardware.port_read(port) }
    }

    unsafe fn port_write<T: Width>(self, port: u16, value: T) {
        // SAFETY: the caller's promise is the same.
        unsafe { Hardware.port_write(port, value) }
    }

    #[inline]
    unsafe fn memory_read<T: Width>(self, address: usize) -> T {
        match model_specific(address) {
            // SAFETY: the processor is in x2APIC mode, or the address would be that of memory; no read has an effect.
            Some(register) => T::from_u32(unsafe { read_msr(register) } as u32),
            // SAFETY: the caller's promise is the same.
            None => unsafe { Hardware.memory_read(address) },
        }
    }

    #[inline]
    unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
        match model_specific(address) {
            // SAFETY: as above, and the value is one of the register's; its upper half is zero, which for an interrupt
            // command is a destination that the shorthand passes over. Such a write may be seen before stores that come
            // earlier (section 11.12.3): only other processors would notice, and there are none that run.
            Some(register) => unsafe { write_msr(register, u64::from(value.into())) },
            // SAFETY: the caller's promise is the same.
            None => unsafe { Hardware.memory_write(address, value) },
        }
    }
}

/// Waits until all stores have arrived, and lets no later instruction begin before.
fn fence() {
    // SAFETY: the instructions order memory accesses and change nothing.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) };
}

/// Where an interrupt message to this processor is written (section 11.11.1), to be joined with the APIC's id.
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

/// The destination that is all processors.
pub const EVERYBODY: u8 = 0xff;

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
        unsafe { Registers::new(Way, base) }.end_of_interrupt.set(0);
    }
}

/// Whether an interrupt by this vector is being served, and not yet ended.
#[cfg(not(test))]
pub(crate) fn in_service(vector: u8) -> bool {
    base().is_some_and(|base| {
        let (first, step) = IN_SERVICE;
        // SAFETY: as in `end_of_interrupt`.
        let cell = unsafe { InService::new(Way, base + first + step * usize::from(vector / 32)) };
        cell.vectors.get() >> (vector % 32) & 1 != 0
    })
}

/// The processor's own interrupt controller.
pub struct LocalApic {
    registers: Registers<Way>,
    /// Its registers are model-specific ones.
    x2apic: bool,
    ticks_per_second: u64,
    /// Whether the ticks are the time-stamp counter's, and the timer is set by [`IA32_TSC_DEADLINE`].
    by_deadline: bool,
}

/// The value of the time-stamp counter at which the timer interrupts; 0 is never (section 11.5.4.1).
const IA32_TSC_DEADLINE: u32 = 0x6e0;

impl LocalApic {
    /// Switches it on, its own inputs masked. `base` is where its registers are mapped; `None` is x2APIC mode.
    ///
    /// # Safety
    /// The registers are where [`place`] says, and mapped forever where that is memory.
    pub unsafe fn start(base: Option<*mut u8>, timer_vector: u8, spurious_vector: u8) -> LocalApic {
        let x2apic = base.is_none();
        let base = base.map_or(X2APIC_BASE, |base| base.expose_provenance());
        REGISTERS.store(base, Relaxed);
        // SAFETY: by the caller's promise.
        let registers = unsafe { Registers::new(Way, base) };
        registers.lint0.write(LocalVector::MASK::SET);
        registers.lint1.write(LocalVector::MASK::SET);
        registers.divide.write(Divide::DIVISOR::By16);
        registers.timer.write(LocalVector::VECTOR.val(timer_vector.into()) + LocalVector::TIMER_MODE::OneShot);
        registers.spurious.write(Spurious::VECTOR.val(spurious_vector.into()) + Spurious::ENABLE::SET);
        let apic = LocalApic { registers, x2apic, ticks_per_second: 0, by_deadline: false };
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
        // Where the mode is written to memory, it must arrive before the first deadline, which is not (section 11.5.4.1).
        fence();
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
    pub fn id(&self) -> u32 {
        let id = self.registers.id.get();
        if self.x2apic { id } else { id >> 24 }
    }

    /// What a device's message and an I/O APIC's entry name this processor by. They have 8 bits for it, of which the
    /// highest number means all processors (section 11.6.2.1); without interrupt remapping they reach no higher id.
    pub fn destination(&self) -> Option<u8> {
        u8::try_from(self.id()).ok().filter(|id| *id != EVERYBODY)
    }

    /// The address and data that make a device's message an interrupt `vector` here (section 11.11). One that cannot name
    /// this processor goes to all.
    pub fn message(&self, vector: u8) -> (u64, u32) {
        let destination = self.destination().unwrap_or(EVERYBODY);
        (MESSAGE_ADDRESS | u64::from(destination) << 12, u32::from(vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct ModelSpecific {
        values: BTreeMap<u32, u64>,
        written: Vec<(u32, u64)>,
    }

    thread_local! {
        /// Model-specific registers as this thread's processor has them.
        static REGISTERS_OF_A_MODEL: RefCell<ModelSpecific> = RefCell::default();
    }

    /// What [`crate::control::read_msr`] is on the machine; one that does not exist is a fault there, and fails here.
    pub(super) unsafe fn read_msr(register: u32) -> u64 {
        REGISTERS_OF_A_MODEL.with_borrow(|model| model.values.get(&register).copied()).expect("the register exists")
    }

    pub(super) unsafe fn write_msr(register: u32, value: u64) {
        REGISTERS_OF_A_MODEL.with_borrow_mut(|model| model.written.push((register, value)));
    }

    /// Model-specific registers with these values.
    fn with_registers(values: &[(u32, u64)]) {
        let values = values.iter().copied().collect();
        REGISTERS_OF_A_MODEL.set(ModelSpecific { values, written: Vec::new() });
    }

    /// What has been written to them since this was last asked.
    fn written() -> Vec<(u32, u64)> {
        REGISTERS_OF_A_MODEL.with_borrow_mut(|model| core::mem::take(&mut model.written))
    }

    /// A local APIC in x2APIC mode, with an id.
    fn x2apic(id: u64) -> LocalApic {
        with_registers(&[(0x802, id), (0x832, 1 << 16), (0x839, 5)]);
        // SAFETY: the registers are a model of this test's.
        unsafe { LocalApic::start(None, 0xf0, 0xff) }
    }

    fn fake() -> (&'static mut [u32; 1024], LocalApic) {
        let memory: &'static mut [u32; 1024] = Box::leak(Box::new([0; 1024]));
        memory[0x20 / 4] = 3 << 24;
        let base = memory.as_mut_ptr().cast();
        // SAFETY: the memory is as large as the registers and lives forever.
        let apic = unsafe { LocalApic::start(Some(base), 0xf0, 0xff) };
        (memory, apic)
    }

    #[test]
    fn starting_enables_it_and_masks_its_own_inputs() {
        let (memory, apic) = fake();
        assert_eq!(memory[0xf0 / 4], 0x100 | 0xff);
        assert_eq!(memory[0x80 / 4], 0x10, "no message raises an exception");
        assert_eq!(memory[0x350 / 4], 1 << 16);
        assert_eq!(apic.message(40), (0xfee0_3000, 40));
        assert_eq!((apic.id(), apic.destination()), (3, Some(3)));
        assert_eq!(written(), []);
    }

    #[test]
    fn the_processor_says_where_the_registers_are() {
        for (value, expected) in [
            (0xfee0_0900, Place::Memory(0xfee0_0000)),
            (0x12_3456_7800, Place::Memory(0x12_3456_7000)),
            (0xfee0_0d00, Place::ModelSpecific),
        ] {
            with_registers(&[(IA32_APIC_BASE, value)]);
            // SAFETY: the registers are a model of this test's.
            assert_eq!(unsafe { place() }, expected, "{value:#x}");
        }
    }

    #[test]
    fn in_x2apic_mode_the_same_registers_are_model_specific() {
        let apic = x2apic(3);
        // Both inputs masked, the divisor, the timer, on, all but exceptions' vectors admitted: in this order.
        let started = [(0x835, 1 << 16), (0x836, 1 << 16), (0x83e, 3), (0x832, 0xf0), (0x80f, 0x1ff), (0x808, 0x10)];
        assert_eq!(written(), started);
        apic.send_to_self(0x41);
        // All 64 bits are written at once; a destination of zero is passed over for the shorthand.
        assert_eq!(written(), [(0x830, 1 << 18 | 1 << 14 | 0x41)]);
        apic.admit(Admission::Timer);
        assert_eq!(written(), [(0x808, 0xe0)]);
        assert_eq!(apic.message(40), (0xfee0_3000, 40));
    }

    #[test]
    fn in_x2apic_mode_the_timer_counts_and_goes_by_the_time_stamp() {
        let mut apic = x2apic(0);
        written();
        apic.start_calibration();
        assert_eq!(written(), [(0x832, 1 << 16), (0x838, 0xffff_ffff)]);
        assert_eq!(apic.calibration_ticks(), 0xffff_ffff - 5);
        apic.set_frequency(1_000_000);
        apic.set_alarm(100);
        assert_eq!(written(), [(0x838, 0), (0x832, 0), (0x838, 100)]);
        // SAFETY: the register is a model of this test's.
        unsafe { apic.go_by_time_stamp(1_000_000_000) };
        assert_eq!(written(), [(0x832, 2 << 17)]);
        let before = time_stamp();
        apic.set_alarm(1_000);
        let [(IA32_TSC_DEADLINE, deadline)] = written()[..] else { panic!("one deadline") };
        assert!((before + 1_000_000..=time_stamp() + 1_000_000).contains(&deadline));
    }

    #[test]
    fn an_id_of_32_bits_may_be_beyond_what_messages_name() {
        for (id, destination) in [(0, Some(0)), (254, Some(254)), (255, None), (256, None), (0x1_0003, None)] {
            let apic = x2apic(id);
            assert_eq!((u64::from(apic.id()), apic.destination()), (id, destination));
        }
        assert_eq!(x2apic(0x103).message(40), (0xfeef_f000, 40), "to all, and not to processor 3");
    }

    #[test]
    fn no_register_in_memory_is_taken_for_a_model_specific_one() {
        assert_eq!(model_specific(X2APIC_BASE + 0xb0), Some(0x80b));
        assert_eq!(model_specific(X2APIC_BASE + 0x170), Some(0x817));
        assert_eq!(model_specific(X2APIC_BASE + 0x3e0), Some(0x83e));
        assert_eq!(model_specific(0xffff_ffff_8000_0000), None);
        assert_eq!(model_specific(0xfee0_00b0), None);
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
