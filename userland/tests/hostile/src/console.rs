//! The console: reading what is typed for another, and writing so much that nobody else can.

use libslop::abi::{STDERR, STDIN, STDOUT};
use libslop::{call, eprintln, println};

use crate::check::{self, Failed, Words};

fn now_ms() -> Result<u64, Failed> {
    check::succeeds("the time", call::time_ms())
}

/// `keys`: reads a line from the standard input, and says what it heard.
pub fn keys(_: &mut Words) -> Result<(), Failed> {
    let mut line = [0; 64];
    let mut length = 0;
    while !line[..length].ends_with(b"\r") && length < line.len() {
        length += check::succeeds("read", call::read(STDIN, &mut line[length..]))?;
    }
    let text = core::str::from_utf8(&line[..length]).unwrap_or("?");
    eprintln!("hostile: heard {}", text.trim_end());
    Ok(())
}

/// `chatter PIECE`: writes pieces of so many bytes forever, each ended by a newline.
pub fn chatter(words: &mut Words) -> Result<(), Failed> {
    flood(words, STDOUT)
}

/// `murmur PIECE`: the same on standard error.
pub fn murmur(words: &mut Words) -> Result<(), Failed> {
    flood(words, STDERR)
}

fn flood(words: &mut Words, descriptor: i32) -> Result<(), Failed> {
    let mut piece = [b'#'; 512];
    let length = usize::try_from(words.number()?).ok().filter(|length| (1..=512).contains(length));
    let piece = &mut piece[..length.ok_or(Failed::Usage)?];
    if let Some(last) = piece.last_mut() {
        *last = b'\n';
    }
    loop {
        check::succeeds("write", call::write(descriptor, piece))?;
    }
}

/// `lines COUNT`: writes so many lines and says how many milliseconds they took.
pub fn lines(words: &mut Words) -> Result<(), Failed> {
    let count = words.number()?;
    let start = now_ms()?;
    for line in 1..=count {
        println!("hostile: modest line {line} of {count}");
    }
    eprintln!("hostile: {count} lines took {} ms", now_ms()? - start);
    Ok(())
}

/// `both COUNT`: writes so many lines on standard output and on standard error, in turn.
pub fn both(words: &mut Words) -> Result<(), Failed> {
    let count = words.number()?;
    for line in 1..=count {
        println!("output {line} of {count}");
        eprintln!("beside {line} of {count}");
    }
    Ok(())
}

/// `naps COUNT MS`: sleeps so often for so long, and says how late the latest was in 99 of 100 cases.
pub fn naps(words: &mut Words) -> Result<(), Failed> {
    let (count, span) = (words.number()?, words.number()?);
    // How many naps took so many milliseconds.
    let mut took = [0_u64; 256];
    for _ in 0..count {
        let start = now_ms()?;
        check::succeeds("sleep", call::sleep_ms(span))?;
        let index = usize::try_from(now_ms()? - start).unwrap_or(usize::MAX).min(255);
        took[index] += 1;
    }
    let mut seen = 0;
    let slow = took.iter().position(|naps| {
        seen += naps;
        seen * 100 >= count * 99
    });
    eprintln!("hostile: {count} naps of {span} ms, 99 of 100 within {} ms", slow.unwrap_or(255));
    Ok(())
}
