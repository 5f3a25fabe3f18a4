//! The vectors of interrupts, and what they are given out for.

/// Gates: one for each vector that there can be.
pub const VECTORS: usize = 256;
/// First vector that is given out: the priority class of the devices' interrupts (SDM volume 3, section 11.8.3.1).
pub const DEVICE_CLASS: u8 = 0xe0;
/// Vector of the local APIC's timer, in the class above the devices'.
pub const TIMER_VECTOR: u8 = 0xf0;
/// Vector of the local APIC's spurious interrupt; its low four bits must be set.
pub const SPURIOUS_VECTOR: u8 = 0xff;
