//! The watchdog of the Intel 6300ESB I/O controller hub (its data sheet, order number 300641, chapter on the watchdog
//! timer, device 29 function 4), which QEMU offers as a PCI device of its own, `-device i6300esb`.
//!
//! Two counters run one after the other, in units of 32,768 ticks of the PCI clock of 33 MHz; when the second one ends, the
//! machine is reset. A register in memory is written only behind two writes that unlock it.

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use crate::pci::Device;
use slopos_registers::{Bus, Hardware, registers};
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::register_bitfields;

/// Vendor and device.
const IDENTITY: (u16, u16) = (0x8086, 0x25ab);
/// What unlocks a register for one write, in this order.
const UNLOCK: [u16; 2] = [0x80, 0x86];
/// The PCI clock in ticks a millisecond, and how many of them a counter counts as one.
const TICKS_PER_MS: u64 = 33_000;
const PRESCALE: u64 = 32_768;
/// Largest count.
const COUNT_MAX: u64 = 0xf_ffff;
/// Offsets of its own registers in configuration space.
const CONFIGURATION: u16 = 0x60;
const LOCK: u16 = 0x68;

register_bitfields![u16,
    /// WDT configuration register.
    Configuration [
        /// What the end of the first stage does.
        INTERRUPT OFFSET(0) NUMBITS(2) [Disabled = 3],
        /// The counters count 32 ticks as one.
        FAST OFFSET(2) NUMBITS(1) [],
        /// The end of the second stage does not reset the machine.
        OUTPUT_DISABLE OFFSET(5) NUMBITS(1) []
    ],
    /// Reload register.
    Reload [
        /// Begins with the first stage.
        RELOAD OFFSET(8) NUMBITS(1) [],
        /// It has reset the machine. Writing 1 clears it.
        TIMEOUT OFFSET(9) NUMBITS(1) []
    ]
];

register_bitfields![u8,
    /// WDT lock register.
    Lock [
        /// Nothing here can be changed until the next reset.
        LOCK OFFSET(0) NUMBITS(1) [],
        /// It counts.
        ENABLE OFFSET(1) NUMBITS(1) []
    ]
];

registers! {
    /// The registers in memory.
    struct Registers in Mmio {
        /// Preload value 1.
        (0x0 => first: WriteOnly<u32>),
        /// Preload value 2.
        (0x4 => second: WriteOnly<u32>),
        /// Reload register.
        (0xc => reload: ReadWrite<u16, Reload::Register>),
    }
}

/// Bytes of the registers in memory, which its first base address register places.
pub const MEMORY_BYTES: u64 = 16;

/// Whether a PCI function is such a device.
pub fn is<B: Bus>(device: &Device<B>) -> bool {
    (device.vendor(), device.device()) == IDENTITY
}

/// The device.
pub struct I6300esb<B: Bus = Hardware> {
    device: Device<B>,
    registers: Registers<B>,
}

impl<B: Bus> I6300esb<B> {
    /// This device, whose registers are mapped at `base`.
    ///
    /// # Safety
    /// [`is`] is true of the device, whose first base address register's [`MEMORY_BYTES`] are mapped at `base` for ever, and
    /// nobody else uses it.
    pub unsafe fn new(device: Device<B>, base: usize) -> Self {
        // SAFETY: by the caller's promise; the device writes no memory.
        let registers = unsafe { Registers::new(device.bus(), base) };
        I6300esb { device, registers }
    }

    /// Whether it has reset the machine since it was last asked.
    pub fn take_fired(&self) -> bool {
        let fired = self.registers.reload.is_set(Reload::TIMEOUT);
        if fired {
            self.unlock();
            self.registers.reload.write(Reload::TIMEOUT::SET);
        }
        fired
    }

    /// Starts it. Gives the timeout that it keeps, in milliseconds.
    pub fn start(&self, timeout_ms: u32) -> u32 {
        let count = (u64::from(timeout_ms) * TICKS_PER_MS).div_ceil(2 * PRESCALE).clamp(1, COUNT_MAX);
        self.stop();
        let configuration = self.device.register::<u16, Configuration::Register>(CONFIGURATION);
        configuration.write(Configuration::INTERRUPT::Disabled);
        self.unlock();
        self.registers.first.set(count as u32);
        self.unlock();
        self.registers.second.set(count as u32);
        self.feed();
        self.lock().write(Lock::ENABLE::SET);
        (2 * count * PRESCALE / TICKS_PER_MS) as u32
    }

    /// Begins the timeout anew.
    pub fn feed(&self) {
        self.unlock();
        self.registers.reload.write(Reload::RELOAD::SET);
    }

    /// Stops it.
    pub fn stop(&self) {
        self.lock().write(Lock::ENABLE::CLEAR);
    }

