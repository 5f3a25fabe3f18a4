//! Registers of devices, in I/O ports and in memory, whose fields `tock-registers` reads and writes.
//!
//! A driver lists the registers of a block once, in the order of its specification, each with offset, access, width and
//! fields:
//!
//! ```
//! use slopos_registers::registers;
//! use tock_registers::interfaces::{Readable, Writeable};
//!
//! tock_registers::register_bitfields![u8, Status [
//!     /// The counter has reached zero.
//!     DONE OFFSET(7) NUMBITS(1) []
//! ]];
//!
//! registers! {
//!     /// An imagined timer (section 3).
//!     struct Registers in Port {
//!         /// What it counts down from (section 3.1).
//!         (0x0 => count: WriteOnly<u16>),
//!         /// Section 3.2.
//!         (0x2 => status: ReadOnly<u8, Status::Register>),
//!     }
//! }
//!
//! fn is_done(timer: &Registers) -> bool {
//!     timer.status.is_set(Status::DONE)
//! }
//! ```
//!
//! `tock-registers` has memory-mapped registers only, and a test cannot watch them. [`Port`] and [`Mmio`] implement its
//! traits over a [`Bus`]: [`Hardware`] in the kernel, in a host test a model that sees each access in order.
#![cfg_attr(not(test), no_std)]

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

/// Access to a register: it can be read.
pub trait Read {}
/// Access to a register: it can be written.
pub trait Write {}

/// A register that is read, and must not be written.
pub struct ReadOnly;
/// A register that is written, and gives nothing useful when it is read.
pub struct WriteOnly;
/// A register that is read and written.
pub struct ReadWrite;

impl Read for ReadOnly {}
impl Write for WriteOnly {}
impl Read for ReadWrite {}
impl Write for ReadWrite {}

/// What a register is, but not where.
type Kind<T, R, A> = fn() -> (T, R, A);

/// A register in an I/O port: width, fields, access, bus.
pub struct Port<T: Width, R: RegisterLongName = (), A = ReadWrite, B: Bus = Hardware> {
    bus: B,
    number: u16,
    register: PhantomData<Kind<T, R, A>>,
}

impl<T: Width, R: RegisterLongName, A, B: Bus> Port<T, R, A, B> {
    /// The register at port `number`.
    ///
    /// # Safety
    /// The port belongs to the caller, and no value written through this register makes a device write memory
    /// that is not its own.
    pub const unsafe fn new(bus: B, number: u16) -> Self {
        Port { bus, number, register: PhantomData }
    }
}

impl<T: Width, R: RegisterLongName, A: Read, B: Bus> Readable for Port<T, R, A, B> {
    type T = T;
    type R = R;

    #[inline]
    fn get(&self) -> T {
        // SAFETY: `new` was promised that the port is the caller's.
        unsafe { self.bus.port_read(self.number) }
    }
}

impl<T: Width, R: RegisterLongName, A: Write, B: Bus> Writeable for Port<T, R, A, B> {
    type T = T;
    type R = R;

    #[inline]
    fn set(&self, value: T) {
        // SAFETY: `new` was promised that the port is the caller's and that writing it is harmless.
        unsafe { self.bus.port_write(self.number, value) }
    }
}

/// A register in memory: width, fields, access, bus.
pub struct Mmio<T: Width, R: RegisterLongName = (), A = ReadWrite, B: Bus = Hardware> {
    bus: B,
    address: usize,
    register: PhantomData<Kind<T, R, A>>,
}

impl<T: Width, R: RegisterLongName, A, B: Bus> Mmio<T, R, A, B> {
    /// The register at a virtual address.
    ///
    /// # Safety
    /// The address is mapped as device memory for as long as the register is used, is a multiple of the width
    /// and belongs to the caller, and no value written makes a device write memory that is not its own.
    pub const unsafe fn new(bus: B, address: usize) -> Self {
        Mmio { bus, address, register: PhantomData }
    }
}

impl<T: Width, R: RegisterLongName, A: Read, B: Bus> Readable for Mmio<T, R, A, B> {
    type T = T;
    type R = R;

    #[inline]
    fn get(&self) -> T {
        // SAFETY: `new` was promised a mapped, aligned register of the caller's own.
        unsafe { self.bus.memory_read(self.address) }
    }
}

impl<T: Width, R: RegisterLongName, A: Write, B: Bus> Writeable for Mmio<T, R, A, B> {
    type T = T;
    type R = R;

    #[inline]
    fn set(&self, value: T) {
        // SAFETY: `new` was promised a mapped, aligned register whose values are harmless.
        unsafe { self.bus.memory_write(self.address, value) }
    }
}

