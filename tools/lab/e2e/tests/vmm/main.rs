//! How Cloud Hypervisor and Firecracker start a board, as far as it goes without them: the crate with which both load a
//! kernel and write a start info (`linux-loader`, into the memory of `vm-memory`) does that with the built boards, and the
//! board's own code reads what is in the memory then.

mod load;
mod shapes;

use slopos_host_log as _;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Where the memory begins in which both put a kernel.
const HIGH_MEMORY: u64 = 1 << 20;

/// A machine's memory, from address 0 on. Both have it in one piece up to 3 GiB.
fn memory(bytes: usize) -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), bytes)]).expect("memory of this machine")
}

/// All that is in a machine's memory.
fn contents(memory: &GuestMemoryMmap) -> Vec<u8> {
    let mut bytes = vec![0; memory.last_addr().0 as usize + 1];
    memory.read_slice(&mut bytes, GuestAddress(0)).expect("all of the memory");
    bytes
}

/// Bytes of it, as the board's code asks for them.
fn reach(bytes: &[u8], address: u64, length: usize) -> Option<&[u8]> {
    bytes.get(usize::try_from(address).ok()?..)?.get(..length)
}
