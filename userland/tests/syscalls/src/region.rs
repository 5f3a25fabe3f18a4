//! A flash region: opened by name, written and read back.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use libslop::abi::{ENTROPY_NAME, Errno, Rights, STDOUT, Syscall};
use libslop::io::{Read, ReadExactError, Write};
use libslop::{Error, Region, call};

use crate::check::{Checks, Failed};

/// The region that the manifest gives to this program.
pub const SCRATCH: &str = "scratch";

/// Bytes that are written and read back.
const LENGTH: usize = 4096;
/// Bytes of one call: whole sectors, so that nothing has to be kept of what was there.
const PIECE: usize = 1024;

/// Bytes of a sector of the flash.
const SECTOR: usize = libslop::abi::flash::SECTOR;
/// Bytes of a long transfer: more than the kernel moves at a time.
const LONG: usize = 72 * SECTOR;

/// The byte at this position of the pattern; no two sectors are alike.
pub const fn pattern(position: usize) -> u8 {
    (position * 7 + position / 256) as u8
}

pub fn run(checks: &mut Checks) -> Result<(), Failed> {
    for name in [ENTROPY_NAME, "no-such-region", "scratc", "scratchy", "syscalls", "a name of more than sixteen bytes"]
    {
        checks.fails("open a region that was not granted", call::open(name), Errno::NotFound)?;
    }
    let mut region = with_pattern(checks)?;
    let mut bytes = [0; PIECE];
    for start in (0..LENGTH).step_by(PIECE) {
        checks.succeeds("read back", region.read_exact(&mut bytes).map_err(error))?;
        let same = bytes.iter().zip(start..).all(|(&byte, position)| byte == pattern(position));
        checks.holds("what is read is what was written", same)?;
    }
    checks.succeeds("close", region.close())?;
    whole_sectors(checks)?;
    long(checks)?;
    sync(checks)
}

/// Parts of sectors are refused, and leave the position where it was.
fn whole_sectors(checks: &mut Checks) -> Result<(), Failed> {
    let region = checks.succeeds("open", Region::open(SCRATCH))?;
    let mut bytes = [0; SECTOR + 1];
    for length in [1, SECTOR - 1, SECTOR + 1] {
        let part = bytes.get_mut(..length).unwrap_or_default();
        checks.fails("read a part of a sector", region.descriptor().read(part), Errno::Invalid)?;
        checks.fails("write a part of a sector", region.descriptor().write(part), Errno::Invalid)?;
    }
    let sector = bytes.get_mut(..SECTOR).unwrap_or_default();
    checks.equal("read the first sector", region.descriptor().read(sector), Ok(SECTOR))?;
    let same = sector.iter().zip(0..).all(|(&byte, position)| byte == pattern(position));
    checks.holds("it is the first", same)?;
    checks.succeeds("close", region.close())
}

/// Memory for a long transfer: the stack has no room for it.
static LONG_BYTES: [AtomicU8; LONG] = [const { AtomicU8::new(0) }; LONG];

/// More than the kernel moves at a time goes in pieces, and the end of the region is its end.
fn long(checks: &mut Checks) -> Result<(), Failed> {
    for (place, position) in LONG_BYTES.iter().zip(0..) {
        place.store(!pattern(position), Relaxed);
    }
    move_all(checks, "write much", Syscall::Write.number())?;
    LONG_BYTES.iter().for_each(|place| place.store(0, Relaxed));
    let region = move_all(checks, "read much", Syscall::Read.number())?;
    let same = LONG_BYTES.iter().zip(0..).all(|(place, position)| place.load(Relaxed) == !pattern(position));
    checks.holds("much is read as it was written", same)?;
    let mut sector = [0; SECTOR];
    let end = loop {
        match region.descriptor().read(&mut sector) {
            Ok(SECTOR) => {}
            other => break other,
        }
    };
    checks.equal("the end is the end", end, Ok(0))?;
    checks.fails("write behind the end", region.descriptor().write(&sector), Errno::Invalid)?;
    checks.succeeds("close", region.close())
}

/// Moves all of the long bytes from or to the region's beginning, in as many calls as it takes.
fn move_all(checks: &mut Checks, what: &str, number: u64) -> Result<Region, Failed> {
    let region = checks.succeeds("open", Region::open(SCRATCH))?;
    let mut moved = 0;
    while let Some(rest @ [_, ..]) = LONG_BYTES.get(moved..) {
        let descriptor = region.descriptor().number() as u64;
        let count = hazard::call(number, [descriptor, rest.as_ptr().addr() as u64, rest.len() as u64, 0]);
        let count = usize::try_from(count).unwrap_or(0);
        checks.holds(what, count > 0 && count <= rest.len() && count.is_multiple_of(SECTOR))?;
        moved += count;
    }
    Ok(region)
}

/// What was written can be made durable, by whom it was given to write.
fn sync(checks: &mut Checks) -> Result<(), Failed> {
    let region = checks.succeeds("open", Region::open(SCRATCH))?;
    checks.succeeds("make durable", region.sync())?;
    checks.equal("give up writing", region.descriptor().restrict(Rights::READ), Ok(Rights::READ))?;
    checks.fails("make durable without the right to write", region.sync(), Errno::BadDescriptor)?;
    checks.fails("make the console durable", call::sync(STDOUT), Errno::Invalid)?;
    checks.fails("make nothing durable", call::sync(31), Errno::BadDescriptor)?;
    checks.succeeds("close", region.close())
}

/// The region at its beginning, with the pattern in it.
pub fn with_pattern(checks: &mut Checks) -> Result<Region, Failed> {
    let mut region = checks.succeeds("open scratch", Region::open(SCRATCH))?;
    for start in (0..LENGTH).step_by(PIECE) {
        let bytes: [u8; PIECE] = core::array::from_fn(|at| pattern(start + at));
        checks.succeeds("write", region.write_all(&bytes))?;
    }
    checks.succeeds("close", region.close())?;
    checks.succeeds("open scratch again", Region::open(SCRATCH))
}

/// The end of the region, come too early, as an error of the device.
pub fn error(error: ReadExactError<Error>) -> Error {
    match error {
        ReadExactError::UnexpectedEof => Error::from(Errno::Io),
        ReadExactError::Other(error) => error,
    }
}
