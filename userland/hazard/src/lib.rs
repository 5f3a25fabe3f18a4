//! What an honest program never does: forged system calls, and instructions that the processor refuses to a process.
//!
//! For the programs that test the kernel's isolation. The functions are safe to *call* so that those programs can
//! forbid `unsafe`, but they are outside the language's promises: each can end or corrupt the process, and must
//! never be able to do more than that. That is the point of calling them.
#![no_std]

mod addresses;
mod checked;
mod flags;
mod instructions;

pub use addresses::{
    call_at_the_end_of_code, call_with_stack, far_jump, far_return, interrupt_return, interrupt_return_here, jump,
    push_at, return_to, spin_with_stack, trap_with_stack,
};
pub use checked::call_checked;
pub use flags::{
    ALIGNMENT, DIRECTION, INTERRUPTS, IO_PRIVILEGE, NESTED, TRAP, call_with_flags, flags, spin_with_flags,
    trap_behind_stack_segment,
};
pub use instructions::{INSTRUCTIONS, Instruction, interrupt};

use libslop::raw;

/// A system call with whatever number and arguments; the result as the kernel left it.
pub fn call(number: u64, arguments: [u64; 4]) -> i64 {
    // SAFETY: not sound for each argument, on purpose: the kernel has to refuse what is not the process's, and a
    // test that has its own memory overwritten fails by it.
    unsafe { raw::call(number, arguments) }
}

/// The address of a value that is to be read.
pub fn address<T: ?Sized>(value: &T) -> u64 {
    core::ptr::from_ref(value).expose_provenance() as u64
}

/// The address of a value that is to be written.
pub fn address_mut<T: ?Sized>(value: &mut T) -> u64 {
    core::ptr::from_mut(value).expose_provenance() as u64
}

/// An address in the process's code, whose first instruction returns.
pub fn code_address() -> u64 {
    (code as extern "C" fn()) as *const () as u64
}

extern "C" fn code() {}

/// Reads eight bytes at an address.
pub fn load(address: u64) -> u64 {
    let value;
    // SAFETY: the read changes nothing; where the address is not the process's, it faults, which is wanted.
    unsafe { core::arch::asm!("mov {}, [{}]", lateout(reg) value, in(reg) address, options(nostack)) };
    value
}

/// Writes eight bytes at an address.
pub fn store(address: u64, value: u64) {
    // SAFETY: not sound for each address, on purpose: the callers give addresses that the process may not write.
    unsafe { core::arch::asm!("mov [{}], {}", in(reg) address, in(reg) value, options(nostack)) };
}

/// Calls the code at an address.
pub fn execute(address: u64) {
    // SAFETY: not sound for each address, on purpose: the callers give addresses that must not be executed, and put
    // a return instruction there in case they are.
    unsafe { core::arch::asm!("call {}", in(reg) address, clobber_abi("C")) };
}

/// Pushes on the stack until something stops it.
pub fn overflow_stack() -> ! {
    // SAFETY: nothing after the pushes is reached; the guard page below the stack ends it.
    unsafe { core::arch::asm!("2:", "push rax", "jmp 2b", options(noreturn)) }
}

/// Divides by zero.
pub fn divide() {
    // SAFETY: the instruction has no effect but to fault.
    unsafe { core::arch::asm!("div {:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _, options(nostack)) };
}

/// Carries out an instruction that is not defined.
pub fn invalid_opcode() {
    // SAFETY: the instruction has no effect but to fault.
    unsafe { core::arch::asm!("ud2", options(nostack)) };
}

/// Turns interrupts off, which only the kernel may.
pub fn privileged() {
    // SAFETY: carried out, it would concern the processor, not the memory of this program.
    unsafe { core::arch::asm!("cli", options(nostack)) };
}

/// Reads the serial port's line status.
pub fn port_io() {
    // SAFETY: carried out, it would change one register, which is named.
    unsafe { core::arch::asm!("in al, dx", in("dx") 0x3fd, out("al") _, options(nostack)) };
}

/// Clears a vector register.
pub fn sse() {
    // SAFETY: this program is built for soft float, so that it keeps nothing in vector registers.
    unsafe { core::arch::asm!("xorps xmm0, xmm0", options(nostack)) };
}

/// Loads a constant into the floating-point unit.
pub fn x87() {
    // SAFETY: this program is built for soft float, so that it keeps nothing in floating-point registers.
    unsafe { core::arch::asm!("fld1", options(nostack)) };
}

/// Hits a breakpoint.
pub fn breakpoint() {
    // SAFETY: the instruction has no effect but to trap.
    unsafe { core::arch::asm!("int3", options(nostack)) };
}
