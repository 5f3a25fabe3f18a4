//! What the processor says it can do (Intel SDM volume 2A, CPUID).

/// The features that the kernel asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Features {
    /// Supervisor-mode execution prevention.
    pub smep: bool,
    /// Supervisor-mode access prevention.
    pub smap: bool,
    /// User-mode instruction prevention.
    pub umip: bool,
    /// The local APIC's timer can interrupt at a value of the time-stamp counter.
    pub tsc_deadline: bool,
    /// The RDRAND instruction.
    pub rdrand: bool,
    /// The RDSEED instruction.
    pub rdseed: bool,
    /// No-execute pages.
    pub no_execute: bool,
    /// Width of a physical address, in bits.
    pub physical_bits: u8,
}

/// Width of a physical address where the processor does not say (Intel SDM volume 3, section 4.1.4).
const PHYSICAL_BITS: u8 = 36;

impl Features {
    /// Asks the processor.
    pub fn detect() -> Features {
        use core::arch::x86_64::{__cpuid, __cpuid_count};
        let basic = __cpuid(1);
        let extended = if __cpuid(0).eax >= 7 { Some(__cpuid_count(7, 0)) } else { None };
        let highest = __cpuid(0x8000_0000).eax;
        let amd = if highest >= 0x8000_0001 { __cpuid(0x8000_0001).edx } else { 0 };
        let sizes = if highest >= 0x8000_0008 { __cpuid(0x8000_0008).eax as u8 } else { PHYSICAL_BITS };
        let (ebx, ecx) = extended.map_or((0, 0), |leaf| (leaf.ebx, leaf.ecx));
        Features {
            smep: ebx >> 7 & 1 != 0,
            smap: ebx >> 20 & 1 != 0,
            umip: ecx >> 2 & 1 != 0,
            tsc_deadline: basic.ecx >> 24 & 1 != 0,
            rdrand: basic.ecx >> 30 & 1 != 0,
            rdseed: ebx >> 18 & 1 != 0,
            // An entry of a page table has room for no more than 52 bits.
            physical_bits: sizes.clamp(32, 52),
            no_execute: amd >> 20 & 1 != 0,
        }
    }
}
