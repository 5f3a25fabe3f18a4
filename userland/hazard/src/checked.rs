//! A system call that looks afterwards at what the kernel must not have touched.

use core::arch::naked_asm;

/// Makes a system call with all six arguments. Returns what the kernel left in `rax`, and whether every register was
/// kept that the contract of slopos-abi says is kept.
pub fn call_checked(number: u64, arguments: &[u64; 6]) -> (i64, bool) {
    let mut result = 0;
    // SAFETY: the function keeps the calling convention; what the call itself may touch is as for `call`.
    let changed = unsafe { checked(number, arguments, &mut result) };
    (result, changed == 0)
}

/// Fills every register that a call keeps, makes the call, and gathers the bits that differ afterwards.
#[unsafe(naked)]
unsafe extern "sysv64" fn checked(number: u64, arguments: &[u64; 6], result: &mut i64) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdx",
        "mov rax, rdi",
        "mov rdi, [rsi]",
        "mov rdx, [rsi + 16]",
        "mov r10, [rsi + 24]",
        "mov r8, [rsi + 32]",
        "mov r9, [rsi + 40]",
        "mov rsi, [rsi + 8]",
        "push rdi",
        "push rsi",
        "push rdx",
        "push r10",
        "push r8",
        "push r9",
        "mov rbp, rsp",
        "mov rbx, 0x0123456789abcdef",
        "lea r12, [rbx + 1]",
        "lea r13, [rbx + 2]",
        "lea r14, [rbx + 3]",
        "lea r15, [rbx + 4]",
        "syscall",
        "mov r11, rsp",
        "mov rcx, rbp",
        "xor rcx, r11",
        // Whatever became of the stack pointer, what follows needs it; `rbp` differs from it by now where it was lost.
        "mov rsp, rbp",
        "sub r12, 1",
        "sub r13, 2",
        "sub r14, 3",
        "sub r15, 4",
        "mov r11, 0x0123456789abcdef",
        "xor rbx, r11",
        "xor r12, r11",
        "xor r13, r11",
        "xor r14, r11",
        "xor r15, r11",
        "xor r9, [rsp]",
        "xor r8, [rsp + 8]",
        "xor r10, [rsp + 16]",
        "xor rdx, [rsp + 24]",
        "xor rsi, [rsp + 32]",
        "xor rdi, [rsp + 40]",
        "or rcx, rbx",
        "or rcx, r12",
        "or rcx, r13",
        "or rcx, r14",
        "or rcx, r15",
        "or rcx, r9",
        "or rcx, r8",
        "or rcx, r10",
        "or rcx, rdx",
        "or rcx, rsi",
        "or rcx, rdi",
        "add rsp, 48",
        "pop rdx",
        "mov [rdx], rax",
        "mov rax, rcx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
