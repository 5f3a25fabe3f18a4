//! A model of configuration space for host tests: functions with registers, masks of writable bits, and both ways in.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Configuration;
use slopos_registers::{Bus, Width};

pub const ECAM: usize = 0xb000_0000;

/// One function: its bytes, and which bits of them a write changes.
pub struct Function {
    bytes: [u8; 256],
    /// Which bits a write changes.
    pub writable: [u8; 256],
}

impl Function {
    pub fn new(vendor: u16, device: u16) -> Self {
        let mut function = Function { bytes: [0; 256], writable: [0; 256] };
        function.put(0, &vendor.to_le_bytes());
        function.put(2, &device.to_le_bytes());
        function.writable[4..6].fill(0xff);
        function
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// A base address register: its value and its size.
    pub fn bar(&mut self, index: usize, value: u32, size: u32) -> &mut Self {
        self.put(0x10 + 4 * index, &value.to_le_bytes());
        self.writable[0x10 + 4 * index..][..4].copy_from_slice(&(!(size - 1) & !0xf).to_le_bytes());
        self
    }

    pub fn bridge(secondary: u8) -> Self {
        let mut bridge = Function::new(0x1b36, 0x000c);
        bridge.put(0x0e, &[1]).put(0x19, &[secondary]);
        bridge
    }
}

/// A machine whose only devices are in configuration space, and whose memory is bytes.
#[derive(Default)]
pub struct Machine {
    functions: RefCell<BTreeMap<(u8, u8, u8), Function>>,
    selected: RefCell<u32>,
    /// Nothing answers at the ports.
    pub deaf: RefCell<bool>,
    pub memory: RefCell<BTreeMap<usize, u32>>,
}

impl Machine {
    pub fn with(functions: impl IntoIterator<Item = ((u8, u8, u8), Function)>) -> Self {
        Machine { functions: RefCell::new(functions.into_iter().collect()), ..Machine::default() }
    }

    fn read_byte(&self, place: (u8, u8, u8), offset: usize) -> u8 {
        self.functions.borrow().get(&place).and_then(|function| function.bytes.get(offset).copied()).unwrap_or(0xff)
    }

    fn write_byte(&self, place: (u8, u8, u8), offset: usize, value: u8) {
        if let Some(function) = self.functions.borrow_mut().get_mut(&place) {
            let writable = function.writable[offset];
            function.bytes[offset] = function.bytes[offset] & !writable | value & writable;
        }
    }

    fn split(place: usize) -> ((u8, u8, u8), usize) {
        (((place >> 20) as u8, (place >> 15) as u8 & 31, (place >> 12) as u8 & 7), place & 0xfff)
    }

    fn port_place(&self, port: u16) -> ((u8, u8, u8), usize) {
        let selected = *self.selected.borrow() as usize;
        assert_eq!(selected >> 31, 1, "data port used without an address");
        let (place, _) = Self::split((selected >> 8 & 0xffff) << 12);
        (place, (selected & 0xfc) + usize::from(port - 0xcfc))
    }
}

impl Bus for &Machine {
    unsafe fn port_read<T: Width>(self, port: u16) -> T {
        if *self.deaf.borrow() {
            return T::ONES;
        }
        if port == 0xcf8 {
            return T::from_u32(*self.selected.borrow());
        }
        let (place, offset) = self.port_place(port);
        T::from_u32((0..T::BYTES).map(|index| u32::from(self.read_byte(place, offset + index)) << (8 * index)).sum())
    }

    unsafe fn port_write<T: Width>(self, port: u16, value: T) {
        if port == 0xcf8 {
            *self.selected.borrow_mut() = value.into();
            return;
        }
        let (place, offset) = self.port_place(port);
        for (index, byte) in value.into().to_le_bytes().into_iter().enumerate().take(T::BYTES) {
            self.write_byte(place, offset + index, byte);
        }
    }

    unsafe fn memory_read<T: Width>(self, address: usize) -> T {
        if !(ECAM..ECAM + (256 << 20)).contains(&address) {
            return T::from_u32(*self.memory.borrow().get(&address).unwrap_or(&0));
        }
        let (place, offset) = Machine::split(address - ECAM);
        T::from_u32((0..T::BYTES).map(|index| u32::from(self.read_byte(place, offset + index)) << (8 * index)).sum())
    }

    unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
        if !(ECAM..ECAM + (256 << 20)).contains(&address) {
            self.memory.borrow_mut().insert(address, value.into());
            return;
        }
        let (place, offset) = Machine::split(address - ECAM);
        for (index, byte) in value.into().to_le_bytes().into_iter().enumerate().take(T::BYTES) {
            self.write_byte(place, offset + index, byte);
        }
    }
}

pub fn ecam(machine: &Machine) -> Configuration<&Machine> {
    // SAFETY: the bus is a model in this process's memory.
    unsafe { Configuration::ecam(machine, ECAM, 0, 0, 255) }
}
