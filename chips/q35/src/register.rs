//! Registers, in I/O ports and in memory, as types that `tock-registers` can read and write by field.
//!
//! `tock-registers` brings memory-mapped registers only, and none that a test can watch. [`Port`] and [`Mmio`]
//! implement its traits over a [`Bus`], so that the same driver runs on the machine and, in a host test, on a
//! model of the device that sees each access in order.

use core::arch::asm;
use core::marker::PhantomData;

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::{RegisterLongName, UIntLike};

/// A value that one bus access carries: 8, 16 or 32 bits.
pub trait Width: UIntLike + Into<u32> {
    /// Size in bytes.
    const BYTES: usize;
    /// All bits set: what a read of a register that does not exist gives on PCI.
    const ONES: Self;

    /// The low bits of `value`.
    fn from_u32(value: u32) -> Self;

    /// One `in` instruction.
    ///
    /// # Safety
    /// The code runs in ring 0, and a read of the port has no effect that another owner relies on.
    unsafe fn input(port: u16) -> Self;

    /// One `out` instruction.
    ///
    /// # Safety
    /// The code runs in ring 0, and the write neither breaks another owner of the device nor makes the device
    /// write memory that is not its own.
    unsafe fn output(self, port: u16);
}

macro_rules! width {
    ($type:ty, $register:tt) => {
        impl Width for $type {
            const BYTES: usize = size_of::<$type>();
            const ONES: Self = <$type>::MAX;

            #[inline]
            fn from_u32(value: u32) -> Self {
                value as $type
            }

            #[inline]
            unsafe fn input(port: u16) -> Self {
                let value: $type;
                // SAFETY: the caller owns the port; the instruction touches no memory and no flag.
                unsafe {
                    asm!(concat!("in ", $register, ", dx"), in("dx") port, out($register) value,
                        options(nomem, nostack, preserves_flags));
                }
                value
            }

            #[inline]
            unsafe fn output(self, port: u16) {
                // SAFETY: the caller owns the port. `nomem` is left out, so that what the device is to find in
                // memory has been written before.
                unsafe {
                    asm!(concat!("out dx, ", $register), in("dx") port, in($register) self,
                        options(nostack, preserves_flags));
                }
            }
        }
    };
}

width!(u8, "al");
width!(u16, "ax");
width!(u32, "eax");

/// The way to device registers.
pub trait Bus: Copy {
    /// Reads an I/O port.
    ///
    /// # Safety
    /// As [`Width::input`].
    unsafe fn port_read<T: Width>(self, port: u16) -> T;

    /// Writes an I/O port.
    ///
    /// # Safety
    /// As [`Width::output`].
    unsafe fn port_write<T: Width>(self, port: u16, value: T);

    /// Reads a register in memory.
    ///
    /// # Safety
    /// `address` is mapped as device memory, is a multiple of the width, and belongs to the caller.
    unsafe fn memory_read<T: Width>(self, address: usize) -> T;

    /// Writes a register in memory.
    ///
    /// # Safety
    /// As [`Bus::memory_read`], and the write does not make the device write memory that is not its own.
    unsafe fn memory_write<T: Width>(self, address: usize, value: T);
}

/// The machine itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hardware;

impl Bus for Hardware {
    #[inline]
    unsafe fn port_read<T: Width>(self, port: u16) -> T {
        // SAFETY: the caller's promise is the same.
        unsafe { T::input(port) }
    }

    #[inline]
    unsafe fn port_write<T: Width>(self, port: u16, value: T) {
        // SAFETY: the caller's promise is the same.
        unsafe { value.output(port) }
    }

    #[inline]
    unsafe fn memory_read<T: Width>(self, address: usize) -> T {
        // SAFETY: the caller says that the address is a mapped, aligned register of its own.
        unsafe { core::ptr::with_exposed_provenance::<T>(address).read_volatile() }
    }

