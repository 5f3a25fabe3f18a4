//! The two ways to configuration space: memory-mapped (ECAM, PCI Express Base 6.0, section 7.2.2) and the ports
//! 0xcf8 and 0xcfc (PCI Local Bus 3.0, section 3.2.2.3.2).

use core::marker::PhantomData;

use tock_registers::RegisterLongName;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::register_bitfields;

use super::routing::Routing;
use slopos_registers::{Bus, Hardware, Mmio, Port, ReadWrite, Width};

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

/// Which function: segment, bus, slot and function number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    segment: u16,
    bus: u8,
    slot: u8,
    function: u8,
}

impl Address {
    /// A function's address in segment 0; `None` where the slot is above 31 or the function above 7.
    pub const fn new(bus: u8, slot: u8, function: u8) -> Option<Self> {
        if slot < 32 && function < 8 { Some(Address { segment: 0, bus, slot, function }) } else { None }
    }

    /// The function of the same numbers in another segment.
    pub const fn in_segment(self, segment: u16) -> Self {
        Address { segment, ..self }
    }

    /// Segment: each has buses 0 to 255 of its own.
    pub const fn segment(self) -> u16 {
        self.segment
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

impl defmt::Format for Address {
    fn format(&self, formatter: defmt::Formatter<'_>) {
        let Address { segment, bus, slot, function } = *self;
        if segment != 0 {
            defmt::write!(formatter, "{=u16:04x}:", segment);
        }
        defmt::write!(formatter, "{=u8:02x}:{=u8:02x}.{=u8}", bus, slot, function);
    }
}

/// The way to the configuration space of one segment. What does not exist there reads as ones and takes no write, as on
/// the bus.
#[derive(Clone, Copy)]
pub struct Configuration<B: Bus = Hardware> {
    bus: B,
    way: Way,
    routing: Routing,
}

#[derive(Clone, Copy)]
enum Way {
    /// Memory-mapped; 4096 bytes for each function.
    Ecam { base: usize, segment: u16, first_bus: u8, last_bus: u8 },
    /// Through ports; 256 bytes for each function of segment 0.
    Ports,
}

impl<B: Bus> Configuration<B> {
    /// Memory-mapped configuration space of a segment's buses `first_bus` to `last_bus`; `base` maps that of `first_bus`.
    /// Nothing is known of its interrupt pins.
    ///
    /// # Safety
    /// From `base` on, one MiB for each bus is mapped as device memory for as long as the value or a copy lives, and
    /// is this machine's PCI configuration space, which the caller owns. Whoever writes configuration registers can
    /// make devices write any memory: what gets hold of this value is trusted not to.
    pub const unsafe fn ecam(bus: B, base: usize, segment: u16, first_bus: u8, last_bus: u8) -> Self {
        Configuration { bus, way: Way::Ecam { base, segment, first_bus, last_bus }, routing: Routing::Unknown }
    }

    /// Configuration space through the ports. Nothing is known of its interrupt pins.
    ///
    /// # Safety
    /// The caller owns the ports 0xcf8 to 0xcff and PCI configuration space, and no access to them is interrupted by
    /// another. The rest is as for [`Configuration::ecam`].
    pub const unsafe fn ports(bus: B) -> Self {
        Configuration { bus, way: Way::Ports, routing: Routing::Unknown }
    }

    /// The same with what is known of its interrupt pins.
    pub const fn with_routing(self, routing: Routing) -> Self {
        Configuration { routing, ..self }
    }

    /// What is known of its interrupt pins.
    pub const fn routing(&self) -> Routing {
        self.routing
    }

    /// What registers are reached by.
    pub(super) const fn bus(&self) -> B {
        self.bus
    }

    /// The segment that can be reached.
    pub const fn segment(&self) -> u16 {
        match self.way {
            Way::Ecam { segment, .. } => segment,
            Way::Ports => 0,
        }
    }

    /// The first bus that can be reached.
    pub const fn first_bus(&self) -> u8 {
        match self.way {
            Way::Ecam { first_bus, .. } => first_bus,
            Way::Ports => 0,
        }
    }

    /// Whether there is anything behind it: of the ports, whether they keep what is written as the specification says;
    /// memory is there by the firmware's word.
    pub fn answers(&self) -> bool {
        match self.way {
            Way::Ecam { .. } => true,
            Way::Ports => {
                let enable = ConfigAddress::ENABLE::SET;
                self.selector().write(enable);
                self.selector().get() == u32::from(enable)
            }
        }
    }

    /// Reads at a byte offset that is a multiple of the width.
    pub fn read<T: Width>(&self, address: Address, offset: u16) -> T {
        if let Some(register) = self.memory::<T>(address, offset) {
            register.get()
        } else if let Some(register) = self.port::<T>(address, offset) {
            register.get()
        } else {
            T::ONES
        }
    }

    /// Writes at a byte offset that is a multiple of the width.
    pub fn write<T: Width>(&self, address: Address, offset: u16, value: T) {
        if let Some(register) = self.memory::<T>(address, offset) {
            register.set(value);
        } else if let Some(register) = self.port::<T>(address, offset) {
            register.set(value);
        }
    }

    fn memory<T: Width>(&self, address: Address, offset: u16) -> Option<Mmio<T, (), ReadWrite, B>> {
        let Way::Ecam { base, segment, first_bus, last_bus } = self.way else { return None };
        let reached = address.segment == segment && (first_bus..=last_bus).contains(&address.bus);
        if !reached || offset >= 0x1000 || !usize::from(offset).is_multiple_of(T::BYTES) {
            return None;
        }
        let place = usize::from(address.bus - first_bus) << 20
            | usize::from(address.slot) << 15
            | usize::from(address.function) << 12
            | usize::from(offset);
        // SAFETY: bus and offset are in the range that `ecam` was promised to be mapped; the offset is a multiple of
        // the width, and the base is page-aligned as a mapping is.
        Some(unsafe { Mmio::new(self.bus, base + place) })
    }

    /// Points the data ports at the register and gives the one that shows it.
    fn port<T: Width>(&self, address: Address, offset: u16) -> Option<Port<T, (), ReadWrite, B>> {
        let reached = matches!(self.way, Way::Ports) && address.segment == 0;
        if !reached || offset >= 0x100 || !usize::from(offset).is_multiple_of(T::BYTES) {
            return None;
        }
        self.selector().write(
            ConfigAddress::ENABLE::SET
                + ConfigAddress::BUS.val(address.bus.into())
                + ConfigAddress::SLOT.val(address.slot.into())
                + ConfigAddress::FUNCTION.val(address.function.into())
                + ConfigAddress::REGISTER.val(u32::from(offset) >> 2),
        );
        // SAFETY: `ports` was promised that these ports are the caller's; the data ports are four, one for each byte of
        // the doubleword.
        Some(unsafe { Port::new(self.bus, CONFIG_DATA + (offset & 3)) })
    }

    fn selector(&self) -> Port<u32, ConfigAddress::Register, ReadWrite, B> {
        // SAFETY: `ports` was promised that these ports are the caller's; only that way comes here.
        unsafe { Port::new(self.bus, CONFIG_ADDRESS) }
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
