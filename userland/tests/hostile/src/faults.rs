//! What the processor itself must refuse. Each of these returns only where it did not.

use core::sync::atomic::AtomicU64;

use libslop::println;

use crate::check::{Failed, Words, number};

/// The process's own selectors (what `mov` from CS and SS gives in ring 3 of this kernel).
pub const USER_CODE: u64 = 0x23;
/// See [`USER_CODE`].
pub const USER_DATA: u64 = 0x1b;
/// The kernel's selectors.
const KERNEL_CODE: u64 = 0x08;
/// See [`KERNEL_CODE`].
const KERNEL_DATA: u64 = 0x10;
/// Flags with interrupts on and nothing else.
pub const FLAGS: u64 = hazard::INTERRUPTS | 1 << 1;

/// The instruction `ret`, eight times: in memory that can be written, and so must not be executed.
static DATA: AtomicU64 = AtomicU64::new(0xc3c3_c3c3_c3c3_c3c3);
/// The same among the constants, which must be neither.
static CONSTANT: u64 = 0xc3c3_c3c3_c3c3_c3c3;

/// `instruction NAME`: one of libslop's table.
pub fn instruction(words: &mut Words) -> Result<(), Failed> {
    let wanted = words.word()?;
    let (_, carry_out) = hazard::INSTRUCTIONS.iter().find(|(name, _)| *name == wanted).ok_or(Failed::Usage)?;
    carry_out();
    Ok(())
}

/// `interrupt VECTOR`
pub fn interrupt(words: &mut Words) -> Result<(), Failed> {
    hazard::interrupt(u8::try_from(words.number()?).map_err(|_| Failed::Usage)?);
    Ok(())
}

/// `read ADDRESS`
pub fn read(words: &mut Words) -> Result<(), Failed> {
    let value = hazard::load(words.number()?);
    println!("hostile: read {value:#018x}");
    Ok(())
}

/// `write ADDRESS`, or `write code`, `write constants`: the process's own.
pub fn write(words: &mut Words) -> Result<(), Failed> {
    let address = match words.word()? {
        "code" => hazard::code_address(),
        "constants" => hazard::address(&CONSTANT),
        word => number(word)?,
    };
    hazard::store(address, 0);
    Ok(())
}

/// `execute ADDRESS`, or `execute data`, `execute constants`, `execute stack`: the process's own.
pub fn execute(words: &mut Words) -> Result<(), Failed> {
    let stack = [0xc3u8; 8];
    let address = match words.word()? {
        "data" => hazard::address(&DATA),
        "constants" => hazard::address(&CONSTANT),
        "stack" => hazard::address(&stack),
        word => number(word)?,
    };
    hazard::execute(address);
    Ok(())
}

/// `jump ADDRESS`
pub fn jump(words: &mut Words) -> Result<(), Failed> {
    hazard::jump(words.number()?)
}

/// `return ADDRESS`
pub fn return_to(words: &mut Words) -> Result<(), Failed> {
    hazard::return_to(words.number()?)
}

/// `interrupt-return ADDRESS`: to ring 3, by `iretq`.
pub fn interrupt_return(words: &mut Words) -> Result<(), Failed> {
    hazard::interrupt_return(USER_CODE, USER_DATA, FLAGS, words.number()?)
}

/// `kernel-return`: to ring 0, by `iretq`.
pub fn kernel_return(_: &mut Words) -> Result<(), Failed> {
    hazard::interrupt_return_here(KERNEL_CODE, KERNEL_DATA, FLAGS);
    Ok(())
}

/// `nested-return`: by `iretq` in a nested task, which long mode does not have.
pub fn nested_return(_: &mut Words) -> Result<(), Failed> {
    // The first one sets the flag, the second one has to fault for it.
    hazard::interrupt_return_here(USER_CODE, USER_DATA, FLAGS | hazard::NESTED);
    hazard::interrupt_return_here(USER_CODE, USER_DATA, FLAGS);
    Ok(())
}

/// `far-return SELECTOR`
pub fn far_return(words: &mut Words) -> Result<(), Failed> {
    hazard::far_return(words.number()?);
    Ok(())
}

/// `far-jump SELECTOR`
pub fn far_jump(words: &mut Words) -> Result<(), Failed> {
    hazard::far_jump(words.number()?);
    Ok(())
}

/// `push ADDRESS`: with the stack there.
pub fn push(words: &mut Words) -> Result<(), Failed> {
    hazard::push_at(words.number()?);
    Ok(())
}

/// `trap-with-stack ADDRESS`: an exception while the stack is there; the kernel must not use it.
pub fn trap_with_stack(words: &mut Words) -> Result<(), Failed> {
    hazard::trap_with_stack(words.number()?)
}

/// `end-of-code`: a system call that returns to where nothing can be executed.
pub fn end_of_code(_: &mut Words) -> Result<(), Failed> {
    hazard::call_at_the_end_of_code();
    Ok(())
}

/// `overflow`: the stack.
pub fn overflow(_: &mut Words) -> Result<(), Failed> {
    hazard::overflow_stack()
}