    #[inline]
    unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
        // SAFETY: the caller says that the address is a mapped, aligned register of its own.
        unsafe { core::ptr::with_exposed_provenance_mut::<T>(address).write_volatile(value) }
    }
}

/// A register in an I/O port.
pub struct Port<T: Width, R: RegisterLongName = (), B: Bus = Hardware> {
    bus: B,
    number: u16,
    register: PhantomData<fn() -> (T, R)>,
}

impl<T: Width, R: RegisterLongName, B: Bus> Port<T, R, B> {
    /// The register at port `number`.
    ///
    /// # Safety
    /// The port belongs to the caller, and no value written through this register makes a device write memory
    /// that is not its own.
    pub const unsafe fn new(bus: B, number: u16) -> Self {
        Port { bus, number, register: PhantomData }
    }
}

impl<T: Width, R: RegisterLongName, B: Bus> Readable for Port<T, R, B> {
    type T = T;
    type R = R;

    #[inline]
    fn get(&self) -> T {
        // SAFETY: `new` was promised that the port is the caller's.
        unsafe { self.bus.port_read(self.number) }
    }
}

impl<T: Width, R: RegisterLongName, B: Bus> Writeable for Port<T, R, B> {
    type T = T;
    type R = R;

    #[inline]
    fn set(&self, value: T) {
        // SAFETY: `new` was promised that the port is the caller's and that writing it is harmless.
        unsafe { self.bus.port_write(self.number, value) }
    }
}

/// A register in memory.
pub struct Mmio<T: Width, R: RegisterLongName = (), B: Bus = Hardware> {
    bus: B,
    address: usize,
    register: PhantomData<fn() -> (T, R)>,
}

impl<T: Width, R: RegisterLongName, B: Bus> Mmio<T, R, B> {
    /// The register at a virtual address.
    ///
    /// # Safety
    /// The address is mapped as device memory for as long as the register is used, is a multiple of the width
    /// and belongs to the caller, and no value written makes a device write memory that is not its own.
    pub const unsafe fn new(bus: B, address: usize) -> Self {
        Mmio { bus, address, register: PhantomData }
    }
}

impl<T: Width, R: RegisterLongName, B: Bus> Readable for Mmio<T, R, B> {
    type T = T;
    type R = R;

    #[inline]
    fn get(&self) -> T {
        // SAFETY: `new` was promised a mapped, aligned register of the caller's own.
        unsafe { self.bus.memory_read(self.address) }
    }
}

impl<T: Width, R: RegisterLongName, B: Bus> Writeable for Mmio<T, R, B> {
    type T = T;
    type R = R;

    #[inline]
    fn set(&self, value: T) {
        // SAFETY: `new` was promised a mapped, aligned register whose values are harmless.
        unsafe { self.bus.memory_write(self.address, value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use tock_registers::interfaces::ReadWriteable;

    tock_registers::register_bitfields![u16, Word [LOW OFFSET(0) NUMBITS(4) [], HIGH OFFSET(12) NUMBITS(4) []]];

    #[test]
    fn fields_reach_the_port_at_its_width() {
        let fake = Fake::default();
        // SAFETY: the bus is a model in this process's memory.
        let port: Port<u16, Word::Register, _> = unsafe { Port::new(&fake, 0x10) };
        port.set(0xa005);
        port.modify(Word::LOW.val(9));
        assert_eq!(port.get(), 0xa009);
        assert_eq!(port.read(Word::HIGH), 0xa);
        assert_eq!(fake.port_log(), [(0x10, 2, 0xa005), (0x10, 2, 0xa009)]);
    }

    #[test]
    fn hardware_memory_is_read_and_written_in_place() {
        let mut cell = 0x1234_5678_u32;
        let address = (&raw mut cell).expose_provenance();
        // SAFETY: the address is that of a live, aligned local variable.
        let register: Mmio<u32> = unsafe { Mmio::new(Hardware, address) };
        assert_eq!(register.get(), 0x1234_5678);
        register.set(7);
        assert_eq!(register.get(), 7);
    }
}
