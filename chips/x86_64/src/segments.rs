//! Global descriptor table, task-state segment and interrupt descriptor table.
//!
//! The order of the selectors is what `syscall` and `sysret` demand: kernel data follows kernel code, user code
//! follows user data (Intel SDM volume 2B, SYSCALL and SYSRET).

use bitfield::bitfield;

/// Kernel code.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel data.
pub const KERNEL_DATA: u16 = 0x10;
/// User data, ring 3.
pub const USER_DATA: u16 = 0x18 | 3;
/// User code, ring 3.
pub const USER_CODE: u16 = 0x20 | 3;
/// The task-state segment, two entries long.
pub const TASK_STATE: u16 = 0x28;

/// Bytes of each interrupt stack.
pub const INTERRUPT_STACK: usize = 8192;
/// How many interrupt stacks there are: one each for #DB, NMI, #DF and #MC.
pub const INTERRUPT_STACKS: usize = 4;

bitfield! {
    /// A gate of the interrupt descriptor table (Intel SDM volume 3, figure 7-8).
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub struct Gate(u128);
    u64;
    u16, offset_low, set_offset_low: 15, 0;
    u16, selector, set_selector: 31, 16;
    u8, stack, set_stack: 34, 32;
    u8, kind, set_kind: 43, 40;
    u8, privilege, set_privilege: 46, 45;
    present, set_present: 47;
    u64, offset_high, set_offset_high: 95, 48;
}

/// Gate type: 64-bit interrupt gate, which turns interrupts off.
const INTERRUPT_GATE: u8 = 0xe;

impl Gate {
    /// A gate to `handler` on interrupt stack `stack` (1 to 7; 0: the stack in use).
    pub fn new(handler: u64, stack: u8, user_may_call: bool) -> Gate {
        let mut gate = Gate(0);
        gate.set_offset_low(handler as u16);
        gate.set_offset_high(handler >> 16);
        gate.set_selector(KERNEL_CODE);
        gate.set_stack(stack);
        gate.set_kind(INTERRUPT_GATE);
        gate.set_privilege(if user_may_call { 3 } else { 0 });
        gate.set_present(true);
        gate
    }
}

/// The task-state segment (Intel SDM volume 3, figure 9-11); addresses lie at odd words, hence packed.
#[repr(C, packed(4))]
pub struct TaskState {
    reserved_0: u32,
    /// Stacks for rings 0 to 2; only the first is used: where an interrupt of a process pushes its frame.
    pub ring_stacks: [u64; 3],
    reserved_1: u64,
    /// Interrupt stacks 1 to 7.
    pub interrupt_stacks: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    /// Where the I/O permission map begins; beyond the limit means that no port is allowed.
    pub io_map: u16,
}

impl TaskState {
    /// An empty one, all ports forbidden.
    pub const fn new() -> Self {
        TaskState {
            reserved_0: 0,
            ring_stacks: [0; 3],
            reserved_1: 0,
            interrupt_stacks: [0; 7],
            reserved_2: 0,
            reserved_3: 0,
            io_map: size_of::<TaskState>() as u16,
        }
    }
}

impl Default for TaskState {
    fn default() -> Self {
        Self::new()
    }
}

/// The descriptor table for a task-state segment at this address.
pub fn global_descriptors(task_state: u64) -> [u64; 7] {
    let limit = size_of::<TaskState>() as u64 - 1;
    let low = limit | (task_state & 0xff_ffff) << 16 | 0x89 << 40 | (task_state >> 24 & 0xff) << 56;
    [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        low,
        task_state >> 32,
    ]
}

const _: () = assert!(size_of::<TaskState>() == 104);
const _: () = assert!(size_of::<Gate>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_holds_its_handler_and_privilege() {
        let gate = Gate::new(0xffff_ffff_8012_3456, 3, true);
        assert_eq!(gate.offset_high() << 16 | u64::from(gate.offset_low()), 0xffff_ffff_8012_3456);
        assert_eq!((gate.stack(), gate.privilege(), gate.selector()), (3, 3, KERNEL_CODE));
        assert!(gate.present());
        assert_eq!(gate.0 >> 96, 0);
    }

    #[test]
    fn the_task_state_descriptor_names_its_address() {
        let table = global_descriptors(0xffff_ffff_8765_4321);
        let base = table[5] >> 16 & 0xff_ffff | (table[5] >> 56) << 24 | table[6] << 32;
        assert_eq!(base, 0xffff_ffff_8765_4321);
        assert_eq!(table[5] & 0xffff, 103);
    }
}
