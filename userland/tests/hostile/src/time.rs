//! Time: waiting for ever, and never giving the processor back. Each of these has to be killed.

use libslop::abi::syscall;
use libslop::println;

use crate::check::{self, Failed, Words};

/// `wait sleep`, `wait poll`, `wait read`: with the largest numbers that there are.
pub fn wait(words: &mut Words) -> Result<(), Failed> {
    let mut byte = [0u8];
    let (number, arguments) = match words.word()? {
        "sleep" => (syscall::SLEEP_MS, [u64::MAX, u64::MAX, u64::MAX, u64::MAX]),
        "poll" => (syscall::POLL, [0, 0, u64::MAX - 1, 0]),
        "poll-for-ever" => (syscall::POLL, [0, 0, u64::MAX, 0]),
        "read" => (syscall::FS_READ, [0, hazard::address_mut(&mut byte), 1, 0]),
        _ => return Err(Failed::Usage),
    };
    let result = hazard::call(number, arguments);
    check::fails(format_args!("a wait without an end came back with {result}"))
}

/// `hog spin`, `hog yield`, `hog call`, `hog print`: for ever.
pub fn hog(words: &mut Words) -> Result<(), Failed> {
    match words.word()? {
        "spin" => loop {
            core::hint::spin_loop();
        },
        "yield" => loop {
            check::equal("yield", hazard::call(syscall::YIELD, [0; 4]), 0)?;
        },
        "call" => loop {
            check::holds("the time", hazard::call(syscall::GET_TIME_MS, [0; 4]) >= 0)?;
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
