//! The system calls, one function each, with borrowed memory instead of addresses.
//!
//! This is the only file, beside the entry stub, that needs `unsafe` in an ordinary program: everything else of
//! this library is written in terms of these functions. `kernel/abi/README.md` documents each call.

use slopos_abi::info::{GrantInfo, NetInfo, SocketInfo};
use slopos_abi::poll::Entry;
use slopos_abi::{Errno, Rights, SocketFlags, SocketKind, Syscall};

use crate::Error;
use crate::raw;

/// Gives up the rest of the time slice.
pub fn yield_now() {
    // SAFETY: no argument of this call is an address. Its one result is 0, which says nothing.
    unsafe { raw::call(Syscall::Yield.number(), [0; 4]) };
}

/// Ends the process with this status.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no argument of this call is an address.
        unsafe { raw::call(Syscall::Exit.number(), [status as u64, 0, 0, 0]) };
    }
}

/// Sleeps for at least `ms` milliseconds.
///
/// # Errors
/// None that the kernel documents.
pub fn sleep_ms(ms: u64) -> Result<(), Error> {
    // SAFETY: no argument of this call is an address.
    result(unsafe { raw::call(Syscall::Sleep.number(), [ms, 0, 0, 0]) })?;
    Ok(())
}

/// Milliseconds since boot, never running backwards.
///
/// # Errors
/// None that the kernel documents.
pub fn time_ms() -> Result<u64, Error> {
    // SAFETY: this call has no arguments.
    result(unsafe { raw::call(Syscall::Time.number(), [0; 4]) })
}

/// Opens the flash region of this name, or the entropy device, and returns its descriptor.
///
/// # Errors
/// ENOENT where the manifest grants the process no such region; EIO where there is no entropy device; EMFILE where the
/// descriptor table is full.
pub fn open(name: &str) -> Result<i32, Error> {
    // SAFETY: the kernel reads `name.len()` bytes, all of which `name` lends.
    let value = unsafe { raw::call(Syscall::Open.number(), [address(name.as_ptr()), name.len() as u64, 0, 0]) };
    descriptor(value)
}

/// Closes a descriptor.
///
/// # Errors
/// EBADF where it is not open.
pub fn close(descriptor: i32) -> Result<(), Error> {
    // SAFETY: no argument of this call is an address.
    result(unsafe { raw::call(Syscall::Close.number(), [descriptor as u64, 0, 0, 0]) })?;
    Ok(())
}

/// Reads into `buffer` and returns the number of bytes; 0 is the end of the stream.
///
/// # Errors
/// EBADF, EAGAIN, EIO; ECONNRESET and ETIMEDOUT on a socket.
pub fn read(descriptor: i32, buffer: &mut [u8]) -> Result<usize, Error> {
    let arguments = [descriptor as u64, address_mut(buffer.as_mut_ptr()), buffer.len() as u64, 0];
    // SAFETY: the kernel writes at most `buffer.len()` bytes, all of which `buffer` lends for writing; any byte is
    // valid there.
    let value = result(unsafe { raw::call(Syscall::Read.number(), arguments) })?;
    within(value, buffer.len())
}

/// Writes from `bytes` and returns how many were taken, at least one unless there are none.
///
/// # Errors
/// EBADF, EAGAIN, EIO; EPIPE, ECONNRESET and ETIMEDOUT on a socket.
pub fn write(descriptor: i32, bytes: &[u8]) -> Result<usize, Error> {
    let arguments = [descriptor as u64, address(bytes.as_ptr()), bytes.len() as u64, 0];
    // SAFETY: the kernel reads at most `bytes.len()` bytes, all of which `bytes` lends.
    let value = result(unsafe { raw::call(Syscall::Write.number(), arguments) })?;
    within(value, bytes.len())
}

/// Waits until everything that was written to the region behind a descriptor is on the medium.
///
/// # Errors
/// EBADF; EINVAL where the descriptor is no region's; EAGAIN; EIO.
pub fn sync(descriptor: i32) -> Result<(), Error> {
    // SAFETY: no argument of this call is an address.
    result(unsafe { raw::call(Syscall::Sync.number(), [descriptor as u64, 0, 0, 0]) })?;
    Ok(())
}

/// Says that this program works. Where it is a version on trial, it is the confirmed one from now on; anywhere else
/// nothing happens. Returns when that is on the medium. A program that exits with 0 need not say it.
///
/// # Errors
/// EIO where the flash cannot be written: then it is not confirmed after the next boot.
pub fn confirm() -> Result<(), Error> {
    // SAFETY: no argument of this call is an address.
    result(unsafe { raw::call(Syscall::Confirm.number(), [0; 4]) })?;
    Ok(())
}

/// A descriptor for a new socket.
///
/// # Errors
/// EACCES without network authority; EMFILE where the table or the grant is full.
pub fn socket(kind: SocketKind, flags: SocketFlags) -> Result<i32, Error> {
    // SAFETY: no argument of this call is an address.
    descriptor(unsafe { raw::call(Syscall::Socket.number(), [kind as u64, flags.bits(), 0, 0]) })
}

/// Connects a socket to an IPv4 address, given as a number, and a port. A `timeout_ms` of 0 leaves the limit to
/// the protocol.
///
/// # Errors
/// EACCES where the manifest does not cover the remote; ECONNREFUSED; ETIMEDOUT; EAGAIN on a non-blocking socket
/// until it is decided; EBADF; EINVAL for port 0 or a socket in the wrong state.
pub fn connect(descriptor: i32, address: u32, port: u16, timeout_ms: u64) -> Result<(), Error> {
    let arguments = [descriptor as u64, u64::from(address), u64::from(port), timeout_ms];
    // SAFETY: no argument of this call is a memory address.
    result(unsafe { raw::call(Syscall::Connect.number(), arguments) })?;
    Ok(())
}

