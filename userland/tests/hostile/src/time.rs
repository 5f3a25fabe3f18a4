//! Time: waiting forever, and never giving the processor back. Each of these has to be killed.

use libslop::abi::Syscall;
use libslop::println;

use crate::check::{self, Failed, Words};

/// `wait sleep`, `wait poll`, `wait read`: with the largest numbers that there are.
pub fn wait(words: &mut Words) -> Result<(), Failed> {
    let mut byte = [0u8];
    let (number, arguments) = match words.word()? {
        "sleep" => (Syscall::Sleep.number(), [u64::MAX, u64::MAX, u64::MAX, u64::MAX]),
        "poll" => (Syscall::Poll.number(), [0, 0, u64::MAX - 1, 0]),
        "poll-for-ever" => (Syscall::Poll.number(), [0, 0, u64::MAX, 0]),
        "read" => (Syscall::Read.number(), [0, hazard::address_mut(&mut byte), 1, 0]),
        _ => return Err(Failed::Usage),
    };
    let result = hazard::call(number, arguments);
    check::fails(format_args!("a wait without an end came back with {result}"))
}

/// `hog spin`, `hog yield`, `hog call`, `hog print`: forever.
pub fn hog(words: &mut Words) -> Result<(), Failed> {
    match words.word()? {
        "spin" => loop {
            core::hint::spin_loop();
        },
        "yield" => loop {
            check::equal("yield", hazard::call(Syscall::Yield.number(), [0; 4]), 0)?;
        },
        "call" => loop {
            check::holds("the time", hazard::call(Syscall::Time.number(), [0; 4]) >= 0)?;
        },
        "print" => {
            for line in 0_u64.. {
                println!("hostile: line {line} of a flood that has no end and that nobody wants to read");
            }
            Ok(())
        }
        _ => Err(Failed::Usage),
    }
}
