//! A flash region: opened by name, written and read back.

use libslop::abi::Errno;
use libslop::io::{Read, ReadExactError, Write};
use libslop::{Error, Region, call};

use crate::check::{Checks, Failed};

/// The region that the manifest gives to this program.
pub const SCRATCH: &str = "scratch";

/// Bytes that are written and read back.
const LENGTH: usize = 4096;
/// Bytes of one call: whole sectors, so that nothing has to be kept of what was there.
const PIECE: usize = 1024;

/// The byte at this position of the pattern; no two sectors are alike.
pub const fn pattern(position: usize) -> u8 {
    (position * 7 + position / 256) as u8
}

pub fn run(checks: &mut Checks) -> Result<(), Failed> {
    for name in ["no-such-region", "scratc", "scratchy", "syscalls", "a name of more than sixteen bytes"] {
        checks.fails("open a region that was not granted", call::open(name), Errno::NotFound)?;
    }
    let mut region = with_pattern(checks)?;
    let mut bytes = [0; PIECE];
    for start in (0..LENGTH).step_by(PIECE) {
        checks.succeeds("read back", region.read_exact(&mut bytes).map_err(error))?;
        let same = bytes.iter().zip(start..).all(|(&byte, position)| byte == pattern(position));
        checks.holds("what is read is what was written", same)?;
    }
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
