//! A machine of plain registers for the host tests: what is written is read back, except where a test scripts it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use slopos_registers::{Bus, Width};

/// Called after a write to a port: the ports, the port, the value.
type PortHook = fn(&mut BTreeMap<u16, u8>, u16, u32);
/// Called after a write to memory: the memory, the address, the value.
type MemoryHook = fn(&mut BTreeMap<usize, u8>, usize, u32);

/// Ports and memory as bytes. What was never written reads as ones, as on PCI.
#[derive(Default)]
pub struct Fake {
    ports: RefCell<BTreeMap<u16, u8>>,
    memory: RefCell<BTreeMap<usize, u8>>,
    scripted: RefCell<BTreeMap<u16, VecDeque<u32>>>,
    log: RefCell<Vec<(u16, usize, u32)>>,
    port_hook: Option<PortHook>,
    memory_hook: Option<MemoryHook>,
}

impl Fake {
    /// A machine that lets a device react to what is written.
    pub fn reacting(port_hook: Option<PortHook>, memory_hook: Option<MemoryHook>) -> Self {
        Fake { port_hook, memory_hook, ..Fake::default() }
    }

    /// Sets a port's content.
    pub fn set_port(&self, port: u16, value: u8) {
        self.ports.borrow_mut().insert(port, value);
    }

    /// The next reads of a port give these, then its content again.
    pub fn script(&self, port: u16, values: &[u8]) {
        self.scripted.borrow_mut().entry(port).or_default().extend(values.iter().map(|value| u32::from(*value)));
    }

    /// The next 32-bit read of a port gives this, before the port's content.
    pub fn script_u32(&self, port: u16, value: u32) {
        self.scripted.borrow_mut().entry(port).or_default().push_back(value);
    }

    /// Each write to a port: number, width in bytes, value.
    pub fn port_log(&self) -> Vec<(u16, usize, u32)> {
        self.log.borrow().clone()
    }

    /// Puts bytes into memory.
    pub fn set_memory(&self, address: usize, bytes: &[u8]) {
        self.memory.borrow_mut().extend(bytes.iter().enumerate().map(|(index, byte)| (address + index, *byte)));
    }

    /// Four bytes of memory, little-endian.
    pub fn memory_u32(&self, address: usize) -> u32 {
        let memory = self.memory.borrow();
        u32::from_le_bytes(core::array::from_fn(|index| memory.get(&(address + index)).copied().unwrap_or(0xff)))
    }
}

impl Bus for &Fake {
    unsafe fn port_read<T: Width>(self, port: u16) -> T {
        if let Some(value) = self.scripted.borrow_mut().get_mut(&port).and_then(VecDeque::pop_front) {
            return T::from_u32(value);
        }
        let ports = self.ports.borrow();
        let byte = |index: usize| u32::from(*ports.get(&(port + index as u16)).unwrap_or(&0xff)) << (8 * index);
        T::from_u32((0..T::BYTES).map(byte).sum())
    }

    unsafe fn port_write<T: Width>(self, port: u16, value: T) {
        let value: u32 = value.into();
        self.log.borrow_mut().push((port, T::BYTES, value));
        let mut ports = self.ports.borrow_mut();
        for (index, byte) in value.to_le_bytes().into_iter().enumerate().take(T::BYTES) {
            ports.insert(port + index as u16, byte);
        }
        if let Some(hook) = self.port_hook {
            hook(&mut ports, port, value);
        }
    }

    unsafe fn memory_read<T: Width>(self, address: usize) -> T {
        assert_eq!(address % T::BYTES, 0, "unaligned register");
        let memory = self.memory.borrow();
        let byte = |index: usize| u32::from(*memory.get(&(address + index)).unwrap_or(&0xff)) << (8 * index);
        T::from_u32((0..T::BYTES).map(byte).sum())
    }

    unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
        assert_eq!(address % T::BYTES, 0, "unaligned register");
        let value: u32 = value.into();
        let mut memory = self.memory.borrow_mut();
        for (index, byte) in value.to_le_bytes().into_iter().enumerate().take(T::BYTES) {
            memory.insert(address + index, byte);
        }
        if let Some(hook) = self.memory_hook {
            hook(&mut memory, address, value);
        }
    }
}
