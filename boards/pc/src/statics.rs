//! The memory of the processes, as the manifest sizes it.

use crate::power::OnPanic;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use slopos_abi::RemoteRange;
use slopos_abi::flash::AppVersion;
use slopos_entropy::Region;
use slopos_kernel::loader::{PublicKey, Trust, Unsigned};
use slopos_kernel::process::{Configuration, ConsoleAccess, Restart};
use slopos_net::sockets::{Socket, SocketSet};
use slopos_process_console::requests::Request;
use slopos_x86_64::paging::UserTables;
use slopos_x86_64::processor::UserSpace;
use static_cell::{ConstStaticCell, StaticCell};

/// Whole pages of memory. A static cell would cost a page for its flag, so one [`Once`] guards all memory of a process.
#[repr(C, align(4096))]
struct PageCell<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);
// SAFETY: one processor; `memory` hands the bytes out once.
unsafe impl<const BYTES: usize> Sync for PageCell<BYTES> {}

impl<const BYTES: usize> PageCell<BYTES> {
    const fn new() -> Self {
        PageCell(UnsafeCell::new([0; BYTES]))
    }

    /// The bytes.
    ///
    /// # Safety
    /// To be called once.
    #[expect(clippy::mut_from_ref, reason = "the caller calls once, so the reference is the only one")]
    unsafe fn memory(&'static self) -> &'static mut [u8] {
        // SAFETY: the only call, by the caller's promise; the bytes live for ever.
        unsafe { &mut *self.0.get() }
    }
}

/// Lets one caller through.
struct Once(AtomicBool);

impl Once {
    const fn new() -> Self {
        Once(AtomicBool::new(false))
    }

    fn claim(&self) {
        assert!(!self.0.swap(true, Relaxed), "the memory of a process was claimed twice");
    }
}

/// Fills an array in place, so that only one of its values at a time lies on the stack. `make` gets the index.
pub fn fill<T, const N: usize>(array: &mut MaybeUninit<[T; N]>, mut make: impl FnMut(usize) -> T) -> &mut [T; N] {
    let first = array.as_mut_ptr().cast::<T>();
    for index in 0..N {
        // SAFETY: the array has room for N values, of which this is one; nobody else has it.
        unsafe { first.add(index).write(make(index)) };
    }
    // SAFETY: each of the N values was written above.
    unsafe { array.assume_init_mut() }
}

/// Windows of memory in which virtio devices may be, one behind the other.
pub struct Windows {
    /// Physical address of the first.
    pub address: u64,
    /// Bytes of each.
    pub length: u64,
    /// How many there are.
    pub count: u32,
    /// Global system interrupt of the first; the others have those after it.
    pub gsi: u32,
}

include!(concat!(env!("OUT_DIR"), "/processes.rs"));
