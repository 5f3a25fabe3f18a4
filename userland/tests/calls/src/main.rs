//! `calls CALL COUNT`: makes one system call so many times, and nothing else. `tools/lab/count` counts what it costs.
//!
//! It prints nothing where all goes well, so that two runs with different counts differ by the calls alone. Exits
//! with 0, with 1 where a call failed, and with 2 for a command line that makes no sense.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libslop::{Arguments, Error, call, eprintln};

libslop::entry!(run);

/// Exit status where a call failed.
const FAILED: i32 = 1;
/// Exit status for a command line that makes no sense.
const USAGE: i32 = 2;

fn run(mut arguments: Arguments) -> i32 {
    let name = arguments.name();
    let call = arguments.next();
    let count = arguments.next().and_then(|count| count.parse().ok());
    let (Some(call), Some(count), None) = (call, count, arguments.next()) else {
        eprintln!("usage: {name} CALL COUNT, a call being one of: yield, time, grant");
        return USAGE;
    };
    let result = match call {
        "yield" => repeat(count, || {
            call::yield_now();
            Ok(())
        }),
        "time" => repeat(count, || call::time_ms().map(drop)),
        "grant" => repeat(count, || call::grant_info().map(drop)),
        _ => {
            eprintln!("{name}: {call} is none of: yield, time, grant");
            return USAGE;
        }
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{name}: {call}: {} ({error})", error.errno().symbol());
            FAILED
        }
    }
}

/// Makes a call so many times, up to the first that fails.
fn repeat(count: u64, mut call: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    (0..count).try_for_each(|_| call())
}
