//! The chipset's own watchdog, the TCO timer (Intel ICH9 data sheet, section 13.9).
//!
//! It counts in ticks of 0.6 seconds and resets the machine when it has reached zero for the second time, unless a bit of
//! the chipset or a strap of the board forbids it. The bit is cleared here. QEMU's strap, `-global
//! ICH9-LPC.noreboot=on`, which is the default before QEMU 8.0, cannot be seen from inside: the timer then runs out and
//! nothing follows.
//!
//! QEMU leaves the timer running over a reset by other means, so it is stopped before one.

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use crate::pci::Device;
use slopos_registers::{Bus, Hardware, registers};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::register_bitfields;

/// Vendor and device of the bridge to the ISA bus, whose function has the timer.
const BRIDGE: (u16, u16) = (0x8086, 0x2918);
/// Where the timer's ports begin, behind those of power management.
const TCO: u16 = 0x60;
/// Where the general control and status register is, in the chipset's memory.
const GCS: u64 = 0x3410;
/// Bytes of that register.
pub const GCS_BYTES: u64 = 4;
/// Ticks of the timer in a minute (section 13.9.11).
const TICKS_PER_MINUTE: u64 = 100;
/// Largest count; 0 and 1 are not taken.
const COUNT_MAX: u64 = 0x3ff;

register_bitfields![u32,
    /// Base of power management's ports (section 13.1, offset 0x40).
    PowerBase [
        /// The ports, in units of 128.
        BASE OFFSET(7) NUMBITS(9) []
    ],
    /// Base of the chipset's registers in memory (section 13.1, offset 0xf0).
    RootBase [
        /// They answer.
        ENABLE OFFSET(0) NUMBITS(1) [],
        /// Their address, in units of 16 KiB.
        BASE OFFSET(14) NUMBITS(18) []
    ],
    /// General control and status (section 10.1, offset 0x3410).
    General [
        /// The timer does not reset the machine.
        NO_REBOOT OFFSET(5) NUMBITS(1) []
    ]
];

register_bitfields![u8,
    /// Control of power management (section 13.1, offset 0x44).
    PowerControl [
        /// Its ports answer.
        ENABLE OFFSET(7) NUMBITS(1) []
    ]
];

register_bitfields![u16,
    /// First status (section 13.9.4). Writing 1 clears a bit.
    Status1 [
        /// The timer reached zero.
        TIMEOUT OFFSET(3) NUMBITS(1) []
    ],
    /// Second status (section 13.9.5), which outlives a reset. Writing 1 clears a bit.
    Status2 [
        /// The timer reached zero twice in a row.
        SECOND_TIMEOUT OFFSET(1) NUMBITS(1) [],
        /// The same, and the machine was reset.
        BOOT OFFSET(2) NUMBITS(1) []
    ],
    /// First control (section 13.9.6).
    Control1 [
        /// The timer stands still.
        HALT OFFSET(11) NUMBITS(1) []
    ],
    /// What the timer begins with (section 13.9.11).
    Initial [
        COUNT OFFSET(0) NUMBITS(10) []
    ]
];

registers! {
    /// The timer's ports.
    struct Registers in Port {
        /// Writing anything begins anew (section 13.9.1).
        (0x00 => reload: ReadWrite<u16>),
        /// Section 13.9.4.
        (0x04 => status1: ReadWrite<u16, Status1::Register>),
        /// Section 13.9.5.
        (0x06 => status2: ReadWrite<u16, Status2::Register>),
        /// Section 13.9.6.
        (0x08 => control1: ReadWrite<u16, Control1::Register>),
        /// Section 13.9.11.
        (0x12 => initial: ReadWrite<u16, Initial::Register>),
    }
}

registers! {
    /// The register that lets the timer reset the machine.
    struct Chipset in Mmio {
        /// Section 10.1.
        (0x0 => general: ReadWrite<u32, General::Register>),
    }
}

