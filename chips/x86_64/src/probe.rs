//! Trying what should fault: runs a function and tells which exception it raised, if any.
//!
//! The tests on the board use it to show that protections hold. Only exceptions raised in the kernel while a
//! probe runs are taken here; all others keep their meaning.

use crate::trap::Context;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The stack pointer to come back to; 0 while no probe runs.
#[unsafe(link_section = ".bss.cpu")]
static RESUME_STACK: AtomicU64 = AtomicU64::new(0);

/// Calls `function(argument)`. Returns the vector of the exception that ended it, or `None` where it returned.
///
/// # Safety
/// Where `function` faults, its frame and those of all that it called are left without being unwound: none may hold
/// anything that must be given back, and nothing may rely on what it had begun.
pub unsafe fn attempt(function: extern "C" fn(u64), argument: u64) -> Option<u8> {
    // SAFETY: `enter` keeps to the C calling convention; when the function faults, the registers it must preserve
    // come back from the stack that `enter` saved them on.
    let outcome = unsafe { enter(function, argument) };
    outcome.checked_sub(1).map(|vector| vector as u8)
}

#[unsafe(naked)]
unsafe extern "C" fn enter(function: extern "C" fn(u64), argument: u64) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rip + {stack}], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "xor eax, eax",
        "jmp {finish}",
        stack = sym RESUME_STACK,
        finish = sym finish,
    )
}

/// The end of `enter`, reached by its own jump or by [`recover`], with the outcome in `rax`.
#[unsafe(naked)]
unsafe extern "C" fn finish() {
    naked_asm!(
        "mov rsp, [rip + {stack}]",
        "mov qword ptr [rip + {stack}], 0",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        stack = sym RESUME_STACK,
    )
}

/// Sends the kernel back to the probe that runs; answers whether one does.
pub(crate) fn recover(frame: &mut Context) -> bool {
    let stack = RESUME_STACK.load(Relaxed);
    if stack == 0 {
        return false;
    }
    frame.rax = frame.vector + 1;
    frame.rip = finish as *const () as u64;
    frame.rsp = stack;
    true
}
