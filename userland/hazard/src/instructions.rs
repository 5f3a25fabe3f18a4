//! Instructions that belong to the kernel, to units that are off, or to nobody (Intel SDM volume 2).

use core::arch::{asm, naked_asm};

/// An instruction by its name.
pub type Instruction = (&'static str, fn());

/// Makes the table. Each instruction finds zeros in `rax`, `rcx` and `rdx` unless it sets them itself.
macro_rules! instructions {
    ($($name:literal: $($line:literal),+;)*) => {
        /// Instructions that must each end the process: the privileged ones, those that would tell where the kernel's
        /// tables are, those that use the vector or floating-point unit, and undefined ones.
        pub const INSTRUCTIONS: &[Instruction] = &[$((
            $name,
            || {
                // SAFETY: carried out, it would concern the processor, or one of the registers named here, or the 512
                // bytes of stack that are set aside. It must not be carried out.
                unsafe {
                    asm!(
                        "sub rsp, 576",
                        $($line),+,
                        "add rsp, 576",
                        inout("rax") 0_u64 => _,
                        inout("rcx") 0_u64 => _,
                        inout("rdx") 0_u64 => _,
                        inout("rdi") 0_u64 => _,
                        inout("rsi") 0_u64 => _,
                    );
                }
            },
        ),)*];
    };
}

instructions! {
    // The processor's state.
    "hlt": "hlt";
    "cli": "cli";
    "sti": "sti";
    "lgdt": "lgdt [rsp]";
    "lidt": "lidt [rsp]";
    "lldt": "lldt ax";
    "ltr": "mov eax, 0x28", "ltr ax";
    "lmsw": "lmsw ax";
    "clts": "clts";
    "read-cr0": "mov rax, cr0";
    "read-cr2": "mov rax, cr2";
    "read-cr3": "mov rax, cr3";
    "read-cr4": "mov rax, cr4";
    "read-cr8": "mov rax, cr8";
    "write-cr0": "mov cr0, rax";
    "write-cr2": "mov cr2, rax";
    "write-cr3": "mov cr3, rax";
    "write-cr4": "mov cr4, rax";
    "write-cr8": "mov cr8, rax";
    "read-dr0": "mov rax, dr0";
    "read-dr6": "mov rax, dr6";
    "read-dr7": "mov rax, dr7";
    "write-dr0": "mov dr0, rax";
    "write-dr7": "mov dr7, rax";
    "rdmsr": "mov ecx, 0xc0000080", "rdmsr";
    "wrmsr-efer": "mov ecx, 0xc0000080", "wrmsr";
    "wrmsr-lstar": "mov ecx, 0xc0000082", "wrmsr";
    "rdpmc": "rdpmc";
    "invlpg": "invlpg [rsp]";
    "invd": "invd";
    "wbinvd": "wbinvd";
    "swapgs": "swapgs";
    "sysret": "sysretq";
    "sysret-32": ".byte 0x0f, 0x07";
    "sysenter": "sysenter";
    "sysexit": "sysexit";
    "rsm": "rsm";
    "clac": "clac";
    "stac": "stac";
    "xsetbv": "xsetbv";
    "monitor": "monitor";
    "mwait": "mwait";
    "vmrun": "vmrun rax";
    "clgi": "clgi";
    "stgi": "stgi";
    "skinit": "skinit eax";
    "getsec": "getsec";
    "wrfsbase": "wrfsbase rax";
    "wrgsbase": "wrgsbase rax";
    // Segments of the kernel.
    "load-ss": "mov eax, 0x10", "mov ss, ax";
    "load-ds": "mov eax, 0x10", "mov ds, ax";
    "load-es": "mov eax, 0x08", "mov es, ax";
    "load-fs": "mov eax, 0x28", "mov fs, ax";
    "load-gs": "mov eax, 0x7ff8", "mov gs, ax";
    "load-cs": ".byte 0x8e, 0xc8";
    // Ports.
    "in": "mov edx, 0x3f8", "in al, dx";
    "in-immediate": "in al, 0x60";
    "out": "mov edx, 0xf4", "out dx, eax";
    "out-immediate": "out 0x64, al";
    "ins": "mov edx, 0x3f8", "mov rdi, rsp", "insb";
    "outs": "mov edx, 0xf4", "mov rsi, rsp", "outsb";
    // What UMIP hides.
    "sgdt": "sgdt [rsp]";
    "sidt": "sidt [rsp]";
    "sldt": "sldt ax";
    "str": "str ax";
    "smsw": "smsw ax";
    // The units that are off. `emms` is not here: QEMU 7.2 carries it out instead of raising #UD. It marks registers as
    // empty that no instruction lets a process read.
    "fld1": "fld1";
    "fninit": "fninit";
    "fwait": "fwait";
    "fxsave": "fxsave64 [rsp]";
    "fxrstor": "fxrstor64 [rsp]";
    "mmx": "pxor mm0, mm0";
    "sse": "xorps xmm0, xmm0";
    "sse2": "cvtsi2sd xmm0, rax";
    "sse-load": "movaps xmm0, [rsp]";
    "ldmxcsr": "ldmxcsr [rsp]";
    "stmxcsr": "stmxcsr [rsp]";
    "aes": "aesenc xmm0, xmm1";
    "avx": "vxorps ymm0, ymm0, ymm0";
    "xsave": "xsave [rsp]";
    "xgetbv": "xgetbv";
    // Exceptions at will, and what is nobody's.
    "int1": ".byte 0xf1";
    "into": ".byte 0xce";
    "ud0": ".byte 0x0f, 0xff, 0xc0";
    "ud1": ".byte 0x0f, 0xb9, 0xc0";
    "ud2": "ud2";
    "locked-register": ".byte 0xf0, 0x0f, 0xc7, 0xc8";
    "divide": "div ecx";
}

/// Raises an interrupt by `int vector`.
pub fn interrupt(vector: u8) {
    let entry = interrupts as *const () as u64 + 4 * u64::from(vector);
    // SAFETY: the entry is two instructions long: the interrupt, and the return from this call.
    unsafe { asm!("call {}", in(reg) entry, clobber_abi("C")) };
}

/// `int` and `ret` for each vector; four bytes each.
#[unsafe(naked)]
unsafe extern "sysv64" fn interrupts() {
    naked_asm!(".set vector, 0", ".rept 256", ".byte 0xcd, vector", "ret", "nop", ".set vector, vector + 1", ".endr",)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instruction_has_a_name_of_its_own() {
        for (index, (name, _)) in INSTRUCTIONS.iter().enumerate() {
            assert!(INSTRUCTIONS[..index].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