/// Defines a block of registers as a type with one field for each, in [`Port`]s or in [`Mmio`].
///
/// The type has a constant `LENGTH`, the bytes from the first to the end of the last register, and an unsafe function
/// `new` that takes a bus and the port or address of offset 0. It does not compile where the offsets are not in
/// ascending order, or one is not a multiple of its register's width.
#[macro_export]
macro_rules! registers {
    (@fields) => { () };
    (@fields $fields:ty) => { $fields };
    (@base Port) => { u16 };
    (@base Mmio) => { usize };
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $Block:ident in $Space:ident {
            $($(#[$note:meta])* ($offset:literal => $field:ident: $Access:ident<$width:ty $(, $fields:ty)?>),)+
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $Block<B: $crate::Bus = $crate::Hardware> {
            $(
                $(#[$note])*
                $field: $crate::$Space<$width, $crate::registers!(@fields $($fields)?), $crate::$Access, B>,
            )+
        }

        impl<B: $crate::Bus> $Block<B> {
            /// Bytes from offset 0 to the end of the last register.
            $visibility const LENGTH: usize = $crate::block_length(&[$(($offset, size_of::<$width>())),+]);

            /// The block whose offset 0 is at `base`.
            ///
            /// # Safety
            /// What the register type's own `new` asks for holds for each register of the block.
            $visibility const unsafe fn new(bus: B, base: $crate::registers!(@base $Space)) -> Self {
                const { assert!(Self::LENGTH > 0) };
                // SAFETY: the caller promises it for each register.
                unsafe { $Block { $($field: $crate::$Space::new(bus, base + $offset)),+ } }
            }
        }
    };
}

/// The length of a block of registers, given the offset and the size of each. For [`registers!`].
///
/// # Panics
/// When compiling, as [`registers!`] says.
#[doc(hidden)]
pub const fn block_length(registers: &[(usize, usize)]) -> usize {
    let (mut last, mut length, mut index) = (0, 0, 0);
    while index < registers.len() {
        let (offset, size) = registers[index];
        assert!(offset >= last, "registers are in the order of their offsets");
        assert!(offset.is_multiple_of(size), "a register is at a multiple of its width");
        last = offset;
        if offset + size > length {
            length = offset + size;
        }
        index += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use tock_registers::interfaces::ReadWriteable;

    tock_registers::register_bitfields![u16, Word [LOW OFFSET(0) NUMBITS(4) [], HIGH OFFSET(12) NUMBITS(4) []]];

    /// One port or word that keeps what is written, and each write: place, width, value.
    #[derive(Default)]
    struct Model {
        value: RefCell<u32>,
        log: RefCell<Vec<(usize, usize, u32)>>,
    }

    impl Bus for &Model {
        unsafe fn port_read<T: Width>(self, _port: u16) -> T {
            T::from_u32(*self.value.borrow())
        }

        unsafe fn port_write<T: Width>(self, port: u16, value: T) {
            *self.value.borrow_mut() = value.into();
            self.log.borrow_mut().push((port.into(), T::BYTES, value.into()));
        }

        unsafe fn memory_read<T: Width>(self, _address: usize) -> T {
            T::from_u32(*self.value.borrow())
        }

        unsafe fn memory_write<T: Width>(self, address: usize, value: T) {
            *self.value.borrow_mut() = value.into();
            self.log.borrow_mut().push((address, T::BYTES, value.into()));
        }
    }

    #[test]
    fn fields_reach_the_port_at_its_width() {
        let model = Model::default();
        // SAFETY: the bus is a model in this process's memory.
        let port: Port<u16, Word::Register, ReadWrite, _> = unsafe { Port::new(&model, 0x10) };
        port.set(0xa005);
        port.modify(Word::LOW.val(9));
        assert_eq!(port.get(), 0xa009);
        assert_eq!(port.read(Word::HIGH), 0xa);
        assert_eq!(*model.log.borrow(), [(0x10, 2, 0xa005), (0x10, 2, 0xa009)]);
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

    registers! {
        struct Block in Mmio {
            (0x0 => word: ReadWrite<u32>),
            (0x4 => status: ReadOnly<u16, Word::Register>),
            (0x4 => command: WriteOnly<u8>),
            (0x6 => half: WriteOnly<u16>),
        }
    }

    #[test]
    fn each_register_of_a_block_is_at_its_offset_and_has_its_width() {
        let model = Model::default();
        // SAFETY: the bus is a model in this process's memory.
        let block = unsafe { Block::new(&model, 0x100) };
        block.word.set(1);
        block.command.set(2);
        block.half.set(0x3000);
        assert_eq!(*model.log.borrow(), [(0x100, 4, 1), (0x104, 1, 2), (0x106, 2, 0x3000)]);
        assert_eq!((block.status.read(Word::HIGH), block.word.get()), (3, 0x3000));
        assert_eq!(Block::<Hardware>::LENGTH, 8);
    }

    #[test]
    #[should_panic(expected = "in the order of their offsets")]
    fn a_block_out_of_order_is_refused() {
        block_length(&[(4, 4), (0, 4)]);
    }

    #[test]
    #[should_panic(expected = "a multiple of its width")]
    fn a_register_at_an_odd_place_is_refused() {
        block_length(&[(0, 4), (6, 4)]);
    }
}
