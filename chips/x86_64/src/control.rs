//! Control registers, model-specific registers and the flags: what they mean and the few values the kernel sets.

#![allow(missing_docs, reason = "the register macros generate items that carry no comment")]

use core::arch::asm;
use tock_registers::{register_bitfields, registers::InMemoryRegister};

register_bitfields![u64,
    /// CR0, Intel SDM volume 3, section 2.5.
    pub CR0 [
        /// Protected mode.
        PE OFFSET(0) NUMBITS(1) [],
        /// WAIT traps too while TS is set.
        MP OFFSET(1) NUMBITS(1) [],
        /// No x87: its instructions fault with #UD (vector instructions) or #NM (x87).
        EM OFFSET(2) NUMBITS(1) [],
        /// Task switched: x87 and vector instructions fault with #NM.
        TS OFFSET(3) NUMBITS(1) [],
        /// x87 errors as exceptions.
        NE OFFSET(5) NUMBITS(1) [],
        /// The supervisor too respects read-only pages.
        WP OFFSET(16) NUMBITS(1) [],
        /// Paging.
        PG OFFSET(31) NUMBITS(1) []
    ],
    /// CR4, same section.
    pub CR4 [
        /// Debug extensions: DR4 and DR5 fault.
        DE OFFSET(3) NUMBITS(1) [],
        /// Physical addresses of more than 32 bits.
        PAE OFFSET(5) NUMBITS(1) [],
        /// Global pages.
        PGE OFFSET(7) NUMBITS(1) [],
        /// SSE state and instructions; left clear.
        OSFXSR OFFSET(9) NUMBITS(1) [],
        /// User-mode instruction prevention: SGDT, SIDT, SLDT, SMSW, STR fault in ring 3.
        UMIP OFFSET(11) NUMBITS(1) [],
        /// Supervisor-mode execution prevention.
        SMEP OFFSET(20) NUMBITS(1) [],
        /// Supervisor-mode access prevention.
        SMAP OFFSET(21) NUMBITS(1) []
    ],
    /// IA32_EFER, Intel SDM volume 4, table 2-2.
    pub EFER [
        /// `syscall` and `sysret`.
        SCE OFFSET(0) NUMBITS(1) [],
        /// Long mode enabled.
        LME OFFSET(8) NUMBITS(1) [],
        /// Pages may forbid execution.
        NXE OFFSET(11) NUMBITS(1) []
    ],
    /// RFLAGS, Intel SDM volume 1, section 3.4.3.
    pub RFLAGS [
        /// Always set.
        RESERVED OFFSET(1) NUMBITS(1) [],
        /// Single step.
        TF OFFSET(8) NUMBITS(1) [],
        /// Interrupts are taken.
        IF OFFSET(9) NUMBITS(1) [],
        /// String instructions run downwards.
        DF OFFSET(10) NUMBITS(1) [],
        /// Privilege needed for port I/O.
        IOPL OFFSET(12) NUMBITS(2) [],
        /// Nested task.
        NT OFFSET(14) NUMBITS(1) [],
        /// Resume.
        RF OFFSET(16) NUMBITS(1) [],
        /// Alignment check; in supervisor mode, suspends SMAP.
        AC OFFSET(18) NUMBITS(1) []
    ]
];

/// IA32_EFER.
pub const MSR_EFER: u32 = 0xc000_0080;
/// IA32_STAR: selectors for `syscall` and `sysret`.
pub const MSR_STAR: u32 = 0xc000_0081;
/// IA32_LSTAR: where `syscall` goes.
pub const MSR_LSTAR: u32 = 0xc000_0082;
/// IA32_FMASK: flags that `syscall` clears.
pub const MSR_FMASK: u32 = 0xc000_0084;

/// What `syscall` clears of the flags: interrupts, direction, single step, alignment check, nested task.
pub fn syscall_flag_mask() -> u64 {
    (RFLAGS::IF::SET + RFLAGS::DF::SET + RFLAGS::TF::SET + RFLAGS::AC::SET + RFLAGS::NT::SET).value
}

/// The flags that a process starts with: interrupts on, nothing else.
pub fn user_flags() -> u64 {
    (RFLAGS::RESERVED::SET + RFLAGS::IF::SET).value
}

