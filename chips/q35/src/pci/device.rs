//! One function of a device: its identity, its command register, and where its interrupt pin ends.

use tock_registers::interfaces::{ReadWriteable, Readable};
use tock_registers::{RegisterLongName, register_bitfields};

use super::configuration::{Address, Configuration, ConfigurationRegister};
use slopos_registers::{Bus, Hardware, Width};

register_bitfields![u16,
    /// Command register (section 6.2.2), offset 0x04.
    pub(super) Command [
        /// Answers in I/O space.
        IO_SPACE OFFSET(0) NUMBITS(1) [],
        /// Answers in memory space.
        MEMORY_SPACE OFFSET(1) NUMBITS(1) [],
        /// May read and write memory, and send message-signalled interrupts.
        BUS_MASTER OFFSET(2) NUMBITS(1) [],
        /// Does not drive its interrupt pin.
        INTERRUPT_DISABLE OFFSET(10) NUMBITS(1) []
    ],
    /// Status register (section 6.2.3), offset 0x06.
    pub(super) Status [
        /// Its interrupt pin asks for service.
        INTERRUPT OFFSET(3) NUMBITS(1) [],
        /// It has a list of capabilities.
        CAPABILITIES OFFSET(4) NUMBITS(1) []
    ]
];

register_bitfields![u8,
    /// Header type (section 6.2.1), offset 0x0e.
    HeaderType [
        /// Layout of the rest of the header.
        LAYOUT OFFSET(0) NUMBITS(7) [Device = 0, Bridge = 1],
        /// The device has more than one function.
        MULTIFUNCTION OFFSET(7) NUMBITS(1) []
    ]
];

/// Offsets of the header's registers (section 6.1, figure 6-1; bridges: PCI-to-PCI Bridge 1.2, section 3.2).
pub(super) mod offset {
    pub const VENDOR: u16 = 0x00;
    pub const DEVICE: u16 = 0x02;
    pub const COMMAND: u16 = 0x04;
    pub const STATUS: u16 = 0x06;
    pub const REVISION: u16 = 0x08;
    pub const HEADER_TYPE: u16 = 0x0e;
    pub const BAR0: u16 = 0x10;
    pub const SECONDARY_BUS: u16 = 0x19;
    pub const SUBSYSTEM_VENDOR: u16 = 0x2c;
    pub const SUBSYSTEM: u16 = 0x2e;
    pub const CAPABILITIES: u16 = 0x34;
    pub const INTERRUPT_PIN: u16 = 0x3d;
}

/// What kind of device it is (section 6.2.1, class code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Class {
    /// Base class: 0x02 network, 0x01 storage, 0x06 bridge.
    pub base: u8,
    /// Sub-class.
    pub sub: u8,
    /// Programming interface.
    pub interface: u8,
}

/// The way from a function up to the root bus, for its interrupt pin.
#[derive(Clone, Copy)]
pub(super) struct Wiring {
    /// Slot on the root bus of the bridge that the function is behind; `None` on the root bus itself.
    pub root_slot: Option<u8>,
    /// By how much the bridges in between swizzle the pin.
    pub swizzle: u8,
}

/// One function of a PCI device.
#[derive(Clone, Copy)]
pub struct Device<B: Bus = Hardware> {
    configuration: Configuration<B>,
    address: Address,
    wiring: Wiring,
    vendor: u16,
    device: u16,
    revision: u8,
    class: Class,
}

impl<B: Bus> Device<B> {
    /// The function at an address; `None` where there is none.
    pub(super) fn probe(configuration: Configuration<B>, address: Address, wiring: Wiring) -> Option<Self> {
        let vendor = configuration.read::<u16>(address, offset::VENDOR);
        if vendor == u16::MAX {
            return None;
        }
        let [revision, interface, sub, base] = configuration.read::<u32>(address, offset::REVISION).to_le_bytes();
        Some(Device {
            configuration,
            address,
            wiring,
            vendor,
            device: configuration.read(address, offset::DEVICE),
            revision,
            class: Class { base, sub, interface },
        })
    }

    /// Whether the function still answers as the one that was found. Where there is none all bits read as ones.
    pub fn is_present(&self) -> bool {
        self.read::<u16>(offset::VENDOR) == self.vendor && self.read::<u16>(offset::DEVICE) == self.device
    }

    /// Bus, slot and function.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The bus that registers of this device are reached by.
    pub fn bus(&self) -> B {
        self.configuration.bus()
    }

    /// Vendor identity.
    pub fn vendor(&self) -> u16 {
        self.vendor
    }

    /// Device identity.
    pub fn device(&self) -> u16 {
        self.device
    }

