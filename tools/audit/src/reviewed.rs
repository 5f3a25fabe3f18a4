//! What is writable and yet declared outside boards/: a short list, each with the reason.
//!
//! A static that is not here, and not in its owner's section, is unaccounted for. To be on the list it has to be
//! memory that no board can hand to its user: the processor finds it by itself, or an interrupt or a crash needs it
//! when nothing can be passed along.

/// The crate that declares the statics of the owners: what the boards share.
pub const BOARD: &str = "slopos_board_pc";

/// A static of a reviewed section.
pub struct Reviewed {
    /// The section that it lies in.
    pub section: &'static str,
    /// Its name, without what the optimiser puts behind it.
    pub symbol: &'static str,
    /// Why it cannot be the board's.
    pub reason: &'static str,
}

const fn cpu(symbol: &'static str, reason: &'static str) -> Reviewed {
    Reviewed { section: ".cpu", symbol, reason }
}

/// The reviewed statics.
pub const REVIEWED: &[Reviewed] = &[
    cpu("slopos_x86_64::trap::hardware::TABLES", "descriptor tables and task state, which the processor reads"),
    cpu("slopos_x86_64::trap::hardware::COUNTS", "interrupt entry code counts vectors here"),
    cpu("slopos_x86_64::trap::hardware::PENDING", "interrupt entry code marks vectors here"),
    cpu("slopos_x86_64::trap::hardware::KERNEL_STACK", "system call entry finds its stack here"),
    cpu("slopos_x86_64::trap::hardware::USER_STACK", "system call entry keeps the caller's stack here"),
    cpu("slopos_x86_64::trap::hardware::CONTEXT_END", "trap entry finds the running process's registers here"),
    cpu("slopos_x86_64::trap::hardware::EXPECTED", "trap entry looks up here which vectors were given out"),
    cpu("slopos_x86_64::trap::hardware::UNEXPECTED", "trap entry counts here what nobody expected"),
    cpu("slopos_x86_64::trap::hardware::LAST_UNEXPECTED", "trap entry notes here the last vector that nobody expected"),
    cpu("slopos_x86_64::trap::hardware::NMIS", "the NMI's handler touches nothing but this counter"),
    cpu("slopos_x86_64::apic::REGISTERS", "the end of an interrupt is signalled where no driver is at hand"),
    cpu("slopos_x86_64::clock::START", "the log's time stamps need the clock wherever something logs"),
    cpu("slopos_x86_64::clock::SCALE", "the log's time stamps need the clock wherever something logs"),
    cpu("slopos_x86_64::probe::RESUME_STACK", "the self-test's fault handler resumes by it"),
];

/// A section that the linker script or assembly fills; no static lies in it.
pub struct Region {
    /// The section.
    pub section: &'static str,
    /// Whose it is.
    pub owner: &'static str,
}

/// The sections without statics.
pub const REGIONS: &[Region] = &[
    Region { section: ".boot.bss", owner: "boot code: its page tables" },
    Region { section: ".stacks", owner: "kernel: its stacks and their guard pages" },
];

/// Why a static may lie in this section, where it is on the list.
pub fn reason(section: &str, symbol: &str) -> Option<&'static str> {
    // The optimiser may keep the parts of a static as statics of their own: `START.0`.
    let plain = |known: &str| {
        symbol.strip_prefix(known).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('.').is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    REVIEWED.iter().find(|known| known.section == section && plain(known.symbol)).map(|known| known.reason)
}

/// Whose memory a section is that holds no statics.
pub fn region(section: &str) -> Option<&'static str> {
    REGIONS.iter().find(|region| region.section == section).map(|region| region.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reviewed_static_is_known_in_its_section_alone() {
        assert!(reason(".cpu", "slopos_x86_64::clock::START").is_some());
        assert!(reason(".cpu", "slopos_x86_64::clock::START.0").is_some());
        assert!(reason(".cpu", "slopos_x86_64::clock::START_OF_MORE").is_none());
        assert!(reason(".cpu", "slopos_x86_64::clock::START.more").is_none());
        assert!(reason(".bss", "slopos_x86_64::clock::START").is_none());
    }
}
