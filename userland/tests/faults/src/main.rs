//! `faults KIND`: does one thing that a process may not do, so that tests can see the kernel end it.
//!
//! Each kind but `spin`, `exit-200` and `panic` must end in a kill by the kernel. Where the thing comes to pass after
//! all, the program says so and exits with status 1.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicU64;

use libslop::abi::USER_END;
use libslop::{Arguments, call, eprintln, println};

libslop::entry!(run);

/// Exit status where the kernel let something pass.
const SURVIVED: i32 = 1;
/// Exit status for a command line that makes no sense.
const USAGE: i32 = 2;

/// An address in the midst of the kernel's code, which begins a little above its first MiB: mapped, but not for us.
const KERNEL: u64 = 0xffff_ffff_8011_0000;
/// The lowest address that has no canonical form.
const NON_CANONICAL: u64 = 0x0000_8000_0000_0000;

/// The instruction `ret`, in memory that can be written and so must not be executed.
static DATA: AtomicU64 = AtomicU64::new(0xc3c3_c3c3_c3c3_c3c3);

/// The same among the constants, which must be neither.
static CONSTANT: u64 = 0xc3c3_c3c3_c3c3_c3c3;

/// What can be done wrong, by its name on the command line.
const KINDS: [(&str, fn()); 21] = [
    ("null-read", || show(hazard::load(0))),
    ("kernel-read", || show(hazard::load(KERNEL))),
    ("kernel-write", || hazard::store(KERNEL, 0)),
    ("code-write", || hazard::store(hazard::code_address(), 0)),
    ("constant-write", || hazard::store(hazard::address(&CONSTANT), 0)),
    ("data-execute", || hazard::execute(hazard::address(&DATA))),
    ("constant-execute", || hazard::execute(hazard::address(&CONSTANT))),
    ("stack-execute", || {
        let code = [0xc3u8; 8];
        hazard::execute(hazard::address(&code));
    }),
    ("beyond-end", || show(hazard::load(USER_END))),
    ("stack-overflow", || hazard::overflow_stack()),
    ("divide", hazard::divide),
    ("invalid-opcode", hazard::invalid_opcode),
    ("privileged", hazard::privileged),
    ("port-io", hazard::port_io),
    ("sse", hazard::sse),
    ("x87", hazard::x87),
    ("breakpoint", hazard::breakpoint),
    ("non-canonical", || show(hazard::load(NON_CANONICAL))),
    ("spin", || {
        loop {
            core::hint::spin_loop();
        }
    }),
    ("exit-200", || call::exit(200)),
    ("panic", || panic!("as asked")),
];

fn run(mut arguments: Arguments) -> i32 {
    let wanted = arguments.next();
    let Some((name, kind)) = KINDS.iter().find(|(name, _)| Some(*name) == wanted) else {
        eprintln!("usage: faults KIND, one of:");
        for (name, _) in KINDS {
            eprintln!("  {name}");
        }
        return USAGE;
    };
    println!("faults: {name}");
    kind();
    println!("faults: survived {name}");
    SURVIVED
}

/// Shows a value that should not have been readable.
fn show(value: u64) {
    println!("faults: read {value:#018x}");
}