    fn unlock(&self) {
        for word in UNLOCK {
            self.registers.reload.set(word);
        }
    }

    fn lock(&self) -> crate::pci::ConfigurationRegister<u8, Lock::Register, B> {
        self.device.register(LOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::Configuration as Space;
    use crate::pci::model::{ECAM, Function, Machine};
    use slopos_registers::Width;
    use std::cell::{Cell, RefCell};

    const BASE: usize = 0xfebd_1000;

    /// The device as its data sheet describes it: a register takes one write behind the two that unlock it.
    struct Model {
        space: Machine,
        unlocked: Cell<usize>,
        fired: Cell<bool>,
        /// Each write that was taken: offset, value.
        taken: RefCell<Vec<(usize, u32)>>,
    }

    impl Model {
        fn new() -> Model {
            let mut function = Function::new(IDENTITY.0, IDENTITY.1);
            function.writable[0x60..0x69].fill(0xff);
            Model {
                space: Machine::with([((0, 4, 0), function)]),
                unlocked: Cell::new(0),
                fired: Cell::new(false),
                taken: RefCell::default(),
            }
        }

        fn configuration(&self, offset: usize) -> u16 {
            // SAFETY: the bus is a model in this process's memory.
            unsafe { (&self.space).memory_read(ECAM + (4 << 15) + offset) }
        }

        fn driver(&self) -> I6300esb<&Model> {
            // SAFETY: the bus is a model in this process's memory.
            let space = unsafe { Space::ecam(self, ECAM, 0, 0, 0) };
            let mut found = None;
            space.enumerate(|device| found = Some(device).filter(is)).expect("one bus");
            // SAFETY: as above.
            unsafe { I6300esb::new(found.expect("the device"), BASE) }
        }
    }

    impl Bus for &Model {
        unsafe fn port_read<T: Width>(self, port: u16) -> T {
            panic!("no port {port:#x}");
        }

        unsafe fn port_write<T: Width>(self, port: u16, _: T) {
            panic!("no port {port:#x}");
        }

        unsafe fn memory_read<T: Width>(self, address: usize) -> T {
            match address.checked_sub(BASE) {
                Some(0xc) => T::from_u32(if self.fired.get() { 1 << 9 } else { 0 }),
                // SAFETY: as the caller's.
                _ => unsafe { (&self.space).memory_read(address) },
            }
        }

        unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
            let word: u32 = value.into();
            let Some(offset @ 0..16) = address.checked_sub(BASE) else {
                // SAFETY: as the caller's.
                return unsafe { (&self.space).memory_write(address, value) };
            };
            match self.unlocked.take() {
                0 if (offset, word) == (0xc, 0x80) => self.unlocked.set(1),
                1 if (offset, word) == (0xc, 0x86) => self.unlocked.set(2),
                2 => self.taken.borrow_mut().push((offset, word)),
                step => panic!("{word:#x} at {offset:#x} in step {step}"),
            }
            if (offset, word) == (0xc, 1 << 9) {
                self.fired.set(false);
            }
        }
    }

    #[test]
    fn it_is_started_with_half_of_the_timeout_in_each_stage() {
        let model = Model::new();
        // 5 s are 5,036 counts, rounded up to two equal stages.
        assert_eq!(model.driver().start(5_000), 5_000);
        assert_eq!(*model.taken.borrow(), [(0x0, 2_518), (0x4, 2_518), (0xc, 1 << 8)]);
        assert_eq!(model.configuration(0x60), 3, "no interrupt, slow, with the reset");
        assert_eq!(model.configuration(0x68) & 0xff, 2, "it counts and is not locked");
    }

    #[test]
    fn the_longest_and_the_shortest_timeout_fit_its_counters() {
        for timeout in [super::super::TIMEOUT_MIN_MS, super::super::TIMEOUT_MAX_MS] {
            let kept = Model::new().driver().start(timeout);
            assert!((timeout..=timeout + 2).contains(&kept), "{timeout}: {kept}");
        }
    }

    #[test]
    fn it_is_fed_and_stopped() {
        let model = Model::new();
        let driver = model.driver();
        driver.start(5_000);
        driver.feed();
        assert_eq!(model.taken.borrow().last(), Some(&(0xc, 1 << 8)));
        driver.stop();
        assert_eq!(model.configuration(0x68) & 0xff, 0);
    }

    #[test]
    fn a_reset_by_it_is_told_once() {
        let model = Model::new();
        assert!(!model.driver().take_fired());
        assert_eq!(*model.taken.borrow(), []);
        model.fired.set(true);
        assert!(model.driver().take_fired());
        assert!(!model.driver().take_fired());
    }
}
