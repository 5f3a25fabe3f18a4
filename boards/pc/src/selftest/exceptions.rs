//! Exceptions in the kernel arrive at their vectors, and the handler can leave the code that raised them.

use super::tally::Tally;
use core::arch::asm;
use slopos_x86_64::exception::{GENERAL_PROTECTION, PAGE_FAULT};
use slopos_x86_64::probe::attempt;

extern "C" fn divide(_: u64) {
    // SAFETY: faults before it writes a register; the probe restores all that the caller relies on.
    unsafe { asm!("div {0:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) };
}

extern "C" fn breakpoint(_: u64) {
    // SAFETY: as above; the breakpoint handler leaves for the probe.
    unsafe { asm!("int3") };
}

extern "C" fn invalid_opcode(_: u64) {
    // SAFETY: as above.
    unsafe { asm!("ud2") };
}

extern "C" fn vector_unit(_: u64) {
    // SAFETY: as above; the kernel keeps nothing in xmm0.
    unsafe { asm!("xorps xmm0, xmm0") };
}

extern "C" fn floating_point(_: u64) {
    // SAFETY: as above; the kernel keeps nothing in the x87 unit.
    unsafe { asm!("fninit") };
}

extern "C" fn no_such_segment(_: u64) {
    // SAFETY: as above; the selector is beyond the end of the descriptor table, so `ds` keeps its value.
    unsafe { asm!("mov ds, {0:x}", in(reg) 0x78) };
}

extern "C" fn non_canonical(_: u64) {
    // SAFETY: as above; nothing can be mapped there.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) 1_u64 << 47 => _) };
}

extern "C" fn null(_: u64) {
    // SAFETY: as above; nothing is mapped there.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) 0_u64 => _) };
}

extern "C" fn nothing(_: u64) {}

pub fn run(tally: &mut Tally) {
    let cases: [(&str, extern "C" fn(u64), u64); 8] = [
        ("exception #DE", divide, 0),
        ("exception #BP", breakpoint, 3),
        ("exception #UD", invalid_opcode, 6),
        ("vector unit is off", vector_unit, 6),
        ("floating-point unit is off", floating_point, 7),
        ("exception #GP", no_such_segment, GENERAL_PROTECTION),
        ("exception #GP for an address that is not canonical", non_canonical, GENERAL_PROTECTION),
        ("exception #PF", null, PAGE_FAULT),
    ];
    for (name, function, vector) in cases {
        // SAFETY: each function is one instruction that faults, so nothing is left open.
        tally.check(name, unsafe { attempt(function, 0) }.map(u64::from) == Some(vector));
    }
    // SAFETY: the function does nothing.
    tally.check("a function that does not fault returns", unsafe { attempt(nothing, 0) }.is_none());
}