/// Flags that a process must never run with, and those that it must.
pub fn sanitise_user_flags(flags: u64) -> u64 {
    let forbidden = (RFLAGS::IOPL.val(3) + RFLAGS::NT::SET).value | !0x3f_ffff;
    (flags & !forbidden) | user_flags()
}

/// Reads a model-specific register.
///
/// # Safety
/// The processor must have the register.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the register exists by the caller's promise; reading has no effect on memory.
    unsafe { asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The processor must have the register and the value must keep what the kernel relies on.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: by the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack))
    };
}

/// Turns on the protections that the processor has, and the vector and floating-point units off.
///
/// Returns the names of those protections that it lacks.
///
/// # Safety
/// Kernel and processes must be compiled for soft float, and the kernel must never use user mappings.
pub unsafe fn protect(features: &crate::cpuid::Features) -> heapless::Vec<&'static str, 4> {
    let mut missing = heapless::Vec::new();
    let cr0 = CR0::PE::SET + CR0::MP::SET + CR0::EM::SET + CR0::TS::SET + CR0::NE::SET + CR0::WP::SET + CR0::PG::SET;
    let cr4 = InMemoryRegister::<u64, CR4::Register>::new((CR4::PAE::SET + CR4::PGE::SET + CR4::DE::SET).value);
    use tock_registers::interfaces::{ReadWriteable, Readable};
    for (present, field, name) in [
        (features.smep, CR4::SMEP::SET, "SMEP"),
        (features.smap, CR4::SMAP::SET, "SMAP"),
        (features.umip, CR4::UMIP::SET, "UMIP"),
    ] {
        if present {
            cr4.modify(field);
        } else {
            // Room for all: the list has as many places as there are features here.
            let _ = missing.push(name);
        }
    }
    // SAFETY: the bits set are those that the processor says it has; paging and protected mode stay on.
    unsafe {
        asm!("mov cr0, {}", in(reg) cr0.value, options(nostack));
        asm!("mov cr4, {}", in(reg) cr4.get(), options(nostack));
    }
    missing
}

/// CR2: the address of the last page fault.
#[cfg(not(test))]
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reading CR2 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Stops until the next interrupt, which is taken before this returns; interrupts are off again afterwards.
#[cfg(not(test))]
pub fn wait_for_interrupt() {
    // SAFETY: the interrupt table is loaded before the board's loop runs, and `sti` takes effect only after `hlt`
    // has begun, so an interrupt that is already pending wakes it.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Takes the interrupts that are pending, where the kernel has worked for a while and no process ran.
#[cfg(not(test))]
pub fn let_interrupts_in() {
    // SAFETY: the interrupt table is loaded before the board's loop runs; handlers only mark what came. `sti` takes
    // effect after the instruction that follows it.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
}

/// Stops forever.
#[cfg(not(test))]
pub fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off nothing but an NMI returns from `hlt`, and then the loop halts again.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Resets the processor by an exception that it cannot deliver (Intel SDM volume 3, section 7.15, "Double Fault
/// Exception"): what starts a machine anew where nothing else does, for a virtual machine monitor takes it for a reset.
#[cfg(not(test))]
pub fn triple_fault() -> ! {
    // A limit and a base of zero: there is no gate in it.
    let none = [0_u16; 5];
    // SAFETY: the exception finds no handler, and neither does the one that this raises, so nothing runs after it.
    unsafe { asm!("cli", "lidt [{}]", "ud2", in(reg) &raw const none, options(nostack, noreturn)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_flags_never_carry_privilege() {
        let flags = sanitise_user_flags(u64::MAX);
        assert_eq!(flags & RFLAGS::IOPL.val(3).value, 0);
        assert_eq!(flags & RFLAGS::NT::SET.value, 0);
        assert_ne!(flags & RFLAGS::IF::SET.value, 0);
        assert_eq!(sanitise_user_flags(0), user_flags());
    }

    #[test]
    fn system_calls_begin_with_clean_flags() {
        assert_eq!(syscall_flag_mask(), 0x4_4700);
    }
}
