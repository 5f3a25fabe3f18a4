//! How a process is run, and how the processor comes back: interrupts, exceptions and system calls.
//!
//! [`run`] is an ordinary function that returns when the process traps. Before it leaves for ring 3 it keeps the
//! kernel's stack pointer; each way back (interrupt gate or `syscall`) stores the process's registers in its
//! [`Context`], takes that stack pointer again and returns from `run`. So a process needs no kernel stack: the
//! task-state segment's ring-0 stack is the context itself, and the processor's own frame lands in its place.
//!
//! Interrupts that arrive while the kernel waits in `hlt` are noted as pending and return there. Exceptions in the
//! kernel end in a panic, but for those that [`crate::probe`] expects. #DB, NMI, #DF and #MC run on stacks of their
//! own, because they may strike where the stack in use cannot be trusted. An NMI is counted and nothing else, because
//! it may strike anywhere; the board's loop says that it came.
//!
//! Every vector has a gate, because a device can send a message with any. Those that were given out by [`expect`] lie
//! in the two highest priority classes ([`DEVICE_CLASS`] and the timer's above it); all others are counted and ended,
//! and the local APIC's task priority can keep them out where they come without end ([`crate::apic::Admission`]).

pub use crate::context::Context;
pub use crate::vectors::{DEVICE_CLASS, SPURIOUS_VECTOR, TIMER_VECTOR, VECTORS};

/// The vector that the system-call entry stores: beyond those of the interrupt table.
pub const SYSTEM_CALL: u64 = 0x100;
/// The vector's bit in what [`take_pending`] returns; none for one that is never given out.
pub const fn pending_bit(vector: u8) -> u32 {
    match vector.checked_sub(DEVICE_CLASS) {
        Some(index) => 1 << index,
        None => 0,
    }
}

/// The bits of all devices' vectors.
pub const DEVICE_BITS: u32 = pending_bit(TIMER_VECTOR) - 1;

/// Interrupts that nobody expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Unexpected {
    /// Interrupts by vectors that were not given out.
    pub interrupts: u64,
    /// The vector of the last one.
    pub last_vector: u8,
    /// Non-maskable interrupts.
    pub nmis: u64,
}

#[cfg(not(test))]
pub use hardware::{expect, has_pending, initialise, interrupts_of, run, take_pending, unexpected};

#[cfg(not(test))]
mod hardware {
    use super::*;
    use crate::control::{self, MSR_EFER, MSR_FMASK, MSR_LSTAR, MSR_STAR};
    use crate::segments::{self, Gate, INTERRUPT_STACKS, TaskState, USER_CODE, USER_DATA};
    use crate::{apic, exception, probe};
    use core::arch::{asm, global_asm, naked_asm};
    use core::cell::UnsafeCell;
    use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

    /// What the processor itself reads, and the words that the entry code needs before it has a stack.
    #[repr(C)]
    struct Tables {
        task_state: TaskState,
        descriptors: [u64; 7],
        gates: [Gate; VECTORS],
    }

    #[repr(transparent)]
    struct TablesCell(UnsafeCell<core::mem::MaybeUninit<Tables>>);
    // SAFETY: one processor; written by `initialise` and by `run` only, both with interrupts off.
    unsafe impl Sync for TablesCell {}

    #[unsafe(link_section = ".bss.cpu")]
    static TABLES: TablesCell = TablesCell(UnsafeCell::new(core::mem::MaybeUninit::uninit()));
    /// The kernel's stack pointer while a process runs.
    #[unsafe(link_section = ".bss.cpu")]
    static KERNEL_STACK: AtomicU64 = AtomicU64::new(0);
    /// End of the running process's context, where the entry code pushes its registers.
    #[unsafe(link_section = ".bss.cpu")]
    static CONTEXT_END: AtomicU64 = AtomicU64::new(0);
    /// Holds the process's stack pointer for two instructions of the system-call entry.
    #[unsafe(link_section = ".bss.cpu")]
    static USER_STACK: AtomicU64 = AtomicU64::new(0);
    /// Vectors that were given out, in the bits of [`pending_bit`].
    #[unsafe(link_section = ".bss.cpu")]
    static EXPECTED: AtomicU32 = AtomicU32::new(0);
    /// Interrupts that have arrived, in the same bits.
    #[unsafe(link_section = ".bss.cpu")]
    static PENDING: AtomicU32 = AtomicU32::new(0);
    /// Interrupts counted by vector from [`DEVICE_CLASS`], for the tests.
    #[unsafe(link_section = ".bss.cpu")]
    static COUNTS: [AtomicU64; GIVEN_OUT] = [const { AtomicU64::new(0) }; GIVEN_OUT];
    /// Interrupts by vectors that were not given out.
    #[unsafe(link_section = ".bss.cpu")]
    static UNEXPECTED: AtomicU64 = AtomicU64::new(0);
    /// The vector of the last of them.
    #[unsafe(link_section = ".bss.cpu")]
    static LAST_UNEXPECTED: AtomicU8 = AtomicU8::new(0);
    /// Non-maskable interrupts.
    #[unsafe(link_section = ".bss.cpu")]
    static NMIS: AtomicU64 = AtomicU64::new(0);

