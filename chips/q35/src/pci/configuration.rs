//! The two ways to configuration space: memory-mapped (ECAM, PCI Express Base 6.0, section 7.2.2) and the ports
//! 0xcf8 and 0xcfc (PCI Local Bus 3.0, section 3.2.2.3.2).

use core::marker::PhantomData;

use tock_registers::RegisterLongName;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::register_bitfields;

use slopos_registers::{Bus, Hardware, Mmio, Port, ReadWrite, Width, WriteOnly};

register_bitfields![u32,
    /// CONFIG_ADDRESS (section 3.2.2.3.2).
    ConfigAddress [
        /// Doubleword of the function's configuration space.
        REGISTER OFFSET(2) NUMBITS(6) [],
        FUNCTION OFFSET(8) NUMBITS(3) [],
        SLOT OFFSET(11) NUMBITS(5) [],
        BUS OFFSET(16) NUMBITS(8) [],
        /// An access to CONFIG_DATA goes to configuration space.
        ENABLE OFFSET(31) NUMBITS(1) []
    ]
];

/// First port of CONFIG_ADDRESS.
pub const CONFIG_ADDRESS: u16 = 0xcf8;
/// First port of CONFIG_DATA. It shows the doubleword that CONFIG_ADDRESS names, a port for each byte.
const CONFIG_DATA: u16 = CONFIG_ADDRESS + 4;
/// Ports of both.
pub const CONFIG_PORTS: u16 = 8;

/// Which function: bus, slot and function number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, defmt::Format)]
pub struct Address {
    bus: u8,
    slot: u8,
    function: u8,
}

impl Address {
    /// A function's address; `None` where the slot is above 31 or the function above 7.
    pub const fn new(bus: u8, slot: u8, function: u8) -> Option<Self> {
        if slot < 32 && function < 8 { Some(Address { bus, slot, function }) } else { None }
    }

    /// Bus, 0 to 255.
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// Slot on the bus, 0 to 31.
    pub const fn slot(self) -> u8 {
        self.slot
    }

    /// Function of the device in the slot, 0 to 7.
    pub const fn function(self) -> u8 {
        self.function
    }
}

/// The way to configuration space. What does not exist there reads as ones and takes no write, as on the bus.
#[derive(Clone, Copy)]
pub enum Configuration<B: Bus = Hardware> {
    /// Memory-mapped; 4096 bytes for each function.
    Ecam(Ecam<B>),
    /// Through ports; 256 bytes for each function.
    Ports(Ports<B>),
}

/// Memory-mapped configuration space.
#[derive(Clone, Copy)]
pub struct Ecam<B: Bus> {
    bus: B,
    base: usize,
    first_bus: u8,
    last_bus: u8,
}

/// Configuration space behind two ports.
#[derive(Clone, Copy)]
pub struct Ports<B: Bus> {
    bus: B,
}

impl<B: Bus> Configuration<B> {
    /// Memory-mapped configuration space of the buses `first_bus` to `last_bus`; `base` maps that of `first_bus`.
    ///
    /// # Safety
    /// From `base` on, one MiB for each bus is mapped as device memory for as long as the value or a copy lives, and
    /// is this machine's PCI configuration space, which the caller owns. Whoever writes configuration registers can
    /// make devices write any memory: what gets hold of this value is trusted not to.
    pub const unsafe fn ecam(bus: B, base: usize, first_bus: u8, last_bus: u8) -> Self {
        Configuration::Ecam(Ecam { bus, base, first_bus, last_bus })
    }

    /// Configuration space through the ports.
    ///
    /// # Safety
    /// The caller owns the ports 0xcf8 to 0xcff and PCI configuration space, and no access to them is interrupted by
    /// another. The rest is as for [`Configuration::ecam`].
    pub const unsafe fn ports(bus: B) -> Self {
        Configuration::Ports(Ports { bus })
    }

    /// The first bus that can be reached.
    pub const fn first_bus(&self) -> u8 {
        match self {
            Configuration::Ecam(ecam) => ecam.first_bus,
            Configuration::Ports(_) => 0,
        }
    }

