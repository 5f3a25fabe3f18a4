//! Instruction and stack pointers that no honest program has.

use core::arch::{asm, naked_asm};

use slopos_abi::Syscall;

/// Jumps to an address.
pub fn jump(address: u64) -> ! {
    // SAFETY: not sound for each address, on purpose: the callers give addresses that must not be executed.
    unsafe { asm!("jmp {}", in(reg) address, options(noreturn)) }
}

/// Returns to an address that no call has left.
pub fn return_to(address: u64) -> ! {
    // SAFETY: as `jump`.
    unsafe { asm!("push {}", "ret", in(reg) address, options(noreturn)) }
}

/// Returns from an interrupt that never was, to these selectors, flags and address.
pub fn interrupt_return(code: u64, stack: u64, flags: u64, address: u64) -> ! {
    // SAFETY: not sound for each argument, on purpose: the callers give such as the processor must refuse.
    unsafe {
        asm!(
            "push {stack}",
            "push rsp",
            "push {flags}",
            "push {code}",
            "push {address}",
            "iretq",
            stack = in(reg) stack,
            flags = in(reg) flags,
            code = in(reg) code,
            address = in(reg) address,
            options(noreturn),
        )
    }
}

/// Returns from an interrupt that never was, to the next instruction, with these selectors and flags.
pub fn interrupt_return_here(code: u64, stack: u64, flags: u64) {
    // SAFETY: with the process's own selectors this goes on after the asm block with the stack as it was; with others
    // the processor must refuse it.
    unsafe {
        asm!(
            "mov {scratch}, rsp",
            "push {stack}",
            "push {scratch}",
            "push {flags}",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "iretq",
            "2:",
            scratch = out(reg) _,
            stack = in(reg) stack,
            flags = in(reg) flags,
            code = in(reg) code,
        );
    }
}

/// Returns to the next instruction, through another code segment.
pub fn far_return(selector: u64) {
    // SAFETY: the processor must refuse a segment that is not the process's; with its own, execution goes on here.
    unsafe {
        asm!(
            "push {selector}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            selector = in(reg) selector,
            scratch = out(reg) _,
        );
    }
}

/// Jumps to the next instruction, through another segment or gate.
pub fn far_jump(selector: u64) {
    // SAFETY: as `far_return`. The bytes are `jmp far [rsp]` with a 64-bit offset; assemblers have different names for
    // it.
    unsafe {
        asm!(
            "push {selector}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            ".byte 0x48, 0xff, 0x2c, 0x24",
            "2:",
            "add rsp, 16",
            selector = in(reg) selector,
            scratch = out(reg) _,
        );
    }
}

/// Makes a system call with another stack pointer, and then takes the right one again. The result as the kernel left
/// it.
pub fn call_with_stack(stack: u64, number: u64, arguments: [u64; 4]) -> i64 {
    let result;
    // SAFETY: nothing uses the stack while its pointer is another one; what the call may touch is as for `call`.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, r8",
            "syscall",
            "mov rsp, r12",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") stack,
            out("r12") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Counts down from `turns` with another stack pointer, so that interrupts come in between.
pub fn spin_with_stack(stack: u64, turns: u64) {
    // SAFETY: nothing uses the stack while its pointer is another one.
    unsafe {
        asm!(
            "mov {kept}, rsp",
            "mov rsp, {stack}",
            "2:",
            "dec {turns}",
            "jnz 2b",
            "mov rsp, {kept}",
            kept = out(reg) _,
            stack = in(reg) stack,
            turns = inout(reg) turns.max(1) => _,
        );
    }
}

/// Pushes eight bytes below an address.
pub fn push_at(stack: u64) {
    // SAFETY: not sound for each address, on purpose: the callers give addresses that the process may not write.
    unsafe {
        asm!(
            "mov {kept}, rsp",
            "mov rsp, {stack}",
            "push {kept}",
            "mov rsp, {kept}",
            kept = out(reg) _,
            stack = in(reg) stack,
        );
    }
}

/// Takes an exception while the stack pointer is this.
pub fn trap_with_stack(stack: u64) -> ! {
    // SAFETY: nothing runs after the exception.
    unsafe { asm!("mov rsp, {}", "ud2", in(reg) stack, options(noreturn)) }
}

/// Makes a system call by the very last instruction of the program's code; after it nothing can be executed.
pub fn call_at_the_end_of_code() {
    // SAFETY: the call has no arguments. It does not return here, nor anywhere else.
    unsafe { at_the_end() }
}

/// One page of code, which libslop's linker script puts last: `mov eax` takes five bytes, `syscall` two.
#[unsafe(naked)]
#[unsafe(link_section = ".end_of_code")]
unsafe extern "sysv64" fn at_the_end() {
    naked_asm!(
        ".balign 4096",
        "mov eax, {number}",
        ".skip 4096 - 5 - 2, 0x90",
        "syscall",
        number = const Syscall::Time.number(),
    )
}
