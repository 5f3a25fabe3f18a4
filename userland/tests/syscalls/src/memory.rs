//! Addresses that are not the process's to use so: the kernel refuses them and touches nothing.

use libslop::Region;
use libslop::abi::info::NetInfo;
use libslop::abi::{Errno, Syscall, USER_BASE, USER_END};
use libslop::io::Read;

use crate::check::{Checks, Failed};
use crate::region::{self, SCRATCH};

/// Bytes of a page, and of the guard page between the stack and the end of the process.
const PAGE: u64 = 4096;
/// The stack's end.
const STACK_END: u64 = USER_END - PAGE;

/// Addresses and lengths of which no byte belongs to a process, or not all.
const OUTSIDE: [(&str, u64, u64); 11] = [
    ("the null page", 0, 8),
    ("below the process", USER_BASE - 8, 8),
    ("across the process's beginning", USER_BASE - 8, 16),
    ("across the stack's end", STACK_END - 8, 64),
    ("the guard page", STACK_END, 8),
    ("beyond the process", USER_END, 8),
    ("the first address without a canonical form", 0x0000_8000_0000_0000, 8),
    ("the kernel", 0xffff_ffff_8011_0000, 8),
    ("the last bytes of all", u64::MAX - 7, 8),
    ("around the end of all addresses", u64::MAX - 7, 64),
    ("longer than the process", STACK_END - 8, u64::MAX),
];

/// Lies among the constants.
static CONSTANT: [u8; 256] = [0x5a; 256];

pub fn run(checks: &mut Checks) -> Result<(), Failed> {
    let mut opened = region::with_pattern(checks)?;
    outside(checks, &opened)?;
    read_only(checks, &opened)?;
    nothing_was_taken(checks, &mut opened)?;
    checks.succeeds("close", opened.close())
}

fn outside(checks: &mut Checks, opened: &Region) -> Result<(), Failed> {
    let fault = Errno::Fault.to_return();
    let number = opened.descriptor().number() as u64;
    for (place, address, length) in OUTSIDE {
        checks.raw(place, Syscall::Write.number(), [1, address, length, 0], fault)?;
        checks.raw(place, Syscall::Read.number(), [number, address, length, 0], fault)?;
        checks.raw(place, Syscall::Open.number(), [address, length.min(16), 0, 0], fault)?;
        checks.raw(place, Syscall::Poll.number(), [address & !7, 8, 0, 0], fault)?;
        // Longer than either structure, so that what straddles a border still does.
        checks.raw(place, Syscall::NetInfo.number(), [address, length.max(128), 0, 0], fault)?;
        checks.raw(place, Syscall::GrantInfo.number(), [address, length.max(128), 0, 0], fault)?;
    }
    Ok(())
}

fn read_only(checks: &mut Checks, opened: &Region) -> Result<(), Failed> {
    let fault = Errno::Fault.to_return();
    let number = opened.descriptor().number() as u64;
    for (place, address) in [("constants", hazard::address(&CONSTANT)), ("code", hazard::code_address())] {
        checks.raw(place, Syscall::Read.number(), [number, address, 64, 0], fault)?;
        checks.raw(place, Syscall::Poll.number(), [address & !7, 2, 0, 0], fault)?;
        checks.raw(place, Syscall::NetInfo.number(), [address, size_of::<NetInfo>() as u64, 0, 0], fault)?;
    }
    checks.holds("the constants are as they were", core::hint::black_box(&CONSTANT) == &[0x5a; 256])?;
    let mut out = [0; 8];
    let bytes = [number, hazard::address_mut(&mut out), 0, 0];
    checks.raw("a read of nothing", Syscall::Read.number(), bytes, 0)?;
    checks.raw("a read of nothing to nowhere", Syscall::Read.number(), [number, 0, 0, 0], 0)?;
    checks.raw("a write of nothing", Syscall::Write.number(), [1, hazard::address(&out), 0, 0], 0)
}

/// A read that faults does not move on.
fn nothing_was_taken(checks: &mut Checks, opened: &mut Region) -> Result<(), Failed> {
    let mut sector = [0; 512];
    checks.succeeds("read the first sector", opened.read_exact(&mut sector).map_err(region::error))?;
    checks.holds("it is the first one", sector.iter().enumerate().all(|(at, &byte)| byte == region::pattern(at)))?;
    let again = checks.succeeds("open again", Region::open(SCRATCH))?;
    checks.holds("descriptors are different", again.descriptor() != opened.descriptor())?;
    checks.succeeds("close", again.close())
}