    /// Reads at a byte offset that is a multiple of the width.
    pub fn read<T: Width>(&self, address: Address, offset: u16) -> T {
        if !usize::from(offset).is_multiple_of(T::BYTES) {
            return T::ONES;
        }
        match self {
            Configuration::Ecam(ecam) => match ecam.register::<T>(address, offset) {
                Some(register) => register.get(),
                None => T::ONES,
            },
            Configuration::Ports(ports) => match ports.register::<T>(address, offset) {
                Some(register) => register.get(),
                None => T::ONES,
            },
        }
    }

    /// Writes at a byte offset that is a multiple of the width.
    pub fn write<T: Width>(&self, address: Address, offset: u16, value: T) {
        if !usize::from(offset).is_multiple_of(T::BYTES) {
            return;
        }
        match self {
            Configuration::Ecam(ecam) => {
                if let Some(register) = ecam.register::<T>(address, offset) {
                    register.set(value);
                }
            }
            Configuration::Ports(ports) => {
                if let Some(register) = ports.register::<T>(address, offset) {
                    register.set(value);
                }
            }
        }
    }
}

impl<B: Bus> Ecam<B> {
    pub(super) fn bus(&self) -> B {
        self.bus
    }

    fn register<T: Width>(&self, address: Address, offset: u16) -> Option<Mmio<T, (), ReadWrite, B>> {
        if address.bus < self.first_bus || address.bus > self.last_bus || offset >= 0x1000 {
            return None;
        }
        let place = usize::from(address.bus - self.first_bus) << 20
            | usize::from(address.slot) << 15
            | usize::from(address.function) << 12
            | usize::from(offset);
        // SAFETY: bus and offset are in the range that `ecam` was promised to be mapped; the offset is a multiple of
        // the width by the check in the callers, and the base is page-aligned as a mapping is.
        Some(unsafe { Mmio::new(self.bus, self.base + place) })
    }
}

impl<B: Bus> Ports<B> {
    pub(super) fn bus(&self) -> B {
        self.bus
    }

    /// Points the data ports at the register and gives the one that shows it.
    fn register<T: Width>(&self, address: Address, offset: u16) -> Option<Port<T, (), ReadWrite, B>> {
        if offset >= 0x100 {
            return None;
        }
        // SAFETY: `ports` was promised that these ports are the caller's.
        let selector: Port<u32, ConfigAddress::Register, WriteOnly, B> = unsafe { Port::new(self.bus, CONFIG_ADDRESS) };
        selector.write(
            ConfigAddress::ENABLE::SET
                + ConfigAddress::BUS.val(address.bus.into())
                + ConfigAddress::SLOT.val(address.slot.into())
                + ConfigAddress::FUNCTION.val(address.function.into())
                + ConfigAddress::REGISTER.val(u32::from(offset) >> 2),
        );
        // SAFETY: as above; the data ports are four, one for each byte of the doubleword.
        Some(unsafe { Port::new(self.bus, CONFIG_DATA + (offset & 3)) })
    }
}

/// A register of one function's configuration space, typed by its fields.
pub struct ConfigurationRegister<T: Width, R: RegisterLongName = (), B: Bus = Hardware> {
    configuration: Configuration<B>,
    address: Address,
    offset: u16,
    register: PhantomData<fn() -> (T, R)>,
}

impl<T: Width, R: RegisterLongName, B: Bus> ConfigurationRegister<T, R, B> {
    /// The register at a byte offset of a function's configuration space.
    pub const fn new(configuration: Configuration<B>, address: Address, offset: u16) -> Self {
        ConfigurationRegister { configuration, address, offset, register: PhantomData }
    }
}

impl<T: Width, R: RegisterLongName, B: Bus> Readable for ConfigurationRegister<T, R, B> {
    type T = T;
    type R = R;

    fn get(&self) -> T {
        self.configuration.read(self.address, self.offset)
    }
}

impl<T: Width, R: RegisterLongName, B: Bus> Writeable for ConfigurationRegister<T, R, B> {
    type T = T;
    type R = R;

    fn set(&self, value: T) {
        self.configuration.write(self.address, self.offset, value);
    }
}