    /// Vectors that can be given out.
    const GIVEN_OUT: usize = VECTORS - DEVICE_CLASS as usize;

    /// Takes every general register from the stack, in the order of [`Context`].
    macro_rules! pop_registers {
        () => {
            "pop r15\npop r14\npop r13\npop r12\npop rbp\npop rbx\npop r11\npop r10\npop r9\npop r8\npop rax\npop rcx\npop rdx\npop rsi\npop rdi"
        };
    }

    global_asm!(
        r#"
        .macro push_registers
        push rdi
        push rsi
        push rdx
        push rcx
        push rax
        push r8
        push r9
        push r10
        push r11
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        .endm
        // Back to the caller of `run`, with flags that no process chose: `popfq` clears DF and AC as well.
        .macro leave_to_kernel
        mov rsp, [rip + {kernel_stack}]
        push 2
        popfq
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
        .endm

        .section .text.trap_entry, "ax", @progbits
        .balign 16
        trap_stubs:
        .set vector, 0
        .rept {exceptions}
        .balign 16
        .if (({with_error} >> vector) & 1) == 0
        push 0
        .endif
        push vector
        .if (({own_stack} >> vector) & 1) == 0
        jmp trap_common
        .else
        jmp trap_in_kernel
        .endif
        .set vector, vector + 1
        .endr
        .rept {vectors} - {exceptions}
        .balign 16
        push 0
        push vector
        jmp trap_common
        .set vector, vector + 1
        .endr

        .balign 16
        trap_common:
        test byte ptr [rsp + 24], 3
        jz trap_in_kernel
        push_registers
        leave_to_kernel

        .balign 16
        trap_in_kernel:
        push_registers
        push 2
        popfq
        mov rdi, rsp
        mov rbx, rsp
        and rsp, -16
        call {handler}
        mov rsp, rbx
        test eax, eax
        jnz 2f
        "#,
        pop_registers!(),
        r#"
        add rsp, 16
        iretq
        2:
        leave_to_kernel

        .balign 16
        system_call_entry:
        mov [rip + {user_stack}], rsp
        mov rsp, [rip + {context_end}]
        push {user_data}
        push [rip + {user_stack}]
        push r11
        push {user_code}
        push rcx
        push 0
        push {system_call}
        push_registers
        leave_to_kernel
        "#,
        kernel_stack = sym KERNEL_STACK,
        user_stack = sym USER_STACK,
        context_end = sym CONTEXT_END,
        handler = sym trap_in_kernel,
        exceptions = const exception::COUNT,
        vectors = const VECTORS,
        with_error = const WITH_ERROR,
        own_stack = const OWN_STACK,
        user_data = const USER_DATA,
        user_code = const USER_CODE,
        system_call = const SYSTEM_CALL,
    );

    /// Vectors for which the processor pushes an error code, as bits.
    const WITH_ERROR: u64 = {
        let mut bits = 0;
        let mut vector = 0;
        while vector < exception::COUNT {
            if exception::has_error_code(vector) {
                bits |= 1 << vector;
            }
            vector += 1;
        }
        bits
    };
    /// Exceptions with a stack of their own, in the order of their stacks.
    const STACK_ORDER: [u64; INTERRUPT_STACKS] =
        [exception::DEBUG, exception::NMI, exception::DOUBLE_FAULT, exception::MACHINE_CHECK];
    const OWN_STACK: u64 = 1 << STACK_ORDER[0] | 1 << STACK_ORDER[1] | 1 << STACK_ORDER[2] | 1 << STACK_ORDER[3];

    unsafe extern "C" {
        fn trap_stubs();
        fn system_call_entry();
    }