/// Waits until an entry of `set` is ready and returns how many are; 0 once `timeout_ms` have passed.
///
/// # Errors
/// EINVAL where the set has more entries than a descriptor table.
pub fn poll(set: &mut [Entry], timeout_ms: u64) -> Result<usize, Error> {
    let arguments = [address_mut(set.as_mut_ptr()), set.len() as u64, timeout_ms, 0];
    // SAFETY: the kernel reads and writes `set.len()` entries, all of which `set` lends for writing; an entry is
    // made of plain numbers, so it is valid whatever the kernel writes.
    let value = result(unsafe { raw::call(Syscall::Poll.number(), arguments) })?;
    within(value, set.len())
}

/// What the kernel tells about the network.
///
/// # Errors
/// None that the kernel documents for memory which is the process's own.
pub fn net_info() -> Result<NetInfo, Error> {
    let mut info = NetInfo::default();
    let arguments = [address_mut(&raw mut info), size_of::<NetInfo>() as u64, 0, 0];
    // SAFETY: the kernel writes at most the size of `info`, which is ours and valid whatever its bytes are.
    result(unsafe { raw::call(Syscall::NetInfo.number(), arguments) })?;
    Ok(info)
}

/// What the kernel tells about the process's own network grant.
///
/// # Errors
/// None that the kernel documents for memory which is the process's own.
pub fn grant_info() -> Result<GrantInfo, Error> {
    let mut info = GrantInfo::default();
    let arguments = [address_mut(&raw mut info), size_of::<GrantInfo>() as u64, 0, 0];
    // SAFETY: the kernel writes at most the size of `info`, which is ours and valid whatever its bytes are.
    result(unsafe { raw::call(Syscall::GrantInfo.number(), arguments) })?;
    Ok(info)
}

/// A grant and its sockets.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Grant<const N: usize> {
    /// The grant as a whole.
    pub info: GrantInfo,
    /// Its first `N` sockets, or zeros where it has fewer; [`GrantInfo::sockets`] tells how many there are.
    pub sockets: [SocketInfo; N],
}

// The kernel writes one structure right after the other.
const _: () = assert!(core::mem::offset_of!(Grant<1>, sockets) == size_of::<GrantInfo>());

/// What the kernel tells about the process's own network grant and its first `N` sockets.
///
/// # Errors
/// None that the kernel documents for memory which is the process's own.
pub fn grant_info_with_sockets<const N: usize>() -> Result<Grant<N>, Error> {
    let mut grant = Grant { info: GrantInfo::default(), sockets: [SocketInfo::default(); N] };
    let arguments = [address_mut(&raw mut grant), size_of::<Grant<N>>() as u64, 0, 0];
    // SAFETY: the kernel writes at most the size of `grant`, which is ours, has no padding that anybody reads, and is
    // valid whatever its bytes are.
    result(unsafe { raw::call(Syscall::GrantInfo.number(), arguments) })?;
    Ok(grant)
}

/// Keeps only these rights of a descriptor and returns those that are left; without WRITE a connected socket sends FIN.
///
/// # Errors
/// EBADF where it is not open; EINVAL where the kernel's answer is no set of rights.
pub fn restrict(descriptor: i32, rights: Rights) -> Result<Rights, Error> {
    let arguments = [descriptor as u64, rights.bits().into(), 0, 0];
    // SAFETY: no argument of this call is an address.
    let left = result(unsafe { raw::call(Syscall::Restrict.number(), arguments) })?;
    Ok(Rights::try_from(left)?)
}

/// From now on connects only to remotes that lie in this network and these ports as well. `address` is an IPv4 address
/// as a number, of which the first `prefix` bits count. Nothing widens it again but a restart of the process.
///
/// # Errors
/// EINVAL where `prefix` is above 32, a port is 0, or `first_port` is above `last_port`.
pub fn restrict_connect(address: u32, prefix: u8, first_port: u16, last_port: u16) -> Result<(), Error> {
    let arguments = [u64::from(address), u64::from(prefix), u64::from(first_port), u64::from(last_port)];
    // SAFETY: no argument of this call is an address in memory.
    result(unsafe { raw::call(Syscall::RestrictConnect.number(), arguments) })?;
    Ok(())
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

fn address_mut<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

fn result(value: i64) -> Result<u64, Error> {
    Errno::from_return(value).map_err(Error::from)
}

fn descriptor(value: i64) -> Result<i32, Error> {
    i32::try_from(result(value)?).map_err(|_| Error::from(Errno::Invalid))
}

/// The kernel cannot have handled more than was offered; checked, so that no slice index relies on it.
fn within(value: u64, limit: usize) -> Result<usize, Error> {
    usize::try_from(value).ok().filter(|&count| count <= limit).ok_or(Error::from(Errno::Invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_what_was_offered_is_an_error() {
        assert_eq!(within(8, 8), Ok(8));
        assert_eq!(within(9, 8), Err(Error::from(Errno::Invalid)));
        assert_eq!(within(u64::MAX, 8), Err(Error::from(Errno::Invalid)));
    }

    #[test]
    fn a_descriptor_is_a_small_number() {
        assert_eq!(descriptor(31), Ok(31));
        assert_eq!(descriptor(1 << 32), Err(Error::from(Errno::Invalid)));
        assert_eq!(descriptor(Errno::TooManyOpen.to_return()), Err(Error::from(Errno::TooManyOpen)));
    }
}
