//! System calls, and mere computing, with flags that an honest program never sets (Intel SDM volume 1, section 3.4.3).

use core::arch::asm;

/// Single step: a trap after each instruction.
pub const TRAP: u64 = 1 << 8;
/// Interrupts are taken. A process cannot clear it.
pub const INTERRUPTS: u64 = 1 << 9;
/// String instructions run downwards.
pub const DIRECTION: u64 = 1 << 10;
/// Privilege needed for port I/O; both bits. A process cannot change them.
pub const IO_PRIVILEGE: u64 = 3 << 12;
/// Nested task: `iretq` faults while it is set.
pub const NESTED: u64 = 1 << 14;
/// Alignment check; in the kernel it would suspend SMAP.
pub const ALIGNMENT: u64 = 1 << 18;

/// The flags that a process has from the start.
const ORDINARY: u64 = INTERRUPTS | 1 << 1;

/// The flags as they are.
pub fn flags() -> u64 {
    let flags;
    // SAFETY: pushes eight bytes and takes them back.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags
}

/// Sets these flags beside the ordinary ones, makes a system call at once, and restores the flags. Returns what the
/// kernel left in `rax`, and the flags that it left.
pub fn call_with_flags(flags: u64, number: u64, arguments: [u64; 4]) -> (i64, u64) {
    let (result, after);
    // SAFETY: what the call may touch is as for `call`; the flags are restored before any other code runs.
    unsafe {
        asm!(
            "pushfq",
            "pop r9",
            "push r8",
            "popfq",
            "syscall",
            "pushfq",
            "pop r8",
            "push r9",
            "popfq",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            inlateout("r8") flags | ORDINARY => after,
            out("r9") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    (result, after)
}

/// Sets these flags beside the ordinary ones, counts down from `turns`, so that interrupts come in between, and
/// restores the flags. Returns the flags as they were at the end.
pub fn spin_with_flags(flags: u64, turns: u64) -> u64 {
    let after;
    // SAFETY: touches registers and sixteen bytes of stack; the flags are restored before any other code runs.
    unsafe {
        asm!(
            "pushfq",
            "pop r9",
            "push r8",
            "popfq",
            "2:",
            // Unlike `dec`, `lea` and `jrcxz` leave the flags alone.
            "lea rcx, [rcx - 1]",
            "jrcxz 3f",
            "jmp 2b",
            "3:",
            "pushfq",
            "pop r8",
            "push r9",
            "popfq",
            inlateout("rcx") turns.max(1) => _,
            inlateout("r8") flags | ORDINARY => after,
            out("r9") _,
        );
    }
    after
}

/// Sets the trap flag, holds its trap back by loading the stack segment, and makes a system call in that moment.
pub fn trap_behind_stack_segment(number: u64) {
    // SAFETY: the segment loaded is the one in use; the call is one whose arguments are no addresses. After it the trap
    // ends the process.
    unsafe {
        asm!(
            "mov ecx, ss",
            "pushfq",
            "or qword ptr [rsp], {trap}",
            "popfq",
            "mov ss, ecx",
            "syscall",
            trap = const TRAP,
            inlateout("rax") number => _,
            out("rcx") _,
            lateout("r11") _,
        );
    }
}