    /// Leaves for ring 3 by `iretq`, which restores every register.
    #[unsafe(naked)]
    unsafe extern "C" fn resume(context: *const Context) {
        naked_asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov [rip + {kernel_stack}], rsp",
            "mov rsp, rdi",
            pop_registers!(),
            "add rsp, 16",
            "iretq",
            kernel_stack = sym KERNEL_STACK,
        )
    }

    /// Leaves for ring 3 by `sysretq`: cheaper, but rcx and r11 are lost, as after any system call.
    #[unsafe(naked)]
    unsafe extern "C" fn resume_after_call(context: *const Context) {
        naked_asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov [rip + {kernel_stack}], rsp",
            "mov rsp, rdi",
            pop_registers!(),
            "mov rcx, [rsp + 16]",
            "mov r11, [rsp + 32]",
            "mov rsp, [rsp + 40]",
            "sysretq",
            kernel_stack = sym KERNEL_STACK,
        )
    }

    /// Runs a process from its context until it traps; the context then tells why, by its vector.
    ///
    /// # Safety
    /// The page tables in use must be the process's, and `context` must hold user selectors and a canonical `rip`.
    pub unsafe fn run(context: &mut Context) {
        context.rflags = control::sanitise_user_flags(context.rflags);
        let end = core::ptr::from_mut(context).wrapping_add(1) as u64;
        CONTEXT_END.store(end, Relaxed);
        // SAFETY: `initialise` has filled the tables; the processor reads this field only when a process traps.
        unsafe {
            (&raw mut (*TABLES.0.get().cast::<Tables>()).task_state.ring_stacks).cast::<u64>().write_unaligned(end)
        };
        let after_call = context.vector == SYSTEM_CALL;
        // SAFETY: the caller's promise; both return when the process traps, with the kernel's registers restored.
        unsafe { if after_call { resume_after_call(context) } else { resume(context) } }
        if let Some(vector) = interrupt_vector(context.vector) {
            note(vector);
        }
    }

    fn interrupt_vector(vector: u64) -> Option<u8> {
        u8::try_from(vector).ok().filter(|&vector| usize::from(vector) >= exception::COUNT)
    }

    /// Marks an interrupt as pending and lets the local APIC deliver the next.
    fn note(vector: u8) {
        // What the APIC calls spurious is not in service and must not be ended (SDM volume 3, section 11.9); the same
        // vector by a message is, and would keep all others out forever.
        if vector == SPURIOUS_VECTOR && !apic::in_service(vector) {
            return;
        }
        apic::end_of_interrupt();
        let bit = pending_bit(vector);
        if EXPECTED.load(Relaxed) & bit == 0 {
            UNEXPECTED.store(UNEXPECTED.load(Relaxed).wrapping_add(1), Relaxed);
            LAST_UNEXPECTED.store(vector, Relaxed);
            return;
        }
        PENDING.store(PENDING.load(Relaxed) | bit, Relaxed);
        if let Some(count) = COUNTS.get(usize::from(vector.wrapping_sub(DEVICE_CLASS))) {
            count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// Gives a vector out: interrupts by it are noted as pending from now on.
    pub fn expect(vector: u8) {
        EXPECTED.fetch_or(pending_bit(vector), Relaxed);
    }

    /// What came that nobody had asked for, since boot.
    pub fn unexpected() -> Unexpected {
        Unexpected {
            interrupts: UNEXPECTED.load(Relaxed),
            last_vector: LAST_UNEXPECTED.load(Relaxed),
            nmis: NMIS.load(Relaxed),
        }
    }

    /// The interrupts that have arrived since the last call, in the bits of [`pending_bit`].
    pub fn take_pending() -> u32 {
        PENDING.swap(0, Relaxed)
    }

    /// Whether an interrupt has arrived since [`take_pending`].
    pub fn has_pending() -> bool {
        PENDING.load(Relaxed) != 0
    }

    /// How often an interrupt vector that was given out was taken since boot.
    pub fn interrupts_of(vector: u8) -> u64 {
        COUNTS.get(usize::from(vector.wrapping_sub(DEVICE_CLASS))).map_or(0, |count| count.load(Relaxed))
    }

    /// A trap that struck in the kernel, or one with a stack of its own. Returns whether to leave to `run`'s caller.
    extern "C" fn trap_in_kernel(frame: &mut Context) -> u32 {
        if let Some(vector) = interrupt_vector(frame.vector) {
            note(vector);
            // The kernel lets interrupts in only where it takes none next. One at a time: a line that a device holds would
            // come again and again, and the kernel never to ask the device.
            frame.rflags &= !control::RFLAGS::IF::SET.value;
            return 0;
        }
        if frame.vector == exception::NMI {
            // It may have struck while the log or anything else was half way: nothing but this counter is touched.
            NMIS.fetch_add(1, Relaxed);
            return 0;
        }
        if frame.cs & 3 == 3 {
            let end = CONTEXT_END.load(Relaxed) as *mut Context;
            // SAFETY: `run` set it to the end of the running process's context, which outlives the run.
            unsafe { end.sub(1).write(*frame) };
            return 1;
        }
        if probe::recover(frame) {
            return 0;
        }
        panic!(
            "{} in the kernel, error {:#x}, rip {:#x}, cr2 {:#x}, rflags {:#x}, rsp {:#x}\n\
             rax {:#x} rbx {:#x} rcx {:#x} rdx {:#x} rsi {:#x} rdi {:#x} rbp {:#x}\n\
             r8 {:#x} r9 {:#x} r10 {:#x} r11 {:#x} r12 {:#x} r13 {:#x} r14 {:#x} r15 {:#x}",
            exception::name(frame.vector),
            frame.error,
            frame.rip,
            control::fault_address(),
            frame.rflags,
            frame.rsp,
            frame.rax,
            frame.rbx,
            frame.rcx,
            frame.rdx,
            frame.rsi,
            frame.rdi,
            frame.rbp,
            frame.r8,
            frame.r9,
            frame.r10,
            frame.r11,
            frame.r12,
            frame.r13,
            frame.r14,
            frame.r15
        );
    }

    /// Loads the descriptor tables and opens the way for interrupts, exceptions and system calls.
    ///
    /// # Safety
    /// To be called once, with interrupts off. `stacks` are the ends of four unused stacks of
    /// [`segments::INTERRUPT_STACK`] bytes each, with a guard page below.
    pub unsafe fn initialise(stacks: [u64; INTERRUPT_STACKS]) {
        let tables = TABLES.0.get().cast::<Tables>();
        let mut task_state = TaskState::new();
        let mut interrupt_stacks = [0; 7];
        interrupt_stacks[..INTERRUPT_STACKS].copy_from_slice(&stacks);
        task_state.interrupt_stacks = interrupt_stacks;
        // SAFETY: the tables are ours alone until `lidt` and `ltr` below, and live forever.
        unsafe {
            (&raw mut (*tables).task_state).write(task_state);
            (&raw mut (*tables).descriptors).write(segments::global_descriptors(tables as u64));
            for vector in 0..VECTORS as u64 {
                let stack = STACK_ORDER.iter().position(|&own| own == vector).map_or(0, |index| index as u8 + 1);
                // A process may raise #BP by itself; all other gates are for the processor.
                let gate = Gate::new(trap_stubs as *const () as u64 + vector * 16, stack, vector == 3);
                (&raw mut (*tables).gates).cast::<Gate>().add(vector as usize).write(gate);
            }
        }
        let descriptors = Pointer {
            limit: size_of::<[u64; 7]>() as u16 - 1,
            base: tables as u64 + core::mem::offset_of!(Tables, descriptors) as u64,
        };
        let gates = Pointer {
            limit: size_of::<[Gate; VECTORS]>() as u16 - 1,
            base: tables as u64 + core::mem::offset_of!(Tables, gates) as u64,
        };
        // SAFETY: both tables are complete. Reloading the segment registers with the same kind of segments that
        // are in use changes nothing for running code; STAR holds the selectors of the table just loaded.
        unsafe {
            asm!(
                "lgdt [{descriptors}]",
                "lidt [{gates}]",
                "push {code}",
                "lea {scratch}, [rip + 2f]",
                "push {scratch}",
                "retfq",
                "2:",
                "mov ss, {data:x}",
                "mov ds, {zero:x}",
                "mov es, {zero:x}",
                "mov fs, {zero:x}",
                "mov gs, {zero:x}",
                "ltr {task:x}",
                descriptors = in(reg) &descriptors,
                gates = in(reg) &gates,
                code = const segments::KERNEL_CODE,
                scratch = out(reg) _,
                data = in(reg) u64::from(segments::KERNEL_DATA),
                zero = in(reg) 0_u64,
                task = in(reg) u64::from(segments::TASK_STATE),
            );
            control::write_msr(MSR_EFER, control::read_msr(MSR_EFER) | control::EFER::SCE::SET.value);
            // sysret takes user data at +8 and user code at +16 of the upper selector (SDM volume 2B, SYSRET).
            let user = u64::from(segments::USER_DATA - 8);
            control::write_msr(MSR_STAR, user << 48 | u64::from(segments::KERNEL_CODE) << 32);
            control::write_msr(MSR_LSTAR, system_call_entry as *const () as u64);
            control::write_msr(MSR_FMASK, control::syscall_flag_mask());
        }
    }

    /// The operand of `lgdt` and `lidt`.
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
}