/// Where a timer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First of its ports.
    pub port: u16,
    /// Physical address of the chipset's general control and status register, of [`GCS_BYTES`] bytes.
    pub general: u64,
}

/// Why the timer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum TcoError {
    /// The firmware has not placed its registers.
    NotPlaced,
    /// The board keeps it from resetting the machine.
    NoReboot,
}

/// Looks whether a PCI function is the bridge with the timer, and where the firmware has placed that.
///
/// # Errors
/// It is the bridge, but [`TcoError::NotPlaced`].
pub fn find<B: Bus>(device: &Device<B>) -> Result<Option<Place>, TcoError> {
    if (device.vendor(), device.device()) != BRIDGE {
        return Ok(None);
    }
    let ports = device.register::<u32, PowerBase::Register>(0x40).read(PowerBase::BASE) as u16;
    let answers = device.register::<u8, PowerControl::Register>(0x44).is_set(PowerControl::ENABLE);
    let root = device.register::<u32, RootBase::Register>(0xf0).extract();
    if ports == 0 || !answers || !root.is_set(RootBase::ENABLE) {
        return Err(TcoError::NotPlaced);
    }
    let root = u64::from(root.read(RootBase::BASE)) << 14;
    Ok(Some(Place { port: (ports << 7) + TCO, general: root + GCS }))
}

/// The timer.
pub struct Tco<B: Bus = Hardware> {
    registers: Registers<B>,
}

impl<B: Bus> Tco<B> {
    /// The timer at these ports, once it may reset the machine. `general` is where the chipset's register is mapped.
    ///
    /// # Errors
    /// [`TcoError::NoReboot`]: the bit that forbids it cannot be cleared.
    ///
    /// # Safety
    /// The ports and the register are those that [`find`] has found, the register is mapped at `general`, and nobody else
    /// uses either.
    pub unsafe fn new(bus: B, port: u16, general: usize) -> Result<Self, TcoError> {
        // SAFETY: by the caller's promise; the chipset writes no memory.
        let (registers, chipset) = unsafe { (Registers::new(bus, port), Chipset::<B>::new(bus, general)) };
        chipset.general.modify(General::NO_REBOOT::CLEAR);
        if chipset.general.is_set(General::NO_REBOOT) { Err(TcoError::NoReboot) } else { Ok(Tco { registers }) }
    }

    /// Whether it has reset the machine since it was last asked.
    pub fn take_fired(&self) -> bool {
        let fired = self.registers.status2.is_set(Status2::SECOND_TIMEOUT);
        if fired {
            // One after the other, as the data sheet wants it. Hardware takes the zeros for nothing; QEMU's model keeps
            // what was written, ones as well.
            self.registers.status2.write(Status2::SECOND_TIMEOUT::SET);
            self.registers.status2.write(Status2::BOOT::SET);
            self.registers.status2.set(0);
        }
        fired
    }

    /// Starts it. Gives the timeout that it keeps, in milliseconds.
    pub fn start(&self, timeout_ms: u32) -> u32 {
        let count = (u64::from(timeout_ms) * TICKS_PER_MINUTE).div_ceil(2 * 60_000).clamp(2, COUNT_MAX);
        self.stop();
        self.registers.initial.modify(Initial::COUNT.val(count as u16));
        self.feed();
        self.registers.control1.modify(Control1::HALT::CLEAR);
        (2 * count * 60_000 / TICKS_PER_MINUTE) as u32
    }

    /// Begins the timeout anew.
    pub fn feed(&self) {
        // A first time out that was noted does not count any longer.
        self.registers.reload.set(1);
    }

