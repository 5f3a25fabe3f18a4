//! `random BYTES`: reads so many random bytes and says what they were like. `random poll`: waits for some by POLL.
//! `random ever`: reads without an end.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libslop::abi::Readiness;
use libslop::abi::poll::Entry;
use libslop::io::Read;
use libslop::{Arguments, Entropy, Error, eprintln, poll, println};

libslop::entry!(run);

/// Most bytes of one read: more than any buffer of a process.
const PIECE: usize = 128;

fn run(mut arguments: Arguments) -> i32 {
    let name = arguments.name();
    let outcome = match arguments.next() {
        Some("poll") => wait(name),
        Some("ever") => take(name, u64::MAX),
        Some(count) if let Ok(count) = count.parse() => take(name, count),
        _ => {
            eprintln!("usage: {name} BYTES | poll | ever");
            return 2;
        }
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{name}: {error}");
            1
        }
    }
}

/// Reads until it has so many bytes; counts the reads, and how often each value came.
fn take(name: &str, count: u64) -> Result<(), Error> {
    let mut entropy = Entropy::open()?;
    let mut seen = [0_u32; 256];
    let (mut bytes, mut reads) = (0, 0);
    while bytes < count {
        let mut piece = [0; PIECE];
        let room = usize::try_from(count - bytes).unwrap_or(PIECE).min(PIECE);
        let read = entropy.read(&mut piece[..room])?;
        piece[..read].iter().for_each(|byte| seen[usize::from(*byte)] += 1);
        bytes += read as u64;
        reads += 1;
    }
    let values = seen.iter().filter(|count| **count > 0).count();
    let most = seen.iter().max().copied().unwrap_or(0);
    println!("{name}: bytes={bytes} reads={reads} values={values} most={most}");
    Ok(())
}

/// Waits for random bytes, reads them all, and waits again.
fn wait(name: &str) -> Result<(), Error> {
    let mut entropy = Entropy::open()?;
    let mut set =
        [Entry { descriptor: entropy.descriptor().number(), interest: Readiness::READABLE, ready: Readiness::NONE }];
    for _ in 0..2 {
        let ready = poll(&mut set, None)?;
        let read = entropy.read(&mut [0; PIECE])?;
        println!("{name}: ready={ready} read={read}");
    }
    Ok(())
}
