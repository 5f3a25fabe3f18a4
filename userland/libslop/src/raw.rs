//! The `syscall` instruction.

/// Makes a system call with up to four arguments, in `rdi rsi rdx r10`, and returns what the kernel left in `rax`.
///
/// # Safety
/// A call to which an argument is an address writes or reads memory there: the address and the length beside it
/// must name memory that the caller may have used so for the length of the call.
#[cfg(target_os = "none")]
pub unsafe fn call(number: u64, arguments: [u64; 4]) -> i64 {
    let result;
    // SAFETY: the kernel changes `rax`, and the instruction itself `rcx` and `r11`; all else is kept, as the
    // contract of slopos-abi says. The memory that the call may touch is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// There is no such kernel below a program on the host: each call answers ENOSYS, as an unknown one does.
///
/// # Safety
/// Always sound; unsafe only to have the same type as the real one.
#[cfg(not(target_os = "none"))]
pub unsafe fn call(_number: u64, _arguments: [u64; 4]) -> i64 {
    slopos_abi::Errno::NoSuchCall.to_return()
}