    /// Stops it.
    pub fn stop(&self) {
        self.registers.control1.modify(Control1::HALT::SET);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::pci::model::{Function, Machine, ecam};

    const PORT: u16 = 0x660;
    const GENERAL: usize = 0xfed1_f410;

    fn bridge(power: u32, control: u8, root: u32) -> Result<Option<Place>, TcoError> {
        let mut function = Function::new(BRIDGE.0, BRIDGE.1);
        function.put(0x40, &power.to_le_bytes()).put(0x44, &[control]).put(0xf0, &root.to_le_bytes());
        let machine = Machine::with([((0, 31, 0), function)]);
        let mut found = Ok(None);
        ecam(&machine).enumerate(|device| found = find(&device)).expect("one bus");
        found
    }

    /// A timer whose ports read as zeros, with this chipset register.
    fn fake(general: u32) -> Fake {
        let fake = Fake::default();
        for port in PORT..PORT + 0x20 {
            fake.set_port(port, 0);
        }
        fake.set_memory(GENERAL, &general.to_le_bytes());
        fake
    }

    fn tco(fake: &Fake) -> Tco<&Fake> {
        // SAFETY: the bus is a model in this process's memory.
        unsafe { Tco::new(fake, PORT, GENERAL) }.expect("it may reset the machine")
    }

    #[test]
    fn it_is_found_where_the_firmware_has_placed_it() {
        let place = Place { port: 0x660, general: 0xfed1_f410 };
        assert_eq!(bridge(0x601, 0x80, 0xfed1_c001), Ok(Some(place)));
        for (power, control, root) in [(1, 0x80, 0xfed1_c001), (0x601, 0, 0xfed1_c001), (0x601, 0x80, 0xfed1_c000)] {
            assert_eq!(bridge(power, control, root), Err(TcoError::NotPlaced));
        }
        let other = Machine::with([((0, 31, 0), Function::new(0x8086, 0x7000))]);
        ecam(&other).enumerate(|device| assert_eq!(find(&device), Ok(None))).expect("one bus");
    }

    #[test]
    fn it_is_let_reset_the_machine_and_only_that() {
        let fake = fake(0x0000_0461);
        tco(&fake);
        assert_eq!(fake.memory_u32(GENERAL), 0x0000_0441);
        assert_eq!(fake.port_log(), [], "nothing runs yet");
    }

    #[test]
    fn a_board_that_forbids_the_reset_has_no_such_watchdog() {
        let stuck = Fake::reacting(
            None,
            Some(|memory, address, _| {
                memory.insert(address, 0x20);
            }),
        );
        stuck.set_memory(GENERAL, &0x20_u32.to_le_bytes());
        // SAFETY: the bus is a model in this process's memory.
        assert_eq!(unsafe { Tco::new(&stuck, PORT, GENERAL) }.err(), Some(TcoError::NoReboot));
    }

    #[test]
    fn it_is_started_with_half_of_the_timeout_rounded_up() {
        let fake = fake(0);
        // 5 s are 8.33 ticks, of which a stage has 5: 6 s in all.
        assert_eq!(tco(&fake).start(5_000), 6_000);
        let (halted, count, reload, run) = ((0x668, 2, 0x800), (0x672, 2, 5), (0x660, 2, 1), (0x668, 2, 0));
        assert_eq!(fake.port_log(), [halted, count, reload, run]);
        assert_eq!(tco(&fake).start(super::super::TIMEOUT_MIN_MS), 3_600);
        assert_eq!(tco(&fake).start(super::super::TIMEOUT_MAX_MS), super::super::TIMEOUT_MAX_MS);
    }

    #[test]
    fn other_bits_of_control_stay_as_they_are() {
        let fake = fake(0);
        fake.set_port(0x669, 0x10);
        tco(&fake).stop();
        assert_eq!(fake.port_log(), [(0x668, 2, 0x1800)]);
    }

    #[test]
    fn a_reset_by_it_is_told_once() {
        let fake = fake(0);
        assert!(!tco(&fake).take_fired());
        fake.set_port(0x666, 0b110);
        assert!(tco(&fake).take_fired());
        assert_eq!(fake.port_log(), [(0x666, 2, 0b010), (0x666, 2, 0b100), (0x666, 2, 0)]);
        assert!(!tco(&fake).take_fired());
    }
}