    /// Revision.
    pub fn revision(&self) -> u8 {
        self.revision
    }

    /// Class code.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Subsystem vendor and subsystem identity (section 6.2.4); not meaningful for a bridge.
    pub fn subsystem(&self) -> (u16, u16) {
        (self.read(offset::SUBSYSTEM_VENDOR), self.read(offset::SUBSYSTEM))
    }

    /// Reads its configuration space, at a byte offset that is a multiple of the width.
    pub fn read<T: Width>(&self, offset: u16) -> T {
        self.configuration.read(self.address, offset)
    }

    /// Writes its configuration space, at a byte offset that is a multiple of the width.
    pub fn write<T: Width>(&self, offset: u16, value: T) {
        self.configuration.write(self.address, offset, value);
    }

    /// A register of its configuration space, typed by its fields.
    pub fn register<T: Width, R: RegisterLongName>(&self, offset: u16) -> ConfigurationRegister<T, R, B> {
        ConfigurationRegister::new(self.configuration, self.address, offset)
    }

    /// Its command register.
    pub(super) fn command(&self) -> ConfigurationRegister<u16, Command::Register, B> {
        self.register(offset::COMMAND)
    }

    /// Lets it answer in memory and I/O space, in each only where it has an address: without one it might answer at 0.
    pub fn enable_access(&self) {
        let (memory, io) = self.placed();
        self.command().modify(Command::IO_SPACE.val(io.into()) + Command::MEMORY_SPACE.val(memory.into()));
    }

    /// Keeps it from answering in memory and I/O space, and from reaching memory.
    pub fn switch_off(&self) {
        self.command().modify(Command::IO_SPACE::CLEAR + Command::MEMORY_SPACE::CLEAR + Command::BUS_MASTER::CLEAR);
    }

    /// Lets it reach memory and send message-signalled interrupts, or not. A driver turns this on only after it has
    /// reset the device: until then the device may still hold addresses that the firmware gave it.
    pub fn set_bus_master(&self, enabled: bool) {
        self.command().modify(Command::BUS_MASTER.val(enabled.into()));
    }

    /// Lets it drive its interrupt pin, or not.
    pub fn set_interrupt_pin_enabled(&self, enabled: bool) {
        self.command().modify(Command::INTERRUPT_DISABLE.val((!enabled).into()));
    }

    /// Whether it is a PCI-to-PCI bridge.
    pub fn is_bridge(&self) -> bool {
        self.header().matches_all(HeaderType::LAYOUT::Bridge)
    }

    /// Whether its slot has more than one function; function 0 says so for all.
    pub fn is_multifunction(&self) -> bool {
        self.header().is_set(HeaderType::MULTIFUNCTION)
    }

    /// Whether the rest of the header is as for an ordinary device.
    pub(super) fn is_ordinary(&self) -> bool {
        self.header().matches_all(HeaderType::LAYOUT::Device)
    }

    /// Number of the bus behind a bridge, as the firmware set it.
    pub(super) fn secondary_bus(&self) -> u8 {
        self.read(offset::SECONDARY_BUS)
    }

    pub(super) fn status(&self) -> ConfigurationRegister<u16, Status::Register, B> {
        self.register(offset::STATUS)
    }

    fn header(&self) -> ConfigurationRegister<u8, HeaderType::Register, B> {
        self.register(offset::HEADER_TYPE)
    }

    pub(super) fn wiring(&self) -> Wiring {
        self.wiring
    }

    /// Whether no bridge is in front of it, so that it answers at any address that the host bridge passes on.
    pub fn is_on_root_bus(&self) -> bool {
        self.wiring.root_slot.is_none()
    }

    /// The global system interrupt that its pin arrives on; `None` where it uses no pin, or nothing is known of the way
    /// from it: see [`Routing`](super::Routing).
    ///
    /// Each bridge swizzles the pin by the slot of the device behind it (PCI-to-PCI Bridge 1.2, section 9.1).
    pub fn interrupt_gsi(&self) -> Option<u32> {
        let pin = match self.read::<u8>(offset::INTERRUPT_PIN) {
            pin @ 1..=4 => pin - 1,
            _ => return None,
        };
        let slot = u32::from(self.address.slot());
        let (slot, pin) = match self.wiring.root_slot {
            None => (self.address.slot(), pin),
            Some(root) => (root, ((u32::from(pin) + slot + u32::from(self.wiring.swizzle)) % 4) as u8),
        };
        self.configuration.routing().gsi(slot, pin)
    }
}

impl<B: Bus> core::fmt::Debug for Device<B> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Device")
            .field("address", &self.address)
            .field("vendor", &self.vendor)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
