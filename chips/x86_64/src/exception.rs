//! The 32 exceptions of the architecture, by name (Intel SDM volume 3, table 7-1).

/// The vectors that are exceptions.
pub const COUNT: usize = 32;

/// Debug exception.
pub const DEBUG: u64 = 1;
/// Non-maskable interrupt.
pub const NMI: u64 = 2;
/// Double fault.
pub const DOUBLE_FAULT: u64 = 8;
/// General protection.
pub const GENERAL_PROTECTION: u64 = 13;
/// Page fault.
pub const PAGE_FAULT: u64 = 14;
/// Machine check.
pub const MACHINE_CHECK: u64 = 18;

const NAMES: [&str; COUNT] = [
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM no floating-point unit",
    "#DF double fault",
    "coprocessor segment overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack segment",
    "#GP general protection",
    "#PF page fault",
    "reserved 15",
    "#MF floating-point error",
    "#AC alignment check",
    "#MC machine check",
    "#XM vector floating-point",
    "#VE virtualization",
    "#CP control protection",
    "reserved 22",
    "reserved 23",
    "reserved 24",
    "reserved 25",
    "reserved 26",
    "reserved 27",
    "#HV hypervisor injection",
    "#VC VMM communication",
    "#SX security",
    "reserved 31",
];

/// The name of a vector, `interrupt` for those that are no exceptions.
pub fn name(vector: u64) -> &'static str {
    usize::try_from(vector).ok().and_then(|vector| NAMES.get(vector)).copied().unwrap_or("interrupt")
}

/// Whether the processor pushes an error code for this vector (Intel SDM volume 3, table 7-1).
pub const fn has_error_code(vector: usize) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_vectors() {
        assert!(name(0).starts_with("#DE"));
        assert!(name(DOUBLE_FAULT).starts_with("#DF"));
        assert!(name(GENERAL_PROTECTION).starts_with("#GP"));
        assert!(name(PAGE_FAULT).starts_with("#PF"));
        assert!(name(MACHINE_CHECK).starts_with("#MC"));
        assert_eq!(name(32), "interrupt");
        assert_eq!((0..COUNT).filter(|&vector| has_error_code(vector)).count(), 10);
    }
}
