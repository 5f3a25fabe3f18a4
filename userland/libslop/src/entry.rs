//! Where a process begins, and where it ends when it panics.

use core::arch::naked_asm;
use core::panic::PanicInfo;
use core::slice;

use crate::{Arguments, call, print_to, stderr};

/// Exit status of a program that panicked.
const PANICKED: i32 = 101;

// SAFETY: the program defines this function, by the macro `entry!`, with this very signature.
unsafe extern "Rust" {
    safe fn slopos_main(arguments: Arguments) -> i32;
}

/// The first instruction: the kernel comes here with `rdi` and `rsi` naming the argument block and `rsp` a multiple
/// of 16. The call leaves the stack as the calling convention wants it; `start` does not return.
// SAFETY: the symbol is the linker script's entry and the section puts it first; nothing else has either name.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entry")]
#[unsafe(naked)]
extern "sysv64" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "call {start}", "ud2", start = sym start)
}

extern "sysv64" fn start(block: *const u8, length: usize) -> ! {
    // SAFETY: the kernel maps the argument block for the process's whole life, and nothing writes it.
    let block = unsafe { slice::from_raw_parts(block, length) };
    // Not `expect`: how the error is shown would be a kibibyte of each program.
    let Ok(arguments) = Arguments::parse(block) else { panic!("the arguments are not UTF-8") };
    call::exit(slopos_main(arguments))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Should that fail too, the exit status is all there is left to tell.
    let _ = print_to(stderr(), format_args!("{info}\n"));
    call::exit(PANICKED)
}
