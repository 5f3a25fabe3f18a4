//! Flags and stack pointers that the kernel must not let near itself.

use libslop::abi::Syscall;
use libslop::abi::info::NetInfo;
use libslop::{call, println};

use crate::check::{self, Failed, Words};
use crate::faults::{FLAGS, USER_CODE, USER_DATA};

/// Turns of an empty loop that last longer than a time slice of 10 ms, on any machine that emulates this one.
const TURNS: u64 = 4_000_000;

/// Flags that a process may try to set before a system call, or while it is interrupted.
const FORBIDDEN: [u64; 4] = [hazard::DIRECTION, hazard::NESTED, hazard::ALIGNMENT, hazard::IO_PRIVILEGE];

/// Stack pointers that name nothing which the process may use.
const STACKS: [u64; 10] = [
    0,
    8,
    0x40_0001,
    0x60_0000,
    0x0000_7fff_ffff_f000,
    0x0000_8000_0000_0000,
    0xffff_7fff_ffff_fff8,
    0xffff_8000_0000_1000,
    0xffff_ffff_8011_0000,
    u64::MAX,
];

/// `flags`: system calls and interrupts with each set of forbidden flags.
pub fn flags(_: &mut Words) -> Result<(), Failed> {
    for set in 0..1 << FORBIDDEN.len() {
        let flags = FORBIDDEN.iter().enumerate().filter(|(bit, _)| set >> bit & 1 != 0).map(|(_, flag)| flag).sum();
        answers_are_right(flags)?;
        let after = hazard::spin_with_flags(flags, TURNS);
        check::equal("interrupts are on behind an interrupt", after & hazard::INTERRUPTS, hazard::INTERRUPTS)?;
        check::equal("the privilege for ports is none", after & hazard::IO_PRIVILEGE, 0)?;
        check::equal("the direction is kept", after & hazard::DIRECTION, flags & hazard::DIRECTION)?;
    }
    Ok(())
}

/// Calls that copy to and from the process come out right with these flags, and leave it those that are its own.
fn answers_are_right(flags: u64) -> Result<(), Failed> {
    let expected = check::succeeds("ask for the network", call::net_info())?;
    let mut info = NetInfo::default();
    let arguments = [hazard::address_mut(&mut info), size_of::<NetInfo>() as u64, 0, 0];
    let (result, after) = hazard::call_with_flags(flags, Syscall::NetInfo.number(), arguments);
    check::equal("the bytes of net_info", result, size_of::<NetInfo>() as i64)?;
    let info = core::hint::black_box(info);
    check::equal("our address", (info.mac, info.mtu), (expected.mac, expected.mtu))?;
    let own = hazard::DIRECTION | hazard::ALIGNMENT;
    check::equal("a process keeps the flags that are its own", after & own, flags & own)?;
    check::equal("the privilege for ports is none", after & hazard::IO_PRIVILEGE, 0)?;

    let text = *b"hostile: forwards\n";
    let arguments = [1, hazard::address(&text), text.len() as u64, 0];
    let (result, _) = hazard::call_with_flags(flags, Syscall::Write.number(), arguments);
    check::equal("the bytes written", result, text.len() as i64)?;

    let before = check::succeeds("the time", call::time_ms())?;
    let (result, _) = hazard::call_with_flags(flags, Syscall::Time.number(), [0; 4]);
    let after = check::succeeds("the time", call::time_ms())?;
    check::holds("the time is right", (before..=after).contains(&(result as u64)))
}

/// `single-step call`, `single-step spin`, `single-step segment`: a trap after each instruction. The trap is the
/// process's own, and ends it.
pub fn single_step(words: &mut Words) -> Result<(), Failed> {
    match words.word()? {
        "call" => {
            hazard::call_with_flags(hazard::TRAP, Syscall::Time.number(), [0; 4]);
        }
        "spin" => {
            hazard::spin_with_flags(hazard::TRAP, 10);
        }
        "segment" => hazard::trap_behind_stack_segment(Syscall::Time.number()),
        _ => return Err(Failed::Usage),
    }
    Ok(())
}

/// `ports-by-privilege popf`, `ports-by-privilege iret`: asks for the privilege to use ports, then uses one.
pub fn ports_by_privilege(words: &mut Words) -> Result<(), Failed> {
    match words.word()? {
        "popf" => {
            let after = hazard::spin_with_flags(hazard::IO_PRIVILEGE, 1);
            check::equal("popf gives no privilege", after & hazard::IO_PRIVILEGE, 0)?;
        }
        "iret" => {
            // An emulator that reads the frame as the kernel would is stopped by SMAP here, which is as good.
            hazard::interrupt_return_here(USER_CODE, USER_DATA, FLAGS | hazard::IO_PRIVILEGE);
            check::equal("iret gives no privilege", hazard::flags() & hazard::IO_PRIVILEGE, 0)?;
            hazard::interrupt_return_here(USER_CODE, USER_DATA, FLAGS & !hazard::INTERRUPTS);
            check::equal("iret turns no interrupts off", hazard::flags() & hazard::INTERRUPTS, hazard::INTERRUPTS)?;
        }
        _ => return Err(Failed::Usage),
    }
    hazard::port_io();
    Ok(())
}

/// `stacks`: system calls and interrupts while the stack pointer names nothing of ours.
pub fn stacks(_: &mut Words) -> Result<(), Failed> {
    for stack in STACKS {
        let before = check::succeeds("the time", call::time_ms())?;
        let time = hazard::call_with_stack(stack, Syscall::Time.number(), [0; 4]);
        hazard::spin_with_stack(stack, TURNS);
        let after = check::succeeds("the time", call::time_ms())?;
        check::holds("the time is right", (before..=after).contains(&(time as u64)))?;
        let mut info = NetInfo::default();
        let arguments = [hazard::address_mut(&mut info), size_of::<NetInfo>() as u64, 0, 0];
        let result = hazard::call_with_stack(stack, Syscall::NetInfo.number(), arguments);
        check::equal("the bytes of net_info", result, size_of::<NetInfo>() as i64)?;
        println!("hostile: {} ms with the stack at {stack:#x}", after - before);
    }
    Ok(())
}
