//! The kernel's pages allow exactly the accesses that they should.

use super::tally::Tally;
use crate::image;
use slopos_abi::USER_BASE;
use slopos_x86_64::exception::PAGE_FAULT;
use slopos_x86_64::probe::attempt;

/// A constant whose bytes are the instruction `ret`.
static CONSTANT: [u8; 16] = [0xc3; 16];

extern "C" fn read(address: u64) {
    // SAFETY: the probe takes the fault; where there is none, reading a byte of plain memory has no effect.
    unsafe { (address as *const u8).read_volatile() };
}

extern "C" fn rewrite(address: u64) {
    let byte = address as *mut u8;
    // SAFETY: writes back what was read, so that even where the protection fails nothing changes.
    unsafe { byte.write_volatile(byte.read_volatile()) };
}

extern "C" fn execute(address: u64) {
    // SAFETY: the probe takes the fault; where there is none, the bytes are the instruction `ret`.
    unsafe { core::mem::transmute::<u64, extern "C" fn()>(address)() };
}

fn faults(function: extern "C" fn(u64), address: u64) -> bool {
    // SAFETY: the functions touch memory and nothing else, so nothing is left open where they fault.
    unsafe { attempt(function, address) }.map(u64::from) == Some(PAGE_FAULT)
}

pub fn run(tally: &mut Tally) {
    let code = run as *const () as u64;
    let constant = CONSTANT.as_ptr() as u64;
    let stack_bytes = [0xc3_u8; 16];
    let stack = stack_bytes.as_ptr() as u64;

    tally.check("code can be read", !faults(read, code));
    tally.check("code cannot be written", faults(rewrite, code));
    tally.check("constants cannot be written", faults(rewrite, constant));
    tally.check("constants cannot be executed", faults(execute, constant));
    tally.check("the stack can be written", !faults(rewrite, stack));
    tally.check("the stack cannot be executed", faults(execute, stack));
    for guard in image::guards() {
        tally.check("guard page, first byte", faults(read, guard));
        tally.check("guard page, last byte", faults(read, guard + 4095));
        tally.check("the byte above a guard page is there", !faults(read, guard + 4096));
    }
    tally.check("the loader's mapping of low memory is gone", faults(read, 0x10_0000));
    // The process that ran last may be mapped here; the kernel cannot follow a user pointer in either case.
    tally.check("user memory cannot be read by its address", faults(read, USER_BASE));
    tally.check("user memory cannot be executed by the kernel", faults(execute, USER_BASE));
}
