//! `hostile ATTACK [ARGUMENT...]`: does what a process must not do, so that tests can see that nobody else suffers.
//!
//! It says `hostile: begins ATTACK ...`, on descriptor 2, because an attack may give up descriptor 1. An attack that
//! the kernel has to end the process for says `hostile: survived ATTACK` and exits with 1 where it was let through. Any
//! other attack checks each answer, says `hostile: contained ATTACK` and exits with 0, or says what was not right and
//! exits with 1.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

mod authority;
mod check;
mod commands;
mod console;
mod faults;
mod flags;
mod hoard;
mod memory;
mod storm;
mod time;

use libslop::{Arguments, eprintln};

use check::{Failed, Words};

libslop::entry!(run);

/// Exit status where something was not contained.
const NOT_CONTAINED: i32 = 1;
/// Exit status for a command line that makes no sense.
const USAGE: i32 = 2;

/// An attack.
enum Attack {
    /// The kernel must end the process in the midst of it.
    Fatal(fn(&mut Words) -> Result<(), Failed>),
    /// The process goes on, and checks what came of it.
    Checked(fn(&mut Words) -> Result<(), Failed>),
}

use Attack::{Checked, Fatal};

/// What can be done, by its name on the command line.
const ATTACKS: [(&str, Attack); 40] = [
    ("instruction", Fatal(faults::instruction)),
    ("interrupt", Fatal(faults::interrupt)),
    ("read", Fatal(faults::read)),
    ("write", Fatal(faults::write)),
    ("execute", Fatal(faults::execute)),
    ("jump", Fatal(faults::jump)),
    ("return", Fatal(faults::return_to)),
    ("interrupt-return", Fatal(faults::interrupt_return)),
    ("kernel-return", Fatal(faults::kernel_return)),
    ("nested-return", Fatal(faults::nested_return)),
    ("far-return", Fatal(faults::far_return)),
    ("far-jump", Fatal(faults::far_jump)),
    ("push", Fatal(faults::push)),
    ("trap-with-stack", Fatal(faults::trap_with_stack)),
    ("end-of-code", Fatal(faults::end_of_code)),
    ("overflow", Fatal(faults::overflow)),
    ("single-step", Fatal(flags::single_step)),
    ("ports-by-privilege", Fatal(flags::ports_by_privilege)),
    ("flags", Checked(flags::flags)),
    ("stacks", Checked(flags::stacks)),
    ("pass", Checked(memory::pass)),
    ("guard", Checked(memory::guard)),
    ("search", Checked(memory::search)),
    ("storm", Checked(storm::storm)),
    ("descriptors", Checked(authority::descriptors)),
    ("rights", Checked(authority::rights)),
    ("commands", Checked(commands::commands)),
    ("remotes", Checked(authority::remotes)),
    ("sockets", Checked(hoard::sockets)),
    ("ports", Checked(hoard::ports)),
    ("hoard", Checked(hoard::hoard)),
    ("grants", Checked(hoard::grants)),
    ("wait", Checked(time::wait)),
    ("hog", Checked(time::hog)),
    ("keys", Checked(console::keys)),
    ("both", Checked(console::both)),
    ("chatter", Checked(console::chatter)),
    ("lines", Checked(console::lines)),
    ("murmur", Checked(console::murmur)),
    ("naps", Checked(console::naps)),
];

fn run(arguments: Arguments) -> i32 {
    let name = arguments.name();
    let mut words = Words::new(arguments);
    let attack = words.next();
    let Some((attack, carry_out)) = ATTACKS.iter().find(|(known, _)| Some(*known) == attack) else {
        eprintln!("usage: {name} ATTACK [ARGUMENT...], an attack being one of:");
        for (attack, _) in &ATTACKS {
            eprintln!("  {attack}");
        }
        return USAGE;
    };
    eprintln!("{name}: begins {attack}{}", words.rest());
    let result = match carry_out {
        Fatal(carry_out) => carry_out(&mut words).and_then(|()| check::fails(format_args!("survived {attack}"))),
        Checked(carry_out) => carry_out(&mut words),
    };
    match result {
        Ok(()) => {
            eprintln!("{name}: contained {attack}");
            0
        }
        Err(Failed::NotContained) => NOT_CONTAINED,
        Err(Failed::Usage) => {
            eprintln!("{name}: {attack} wants other arguments");
            USAGE
        }
    }
}
