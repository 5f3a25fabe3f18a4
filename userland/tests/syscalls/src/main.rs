//! `syscalls [ARGUMENT...]`: makes every system call, rightly and wrongly, and checks each answer.
//!
//! It prints `syscalls: N checks passed` and exits with 0, or says which check failed and exits with 1. The manifest
//! has to give it no network, and the flash region `scratch` of at least 4096 bytes with the right to write it.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

mod check;
mod descriptors;
mod memory;
mod network;
mod region;
mod waiting;

use libslop::{Arguments, eprintln, println};

use check::{Checks, Failed};

libslop::entry!(run);

fn run(arguments: Arguments) -> i32 {
    let mut checks = Checks::default();
    match all(&mut checks, arguments) {
        Ok(()) => {
            println!("syscalls: {} checks passed", checks.passed());
            0
        }
        Err(Failed) => {
            eprintln!("syscalls: failed after {} checks", checks.passed());
            1
        }
    }
}

fn all(checks: &mut Checks, arguments: Arguments) -> Result<(), Failed> {
    echo(checks, arguments)?;
    waiting::run(checks)?;
    descriptors::run(checks)?;
    memory::run(checks)?;
    region::run(checks)?;
    network::run(checks)
}

/// Shows what the argument block holds.
fn echo(checks: &mut Checks, arguments: Arguments) -> Result<(), Failed> {
    for argument in arguments {
        println!("syscalls: argument [{argument}]");
    }
    checks.equal("the first argument is the program's name", arguments.name(), "syscalls")
}
